/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPU time that a server's probes cost, and how it is limited. Pure: (state, cost, now) -> state; all times are
 * monotonic ms given by the caller. The rules are numbered in cost.c.
 */
#ifndef MXLB_COST_H
#define MXLB_COST_H

#include <stdbool.h>
#include <stdint.h>

#define COST_GAP_MS	  60000 /* between two full probes of an expensive server, at least */
#define COST_SHARE	  100	/* ... and this many times what the last one took */
#define COST_EHLO_PART	  5	/* a probe up to EHLO may take this part of what a full one may */
#define COST_CHEAP_PARDON 10	/* cheap full probes in a row that end the quarantine */

enum cost_reach { COST_FULL, COST_EHLO, COST_CONNECT };

struct cost {				 /* zero: a server that is not known to be expensive */
	bool expensive;			 /* quarantined */
	uint8_t cheap;			 /* full probes in a row that were */
	uint32_t cpu_ms;		 /* of the last full probe */
	uint64_t full_at_ms, ehlo_at_ms; /* no such probe before */
};

/* The depth of the next probe. idle: whether a quarantine child is idle. */
enum cost_reach cost_reach(const struct cost *c, bool idle, uint64_t now_ms);
/*
 * Records a finished probe of that depth, which took cpu_ms; a server that is not quarantined may take limit_ms. True:
 * the server has entered or left quarantine.
 */
bool cost_take(struct cost *c, enum cost_reach reach, uint32_t cpu_ms, uint32_t limit_ms,
	       uint64_t now_ms);

#endif
