/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters of probes and states, for all their readers: `show stat`, the JSON and /metrics. They begin with mxlbd and
 * continue over a reload. Pure; times are monotonic ms given by the caller.
 */
#ifndef MXLB_TALLY_H
#define MXLB_TALLY_H

#include <stdbool.h>
#include <stdint.h>
#include "core/health.h"
#include "core/tier.h"

/*
 * Inclusive upper bounds of the buckets; the last bucket takes the rest. In half decades, because they must
 * distinguish a normal server, a slow one, and one that delays its greeting.
 */
#define TALLY_BOUNDS_MS                                                  \
	{                                                                \
		1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000 \
	}
#define TALLY_BOUNDS 11
extern const uint32_t tally_bounds_ms[TALLY_BOUNDS];

struct histogram {
	uint64_t n, sum_ms;
	uint64_t bucket[TALLY_BOUNDS + 1]; /* not cumulative */
};

enum tally_stage { TALLY_CONNECT, TALLY_GREETING, TALLY_TLS, TALLY_TOTAL, TALLY_STAGES };

struct downtime {
	uint64_t since_ms; /* down since; 0: it is not */
	uint64_t past_ms;  /* earlier times together */
};

/* New connections per second and the maximum of flows, updated by tally_second(). */
struct tally_rate {
	uint64_t at_ms;	   /* when; 0: never */
	uint64_t total;	   /* new connections at that time */
	uint32_t now, max; /* per second, in the last second; and the maximum */
	uint64_t flows_max;
	uint64_t last_ms; /* time of the last new connection; 0: none since counting began */
};

struct server_tally {
	/* Finished probes, by their result; VERDICT_UNKNOWN: a fault of this box. */
	uint64_t results[VERDICT_COUNT];
	uint64_t failed_up;		/* failures while the server was up */
	uint64_t became[VERDICT_COUNT]; /* changes of the verdict, by the new one */
	uint64_t rises,
		falls; /* to up and to down, of the verdict that decides about new connections */
	struct downtime down; /* while that is down, or in maint */
	uint64_t
		changed_ms; /* when that, or the administrative state, last changed; or counting began */
	struct histogram stage[TALLY_STAGES]; /* of the probes that left the stage */
	struct tally_rate rate;
	/* as of the last tally_state() */
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

/* The initial state of a server; nothing is counted. */
void tally_begin(struct server_tally *t, enum verdict effective, enum admin_state admin,
		 uint64_t now_ms);
/* A probe has ended. before: the verdict that decided about new connections. */
void tally_result(struct server_tally *t, const struct probe_result *r, enum verdict before);
/* The verdict that decides about new connections, and the administrative state. */
void tally_state(struct server_tally *t, enum verdict effective, enum admin_state admin,
		 uint64_t now_ms);
uint64_t tally_failed(const struct server_tally *t); /* results that were not up, unknown aside */

void tally_service_begin(struct service_tally *t, uint64_t now_ms);
void tally_service(struct service_tally *t, const struct tier_state *was,
		   const struct tier_state *is, uint64_t now_ms);

/* Called about once per second with the totals so far. A total that falls (a server was removed) counts as none. */
void tally_second(struct tally_rate *r, uint64_t flows, uint64_t new_flows, uint64_t now_ms);

/* The time since then; 0 if it is in the future. */
uint64_t tally_age_ms(uint64_t then_ms, uint64_t now_ms);
uint64_t downtime_ms(const struct downtime *d, uint64_t now_ms);

const char *tally_stage_name(enum tally_stage s); /* "connect" "greeting" "tls" "total" */

#endif
