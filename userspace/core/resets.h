/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which idle flows of unreachable servers are reset next. Pure: places of the flow table in, places out.
 *
 *  1. Only flows whose client has sent data. The SYN that resets a flow (daemon/reset_rounds.c) goes to an address
 *     that can be forged; nothing is sent to one that never sent data.
 *  2. The flows used last are reset first. A round has no upper limit: every flow of the server is in it, however many were
 *     forged.
 *  3. No prefix (/24, /64) gets more than RESETS_PREFIX_MAX packets a second. What exceeds it waits, and lets others pass.
 */
#ifndef MXLB_RESETS_H
#define MXLB_RESETS_H

#include <stdbool.h>
#include <stdint.h>
#include "util/addr.h"

#define RESETS_PREFIX_MAX 200  /* a second; docs/datapath.md, mxlbd.8 */
#define RESETS_PREFIXES	  4096 /* whose packets are counted; those of one hash share the budget */
#define RESETS_IDLE_MAX	  1024 /* seconds: flows count for 900 */

struct resets {
	struct resets_flow {
		uint32_t place;
		uint32_t idle_s;
	} * flows, *sorted; /* room for `places` each */
	uint64_t places;
	uint64_t n, at, kept; /* of the round: flows; the next; put off by rule 3, from 0 on */
	uint64_t second;      /* that .sent belongs to */
	uint16_t sent[RESETS_PREFIXES];
};

/* 0 or -ENOMEM. */
int resets_init(struct resets *r, uint64_t places);
void resets_free(struct resets *r);
/* A new round: what is left of the one before is forgotten. Then each flow, then ready. */
void resets_begin(struct resets *r);
void resets_add(struct resets *r, uint64_t place, uint16_t idle_s);
void resets_ready(struct resets *r);
/* The next place; false: the round is over. */
bool resets_next(struct resets *r, uint64_t *place);
/* The place was taken for this client: may it be sent a packet in this second? If not, it comes again later in the round. */
bool resets_may(struct resets *r, uint64_t place, const struct addr *client, uint64_t second);
/* Flows that the round still has. */
uint64_t resets_left(const struct resets *r);

#endif
