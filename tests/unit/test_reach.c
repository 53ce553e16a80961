/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core/reach.c: its rules as rows, and every order of six events, held against the history that led there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "core/reach.h"

/* Does what the daemon does: it sends each requested query. */
static unsigned take(struct reach *r, struct reach_input in)
{
	unsigned todo = reach_take(r, &in);

	if (todo & REACH_DO_ASK)
		reach_take(r, &(struct reach_input){.event = REACH_ASKED});
	if (todo & REACH_DO_CONFIRM)
		reach_take(r, &(struct reach_input){.event = REACH_CONFIRMED});
	return todo;
}

static const struct reach_input begins = {.event = REACH_BEGINS}, slow = {.event = REACH_SLOW},
				hinted = {.event = REACH_BEGINS, .hinted = true},
				answers = {.event = REACH_ENDS,
					   .raw = REASON_ok,
					   .reason = REASON_ok},
				timeout = {.event = REACH_ENDS,
					   .raw = REASON_connect_timeout,
					   .reason = REASON_connect_timeout},
				unreachable = {.event = REACH_ENDS,
					       .raw = REASON_connect_timeout,
					       .reason = REASON_unreachable},
				resolved = {.event = REACH_RESOLVED, .probed = true, .up = true},
				failed = {.event = REACH_FAILED, .has_mac = true};

static void a_next_hop_that_fails_is_definite_once_it_was_asked_and_the_connect_is_silent(
	void **state)
{
	struct reach r = {0};

	(void)state;
	assert_int_equal(take(&r, begins), 0);
	assert_int_equal(take(&r, failed), REACH_DO_HINT); /* rule 2: nobody asked */
	assert_int_equal(take(&r, hinted), REACH_DO_ASK);
	assert_int_equal(take(&r, failed), REACH_DO_HINT); /* queried, but nothing is silent yet */
	assert_int_equal(take(&r, hinted), REACH_DO_ASK);
	assert_int_equal(take(&r, slow), REACH_DO_ASK);
	assert_int_equal(take(&r, failed), REACH_DO_UNREACHABLE); /* rule 1 */
}

static void a_next_hop_that_never_answered_is_definite_at_once(void **state)
{
	struct reach r = {0};

	(void)state;
	assert_int_equal(take(&r, (struct reach_input){.event = REACH_FAILED}),
			 REACH_DO_UNREACHABLE);
}

static void a_server_that_answers_closes_the_question(void **state)
{
	struct reach r = {0};

	(void)state;
	take(&r, begins);
	take(&r, slow);
	assert_int_equal(take(&r, answers), 0); /* rule 6 */
	assert_int_equal(take(&r, failed), REACH_DO_HINT);
	take(&r, slow);
	assert_int_equal(take(&r, timeout), 0); /* that was none */
	assert_int_equal(take(&r, failed), REACH_DO_UNREACHABLE);
}

static void a_silence_outlives_its_probe_only_with_an_open_question(void **state)
{
	struct reach r = {0};

	(void)state;
	take(&r, slow);
	take(&r, timeout);
	take(&r, begins);
	assert_int_equal(take(&r, failed), REACH_DO_UNREACHABLE);
	take(&r, slow);
	take(&r, resolved); /* answered */
	take(&r, hinted);
	assert_int_equal(take(&r, failed), REACH_DO_HINT);
}

static void flows_are_given_up_after_a_second_question(void **state)
{
	struct reach r = {0};

	(void)state;
	assert_int_equal(
		take(&r, (struct reach_input){.event = REACH_TOLD, .reason = REASON_local_carrier}),
		0);
	assert_int_equal(
		take(&r, (struct reach_input){.event = REACH_TOLD, .reason = REASON_unreachable}),
		REACH_DO_CONFIRM);		    /* rule 4 */
	assert_int_equal(take(&r, unreachable), 0); /* it is being asked */
	assert_int_equal(take(&r, failed), REACH_DO_GONE);
	assert_int_equal(take(&r, unreachable), REACH_DO_CONFIRM);
	assert_int_equal(take(&r, resolved), 0);
	assert_int_equal(take(&r, failed), REACH_DO_HINT);
}

static void behind_a_router_two_probes_in_a_row_must_say_so(void **state)
{
	struct reach_input routed = unreachable;
	struct reach r = {0};

	(void)state;
	routed.routed = true;
	assert_int_equal(take(&r, routed), 0);
	assert_int_equal(take(&r, timeout), 0);
	assert_int_equal(take(&r, routed), 0);
	assert_int_equal(take(&r, routed), REACH_DO_GONE); /* rule 5 */
}

static void a_next_hop_that_is_back_is_a_hint_while_its_server_is_not_up(void **state)
{
	struct reach r = {0};

	(void)state;
	for (unsigned bits = 0; bits < 8; bits++) {
		const struct reach_input in = {.event = REACH_RESOLVED,
					       .probed = bits & 1,
					       .was_failed = bits & 2,
					       .up = bits & 4};
		unsigned want = (bits & 2) && !(bits & 4) ? REACH_DO_HINT : 0;

		assert_int_equal(take(&r, in), bits & 1 ? want : REACH_DO_PROBE); /* rule 7 */
	}
}

/* ---- every order ---- */

#define LENGTH 6

static const struct reach_input *const alphabet[] = {&begins,  &hinted,	     &slow,	&answers,
						     &timeout, &unreachable, &resolved, &failed};

#define LETTERS (sizeof(alphabet) / sizeof(*alphabet))

/* Is the next hop's answer at `at` one to the second query? Returns the last result before it. */
static bool is_confirming(const struct reach_input *const *h, int at)
{
	bool open = false;

	for (int i = 0; i < at; i++)
		if (h[i] == &unreachable)
			open = true;
		else if (h[i] == &resolved || h[i] == &failed)
			open = false;
	return open;
}

/* Rule 1: is there an unanswered query and a silence, by anybody, since the last answer? */
static bool is_definite(const struct reach_input *const *h, int at)
{
	bool asked = false, silent = false;

	for (int i = 0; i < at; i++) {
		if (h[i] == &answers)
			asked = silent = false;
		if (h[i] == &resolved || h[i] == &failed)
			asked = false;
		if ((h[i] == &begins || h[i] == &hinted) && !asked)
			silent = false;
		if (h[i] == &slow)
			asked = silent = true;
		if (h[i] == &hinted)
			asked = true;
	}
	return asked && silent;
}

static void check(const struct reach_input *const *h, int at, unsigned todo)
{
	bool fails = h[at] == &failed, second = is_confirming(h, at);

	assert_int_equal(!!(todo & REACH_DO_GONE), fails && second);
	assert_int_equal(!!(todo & REACH_DO_UNREACHABLE), fails && !second && is_definite(h, at));
	assert_int_equal(!!(todo & REACH_DO_HINT), fails && !second && !is_definite(h, at));
	assert_int_equal(!!(todo & REACH_DO_CONFIRM), h[at] == &unreachable && !second);
	assert_int_equal(!!(todo & REACH_DO_ASK), h[at] == &slow || h[at] == &hinted);
	assert_false(todo & REACH_DO_PROBE);
}

static void in_every_order_a_server_is_lost_by_what_was_asked_and_not_answered(void **state)
{
	unsigned orders = 1, n = 0;

	(void)state;
	for (int i = 0; i < LENGTH; i++)
		orders *= LETTERS;
	for (unsigned order = 0; order < orders; order++) {
		const struct reach_input *h[LENGTH];
		struct reach r = {0};

		for (unsigned i = 0, rest = order; i < LENGTH; i++, rest /= LETTERS)
			h[i] = alphabet[rest % LETTERS];
		for (int i = 0; i < LENGTH; i++)
			check(h, i, take(&r, *h[i]));
		n++;
	}
	assert_int_equal(n, 262144);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_next_hop_that_fails_is_definite_once_it_was_asked_and_the_connect_is_silent),
		cmocka_unit_test(a_next_hop_that_never_answered_is_definite_at_once),
		cmocka_unit_test(a_server_that_answers_closes_the_question),
		cmocka_unit_test(a_silence_outlives_its_probe_only_with_an_open_question),
		cmocka_unit_test(flows_are_given_up_after_a_second_question),
		cmocka_unit_test(behind_a_router_two_probes_in_a_row_must_say_so),
		cmocka_unit_test(a_next_hop_that_is_back_is_a_hint_while_its_server_is_not_up),
		cmocka_unit_test(
			in_every_order_a_server_is_lost_by_what_was_asked_and_not_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
