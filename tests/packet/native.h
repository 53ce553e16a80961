/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program itself, built natively with the sanitizers. The linear part of a frame and the rest are heap objects of
 * exactly their size. Resizing a frame frees the old ones, so that the use of a stale pointer is detected.
 */
#ifndef PACKET_NATIVE_H
#define PACKET_NATIVE_H

#include <stdbool.h>
#include <stdint.h>
#include "mxlb/abi.h"

/* The maps that mxlbd writes: those in the kernel, or the caller's. They must outlive native_down(). */
struct native_site {
	struct mxlb_front *fronts;
	struct mxlb_service *services;
	struct mxlb_ring *rings;
	struct mxlb_backend *backends;
	struct mxlb_control *control;
	uint32_t lines;					   /* of each flow table */
	uint32_t exits;					   /* bit n: `ports` has n */
	bool (*allowed)(const struct mxlb_allow_key *key); /* NULL: no prefix is there */
};

#define NATIVE_FORWARDED -1

struct native_outcome {
	int action;
	int counter; /* the verdict that was counted, or NATIVE_FORWARDED */
	uint32_t server;
	unsigned fates; /* the number of verdicts counted: 1, or the program is wrong */
	unsigned len;
	const uint8_t *frame; /* the frame afterwards; valid until the next run */
	bool fast;	      /* struct packet was not needed */
	const void *line;     /* the last line of a flow table that was looked up, or NULL */
	size_t line_size, line_at;
};

/* Starts with empty flow tables and counters of its own. */
void native_up(const struct native_site *site);
void native_down(void);
/* Empties the flow tables. */
void native_forget(void);
/* Makes all token buckets full, or permanently empty. */
void native_buckets(bool full);
/* The same for one bucket of syn-limit. */
void native_syn_bucket(uint32_t key, uint64_t word);
/* Switches the fast path on (the default) or off. */
void native_fast(bool on);
/* linear: how many of the bytes the program can read without a helper; at least 14. ingress: the interface's index. */
void native_run(const uint8_t *frame, unsigned len, unsigned linear, uint32_t ingress,
		struct native_outcome *out);
/* As in the map `counts`, and `traffic`. */
const uint64_t *native_counts(void);
const struct mxlb_traffic *native_traffic(void);

#endif
