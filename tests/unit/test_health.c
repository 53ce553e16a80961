/* SPDX-License-Identifier: BSD-2-Clause */
/* core/health.c: series of results that tell a story, then every sequence of results against invariants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/health.h"

#define ROW_MAX 8

static const struct row {
	const char *what;
	enum verdict start; /* adopted verdict; unknown: a new server */
	uint32_t fall, rise;
	enum reason results[ROW_MAX]; /* not_probed ends the row */
	enum verdict verdict, effective;
	bool fast;
} rows[] = {
	{"a fresh server's first result is its verdict, good",
	 VERDICT_UNKNOWN,
	 3,
	 2,
	 {REASON_ok},
	 VERDICT_UP,
	 VERDICT_UP,
	 false},
	{"a fresh server's first result is its verdict, bad though it would have to count",
	 VERDICT_UNKNOWN,
	 3,
	 2,
	 {REASON_connect_timeout},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"only once: the second result of a fresh server counts",
	 VERDICT_UNKNOWN,
	 3,
	 2,
	 {REASON_connect_timeout, REASON_ok},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"an adopted server skips neither fall",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_timeout, REASON_timeout},
	 VERDICT_UP,
	 VERDICT_UP,
	 true},
	{"nor rise", VERDICT_DOWN, 3, 2, {REASON_ok}, VERDICT_DOWN, VERDICT_DOWN, true},
	{"fall results in a row bring it down",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_timeout, REASON_timeout, REASON_timeout},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"one good result between breaks the row",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_timeout, REASON_timeout, REASON_ok, REASON_timeout, REASON_timeout},
	 VERDICT_UP,
	 VERDICT_UP,
	 true},
	{"results against up count together, and the last one names the verdict: draining",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_timeout, REASON_malformed, REASON_mail_4xx},
	 VERDICT_DRAINING,
	 VERDICT_DRAINING,
	 false},
	{"results against up count together, and the last one names the verdict: down",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_mail_4xx, REASON_mail_4xx, REASON_timeout},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"refused acts at once",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_refused},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"unreachable acts at once",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_unreachable},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"a 5xx greeting acts at once",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_greeting_5xx},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"421 at the greeting acts at once",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_greeting_421},
	 VERDICT_DRAINING,
	 VERDICT_DRAINING,
	 false},
	{"421 at EHLO acts at once",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_ehlo_421},
	 VERDICT_DRAINING,
	 VERDICT_DRAINING,
	 false},
	{"421 at MAIL FROM acts at once",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_mail_421},
	 VERDICT_DRAINING,
	 VERDICT_DRAINING,
	 false},
	{"a limit on the probe's source changes nothing, nor does it break a row",
	 VERDICT_UP,
	 2,
	 2,
	 {REASON_timeout, REASON_per_source_limit, REASON_timeout},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"a limit on the probe's source is no verdict for a fresh server, and does not hurry",
	 VERDICT_UNKNOWN,
	 1,
	 1,
	 {REASON_per_source_limit},
	 VERDICT_UNKNOWN,
	 VERDICT_UNKNOWN,
	 false},
	{"coming back always needs rise, also after what acted at once",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_refused, REASON_ok},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"rise in a row bring it back",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_refused, REASON_ok, REASON_ok},
	 VERDICT_UP,
	 VERDICT_UP,
	 false},
	{"from draining to down needs fall",
	 VERDICT_DRAINING,
	 2,
	 2,
	 {REASON_timeout},
	 VERDICT_DRAINING,
	 VERDICT_DRAINING,
	 true},
	{"from draining to down after fall",
	 VERDICT_DRAINING,
	 2,
	 2,
	 {REASON_timeout, REASON_timeout},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"from draining to down at once when refused",
	 VERDICT_DRAINING,
	 2,
	 2,
	 {REASON_refused},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"from down to draining needs fall",
	 VERDICT_DOWN,
	 2,
	 2,
	 {REASON_mail_4xx},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"from down to draining at once by 421",
	 VERDICT_DOWN,
	 2,
	 2,
	 {REASON_greeting_421},
	 VERDICT_DRAINING,
	 VERDICT_DRAINING,
	 false},
	{"good and bad results against draining do not add up",
	 VERDICT_DRAINING,
	 2,
	 2,
	 {REASON_timeout, REASON_ok, REASON_timeout, REASON_ok},
	 VERDICT_DRAINING,
	 VERDICT_DRAINING,
	 true},
	{"trouble on this side makes it unknown, and mail goes on as before",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_local_error},
	 VERDICT_UNKNOWN,
	 VERDICT_UP,
	 true},
	{"trouble on this side with nothing known before: nothing is known",
	 VERDICT_UNKNOWN,
	 3,
	 2,
	 {REASON_local_carrier},
	 VERDICT_UNKNOWN,
	 VERDICT_UNKNOWN,
	 true},
	{"the first real result of a fresh server is the verdict, also after trouble",
	 VERDICT_UNKNOWN,
	 3,
	 2,
	 {REASON_local_error, REASON_timeout},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"out of unknown at once when it is as before",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_local_error, REASON_ok},
	 VERDICT_UP,
	 VERDICT_UP,
	 false},
	{"out of unknown to down at once when it was down",
	 VERDICT_DOWN,
	 3,
	 2,
	 {REASON_local_stall, REASON_timeout},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"out of unknown against what was before: counted",
	 VERDICT_UP,
	 2,
	 2,
	 {REASON_local_error, REASON_timeout},
	 VERDICT_UNKNOWN,
	 VERDICT_UP,
	 true},
	{"out of unknown against what was before: after fall",
	 VERDICT_UP,
	 2,
	 2,
	 {REASON_local_error, REASON_timeout, REASON_timeout},
	 VERDICT_DOWN,
	 VERDICT_DOWN,
	 true},
	{"unknown is no way around rise",
	 VERDICT_DOWN,
	 3,
	 2,
	 {REASON_local_error, REASON_ok},
	 VERDICT_UNKNOWN,
	 VERDICT_DOWN,
	 true},
	{"unknown twice does not forget what was before",
	 VERDICT_UP,
	 3,
	 2,
	 {REASON_local_error, REASON_local_stall, REASON_local_carrier},
	 VERDICT_UNKNOWN,
	 VERDICT_UP,
	 true},
	{"trouble on this side breaks a row of failures",
	 VERDICT_UP,
	 2,
	 2,
	 {REASON_timeout, REASON_local_stall, REASON_timeout},
	 VERDICT_UNKNOWN,
	 VERDICT_UP,
	 true},
};

static void each_row_ends_as_it_says(void **state)
{
	(void)state;
	for (const struct row *r = rows; r < rows + sizeof(rows) / sizeof(*rows); r++) {
		const struct health_conf conf = {.fall = r->fall, .rise = r->rise};
		struct health h;

		health_init(&h, 0);
		if (r->start != VERDICT_UNKNOWN)
			health_adopt(&h, r->start, REASON_ok, 0);
		for (unsigned i = 0; i < ROW_MAX && r->results[i] != REASON_not_probed; i++)
			health_take(&h, &conf, r->results[i], i + 1);
		if (h.verdict != r->verdict || health_effective(&h) != r->effective ||
		    health_wants_fast(&h) != r->fast)
			fail_msg("%s: got %s, for new connections %s, %s", r->what,
				 verdict_name(h.verdict), verdict_name(health_effective(&h)),
				 health_wants_fast(&h) ? "fast" : "not fast");
	}
}

static void another_reason_for_the_same_verdict_is_told_once_and_keeps_the_time(void **state)
{
	const struct health_conf conf = {.fall = 3, .rise = 2};
	struct health h;

	(void)state;
	health_init(&h, 5);
	assert_int_equal(h.since_ms, 5);
	assert_true(health_take(&h, &conf, REASON_timeout, 10));
	assert_true(health_take(&h, &conf, REASON_refused, 20));
	assert_false(health_take(&h, &conf, REASON_refused, 30));
	assert_int_equal(h.reason, REASON_refused);
	assert_int_equal(h.since_ms, 10);
}

static void an_adopted_unknown_is_as_good_as_fresh(void **state)
{
	const struct health_conf conf = {.fall = 3, .rise = 2};
	struct health h;

	(void)state;
	health_adopt(&h, VERDICT_UNKNOWN, REASON_not_probed, 0);
	assert_false(h.settled);
	assert_true(health_take(&h, &conf, REASON_ok, 1));
	assert_int_equal(h.verdict, VERDICT_UP);
}

static bool client(struct health *h, const struct health_conf *conf, uint64_t now_ms)
{
	return health_take_client(h, conf, REASON_source_refused, false, now_ms);
}

/* Such as a server that always refuses the probe's address: it must not go out by two lost probes a week apart. */
static void refusals_of_the_probe_end_a_series_of_failures(void **state)
{
	const struct health_conf conf = {.fall = 2, .rise = 2};
	struct health h;

	(void)state;
	health_init(&h, 0);
	assert_true(client(&h, &conf, 1));
	assert_int_equal(h.verdict, VERDICT_UP);
	assert_false(health_take(&h, &conf, REASON_connect_timeout, 2));
	assert_false(client(&h, &conf, 3));
	assert_true(health_wants_fast(&h));
	assert_false(client(&h, &conf, 4));
	assert_false(health_wants_fast(&h));
	assert_false(health_take(&h, &conf, REASON_connect_timeout, 5));
	assert_int_equal(health_effective(&h), VERDICT_UP);
	assert_false(client(&h, &conf, 6)); /* a single one may be chance: the series goes on */
	assert_true(health_take(&h, &conf, REASON_connect_timeout, 7));
	assert_int_equal(health_effective(&h), VERDICT_DOWN);
}

static void clients_that_show_a_server_up_end_a_series_of_failures(void **state)
{
	const struct health_conf conf = {.fall = 2, .rise = 2};
	struct health h;

	(void)state;
	health_adopt(&h, VERDICT_UP, REASON_ok, 0);
	health_take(&h, &conf, REASON_timeout, 1);
	assert_false(health_show_up(&h, REASON_probe_refused, 2));
	assert_false(health_take(&h, &conf, REASON_timeout, 3));
	assert_int_equal(health_effective(&h), VERDICT_UP);
}

/* ---- every sequence ---- */

#define LENGTH 6

static const enum reason kinds[] = {
	REASON_ok,	    /* up, counts */
	REASON_timeout,	    /* down, counts */
	REASON_refused,	    /* down, at once */
	REASON_mail_4xx,    /* draining, counts */
	REASON_mail_421,    /* draining, at once */
	REASON_local_error, /* unknown */
	REASON_per_source_limit,
};
#define N_KINDS (sizeof(kinds) / sizeof(*kinds))

struct history { /* the results so far that count, oldest first */
	enum reason r[LENGTH];
	unsigned n;
	bool had_verdict; /* a verdict was adopted or a real result came before the last one */
};

/* Do the last `many` results all satisfy `ok`? */
static bool row_of(const struct history *h, uint32_t many, bool (*ok)(enum verdict, enum verdict),
		   enum verdict v)
{
	if (h->n < many)
		return false;
	for (unsigned i = h->n - many; i < h->n; i++) {
		if (!ok(reason_verdict(h->r[i]), v))
			return false;
	}
	return true;
}

static bool is(enum verdict a, enum verdict b)
{
	return a == b;
}

static bool is_real_but_not(enum verdict a, enum verdict b)
{
	return a != VERDICT_UNKNOWN && a != b;
}

static void must(bool holds, const char *what, const enum reason *seq, unsigned n)
{
	if (holds)
		return;
	for (unsigned i = 0; i < n; i++)
		print_message("  %s\n", reason_name(seq[i]));
	fail_msg("%s", what);
}

static void check_step(const struct health *was, const struct health *now, bool told,
		       const struct health_conf *conf, const struct history *past,
		       const enum reason *seq, unsigned n)
{
	enum reason last = seq[n - 1];
	enum verdict v = reason_verdict(last), was_eff = health_effective(was),
		     is_eff = health_effective(now);
	bool real = v != VERDICT_UNKNOWN, at_once = reason_effect(last) == EFFECT_NOW;
	bool fall_row = row_of(past, conf->fall, is_real_but_not, VERDICT_UP);
	bool rise_row = row_of(past, conf->rise, is, VERDICT_UP);

#define MUST(cond, what) must(cond, what, seq, n)
	MUST(told == (now->verdict != was->verdict || now->reason != was->reason),
	     "a change is told, and only a change");
	MUST((now->since_ms != was->since_ms) == (now->verdict != was->verdict),
	     "since moves with the verdict alone");
	if (reason_effect(last) == EFFECT_NONE) {
		MUST(!memcmp(was, now, sizeof(*now)), "a per-source limit changes nothing");
		return;
	}
	if (!real) {
		MUST(now->verdict == VERDICT_UNKNOWN && is_eff == was_eff && now->reason == last,
		     "trouble on this side is unknown at once and keeps what was before");
		return;
	}
	MUST(!past->had_verdict || !at_once || now->verdict == v, "what acts at once does");
	MUST(past->had_verdict || now->verdict == v, "the first real result is the verdict");
	MUST(v != was_eff || now->verdict == v, "what agrees with before confirms at once");
	MUST(!rise_row || now->verdict == VERDICT_UP, "rise in a row is up");
	MUST(!row_of(past, conf->fall, is, v) || v == VERDICT_UP || now->verdict == v,
	     "fall of one kind in a row is that");
	MUST(!fall_row || is_eff != VERDICT_UP, "fall in a row is not up");
	MUST(!fall_row || was_eff != VERDICT_UP || now->verdict == v,
	     "the last one against up names the verdict");
	if (past->had_verdict && is_eff != was_eff && !at_once)
		MUST(v == VERDICT_UP ? rise_row : fall_row, "nothing changes without its row");
	MUST(is_eff == was_eff || is_eff == v, "a verdict is that of the last result");
	MUST(now->verdict == VERDICT_UNKNOWN || now->verdict == is_eff,
	     "unknown covers one verdict");
	MUST(!(now->verdict == VERDICT_UP) || now->reason == REASON_ok, "up is ok");
	MUST(now->verdict == VERDICT_UNKNOWN || reason_verdict(now->reason) == now->verdict,
	     "a verdict has a reason of its kind");
	MUST(health_wants_fast(now) == (now->verdict == VERDICT_DOWN ||
					now->verdict == VERDICT_UNKNOWN || v != now->verdict),
	     "fast while down or not confirmed");
#undef MUST
}

static void run_sequence(unsigned long number, enum verdict start, const struct health_conf *conf)
{
	static const enum reason reason_of[] = {REASON_not_probed, REASON_ok, REASON_mail_4xx,
						REASON_timeout};
	struct history past = {.n = 0, .had_verdict = start != VERDICT_UNKNOWN};
	enum reason seq[LENGTH];
	struct health h;

	health_adopt(&h, start, reason_of[start], 1);
	for (unsigned i = 0; i < LENGTH; i++, number /= N_KINDS) {
		struct health was = h;
		bool told;

		seq[i] = kinds[number % N_KINDS];
		if (reason_effect(seq[i]) != EFFECT_NONE)
			past.r[past.n++] = seq[i];
		told = health_take(&h, conf, seq[i], i + 2);
		check_step(&was, &h, told, conf, &past, seq, i + 1);
		if (reason_verdict(seq[i]) != VERDICT_UNKNOWN)
			past.had_verdict = true;
	}
}

static void every_sequence_of_six_results_keeps_the_rules(void **state)
{
	static const struct health_conf confs[] = {{1, 1}, {2, 1}, {3, 2}, {2, 3}};
	unsigned long n = 1;

	(void)state;
	for (unsigned i = 0; i < LENGTH; i++)
		n *= N_KINDS;
	for (unsigned c = 0; c < sizeof(confs) / sizeof(*confs); c++)
		for (enum verdict start = VERDICT_UNKNOWN; start <= VERDICT_DOWN; start++)
			for (unsigned long i = 0; i < n; i++)
				run_sequence(i, start, &confs[c]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_ends_as_it_says),
		cmocka_unit_test(
			another_reason_for_the_same_verdict_is_told_once_and_keeps_the_time),
		cmocka_unit_test(an_adopted_unknown_is_as_good_as_fresh),
		cmocka_unit_test(refusals_of_the_probe_end_a_series_of_failures),
		cmocka_unit_test(clients_that_show_a_server_up_end_a_series_of_failures),
		cmocka_unit_test(every_sequence_of_six_results_keeps_the_rules),
	};

	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
