/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the tests of tunnels: both services with one server, A, and the packets to it. */
#ifndef MXLB_TEST_TUNNELS_H
#define MXLB_TEST_TUNNELS_H

#include "bench.h"

#define HEAD(outer) ((outer) == 4 ? 20u : 40u)

#define PAIRS	    4
extern const struct pair {
	int inner, outer;
} pairs[PAIRS];

void put16(struct frame *f, unsigned at, unsigned value);
/* A data segment of a client's flow: an IP packet of `len` bytes. IPv4 has DF set. */
void frame_data(struct frame *f, int family, uint32_t client, unsigned len);
/* Both services with one server, A, as given. again_ms: of datapath_apply() at now_ms; NULL: wait until it is in force. */
void plan_one(struct plan_server *b, uint64_t now_ms, uint64_t *again_ms);
struct plan_server server_a(int outer); /* 0: layer 2 */
void narrow(int outer, uint16_t mtu);	/* A with a tunnel of this MTU */

#endif
