/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One backend's verdict from a row of probe results. Owns the rules below; knows nothing of tiers, admin
 * states or next hops.
 *
 * The verdict that counts is the last one that was about the server (.before); `unknown` covers it up and
 * lifts again, so every result is held against it.
 *
 *  1. A result that says nothing about the server (a limit on the probe's own source) changes nothing.
 *  2. Trouble on this side makes it unknown at once and keeps what was known. It breaks a row: the failures
 *     before it may have been ours too.
 *  3. The first real result of a backend without a verdict is its verdict: no fall, no rise.
 *  4. A result that agrees confirms: the row ends, unknown lifts, the newest reason stands.
 *  5. A result that acts at once does.
 *  6. All else must come in a row: `rise` results that are up, or `fall` that are not. Those that are not up
 *     count together whatever they are, and the last one names the verdict.
 *
 *  7. A result about this client only counts as up against a verdict whose reason lies before the stage it was met at, lifts
 *     an unknown that covers up, and is the first verdict of a backend without one: it shows an SMTP server that
 *     spoke. Otherwise it changes nothing (rule 1).
 *
 * Rule 6 needs one counter and one direction: against `up` nothing else differs but not-up, and against
 * `draining` or `down` a result that is not up and differs can only be the other of the two.
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

/* True when verdict or reason is another than before. */
static bool become(struct health *h, enum verdict v, enum reason r, uint64_t now_ms)
{
	bool changed = h->verdict != v || h->reason != r;

	if (h->verdict != v)
		h->since_ms = now_ms;
	h->verdict = v;
	h->reason = r;
	h->differing = 0;
	return changed;
}

static bool settle(struct health *h, enum verdict v, enum reason r, uint64_t now_ms)
{
	h->before = v;
	h->before_reason = r;
	h->settled = true;
	return become(h, v, r, now_ms);
}

/* Rules 3 to 6. */
static bool take_verdict(struct health *h, const struct health_conf *conf, enum verdict v,
			 enum effect effect, enum reason result, uint64_t now_ms)
{
	bool rising = v == VERDICT_UP;

	if (!h->settled || v == h->before || effect == EFFECT_NOW) /* rules 3, 4, 5 */
		return settle(h, v, result, now_ms);

	if (h->rising != rising) /* rule 6 */
		h->differing = 0;
	h->rising = rising;
	if (++h->differing < (rising ? conf->rise : conf->fall))
		return false;
	return settle(h, v, result, now_ms);
}

bool health_take(struct health *h, const struct health_conf *conf, enum reason result,
		 uint64_t now_ms)
{
	enum verdict v = reason_verdict(result);
	enum effect effect = reason_effect(result);

	if (effect == EFFECT_NONE) /* rule 1 */
		return false;
	if (v == VERDICT_UNKNOWN) /* rule 2 */
		return become(h, v, result, now_ms);
	return take_verdict(h, conf, v, effect, result, now_ms);
}

/* Rule 7. */
bool health_take_client(struct health *h, const struct health_conf *conf, enum reason result,
			enum probe_stage stage, uint64_t now_ms)
{
	bool covered = h->before == VERDICT_UP && h->verdict == VERDICT_UNKNOWN;

	if (h->settled && !covered &&
	    (h->before == VERDICT_UP || reason_stage(h->before_reason) >= stage))
		return false;
	return take_verdict(h, conf, VERDICT_UP, EFFECT_COUNT, result, now_ms);
}

bool health_show_up(struct health *h, enum reason result, uint64_t now_ms)
{
	if (h->before == VERDICT_UP && h->verdict == VERDICT_UP)
		return false;
	return settle(h, VERDICT_UP, result, now_ms);
}

bool health_take_now(struct health *h, enum reason result, uint64_t now_ms)
{
	return settle(h, reason_verdict(result), result, now_ms);
}

enum verdict health_effective(const struct health *h)
{
	return h->before;
}

/*
 * While unknown through trouble on this side too: such a probe hardly touches the server, and what is
 * unknown is not confirmed. Not while no probe has ended: a server that limits the probe is not pressed.
 */
bool health_wants_fast(const struct health *h)
{
	return h->differing > 0 || h->verdict == VERDICT_DOWN ||
	       (h->verdict == VERDICT_UNKNOWN && h->reason != REASON_not_probed);
}
