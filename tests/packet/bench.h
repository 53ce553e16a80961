/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The workbench of the packet tests: the real program with the real datapath/ code around it, driven by
 * BPF_PROG_TEST_RUN. The interface of a test run is loopback (index 1), which is declared here with a chosen MAC
 * address.
 */
#ifndef PACKET_BENCH_H
#define PACKET_BENCH_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "datapath/datapath_internal.h"

#define FRAME_MAX \
	9216 /* the kernel's test run puts what is above 3,520 bytes into further buffers */

struct frame {
	uint8_t b[FRAME_MAX];
	unsigned len;
};

enum { SERVER_A = 11, SERVER_B = 12, SERVER_DR = 13, SERVER_NO_MAC = 14 };

extern const uint8_t our_mac[6], router_mac[6], server_mac[16][6];

/* What a test run left behind, against what was there before it. */
struct outcome {
	int action;
	struct frame out;
	int counter;	      /* the one that rose; -1: a server's traffic */
	uint32_t server;      /* whose traffic rose; 0: nobody's */
	uint64_t syns, bytes; /* of that rise */
};

int bench_up(void **state);
int bench_down(void **state);
struct datapath *bench_datapath(void);
/* The site of the tests: VIPs 203.0.113.25:25 and [2001:db8:113::25]:25 (A, B), :2525 nobody (reset), :2526 nobody
 * (drop), :2527 cold start, :2528 a server without MAC. */
void bench_plan(void);
/* How A and B are reached from now on: 0 at layer 2, 4 or 6 through a tunnel of that family and of this MTU. */
#define TUNNEL_MTU 1500
void bench_forward(int outer);
/* Makes *b (its .id set) such a server: from 203.0.113.5 to 192.0.2.ID, or from 2001:db8:113::5 to 2001:db8:2::ID. */
void bench_server(struct plan_server *b, int outer);
/* Puts a plan in force, waiting out what datapath_apply() asks for. */
void bench_apply(const struct plan *plan);
/* A second mxlbd takes over the maps; it has no plan yet. */
void bench_adopt(void);
/* For the site, from the next bench_plan() on: the peers whose tunnels end here, and the interface of A and B. */
extern const struct addr *bench_peers;
extern unsigned bench_n_peers, bench_exit;
/* Runs one packet; fails the test unless exactly one thing was counted. */
void bench_run(const struct frame *in, struct outcome *out);
/* Runs one packet and checks only the action, which is hundreds of times faster. */
int bench_send(const struct frame *in);
/* Sends it 2,000 times in a row: a source gets at least 512 answers (counted as `answer`), then none for a while. */
void expect_limited(const struct frame *in, int answer);

/* A valid SYN from a client to the VIP's port. family: 4 or 6. */
void frame_syn(struct frame *f, int family, uint16_t dport, uint32_t client);
void frame_set(struct frame *f, unsigned at, const char *hex);
uint16_t frame_get16(const struct frame *f, unsigned at);
/* True if the checksums of IPv4 and of TCP or ICMPv6 are correct. */
int frame_checksums_ok(const struct frame *f);
void frame_fix_ip_checksum(struct frame *f);

/*
 * C01, C02, C03: only the MAC addresses and the hop count change, and with it the IP checksum. If bench_forward() set
 * a tunnel, the packet is in an outer packet with the correct header (C04: with the inner DSCP and ECN).
 */
void expect_forwarded(const struct frame *in, const struct outcome *o);

#endif
