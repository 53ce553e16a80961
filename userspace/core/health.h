/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One backend's verdict from a row of probe results. Pure: (state, result, now) -> state.
 * The rules are numbered in health.c: fall, rise, what acts at once, unknown holds.
 */
#ifndef MXLB_HEALTH_H
#define MXLB_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include "core/verdict.h"

struct health {
	enum verdict verdict;
	enum reason reason;  /* why the verdict is what it is */
	enum verdict before; /* the last verdict that was not unknown: what new connections see */
	enum reason before_reason;
	uint64_t since_ms;  /* monotonic: when the verdict last changed */
	uint32_t differing; /* results in a row that speak against .before ... */
	bool rising;	    /* ... and whether they speak for up */
	bool settled;	    /* a verdict was once reached or adopted: fall and rise apply */
};

struct health_conf {
	uint32_t fall, rise;
};

/* A fresh backend: unknown, not_probed. */
void health_init(struct health *h, uint64_t now_ms);
/* Carries a verdict over from an earlier mxlbd. */
void health_adopt(struct health *h, enum verdict v, enum reason r, uint64_t now_ms);
/* Takes one result; true when verdict or reason changed. */
bool health_take(struct health *h, const struct health_conf *conf, enum reason result,
		 uint64_t now_ms);
/*
 * Takes a result that is about this client only (reason_is_client()), met at that stage: what was in doubt before the
 * stage works. As health_take().
 */
bool health_take_client(struct health *h, const struct health_conf *conf, enum reason result,
			enum probe_stage stage, uint64_t now_ms);
/* The server refuses the probe, and clients show that it is up. As health_take(). */
bool health_show_up(struct health *h, enum reason result, uint64_t now_ms);
/* What clients met confirms this result: it acts at once. As health_take(). */
bool health_take_now(struct health *h, enum reason result, uint64_t now_ms);
/* The verdict new connections go by: that before unknown, where it is unknown. */
enum verdict health_effective(const struct health *h);
/* True from the first differing result until settled, and while down or unknown: schedule.c says how fast. */
bool health_wants_fast(const struct health *h);

#endif
