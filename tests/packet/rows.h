/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the rows of docs/conformance.md section 1: the servers, and a client's segments. */
#ifndef MXLB_TEST_ROWS_H
#define MXLB_TEST_ROWS_H

#include "bench.h"

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10, URG = 0x20 };
enum { TO_A = 1, TO_B = 2, TO_BOTH = 3, TO_NOBODY = 0 };

extern bool rows_a_is_down; /* in the plans to come */

/* The servers of the services on the VIPs' ports 25 and 587, and the prefixes that may connect to port 25. NULL: all. */
void plan_in_force(int to_25, int to_587, const char *allow);
unsigned tcp_at(int family); /* offset of the TCP header */
/* A client's segment this many bytes after its SYN. */
void frame_segment(struct frame *f, int family, uint16_t port, uint32_t client, unsigned flags,
		   uint8_t on);
/* The server that got it. */
uint32_t send_segment(int family, uint16_t port, uint32_t client, unsigned flags, uint8_t on);
/* A handshake. Returns the server of the flow. */
uint32_t open_flow(int family, uint16_t port, uint32_t client);
int counter_of(const struct frame *f); /* enum mxlb_drop; -1: forwarded */

#endif
