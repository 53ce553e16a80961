/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program itself, built natively, so that the sanitizers watch it: its linear part, and what is behind that, are heap
 * objects of just their size, and resizing a frame frees the old one, so that no pointer into it may be used again.
 */
#ifndef PACKET_NATIVE_H
#define PACKET_NATIVE_H

#include <stdbool.h>
#include <stdint.h>
#include "mxlb/abi.h"

/* What the controller writes: of the maps in the kernel, or the caller's own. They outlive native_down(). */
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
	int counter; /* the fate that was counted, or NATIVE_FORWARDED */
	uint32_t backend;
	unsigned fates; /* how many were counted; 1, or the program is wrong */
	unsigned len;
	const uint8_t *frame; /* as it is now; until the next run */
	bool fast;	      /* struct packet was not needed */
	const void *line;     /* of a flow table, the last that was looked at; or NULL */
	size_t line_size, line_at;
};

/* Flow tables and counters are its own, and empty. */
void native_up(const struct native_site *site);
void native_down(void);
/* The flow tables are empty again. */
void native_forget(void);
/* All token buckets are full, or empty for good. */
void native_buckets(bool full);
/* One of those of syn-limit. */
void native_syn_bucket(uint32_t key, uint64_t word);
/* The fast path is on, as it is at first, or off. */
void native_fast(bool on);
/* linear: how many of the bytes the program can see without a helper; at least 14. ingress: the interface's index. */
void native_run(const uint8_t *frame, unsigned len, unsigned linear, uint32_t ingress,
		struct native_outcome *out);
/* As in the map `counts`, and `traffic`. */
const uint64_t *native_counts(void);
const struct mxlb_traffic *native_traffic(void);

#endif
