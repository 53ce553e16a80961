/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When a server is probed, and how late probes were. Pure: (state, now) -> state; all times are monotonic ms given by
 * the caller. The rules are numbered in schedule.c.
 */
#ifndef MXLB_SCHEDULE_H
#define MXLB_SCHEDULE_H

#include "core/config.h"
#include "core/health.h"

#define SCHEDULE_HINT_MS 1000 /* between the start of a probe and of one caused by a hint */
#define SCHEDULE_SILENCE_MS \
	500 /* the same, if the hint is that clients are silent or leave early */
#define SCHEDULE_HINT_CONNECT_MS 500 /* connect timeout of a probe caused by a hint */

struct schedule { /* of one server */
	uint64_t due_ms;
	uint32_t id, round;
};

/* Sets the time of the first probe of the place-th of n servers that start together. */
void schedule_start(struct schedule *s, uint32_t id, unsigned place, unsigned n,
		    uint32_t interval_ms, uint64_t now_ms);
/* The time between two probes of a server with this health, in ms, before jitter. */
uint32_t schedule_gap(const struct health *h, const struct probe_conf *conf, uint64_t now_ms);
/* A probe has ended: sets the time of the next one. at_once: a time that has passed means now; it is not skipped. */
void schedule_next(struct schedule *s, uint32_t gap_ms, bool at_once, uint64_t now_ms);
/* The gap has changed (a new configuration): the next probe comes sooner if necessary. */
void schedule_renew(struct schedule *s, uint64_t began_ms, uint32_t gap_ms, uint64_t now_ms);
/* True if the loop is so late that all probes are overdue: then another time is set. */
bool schedule_overdue(struct schedule *s, uint32_t spread_ms, uint64_t now_ms);
/* A hint for a server whose last probe began at began_ms: the next one comes as soon as allowed, apart_ms after it. */
void schedule_hint(struct schedule *s, uint64_t began_ms, uint32_t apart_ms, uint64_t now_ms);
/* That probe's connect was not answered and the verdict is open: the next one is due at once, as after a hint. */
bool schedule_presses(const struct health *h, enum reason last);

/* The limit of hints, over all servers. */
struct hint_budget {
	uint64_t at_ms;
	uint32_t spent;
};

bool hint_budget_take(struct hint_budget *b, uint64_t now_ms);

#define LATENESS_MAX_MS 1024

/* How late probes started. */
struct lateness {
	uint64_t n,
		ms[LATENESS_MAX_MS + 1]; /* .ms[i]: how many were i ms late; the last: or more */
	uint32_t max_ms;
};

void lateness_add(struct lateness *l, uint64_t due_ms, uint64_t began_ms);
/* The lateness that the given percentage of probes did not exceed; LATENESS_MAX_MS: that or more. 0 if there were none. */
uint32_t lateness_percentile(const struct lateness *l, unsigned percent);

#endif
