/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chooses the servers of a service that take new connections. Verdicts come from health.c, the ring's layout from
 * maglev.c.
 *
 *   1. Cold start: nothing is decided until a server of the best tier is up and the rest of that tier has verdicts, or
 *      cold_start_ms has passed. Servers that the operator keeps out are not waited for. A service without servers (its
 *      zone was never answered) is not ready, however long.
 *   2. Only a server with a weight, in admin state ready and with a known next hop takes new connections.
 *   3. The fallback levels: the first level that any tier reaches decides, and on it the lowest preference:
 *        a. at least min-up servers up
 *        b. any server up
 *        c. no server up: any server draining by verdict
 *        d. none draining either: any server that is down only because of its certificate. Late mail is better than lost mail: a
 *           sender that does not check delivers it, one that does keeps it
 *      Below these: all-down.
 *   4. Failback: while the active tier still reaches the deciding level, and that is a or b, a better tier becomes
 *      active only after it has reached the level for failback_hold_ms; with manual failback, not before the operator
 *      asks for it. Otherwise at once.
 *   5. Within the tier every server that meets the level takes part, without delay.
 *   6. tier-mode add (F5's priority groups): the active tier is the best with any server up, and while fewer than
 *      min-up servers take part the next tiers are added. A better tier is added at once, so there is no hold.
 *   7. The tier that the operator forces is active while any of its servers is up, regardless of min-up and of better
 *      tiers; otherwise it is ignored.
 */
#include <string.h>
#include "core/tier.h"

static const char *const states[] = {
	[SERVICE_NOT_READY] = "not-ready",
	[SERVICE_UP] = "up",
	[SERVICE_DRAINING_ONLY] = "draining-only",
	[SERVICE_FAIL_OPEN] = "fail-open",
	[SERVICE_DOWN] = "down",
	[SERVICE_BLIND] = "blind",
	[SERVICE_PANIC] = "panic",
};

static const char *const admins[] = {
	[ADMIN_READY] = "ready",
	[ADMIN_DRAIN] = "drain",
	[ADMIN_MAINT] = "maint",
};

const char *service_state_name(enum service_state s)
{
	return (unsigned)s < sizeof(states) / sizeof(*states) ? states[s] : "?";
}

const char *admin_state_name(enum admin_state s)
{
	return (unsigned)s < sizeof(admins) / sizeof(*admins) ? admins[s] : "?";
}

static bool is_offered(const struct tier_view *v)
{
	return v->weight > 0 && v->admin == ADMIN_READY;
}

/* Rule 2. */
static bool may_take(const struct tier_view *v)
{
	return is_offered(v) && v->reachable;
}

static bool takes_up(const struct tier_view *v)
{
	return may_take(v) && v->verdict == VERDICT_UP;
}

static bool takes_draining(const struct tier_view *v)
{
	return may_take(v) && v->verdict == VERDICT_DRAINING;
}

static bool takes_certificate(const struct tier_view *v)
{
	return may_take(v) && v->verdict == VERDICT_DOWN && reason_is_certificate(v->reason);
}

/* Rule 3: which servers count on a level, whether min-up of them are required, and the resulting state of the service. */
static const struct rung {
	bool (*takes)(const struct tier_view *v);
	bool wants_min_up;
	enum service_state state;
} ladder[] = {
	{takes_up, true, SERVICE_UP},
	{takes_up, false, SERVICE_UP},
	{takes_draining, false, SERVICE_DRAINING_ONLY},
	{takes_certificate, false, SERVICE_FAIL_OPEN},
};

struct tier { /* servers first to end - 1 of the views, of one preference */
	unsigned first, end;
};

/* The tier after t ({0, 0} before the first); false after the last. */
static bool next_tier(const struct tier_view *views, unsigned n, struct tier *t)
{
	t->first = t->end;
	while (t->end < n && views[t->end].preference == views[t->first].preference)
		t->end++;
	return t->first < n;
}

static bool reaches(const struct tier *t, const struct rung *r, const struct tier_conf *conf,
		    const struct tier_view *views)
{
	uint32_t wanted = r->wants_min_up && conf->min_up > 1 ? conf->min_up : 1;
	uint32_t have = 0;

	for (unsigned i = t->first; i < t->end; i++)
		have += r->takes(&views[i]);
	return have >= wanted;
}

/* Rule 1. */
static bool cold_start_over(const struct tier_state *state, const struct tier_conf *conf,
			    const struct tier_view *views, unsigned n, uint64_t now_ms)
{
	const struct tier_view *best = NULL;
	bool any_up = false;

	if (now_ms - state->started_ms >= conf->cold_start_ms)
		return true;
	for (unsigned i = 0; i < n; i++) {
		if (!is_offered(&views[i]))
			continue;
		if (!best)
			best = &views[i];
		if (views[i].preference != best->preference)
			break;
		if (!views[i].probed)
			return false;
		any_up = any_up || takes_up(&views[i]);
	}
	return any_up;
}

/* Rule 7: the level of a forced tier with a server up; NULL: none is forced, or it has none. */
static const struct rung *forced(const struct tier_conf *conf, const struct tier_view *views,
				 unsigned n)
{
	const struct rung *any_up = &ladder[1];

	for (struct tier t = {0, 0}; conf->has_forced && next_tier(views, n, &t);)
		if (views[t.first].preference == conf->forced && reaches(&t, any_up, conf, views))
			return any_up;
	return NULL;
}

/* Rule 3: the deciding level and the best preference on it; NULL: none. */
static const struct rung *climb(const struct tier_conf *conf, const struct tier_view *views,
				unsigned n, uint16_t *best)
{
	for (unsigned r = 0; r < sizeof(ladder) / sizeof(*ladder); r++) {
		if (ladder[r].wants_min_up && conf->mode == TIER_MODE_ADD)
			continue; /* rule 6 */
		for (struct tier t = {0, 0}; next_tier(views, n, &t);) {
			if (!reaches(&t, &ladder[r], conf, views))
				continue;
			*best = views[t.first].preference;
			return &ladder[r];
		}
	}
	return NULL;
}

/* Whether the hold applies: a server is up, and the active tier is as healthy as the better one. */
static bool may_stay(const struct tier_state *state, const struct rung *r,
		     const struct tier_conf *conf, const struct tier_view *views, unsigned n)
{
	if (state->from_scratch || !state->has_active || r->state != SERVICE_UP ||
	    conf->mode == TIER_MODE_ADD)
		return false;
	for (struct tier t = {0, 0}; next_tier(views, n, &t);) {
		if (views[t.first].preference == state->active)
			return reaches(&t, r, conf, views);
	}
	return false;
}

static uint64_t held_since(const struct tier_state *state, uint16_t preference, uint64_t now_ms)
{
	for (unsigned i = 0; i < state->n_held; i++) {
		if (state->held[i].preference == preference)
			return state->held[i].since_ms;
	}
	return now_ms;
}

/* Rule 4: records the better tiers and since when; *best is the one to use. Returns when to call again, or 0. */
static uint64_t hold(struct tier_state *state, const struct rung *r, const struct tier_conf *conf,
		     const struct tier_view *views, unsigned n, uint64_t now_ms, uint16_t *best)
{
	struct tier_held held[TIER_HELD_MAX];
	unsigned n_held = 0;
	uint64_t ask_ms = 0;

	*best = state->active;
	for (struct tier t = {0, 0}; n_held < TIER_HELD_MAX && next_tier(views, n, &t);) {
		uint16_t preference = views[t.first].preference;
		uint64_t since_ms = held_since(state, preference, now_ms);
		uint64_t due_ms = since_ms + conf->failback_hold_ms;

		if (preference >= state->active)
			break;
		if (!reaches(&t, r, conf, views))
			continue;
		if (conf->failback == FAILBACK_MANUAL) {
			due_ms = 0; /* never */
		} else if (due_ms <= now_ms) {
			*best = preference;
			break;
		}
		held[n_held++] = (struct tier_held){preference, since_ms};
		if (due_ms && (!ask_ms || due_ms < ask_ms))
			ask_ms = due_ms;
	}
	memcpy(state->held, held, n_held * sizeof(*held));
	state->n_held = n_held;
	return ask_ms;
}

/* Rules 5 and 6. */
static void take_part(const struct rung *r, const struct tier_conf *conf,
		      const struct tier_view *views, unsigned n, uint16_t best, bool *in_ring)
{
	bool add = conf->mode == TIER_MODE_ADD && r->state == SERVICE_UP;
	uint32_t have = 0;

	for (struct tier t = {0, 0}; next_tier(views, n, &t);) {
		uint16_t preference = views[t.first].preference;

		if (preference < best || (preference > best && (!add || have >= conf->min_up)))
			continue;
		for (unsigned i = t.first; i < t.end; i++) {
			in_ring[i] = r->takes(&views[i]);
			have += in_ring[i];
		}
	}
}

uint64_t tier_choose(struct tier_state *state, const struct tier_conf *conf,
		     const struct tier_view *views, unsigned n, uint64_t now_ms, bool *in_ring)
{
	const struct rung *r;
	uint64_t ask_ms = 0;
	uint16_t best = conf->forced;
	bool may_hold;

	memset(in_ring, 0, n * sizeof(*in_ring));
	if (!n) {
		state->state = SERVICE_NOT_READY;
		state->has_active = false;
		state->started_ms = now_ms;
		return 0;
	}
	if (!state->served && !cold_start_over(state, conf, views, n, now_ms)) {
		state->state = SERVICE_NOT_READY;
		return state->started_ms + conf->cold_start_ms;
	}
	state->served = true;

	r = forced(conf, views, n);
	may_hold = !r;
	if (!r)
		r = climb(conf, views, n, &best);
	if (r && may_hold && may_stay(state, r, conf, views, n))
		ask_ms = hold(state, r, conf, views, n, now_ms, &best);
	else
		state->n_held = 0;
	state->from_scratch = false;
	state->state = r ? r->state : SERVICE_DOWN;
	state->has_active = r;
	state->active = r ? best : 0;
	if (r)
		take_part(r, conf, views, n, best, in_ring);
	return ask_ms;
}
