/* SPDX-License-Identifier: BSD-2-Clause */
/* core/schedule.c: one server's times, then a thousand together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/schedule.h"

#define N	    1000
#define INTERVAL_MS 10000
#define FAST_MS	    2000
#define START_MS    1000000

static const struct probe_conf conf = {.interval_ms = INTERVAL_MS, .fast_interval_ms = FAST_MS};

static void each_time_follows_the_one_before_whenever_the_probe_ended(void **state)
{
	struct schedule prompt, slow;

	(void)state;
	schedule_start(&prompt, 7, 0, 1, INTERVAL_MS, START_MS);
	schedule_start(&slow, 7, 0, 1, INTERVAL_MS, START_MS);
	assert_int_equal(prompt.due_ms, START_MS);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t was_ms = prompt.due_ms;

		schedule_next(&prompt, INTERVAL_MS, false, was_ms + 1);
		schedule_next(&slow, INTERVAL_MS, i % 2, was_ms + (i ? 8000 : 1));
		assert_int_equal(slow.due_ms, prompt.due_ms);
		if (!i)
			continue; /* the first interval is a random share of the configured one */
		assert_in_range(prompt.due_ms - was_ms, INTERVAL_MS * 90 / 100,
				INTERVAL_MS * 98 / 100);
	}
}

static void a_time_that_passed_during_the_probe_is_skipped_unless_a_verdict_waits(void **state)
{
	struct schedule s = {.due_ms = START_MS, .id = 3, .round = 5}, same = s, once = s;

	(void)state;
	schedule_next(&s, 1000, false, START_MS + 2500);
	schedule_next(&same, 1000, false, START_MS);
	assert_in_range(s.due_ms, START_MS + 2501, START_MS + 2500 + 980);
	assert_int_equal((s.due_ms - START_MS) % (same.due_ms - START_MS), 0); /* its place stays */
	schedule_next(&once, 1000, true, START_MS + 2500);
	assert_int_equal(once.due_ms, START_MS + 2500);
}

static void the_long_dead_are_asked_more_rarely_up_to_the_interval(void **state)
{
	static const struct {
		uint64_t down_s;
		uint32_t gap_ms;
	} rows[] = {{0, FAST_MS}, {60, FAST_MS},      {120, FAST_MS},	    {240, 4000},
		    {540, 9000},  {600, INTERVAL_MS}, {864000, INTERVAL_MS}};
	struct health h;

	(void)state;
	health_adopt(&h, VERDICT_DOWN, REASON_refused, START_MS);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(schedule_gap(&h, &conf, START_MS + rows[i].down_s * 1000),
				 rows[i].gap_ms);
	h.differing = 1; /* it answers again: one more probe will decide */
	assert_int_equal(schedule_gap(&h, &conf, START_MS + 864000000), FAST_MS);
	health_adopt(&h, VERDICT_UP, REASON_ok, START_MS);
	assert_int_equal(schedule_gap(&h, &conf, START_MS + 1), INTERVAL_MS);
	h.differing = 1;
	assert_int_equal(schedule_gap(&h, &conf, START_MS + 1), FAST_MS);
}

static void a_hint_means_now_but_no_sooner_than_a_second_after_the_last_probe(void **state)
{
	static const struct {
		uint64_t began_ms, due_ms, at_ms;
	} rows[] = {
		{10000, 20000, 15000}, /* long ago: due now, at 15000 */
		{14600, 24000, 15600}, /* just now: due a second later */
		{14600, 15100, 15100}, /* due sooner anyway */
		{10000, 14990, 14990}, /* overdue */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct schedule s = {.due_ms = rows[i].due_ms};

		schedule_hint(&s, rows[i].began_ms, SCHEDULE_HINT_MS, 15000);
		assert_int_equal(s.due_ms, rows[i].at_ms);
	}
}

static void only_silence_to_a_connect_with_the_verdict_open_is_pressed(void **state)
{
	static const struct {
		uint32_t differing;
		bool rising;
		enum reason last;
		bool presses;
	} rows[] = {
		{1, false, REASON_connect_timeout, true},  {1, false, REASON_vip_missing, true},
		{0, false, REASON_connect_timeout, false}, {1, true, REASON_ok, false},
		{1, false, REASON_greeting_silent, false}, {1, false, REASON_mail_4xx, false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct health h = {.differing = rows[i].differing, .rising = rows[i].rising};

		assert_int_equal(schedule_presses(&h, rows[i].last), rows[i].presses);
	}
}

static void a_new_interval_brings_the_time_nearer_and_never_further(void **state)
{
	struct schedule s = {.due_ms = START_MS + 9000, .id = 1, .round = 1};

	(void)state;
	schedule_renew(&s, START_MS, 3600000, START_MS + 2000);
	assert_int_equal(s.due_ms, START_MS + 9000);
	schedule_renew(&s, START_MS, 5000, START_MS + 2000);
	assert_in_range(s.due_ms, START_MS + 4500, START_MS + 4900);
	schedule_renew(&s, START_MS, 1000, START_MS + 2000); /* that has passed */
	assert_in_range(s.due_ms, START_MS + 2001, START_MS + 3000);
}

/* The largest number due in the same step_ms; resets the counters. */
static unsigned most_together(unsigned *counts, unsigned n)
{
	unsigned most = 0;

	for (unsigned i = 0; i < n; i++)
		most = counts[i] > most ? counts[i] : most;
	memset(counts, 0, n * sizeof(*counts));
	return most;
}

static void a_thousand_that_start_together_are_spread_at_once_and_stay_so(void **state)
{
	enum { STEP_MS = 100, STEPS = INTERVAL_MS / STEP_MS, ROUNDS = 50 };
	static struct schedule all[N];
	unsigned counts[STEPS] = {0}, at_once = 0;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		schedule_start(&all[i], i + 1, i, N, INTERVAL_MS, START_MS);
		at_once += all[i].due_ms == START_MS;
		assert_in_range(all[i].due_ms, START_MS, START_MS + 2 * N);
	}
	assert_int_equal(at_once,
			 65); /* 64, and the first of those that follow at intervals of 2 ms */
	for (unsigned round = 1; round <= ROUNDS; round++) {
		uint64_t from_ms = START_MS + (uint64_t)round * INTERVAL_MS;

		for (unsigned i = 0; i < N; i++)
			while (all[i].due_ms < from_ms + INTERVAL_MS) {
				if (all[i].due_ms >= from_ms)
					counts[(all[i].due_ms - from_ms) / STEP_MS]++;
				schedule_next(&all[i], INTERVAL_MS, false, all[i].due_ms);
			}
		assert_in_range(most_together(counts, STEPS), 1, 30); /* 10.6 on average */
	}
}

static void after_a_stall_all_are_due_and_none_rushes(void **state)
{
	enum { STEP_MS = 100, STEPS = FAST_MS / STEP_MS };
	unsigned counts[STEPS] = {0};
	struct schedule s = {.due_ms = START_MS};

	(void)state;
	assert_false(schedule_overdue(&s, FAST_MS, START_MS + 1000));
	assert_int_equal(s.due_ms, START_MS);
	for (unsigned i = 0; i < N; i++) {
		s = (struct schedule){.id = i + 1, .due_ms = START_MS};
		assert_true(schedule_overdue(&s, FAST_MS, START_MS + 60000));
		assert_in_range(s.due_ms, START_MS + 60001, START_MS + 60000 + FAST_MS);
		counts[(s.due_ms - START_MS - 60001) / STEP_MS]++;
	}
	assert_in_range(most_together(counts, STEPS), 50, 60);
}

static void the_first_probes_are_never_spread_over_more_than_the_interval(void **state)
{
	struct schedule s;

	(void)state;
	schedule_start(&s, 4000, 3999, 4000, 500, START_MS);
	assert_in_range(s.due_ms, START_MS + 450, START_MS + 500);
	schedule_start(&s, 64, 63, 4000, 500, START_MS);
	assert_int_equal(s.due_ms, START_MS);
}

static void however_many_hints_come_a_hundred_a_second_are_taken(void **state)
{
	struct hint_budget b = {0};
	unsigned taken = 0;

	(void)state;
	for (uint64_t ms = START_MS; ms < START_MS + 10000; ms += 3)
		for (unsigned i = 0; i < 10; i++)
			taken += hint_budget_take(&b, ms);
	assert_in_range(taken, 1190, 1201); /* 200 at once, then 100 a second */
	taken = 0;
	for (unsigned i = 0; i < 1000; i++)
		taken += hint_budget_take(&b, START_MS + 3600000);
	assert_int_equal(taken, 200);
}

static void lateness_is_reported_in_percentiles(void **state)
{
	static struct lateness l;

	(void)state;
	assert_int_equal(lateness_percentile(&l, 99), 0);
	for (unsigned i = 0; i < 98; i++)
		lateness_add(&l, 5000,
			     i % 2 ? 5001 : 4990); /* a timer may be early, but not late */
	lateness_add(&l, 5000, 5150);
	lateness_add(&l, 5000, 15000);
	assert_int_equal(lateness_percentile(&l, 49), 0);
	assert_int_equal(lateness_percentile(&l, 50), 1);
	assert_int_equal(lateness_percentile(&l, 99), 150);
	assert_int_equal(lateness_percentile(&l, 100), LATENESS_MAX_MS);
	assert_int_equal(l.max_ms, 10000);
}

/* The number of changes of verdict per hour for a server that goes up and down every period_ms, with default settings. */
static unsigned changes_in_an_hour(uint32_t period_ms, enum reason down)
{
	static const struct health_conf counts = {.fall = 3, .rise = 2};
	uint64_t now_ms = START_MS;
	unsigned changes = 0;
	struct schedule s;
	struct health h;

	health_init(&h, now_ms);
	schedule_start(&s, 7, 0, 1, INTERVAL_MS, now_ms);
	while ((now_ms = s.due_ms) < START_MS + 3600 * 1000) {
		enum verdict was = h.verdict;
		bool up = (now_ms - START_MS) / period_ms % 2 == 0;

		health_take(&h, &counts, up ? REASON_ok : down, now_ms);
		changes += h.verdict != was;
		schedule_next(&s, schedule_gap(&h, &conf, now_ms), h.differing, now_ms);
	}
	return changes;
}

static void B10_a_server_that_comes_and_goes_changes_the_ring_a_few_times_a_minute(void **state)
{
	static const uint32_t periods_ms[] = {500, 1000, 2000, 3000, 5000, 10000, 30000};

	(void)state;
	for (unsigned i = 0; i < sizeof(periods_ms) / sizeof(*periods_ms); i++) {
		unsigned refused = changes_in_an_hour(periods_ms[i], REASON_refused);
		unsigned silent = changes_in_an_hour(periods_ms[i], REASON_connect_timeout);

		print_message("# every %u ms: %u changes by refusals, %u by silence\n",
			      periods_ms[i], refused, silent);
		assert_in_range(refused, 1, 60 * 6);
		assert_in_range(silent, 0, 60 * 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_time_follows_the_one_before_whenever_the_probe_ended),
		cmocka_unit_test(
			a_time_that_passed_during_the_probe_is_skipped_unless_a_verdict_waits),
		cmocka_unit_test(the_long_dead_are_asked_more_rarely_up_to_the_interval),
		cmocka_unit_test(a_hint_means_now_but_no_sooner_than_a_second_after_the_last_probe),
		cmocka_unit_test(only_silence_to_a_connect_with_the_verdict_open_is_pressed),
		cmocka_unit_test(a_new_interval_brings_the_time_nearer_and_never_further),
		cmocka_unit_test(a_thousand_that_start_together_are_spread_at_once_and_stay_so),
		cmocka_unit_test(after_a_stall_all_are_due_and_none_rushes),
		cmocka_unit_test(the_first_probes_are_never_spread_over_more_than_the_interval),
		cmocka_unit_test(however_many_hints_come_a_hundred_a_second_are_taken),
		cmocka_unit_test(lateness_is_reported_in_percentiles),
		cmocka_unit_test(
			B10_a_server_that_comes_and_goes_changes_the_ring_a_few_times_a_minute),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
