/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core/tier.c: every state of three servers in every layout against the rules in another formulation, every history of
 * three tiers against failback-hold, and rows for what is easily wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/tier.h"

#define N 3

static const struct tier_view up = {.preference = 10,
				    .weight = 1,
				    .verdict = VERDICT_UP,
				    .reason = REASON_ok,
				    .probed = true,
				    .reachable = true};

static struct tier_view view(uint16_t preference, enum verdict v)
{
	struct tier_view t = up;

	t.preference = preference;
	t.verdict = v;
	t.reason = v == VERDICT_DOWN ? REASON_refused : REASON_ok;
	t.probed = v != VERDICT_UNKNOWN;
	return t;
}

/* ---- every state of three servers ---- */

static bool fits(const struct tier_view *v, enum verdict verdict)
{
	return v->verdict == verdict && v->weight && v->admin == ADMIN_READY && v->reachable &&
	       (verdict != VERDICT_DOWN || v->reason == REASON_certificate_expired);
}

static unsigned count(const struct tier_view *v, uint16_t preference, enum verdict verdict)
{
	unsigned have = 0;

	for (unsigned i = 0; i < N; i++)
		have += v[i].preference == preference && fits(&v[i], verdict);
	return have;
}

/* The rules in the order of the text; 0: no tier. The preferences in use are 10, 20 and 30. */
static uint16_t expected(const struct tier_view *v, uint32_t min_up, enum verdict *who)
{
	*who = VERDICT_UP;
	for (uint16_t p = 10; p <= 30; p += 10)
		if (count(v, p, VERDICT_UP) >= min_up)
			return p;
	for (uint16_t p = 10; p <= 30; p += 10)
		if (count(v, p, VERDICT_UP))
			return p;
	*who = VERDICT_DRAINING;
	for (uint16_t p = 10; p <= 30; p += 10)
		if (count(v, p, VERDICT_DRAINING))
			return p;
	*who = VERDICT_DOWN; /* for its certificate */
	for (uint16_t p = 10; p <= 30; p += 10)
		if (count(v, p, VERDICT_DOWN))
			return p;
	return 0;
}

/* tier-mode add in one sentence: use tiers from the best one on until those in use have enough servers. */
static bool joins(const struct tier_view *v, uint32_t min_up, uint16_t preference)
{
	uint32_t before = 0;

	for (uint16_t p = 10; p < preference; p += 10)
		before += count(v, p, VERDICT_UP);
	return before < min_up;
}

static void check_choice(const struct tier_view *v, uint32_t min_up, enum tier_mode mode)
{
	const struct tier_conf conf = {.min_up = min_up, .cold_start_ms = 1000, .mode = mode};
	struct tier_state s = {.served = true};
	bool in_ring[N];
	enum verdict who;
	uint16_t best = expected(v, mode == TIER_MODE_ADD ? 1 : min_up, &who);
	static const enum service_state states[] = {[VERDICT_UP] = SERVICE_UP,
						    [VERDICT_DRAINING] = SERVICE_DRAINING_ONLY,
						    [VERDICT_DOWN] = SERVICE_FAIL_OPEN};
	enum service_state want = best ? states[who] : SERVICE_DOWN;

	assert_int_equal(tier_choose(&s, &conf, v, N, 5000, in_ring), 0);
	assert_int_equal(s.state, want);
	assert_int_equal(s.has_active, best != 0);
	assert_int_equal(s.active, best);
	for (unsigned i = 0; i < N; i++) {
		bool joined = mode == TIER_MODE_ADD && who == VERDICT_UP &&
			      v[i].preference > best && joins(v, min_up, v[i].preference);
		bool takes = best && (v[i].preference == best || joined) && fits(&v[i], who);

		assert_int_equal(in_ring[i], takes);
	}
}

static void every_state_of_three_servers_in_every_layout_is_as_the_rules_say(void **state)
{
	static const uint16_t layouts[][N] = {
		{10, 10, 10}, {10, 10, 20}, {10, 20, 20}, {10, 20, 30}};
	const unsigned per = 5 * 3 * 2 * 2; /* verdict or certificate, admin, reachable, weight */

	(void)state;
	for (unsigned l = 0; l < 4; l++) {
		for (unsigned code = 0; code < per * per * per; code++) {
			struct tier_view v[N];

			for (unsigned i = 0, c = code; i < N; i++, c /= per)
				v[i] = (struct tier_view){
					.preference = layouts[l][i],
					.verdict = c % per % 5 == 4 ? VERDICT_DOWN : c % per % 5,
					.reason = c % per % 5 == 4 ? REASON_certificate_expired
								   : REASON_refused,
					.admin = c % per / 5 % 3,
					.reachable = c % per / 15 % 2,
					.weight = c % per / 30 ? 256 : 0,
					.probed = true,
				};
			for (uint32_t min_up = 1; min_up <= 3; min_up++)
				for (int mode = TIER_MODE_SWITCH; mode <= TIER_MODE_ADD; mode++)
					check_choice(v, min_up, mode);
		}
	}
}

/* ---- every history of three tiers ---- */

#define STEPS	6
#define STEP_MS 10000

static bool was_up(const uint8_t *history, unsigned at, uint16_t preference)
{
	return history[at] >> (preference / 10 - 1) & 1;
}

/* The time for which the tier has been up without interruption at that step; 0 if it has just come up. */
static uint64_t up_for_ms(const uint8_t *history, unsigned at, uint16_t preference)
{
	unsigned since = at;

	while (since && was_up(history, since - 1, preference))
		since--;
	return (uint64_t)(at - since) * STEP_MS;
}

/*
 * From the whole history: a tier replaces a worse one after it has been up for hold_ms. *ask_in_ms: the time until the
 * next better tier does so; 0: none is waiting.
 */
static uint16_t after_hold(const uint8_t *history, unsigned at, uint16_t active, uint64_t hold_ms,
			   uint64_t *ask_in_ms)
{
	bool active_is_up = active && was_up(history, at, active);

	*ask_in_ms = 0;
	for (uint16_t p = 10; p <= 30; p += 10) {
		uint64_t waited_ms = up_for_ms(history, at, p);

		if (!was_up(history, at, p))
			continue;
		if (!active_is_up || p >= active || waited_ms >= hold_ms)
			return p;
		if (!*ask_in_ms || hold_ms - waited_ms < *ask_in_ms)
			*ask_in_ms = hold_ms - waited_ms;
	}
	return 0;
}

static void run_history(const uint8_t *history, uint64_t hold_ms)
{
	const struct tier_conf conf = {
		.min_up = 1, .failback_hold_ms = hold_ms, .cold_start_ms = 1};
	struct tier_state s = {.served = true};
	uint16_t active = 0;

	for (unsigned at = 0; at < STEPS; at++) {
		uint64_t now_ms = 1000000 + (uint64_t)at * STEP_MS, ask_in_ms, ask_ms;
		struct tier_view v[N];
		bool in_ring[N];

		for (unsigned t = 0; t < N; t++)
			v[t] = view(10 * (t + 1), history[at] >> t & 1 ? VERDICT_UP : VERDICT_DOWN);
		active = after_hold(history, at, active, hold_ms, &ask_in_ms);
		ask_ms = tier_choose(&s, &conf, v, N, now_ms, in_ring);
		assert_int_equal(s.state, active ? SERVICE_UP : SERVICE_DOWN);
		assert_int_equal(s.active, active);
		for (unsigned t = 0; t < N; t++)
			assert_int_equal(in_ring[t], active == 10 * (t + 1));
		assert_int_equal(ask_ms, ask_in_ms ? now_ms + ask_in_ms : 0);
	}
}

static void every_history_of_three_tiers_keeps_the_failback_hold(void **state)
{
	static const uint64_t holds[] = {0, 10000, 20000, 25000, 90000};

	(void)state;
	for (unsigned code = 0; code < 1u << (N * STEPS); code++) {
		uint8_t history[STEPS];

		for (unsigned i = 0; i < STEPS; i++)
			history[i] = code >> (N * i) & 7;
		for (unsigned h = 0; h < sizeof(holds) / sizeof(*holds); h++)
			run_history(history, holds[h]);
	}
}

/* ---- rows ---- */

static void a_hold_ends_at_the_time_it_asked_for_and_not_before(void **state)
{
	const struct tier_conf conf = {.min_up = 1, .failback_hold_ms = 30000};
	struct tier_view v[2] = {view(10, VERDICT_DOWN), view(20, VERDICT_UP)};
	struct tier_state s = {.served = true};
	bool in[2];

	(void)state;
	tier_choose(&s, &conf, v, 2, 1000, in);
	assert_int_equal(s.active, 20);
	v[0].verdict = VERDICT_UP;
	assert_int_equal(tier_choose(&s, &conf, v, 2, 2000, in), 32000);
	assert_int_equal(tier_choose(&s, &conf, v, 2, 31999, in), 32000);
	assert_int_equal(s.active, 20);
	assert_int_equal(tier_choose(&s, &conf, v, 2, 32000, in), 0);
	assert_int_equal(s.active, 10);
	assert_true(in[0] && !in[1]);
}

static void a_better_tier_that_falters_begins_its_hold_again(void **state)
{
	const struct tier_conf conf = {.min_up = 1, .failback_hold_ms = 30000};
	struct tier_view v[2] = {view(10, VERDICT_DOWN), view(20, VERDICT_UP)};
	struct tier_state s = {.served = true};
	bool in[2];

	(void)state;
	tier_choose(&s, &conf, v, 2, 1000, in);
	v[0].verdict = VERDICT_UP;
	tier_choose(&s, &conf, v, 2, 2000, in);
	v[0].verdict = VERDICT_DRAINING;
	assert_int_equal(tier_choose(&s, &conf, v, 2, 20000, in), 0);
	v[0].verdict = VERDICT_UP;
	assert_int_equal(tier_choose(&s, &conf, v, 2, 21000, in), 51000);
	assert_int_equal(s.active, 20);
}

static void nothing_is_held_within_the_active_tier(void **state)
{
	const struct tier_conf conf = {.min_up = 1, .failback_hold_ms = 30000};
	struct tier_view v[2] = {view(10, VERDICT_UP), view(10, VERDICT_DOWN)};
	struct tier_state s = {.served = true};
	bool in[2];

	(void)state;
	tier_choose(&s, &conf, v, 2, 1000, in);
	assert_true(in[0] && !in[1]);
	v[1].verdict = VERDICT_UP;
	assert_int_equal(tier_choose(&s, &conf, v, 2, 1001, in), 0);
	assert_true(in[0] && in[1]);
}

static void a_better_tier_comes_back_at_once_when_the_active_one_falls_below_min_up(void **state)
{
	const struct tier_conf conf = {.min_up = 2, .failback_hold_ms = 30000};
	struct tier_view v[4] = {view(10, VERDICT_UP), view(10, VERDICT_DOWN), view(20, VERDICT_UP),
				 view(20, VERDICT_UP)};
	struct tier_state s = {.served = true};
	bool in[4];

	(void)state;
	tier_choose(&s, &conf, v, 4, 1000, in);
	assert_int_equal(s.active, 20);
	v[1].verdict = VERDICT_UP; /* 10 is fit again: held */
	assert_int_equal(tier_choose(&s, &conf, v, 4, 2000, in), 32000);
	assert_int_equal(s.active, 20);
	v[2].verdict = VERDICT_DOWN; /* 20 is not fit any more */
	assert_int_equal(tier_choose(&s, &conf, v, 4, 3000, in), 0);
	assert_int_equal(s.active, 10);
	assert_true(in[0] && in[1] && !in[2] && !in[3]);
}

static void with_a_manual_failback_a_better_tier_waits_until_it_is_asked_for(void **state)
{
	const struct tier_conf conf = {.min_up = 1, .failback = FAILBACK_MANUAL};
	struct tier_view v[3] = {view(10, VERDICT_UP), view(20, VERDICT_UP), view(30, VERDICT_UP)};
	struct tier_state s = {.served = true};
	bool in[3];

	(void)state;
	assert_int_equal(tier_choose(&s, &conf, v, 3, 1000, in), 0);
	assert_int_equal(s.active, 10);
	v[0].verdict = v[1].verdict = VERDICT_DOWN;
	tier_choose(&s, &conf, v, 3, 2000, in);
	assert_int_equal(s.active, 30);
	v[0].verdict = v[1].verdict = VERDICT_UP;
	assert_int_equal(tier_choose(&s, &conf, v, 3, 3000, in), 0); /* no time will do */
	assert_int_equal(tier_choose(&s, &conf, v, 3, 900000000, in), 0);
	assert_int_equal(s.active, 30);
	assert_int_equal(s.n_held, 2);
	assert_int_equal(s.held[0].preference, 10);
	assert_true(!in[0] && !in[1] && in[2]);
	s.from_scratch = true; /* asked for */
	tier_choose(&s, &conf, v, 3, 900000001, in);
	assert_int_equal(s.active, 10);
	assert_false(s.from_scratch);
	v[0].verdict = VERDICT_DOWN; /* a worse tier takes over at once if none is up here */
	tier_choose(&s, &conf, v, 3, 900000002, in);
	assert_int_equal(s.active, 20);
	v[1].verdict = VERDICT_DOWN;
	v[2].verdict = VERDICT_DOWN;
	v[0].verdict = VERDICT_UP; /* and so does a better one if no other is up */
	tier_choose(&s, &conf, v, 3, 900000003, in);
	assert_int_equal(s.active, 10);
}

/* Every state of three tiers: the forced one if it has a server up, otherwise the result without force. */
static void a_forced_tier_is_active_exactly_while_anybody_is_up_there(void **state)
{
	(void)state;
	for (unsigned code = 0; code < 4 * 4 * 4 * 4; code++) {
		uint16_t want = 10 * (code >> 6), plain;
		struct tier_conf conf = {.min_up = 2, .failback = FAILBACK_MANUAL};
		struct tier_state a = {.served = true}, b = {.served = true};
		struct tier_view v[N];
		bool in[N], in_plain[N];

		for (unsigned t = 0; t < N; t++)
			v[t] = view(10 * (t + 1), code >> (2 * t) & 3);
		tier_choose(&b, &conf, v, N, 5000, in_plain);
		plain = b.active;
		conf.has_forced = want; /* 0: none */
		conf.forced = want;
		assert_int_equal(tier_choose(&a, &conf, v, N, 5000, in), 0);
		if (want && v[want / 10 - 1].verdict == VERDICT_UP) {
			assert_int_equal(a.active, want);
			assert_int_equal(a.state, SERVICE_UP);
			for (unsigned t = 0; t < N; t++)
				assert_int_equal(in[t], v[t].preference == want);
		} else {
			assert_int_equal(a.active, plain);
			assert_int_equal(a.state, b.state);
			assert_memory_equal(in, in_plain, sizeof(in));
		}
	}
}

static void a_forced_tier_comes_back_without_a_hold_and_keeps_worse_ones_that_join(void **state)
{
	struct tier_conf conf = {
		.min_up = 1, .failback_hold_ms = 30000, .has_forced = true, .forced = 20};
	struct tier_view v[3] = {view(10, VERDICT_UP), view(20, VERDICT_DOWN),
				 view(30, VERDICT_UP)};
	struct tier_state s = {.served = true};
	bool in[3];

	(void)state;
	tier_choose(&s, &conf, v, 3, 1000, in);
	assert_int_equal(s.active, 10);
	v[1].verdict = VERDICT_UP;
	assert_int_equal(tier_choose(&s, &conf, v, 3, 1001, in), 0);
	assert_int_equal(s.active, 20);
	v[1].admin = ADMIN_DRAIN; /* the operator's states of its servers count, too */
	tier_choose(&s, &conf, v, 3, 1002, in);
	assert_int_equal(s.active, 10);
	v[1].admin = ADMIN_READY;
	conf.mode = TIER_MODE_ADD;
	conf.min_up = 2;
	tier_choose(&s, &conf, v, 3, 1003, in);
	assert_true(!in[0] && in[1] && in[2]);
}

static void draining_serves_only_while_no_server_is_up_and_ends_without_a_hold(void **state)
{
	const struct tier_conf conf = {.min_up = 1, .failback_hold_ms = 30000};
	struct tier_view v[2] = {view(10, VERDICT_DOWN), view(20, VERDICT_DRAINING)};
	struct tier_state s = {.served = true};
	bool in[2];

	(void)state;
	tier_choose(&s, &conf, v, 2, 1000, in);
	assert_int_equal(s.state, SERVICE_DRAINING_ONLY);
	assert_true(!in[0] && in[1]);
	v[0].verdict = VERDICT_DRAINING;
	tier_choose(&s, &conf, v, 2, 1001, in);
	assert_true(in[0] && !in[1]);
	v[1].verdict = VERDICT_UP;
	tier_choose(&s, &conf, v, 2, 1002, in);
	assert_int_equal(s.state, SERVICE_UP);
	assert_int_equal(s.active, 20);
}

static void a_bad_certificate_serves_only_while_nobody_else_does_and_no_other_failure_does(
	void **state)
{
	const struct tier_conf conf = {.min_up = 2, .failback_hold_ms = 30000};
	struct tier_view v[3] = {view(10, VERDICT_DOWN), view(10, VERDICT_DOWN),
				 view(20, VERDICT_DRAINING)};
	struct tier_state s = {.served = true};
	bool in[3];

	(void)state;
	v[0].reason = REASON_certificate_expired;
	tier_choose(&s, &conf, v, 3, 1000, in);
	assert_int_equal(s.state, SERVICE_DRAINING_ONLY);
	v[2].verdict = VERDICT_DOWN;
	tier_choose(&s, &conf, v, 3, 1001, in);
	assert_int_equal(s.state, SERVICE_FAIL_OPEN);
	assert_int_equal(s.active, 10);
	assert_true(in[0] && !in[1] && !in[2]);
	for (enum reason r = 0; r < REASON_COUNT; r++) {
		bool certificate = strstr(reason_name(r), "certificate_") == reason_name(r) ||
				   r == REASON_tlsa_mismatch;

		v[0].reason = r;
		tier_choose(&s, &conf, v, 3, 1002, in);
		assert_int_equal(s.state, certificate ? SERVICE_FAIL_OPEN : SERVICE_DOWN);
	}
	v[0].reason = REASON_certificate_expired;
	v[2].verdict = VERDICT_UP;
	tier_choose(&s, &conf, v, 3, 1003, in);
	assert_int_equal(s.state, SERVICE_UP);
	assert_true(!in[0] && !in[1] && in[2]);
}

static void ten_better_tiers_are_too_many_to_time_but_the_best_ones_are(void **state)
{
	const struct tier_conf conf = {.min_up = 1, .failback_hold_ms = 1000};
	struct tier_state s = {.served = true};
	struct tier_view v[11];
	bool in[11];

	(void)state;
	for (unsigned i = 0; i < 11; i++)
		v[i] = view(i + 1, i == 10 ? VERDICT_UP : VERDICT_DOWN);
	tier_choose(&s, &conf, v, 11, 1, in);
	assert_int_equal(s.active, 11);
	for (unsigned i = 0; i < 11; i++)
		v[i].verdict = VERDICT_UP;
	assert_int_equal(tier_choose(&s, &conf, v, 11, 2, in), 1002);
	assert_int_equal(s.n_held, TIER_HELD_MAX);
	tier_choose(&s, &conf, v, 11, 1002, in);
	assert_int_equal(s.active, 1);
}

/* ---- cold start ---- */

static const struct cold {
	const char *what;
	struct {
		uint16_t preference;
		enum verdict verdict;
		enum admin_state admin;
		uint16_t weight;
	} b[N];
	enum service_state early, late; /* just before and just at the cold start's end */
} colds[] = {
	{"nobody probed: wait, then all-down",
	 {{10, VERDICT_UNKNOWN, ADMIN_READY, 1},
	  {10, VERDICT_UNKNOWN, ADMIN_READY, 1},
	  {20, VERDICT_UNKNOWN, ADMIN_READY, 1}},
	 SERVICE_NOT_READY,
	 SERVICE_DOWN},
	{"one of the best tier up, the other not probed yet: wait, then serve",
	 {{10, VERDICT_UP, ADMIN_READY, 1},
	  {10, VERDICT_UNKNOWN, ADMIN_READY, 1},
	  {20, VERDICT_UP, ADMIN_READY, 1}},
	 SERVICE_NOT_READY,
	 SERVICE_UP},
	{"one of the best tier up, the other down: serve, whatever the worse tier is",
	 {{10, VERDICT_UP, ADMIN_READY, 1},
	  {10, VERDICT_DOWN, ADMIN_READY, 1},
	  {20, VERDICT_UNKNOWN, ADMIN_READY, 1}},
	 SERVICE_UP,
	 SERVICE_UP},
	{"the best tier down, the worse one up: wait, then serve",
	 {{10, VERDICT_DOWN, ADMIN_READY, 1},
	  {10, VERDICT_DOWN, ADMIN_READY, 1},
	  {20, VERDICT_UP, ADMIN_READY, 1}},
	 SERVICE_NOT_READY,
	 SERVICE_UP},
	{"the best tier draining: wait, then serve by those",
	 {{10, VERDICT_DRAINING, ADMIN_READY, 1},
	  {10, VERDICT_DOWN, ADMIN_READY, 1},
	  {20, VERDICT_DOWN, ADMIN_READY, 1}},
	 SERVICE_NOT_READY,
	 SERVICE_DRAINING_ONLY},
	{"nobody waits for a server in maint",
	 {{10, VERDICT_UP, ADMIN_READY, 1},
	  {10, VERDICT_UNKNOWN, ADMIN_MAINT, 1},
	  {20, VERDICT_UNKNOWN, ADMIN_READY, 1}},
	 SERVICE_UP,
	 SERVICE_UP},
	{"nobody waits for a tier without weight",
	 {{10, VERDICT_UNKNOWN, ADMIN_READY, 0},
	  {10, VERDICT_UNKNOWN, ADMIN_READY, 0},
	  {20, VERDICT_UP, ADMIN_READY, 1}},
	 SERVICE_UP,
	 SERVICE_UP},
};

static void a_cold_start_ends_as_each_row_says(void **state)
{
	const struct tier_conf conf = {.min_up = 1, .failback_hold_ms = 5, .cold_start_ms = 10000};

	(void)state;
	for (const struct cold *c = colds; c < colds + sizeof(colds) / sizeof(*colds); c++) {
		struct tier_state s = {.started_ms = 500};
		struct tier_view v[N];
		bool in[N];
		uint64_t ask_ms;

		for (unsigned i = 0; i < N; i++) {
			v[i] = view(c->b[i].preference, c->b[i].verdict);
			v[i].admin = c->b[i].admin;
			v[i].weight = c->b[i].weight;
		}
		ask_ms = tier_choose(&s, &conf, v, N, 10499, in);
		if (s.state != c->early)
			fail_msg("%s: early it is %s", c->what, service_state_name(s.state));
		assert_int_equal(ask_ms, c->early == SERVICE_NOT_READY ? 10500 : 0);
		for (unsigned i = 0; s.state == SERVICE_NOT_READY && i < N; i++)
			assert_false(in[i]);
		tier_choose(&s, &conf, v, N, 10500, in);
		if (s.state != c->late)
			fail_msg("%s: late it is %s", c->what, service_state_name(s.state));
	}
}

static void a_cold_start_never_returns(void **state)
{
	const struct tier_conf conf = {.min_up = 1, .cold_start_ms = 10000};
	struct tier_view v = view(10, VERDICT_UP);
	struct tier_state s = {.started_ms = 500};
	bool in;

	(void)state;
	tier_choose(&s, &conf, &v, 1, 501, &in);
	assert_int_equal(s.state, SERVICE_UP);
	v.verdict = VERDICT_UNKNOWN;
	v.probed = false;
	tier_choose(&s, &conf, &v, 1, 502, &in);
	assert_int_equal(s.state, SERVICE_DOWN);
}

static void no_servers_at_all_is_not_ready_and_touches_nothing(void **state)
{
	const struct tier_conf conf = {.min_up = 1};
	struct tier_state s = {.served = true};
	bool in = true;

	(void)state;
	assert_int_equal(tier_choose(&s, &conf, &up, 0, 1, &in), 0);
	assert_int_equal(s.state, SERVICE_NOT_READY);
	assert_false(s.has_active);
	assert_true(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_of_three_servers_in_every_layout_is_as_the_rules_say),
		cmocka_unit_test(every_history_of_three_tiers_keeps_the_failback_hold),
		cmocka_unit_test(with_a_manual_failback_a_better_tier_waits_until_it_is_asked_for),
		cmocka_unit_test(a_forced_tier_is_active_exactly_while_anybody_is_up_there),
		cmocka_unit_test(
			a_forced_tier_comes_back_without_a_hold_and_keeps_worse_ones_that_join),
		cmocka_unit_test(a_hold_ends_at_the_time_it_asked_for_and_not_before),
		cmocka_unit_test(a_better_tier_that_falters_begins_its_hold_again),
		cmocka_unit_test(nothing_is_held_within_the_active_tier),
		cmocka_unit_test(
			a_better_tier_comes_back_at_once_when_the_active_one_falls_below_min_up),
		cmocka_unit_test(
			draining_serves_only_while_no_server_is_up_and_ends_without_a_hold),
		cmocka_unit_test(
			a_bad_certificate_serves_only_while_nobody_else_does_and_no_other_failure_does),
		cmocka_unit_test(ten_better_tiers_are_too_many_to_time_but_the_best_ones_are),
		cmocka_unit_test(a_cold_start_ends_as_each_row_says),
		cmocka_unit_test(a_cold_start_never_returns),
		cmocka_unit_test(no_servers_at_all_is_not_ready_and_touches_nothing),
	};

	return cmocka_run_group_tests_name("tier", tests, NULL, NULL);
}
