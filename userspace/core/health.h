/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server's verdict, derived from its probe results. Pure: (state, result, now) -> state. The rules (fall, rise, what
 * acts at once, unknown holds) are numbered in health.c.
 */
#ifndef MXLB_HEALTH_H
#define MXLB_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include "core/verdict.h"

struct health {
	enum verdict verdict;
	enum reason reason; /* the reason of the verdict */
	enum verdict
		before; /* the last verdict that was not unknown: it decides about new connections */
	enum reason before_reason;
	uint64_t since_ms;  /* monotonic: when the verdict last changed */
	uint32_t differing; /* consecutive results that differ from .before ... */
	bool rising;	    /* ... and whether they are successes */
	uint32_t neutral;   /* consecutive results since the last of these that changed nothing */
	bool settled;	    /* a verdict was once reached or adopted: fall and rise apply */
};

struct health_conf {
	uint32_t fall, rise;
};

/* A fresh server: unknown, not_probed. */
void health_init(struct health *h, uint64_t now_ms);
/* Carries a verdict over from an earlier mxlbd. */
void health_adopt(struct health *h, enum verdict v, enum reason r, uint64_t now_ms);
/* Takes one result; true when verdict or reason changed. */
bool health_take(struct health *h, const struct health_conf *conf, enum reason result,
		 uint64_t now_ms);
/*
 * Takes a result that is about this client only (reason_is_client()). passed: it shows that what made the verdict is
 * over. As health_take().
 */
bool health_take_client(struct health *h, const struct health_conf *conf, enum reason result,
			bool passed, uint64_t now_ms);
/* The server refuses the probe, and clients show that it is up. As health_take(). */
bool health_show_up(struct health *h, enum reason result, uint64_t now_ms);
/* Clients' connections confirm this result: it acts at once. As health_take(). */
bool health_take_now(struct health *h, enum reason result, uint64_t now_ms);
/* The verdict that decides about new connections: while unknown, the one before. */
enum verdict health_effective(const struct health *h);
/* True from the first differing result until settled, and while down or unknown: schedule.c says how fast. */
bool health_wants_fast(const struct health *h);

#endif
