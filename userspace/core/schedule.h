/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When a backend is probed, and how late probes were. Pure: (state, now) -> state; all times are monotonic ms that
 * the caller gives. The rules are numbered in schedule.c.
 */
#ifndef MXLB_SCHEDULE_H
#define MXLB_SCHEDULE_H

#include "core/config.h"
#include "core/health.h"

#define SCHEDULE_HINT_MS	 1000 /* between a probe's begin and a hinted one's */
#define SCHEDULE_HINT_CONNECT_MS 500  /* what a hinted probe's connect may take */

struct schedule { /* of one backend */
	uint64_t due_ms;
	uint32_t id, round;
};

/* The place-th of n backends that start together: its first probe's time is set. */
void schedule_start(struct schedule *s, uint32_t id, unsigned place, unsigned n,
		    uint32_t interval_ms, uint64_t now_ms);
/* From one probe to the next, for a backend of this health, in ms; before jitter. */
uint32_t schedule_gap(const struct health *h, const struct probe_conf *conf, uint64_t now_ms);
/* A probe has ended: sets the next one's time. at_once: a time that has passed is now, not skipped. */
void schedule_next(struct schedule *s, uint32_t gap_ms, bool at_once, uint64_t now_ms);
/* The gap is another by now (a new configuration): the time comes nearer where it must. */
void schedule_renew(struct schedule *s, uint64_t began_ms, uint32_t gap_ms, uint64_t now_ms);
/* True when the loop is so late that this and all others are overdue: then another time is set. */
bool schedule_overdue(struct schedule *s, uint32_t spread_ms, uint64_t now_ms);
/* A hint for a backend whose last probe began then: the time comes nearer, as near as it may. */
void schedule_hint(struct schedule *s, uint64_t began_ms, uint64_t now_ms);
/* Nobody answered that probe's connect and the verdict is still open: the next is due at once, and hinted. */
bool schedule_presses(const struct health *h, enum reason last);

/* What hints may cost, over all backends. */
struct hint_budget {
	uint64_t at_ms;
	uint32_t spent;
};

bool hint_budget_take(struct hint_budget *b, uint64_t now_ms);

#define LATENESS_MAX_MS 1024

/* How long after their time probes went out. */
struct lateness {
	uint64_t n,
		ms[LATENESS_MAX_MS + 1]; /* .ms[i]: how many were i ms late; the last: or more */
	uint32_t max_ms;
};

void lateness_add(struct lateness *l, uint64_t due_ms, uint64_t began_ms);
/* What percent of the probes were no later than; LATENESS_MAX_MS: that or more. 0 when there were none. */
uint32_t lateness_percentile(const struct lateness *l, unsigned percent);

#endif
