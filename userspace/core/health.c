/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Derives a server's verdict from its probe results. Knows nothing about tiers, administrative states or next hops.
 *
 * The last verdict that was about the server is kept in .before. `unknown` hides it temporarily, so every result is
 * compared with .before.
 *
 *   1. A result that says nothing about the server (a limit on the probe's own source) changes nothing.
 *   2. A fault of this box makes the verdict unknown at once, and .before is kept. It ends a series: the failures
 *      before it may have been this box's fault as well.
 *   3. The first real result of a server without a verdict becomes its verdict, without fall and rise.
 *   4. A result that agrees confirms the verdict: the series ends, unknown ends, the latest reason is kept.
 *   5. A result that acts at once does so.
 *   6. All other results must be consecutive: `rise` successes, or `fall` failures. Failures of different kinds count
 *      together, and the last one decides the verdict.
 *   7. A result about this client only counts as success against a verdict whose cause it shows to be over, ends an
 *      unknown, and is the first verdict (up) of a server without one, because it shows that an SMTP server answered.
 *      Otherwise it changes no verdict, but `rise` of them in a row end a series: the failures before them and after
 *      them, which may be days later, are not consecutive.
 *
 * Rule 6 needs one counter and one direction: against `up` only failures differ, and against `draining` or `down` a
 * failure that differs can only be the other of the two.
 */
#include "core/health.h"

void health_init(struct health *h, uint64_t now_ms)
{
	*h = (struct health){.since_ms = now_ms};
}

void health_adopt(struct health *h, enum verdict v, enum reason r, uint64_t now_ms)
{
	*h = (struct health){
		.verdict = v,
		.reason = r,
		.before = v,
		.before_reason = r,
		.since_ms = now_ms,
		.settled = v != VERDICT_UNKNOWN,
	};
}

/* Returns true if verdict or reason has changed. */
static bool health_become(struct health *h, enum verdict v, enum reason r, uint64_t now_ms)
{
	bool changed = h->verdict != v || h->reason != r;

	if (h->verdict != v)
		h->since_ms = now_ms;
	h->verdict = v;
	h->reason = r;
	h->differing = 0;
	return changed;
}

static bool health_settle(struct health *h, enum verdict v, enum reason r, uint64_t now_ms)
{
	h->before = v;
	h->before_reason = r;
	h->settled = true;
	return health_become(h, v, r, now_ms);
}

/* Rules 3 to 6. */
static bool take_verdict(struct health *h, const struct health_conf *conf, enum verdict v,
			 enum effect effect, enum reason result, uint64_t now_ms)
{
	bool rising = v == VERDICT_UP;

	h->neutral = 0;
	if (!h->settled || v == h->before || effect == EFFECT_NOW) /* rules 3, 4, 5 */
		return health_settle(h, v, result, now_ms);

	if (h->rising != rising) /* rule 6 */
		h->differing = 0;
	h->rising = rising;
	if (++h->differing < (rising ? conf->rise : conf->fall))
		return false;
	return health_settle(h, v, result, now_ms);
}

bool health_take(struct health *h, const struct health_conf *conf, enum reason result,
		 uint64_t now_ms)
{
	enum verdict v = reason_verdict(result);
	enum effect effect = reason_effect(result);

	if (effect == EFFECT_NONE) /* rule 1 */
		return false;
	if (v == VERDICT_UNKNOWN) /* rule 2 */
		return health_become(h, v, result, now_ms);
	return take_verdict(h, conf, v, effect, result, now_ms);
}

/* Rule 7. */
bool health_take_client(struct health *h, const struct health_conf *conf, enum reason result,
			bool passed, uint64_t now_ms)
{
	bool covered = h->before == VERDICT_UP && h->verdict == VERDICT_UNKNOWN;

	if (h->settled && !covered && (h->before == VERDICT_UP || !passed)) {
		if (++h->neutral >= conf->rise)
			h->differing = 0;
		return false;
	}
	return take_verdict(h, conf, VERDICT_UP, EFFECT_COUNT, result, now_ms);
}

bool health_show_up(struct health *h, enum reason result, uint64_t now_ms)
{
	if (h->before == VERDICT_UP && h->verdict == VERDICT_UP) {
		h->differing = 0;
		return false;
	}
	return health_settle(h, VERDICT_UP, result, now_ms);
}

bool health_take_now(struct health *h, enum reason result, uint64_t now_ms)
{
	return health_settle(h, reason_verdict(result), result, now_ms);
}

enum verdict health_effective(const struct health *h)
{
	return h->before;
}

/*
 * Also while unknown because of a fault of this box: such probes hardly burden the server, and an unknown state needs
 * confirmation. Not before the first result: a server that limits the probe should not be pressed.
 */
bool health_wants_fast(const struct health *h)
{
	return h->differing > 0 || h->verdict == VERDICT_DOWN ||
	       (h->verdict == VERDICT_UNKNOWN && h->reason != REASON_not_probed);
}
