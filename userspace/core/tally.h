/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is counted of probes and of states, once, for all who show it: `show stat`, the JSON and /metrics read these.
 * Counts begin with mxlbd and go on over a reload. Pure; times are monotonic ms that the caller gives.
 */
#ifndef MXLB_TALLY_H
#define MXLB_TALLY_H

#include <stdbool.h>
#include <stdint.h>
#include "core/health.h"
#include "core/tier.h"

/* Upper bounds of the buckets, inclusive; a last one takes what is longer. In half decades: what is to be told from one
 * another is a server that answers, one that is slow, and one that lets its clients wait (greeting delays). */
#define TALLY_BOUNDS_MS                                                  \
	{                                                                \
		1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000 \
	}
#define TALLY_BOUNDS 11
extern const uint32_t tally_bounds_ms[TALLY_BOUNDS];

struct histogram {
	uint64_t n, sum_ms;
	uint64_t bucket[TALLY_BOUNDS + 1]; /* each its own, not those below it */
};

enum tally_stage { TALLY_CONNECT, TALLY_GREETING, TALLY_TLS, TALLY_TOTAL, TALLY_STAGES };

struct downtime {
	uint64_t since_ms; /* down since; 0: it is not */
	uint64_t past_ms;  /* earlier times together */
};

/* New connections a second and the most flows at once, looked at by tally_second(). */
struct tally_rate {
	uint64_t at_ms;	   /* when; 0: never */
	uint64_t total;	   /* new connections at that time */
	uint32_t now, max; /* of them a second, in the last second; and the highest of these */
	uint64_t flows_max;
	uint64_t last_ms; /* when there was last a new one; 0: none since counting began */
};

struct backend_tally {
	/* Probes that ended, by what they said of the server; VERDICT_UNKNOWN: nothing, it was this side's trouble. */
	uint64_t results[VERDICT_COUNT];
	uint64_t failed_up; /* of them: neither up nor unknown while the server was up */
	uint64_t became[VERDICT_COUNT]; /* changes of the verdict, by the new one */
	uint64_t rises, falls; /* to up and to down of the verdict that new connections go by */
	struct downtime down;  /* while that is down, or the operator says maint */
	uint64_t
		changed_ms; /* when that, or what the operator says, last changed; or counting began */
	struct histogram stage[TALLY_STAGES]; /* of the probes that left the stage */
	struct tally_rate rate;
	/* as last told by tally_state() */
	enum verdict verdict;
	enum admin_state admin;
};

struct service_tally {
	uint64_t became[SERVICE_STATE_COUNT]; /* changes of the state, by the new one */
	uint64_t tier_switches; /* another tier became the active one, from a tier or from none */
	struct downtime down;	/* while its state is down */
	uint64_t changed_ms;	/* when its state last changed; or counting began */
	struct tally_rate rate;
};

/* Of a backend that is in this state already: nothing of that is counted. */
void tally_begin(struct backend_tally *t, enum verdict effective, enum admin_state admin,
		 uint64_t now_ms);
/* A probe has ended. before: the verdict that new connections went by. */
void tally_result(struct backend_tally *t, const struct probe_result *r, enum verdict before);
/* What new connections go by now, and what the operator says. */
void tally_state(struct backend_tally *t, enum verdict effective, enum admin_state admin,
		 uint64_t now_ms);
uint64_t tally_failed(const struct backend_tally *t); /* results that were not up, unknown aside */
uint64_t tally_probes(const struct backend_tally *t); /* results of any kind */

void tally_service_begin(struct service_tally *t, uint64_t now_ms);
void tally_service(struct service_tally *t, const struct tier_state *was,
		   const struct tier_state *is, uint64_t now_ms);

/* To be called about once a second with the totals so far. A total that falls (a server went) counts as none. */
void tally_second(struct tally_rate *r, uint64_t flows, uint64_t new_flows, uint64_t now_ms);

/* How long ago; 0 for a time that is not yet. */
uint64_t tally_age_ms(uint64_t then_ms, uint64_t now_ms);
uint64_t downtime_ms(const struct downtime *d, uint64_t now_ms);

const char *tally_stage_name(enum tally_stage s); /* "connect" "greeting" "tls" "total" */

#endif
