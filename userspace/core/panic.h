/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Panic mode: when all servers of a service fail at once, at the connect level, the cause may be this box (its own
 * firewall, a route, a cable behind the switch), and then the servers still take mail. Pure; rules are numbered in panic.c.
 */
#ifndef MXLB_PANIC_H
#define MXLB_PANIC_H

#include "core/verdict.h"

struct panic_view {   /* one server */
	bool offered; /* ready, with a weight and a known next hop */
	uint16_t preference;
	enum reason reason; /* of its verdict, which is not up */
	uint64_t
		began_ms; /* monotonic: the first consecutive probe that did not reach it; 0: none */
	uint64_t failed_ms;  /* when it stopped being up; 0: it never was up */
	uint64_t reached_ms; /* when a probe last reached it; 0: never */
	uint64_t opened_ms;  /* when a client's connection to it was last established; 0: never */
	uint64_t
		tried_ms; /* the first SYN sent to it since then and since a probe reached it; 0: none */
	uint64_t again_ms; /* the first one at a later time than that; 0: none */
};

enum panic_says {
	PANIC_NO,   /* the servers are at fault */
	PANIC_HOLD, /* not known yet: the last ring stays for a moment */
	PANIC_KEEP, /* the last ring stays, and the state is reported */
};

#define PANIC_AGAIN_MS 250 /* how soon to call again after any other result than NO */

/*
 * None of these n servers would take new connections. window_ms: the time within which they must have failed. keep[i]:
 * the servers to keep, all of one preference; all false for PANIC_NO.
 */
enum panic_says panic_judge(const struct panic_view *views, unsigned n, uint32_t window_ms,
			    uint64_t now_ms, bool *keep);

#endif
