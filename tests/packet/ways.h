/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kinds of next hop, and the properties of a frame that was sent to one: written from the RFCs, for frames that
 * nobody thought of.
 */
#ifndef PACKET_WAYS_H
#define PACKET_WAYS_H

#include <stdint.h>
#include "mxlb/abi.h"

#define WAYS_VLAN	5 /* of the second interface, whose dense index is 1 */
#define WAYS_FIRST_MAC	"\x02\0\0\0\0\x05"
#define WAYS_SECOND_MAC "\x02\0\0\0\0\x77"

/* The number of kinds: at layer 2 and through tunnels of both families, with several MTUs, on either interface. */
#define WAYS		18
void ways_set(struct mxlb_backend *b, const uint8_t mac[6], unsigned way);

/* One frame before and after; in_port, server: its origin and destination. */
struct ways_trip {
	const uint8_t *in, *out;
	unsigned in_len, out_len, in_port;
	const struct mxlb_backend *server;
};

/* Returns the error in a forwarded frame; NULL: none. */
const char *ways_forwarded_wrong(const struct ways_trip *t);
/* The same for a frame that the kernel got: unchanged, or stripped of a peer's tunnel and nothing else. */
const char *ways_passed_wrong(const struct ways_trip *t, int stripped);
/* Offset of an outer IPv4 header whose ID is random, because routers may fragment it; 0: there is none. */
unsigned ways_random_outer(const struct ways_trip *t);
/* RFC 791: is the checksum of a header without options correct? */
int ways_header_is_summed(const uint8_t *ip);

#endif
