/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real program and the model of its flow table side by side: each segment goes to both, and their decisions and
 * the resulting lines must be equal. Holds a small table, rings made in advance, and their surroundings.
 */
#ifndef PACKET_FLOWBENCH_H
#define PACKET_FLOWBENCH_H

#include "bench.h"
#include "../model/flowmodel.h"

#define FLOWBENCH_LINES	   16
#define FLOWBENCH_SERVERS  6
#define FLOWBENCH_RINGS	   6
#define FLOWBENCH_SERVICES 4 /* IPv4 :25 and :26, IPv6 :25 and :26 */
#define FLOWBENCH_DATA_MAX 1400
#define FLOWBENCH_EPOCH_MAX \
	60000 /* between two calls of flowbench_clear(), because the program's epochs have 16 bits */

/* Indices of servers: those with one byte set, or with all bits. */
extern const uint32_t flowbench_server_id[FLOWBENCH_SERVERS];

enum flowbench_state {
	FLOWBENCH_UP,
	FLOWBENCH_DOWN,
	FLOWBENCH_RESET,    /* unreachable, its flows are to be reset */
	FLOWBENCH_LOST,	    /* down, its next hop unknown */
	FLOWBENCH_STARTING, /* not down, its next hop unknown */
	FLOWBENCH_STATES,
};

int flowbench_up(void **state);
int flowbench_down(void **state);

/* Both tables are empty, all servers up, each service on ring 0, the epoch as given. */
void flowbench_clear(uint32_t epoch);
/* ring: 0 to FLOWBENCH_RINGS - 1; or FLOWBENCH_RINGS plus an enum flowmodel_nobody. Ring r gives nothing to server r. */
void flowbench_ring(unsigned service, unsigned ring);
void flowbench_server(unsigned server,
		      enum flowbench_state s); /* server: 0 to FLOWBENCH_SERVERS - 1 */
void flowbench_epochs(uint32_t steps);
uint32_t flowbench_epoch(void);

/* The line of a tuple, and the server that its service's ring gives it; 0: none. */
uint32_t flowbench_line(const struct flowmodel_tuple *t);
uint32_t flowbench_placed(const struct flowmodel_tuple *t);

/* Runs the segment through both and fails the test if they differ. pad: bytes of Ethernet padding behind it. */
void flowbench_run(const struct flowmodel_segment *s, unsigned pad, struct flowmodel_result *r);
/* Compares all lines, all counters and the numbers of flows; fails the test if they differ. */
void flowbench_compare(void);
/*
 * Begins a run with the current counters. Its name and the settings to reproduce it are printed if there is a
 * difference.
 */
void flowbench_start(const char *name, uint64_t seed);
/* How often a rule has applied since then. */
uint64_t flowbench_times(enum flowmodel_rule rule);

/* Entry i of the tuple's line in the model, which flowbench_run() has found equal to the program's. */
const struct flowmodel_entry *flowbench_entry(const struct flowmodel_tuple *t, int i);

#endif
