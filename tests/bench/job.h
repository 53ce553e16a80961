/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The benchmark's job for its kernel side, and the measurement: bench.bpf.c's only global. */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include <linux/types.h>

#define BENCH_FRAME   128 /* bytes of every packet */
#define BENCH_HEADERS 74  /* Ethernet, IPv6, TCP: the most that is rewritten before each run */

enum bench_order {
	BENCH_WALK,   /* for each flow in turn: a SYN and an ACK */
	BENCH_RANDOM, /* one of .flows at random */
	BENCH_FRESH,  /* a tuple never seen before */
};

struct bench_job {
	__u8 header[80];
	__u32 order; /* enum bench_order */
	__u32 flows;
	__u32 first;	/* the number of the first of .flows */
	__u64 salt;	/* of BENCH_FRESH: changes give other tuples */
	__u32 seq_add;	/* a packet's sequence number: its flow's, plus this, */
	__u32 seq_step; /* plus this for each packet before it */
	__u32 pad;
	__u64 packets; /* to be timed; one more is sent */

	__u64 sent;
	__u64 start_ns, end_ns;
	__u64 lru_misses; /* failed look-ups in the kernel's LRU hashes: none is expected */
};

/* Keys of the kernel's LRU hashes, with what mxlb's own keys have. */
struct bench_key4 {
	__be32 address;
	__u16 port, service;
};

struct bench_key6 {
	__u8 address[16];
	__u32 port, service;
};

/* Of flow number i: what the kernel side puts into packets, and userspace into the LRU hash. */
static inline __attribute__((always_inline)) __u32 bench_address(__u64 i)
{
	return 0x14000000 | (i & 0xffffff); /* 20.0.0.0/8 */
}

static inline __attribute__((always_inline)) __u16 bench_port(__u64 i)
{
	return 1024 + ((i ^ i >> 24) & 0x7fff);
}

#endif
