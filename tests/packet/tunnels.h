/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of tunnels share: both services with one backend, A, and what is sent to it. */
#ifndef MXLB_TEST_TUNNELS_H
#define MXLB_TEST_TUNNELS_H

#include "bench.h"

#define HEAD(outer) ((outer) == 4 ? 20u : 40u)

#define PAIRS	    4
extern const struct pair {
	int inner, outer;
} pairs[PAIRS];

void put16(struct frame *f, unsigned at, unsigned value);
/* A segment with data of a client's flow: an IP packet of `len` bytes. In IPv4 with DF. */
void frame_data(struct frame *f, int family, uint32_t client, unsigned len);
/* Both services with one backend, A, as it is given. ret: of datapath_apply(), at now_ms; NULL: in force at once. */
void plan_one(struct plan_backend *b, uint64_t now_ms, int *ret);
struct plan_backend backend_a(int outer); /* 0: layer 2 */
void narrow(int outer, uint16_t mtu);	  /* A with a tunnel of this MTU */

#endif
