// SPDX-License-Identifier: BSD-2-Clause
/* How an expensive server is probed, rule by rule (core/cost.c). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "core/cost.h"

#define LIMIT 100
#define NOW   1000000

static void a_cheap_server_is_probed_in_full_for_ever(void **state)
{
	struct cost c = {0};

	(void)state;
	for (uint64_t now = NOW; now < NOW + 100; now++) {
		assert_int_equal(cost_reach(&c, false, now), COST_FULL);
		assert_false(cost_take(&c, COST_FULL, LIMIT, LIMIT, now));
	}
	assert_false(c.expensive);
}

/* The state after one probe that used too much CPU time. */
static struct cost expensive(void)
{
	struct cost c = {0};

	assert_true(cost_take(&c, COST_FULL, LIMIT + 1, LIMIT, NOW));
	return c;
}

static void an_expensive_one_gets_its_next_full_probe_at_once_where_a_child_is_idle(void **state)
{
	struct cost c = expensive();

	(void)state;
	assert_int_equal(cost_reach(&c, true, NOW), COST_FULL);
	assert_int_equal(cost_reach(&c, false, NOW), COST_EHLO);
}

static void the_next_full_probe_waits_a_minute_or_a_hundred_times_the_cost(void **state)
{
	static const struct {
		uint32_t cpu_ms;
		uint64_t gap_ms;
	} rows[] = {{0, 60000},	  {LIMIT, 60000}, {600, 60000},
		    {601, 60100}, {2000, 200000}, {UINT32_MAX, 429496729500}};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct cost c = expensive();

		assert_false(cost_take(&c, COST_FULL, rows[i].cpu_ms, LIMIT, NOW));
		assert_int_equal(cost_reach(&c, true, NOW + rows[i].gap_ms - 1), COST_EHLO);
		assert_int_equal(cost_reach(&c, true, NOW + rows[i].gap_ms), COST_FULL);
		assert_int_equal(cost_reach(&c, false, NOW + rows[i].gap_ms), COST_EHLO);
	}
}

static void one_whose_ehlo_is_expensive_is_only_connected_to_for_a_while(void **state)
{
	struct cost c = expensive();

	(void)state;
	cost_take(&c, COST_FULL, 0, LIMIT, NOW);
	assert_false(cost_take(&c, COST_EHLO, LIMIT / COST_EHLO_PART, LIMIT, NOW));
	assert_int_equal(cost_reach(&c, true, NOW), COST_EHLO);
	assert_false(cost_take(&c, COST_EHLO, 21, LIMIT, NOW));
	assert_int_equal(cost_reach(&c, true, NOW + 2099), COST_CONNECT);
	assert_int_equal(cost_reach(&c, true, NOW + 2100), COST_EHLO);
}

static void ten_cheap_full_probes_in_a_row_end_it(void **state)
{
	struct cost c = expensive();

	(void)state;
	for (int round = 0; round < 3; round++) { /* the eleventh is not cheap */
		for (int i = 0; i < COST_CHEAP_PARDON - 1; i++)
			assert_false(cost_take(&c, COST_FULL, LIMIT / 2, LIMIT, NOW));
		assert_false(cost_take(&c, COST_FULL, LIMIT / 2 + 1, LIMIT, NOW));
	}
	for (int i = 0; i < COST_CHEAP_PARDON - 1; i++) {
		assert_false(cost_take(&c, COST_FULL, LIMIT / 2, LIMIT, NOW));
		assert_false(cost_take(&c, COST_EHLO, 0, LIMIT, NOW)); /* counts neither way */
	}
	assert_true(cost_take(&c, COST_FULL, LIMIT / 2, LIMIT, NOW));
	assert_false(c.expensive);
	assert_int_equal(cost_reach(&c, false, NOW), COST_FULL);
}

static void it_enters_once_and_may_enter_again(void **state)
{
	struct cost c = expensive();

	(void)state;
	assert_false(cost_take(&c, COST_FULL, LIMIT + 1, LIMIT, NOW));
	for (int i = 0; i < COST_CHEAP_PARDON; i++)
		cost_take(&c, COST_FULL, 1, LIMIT, NOW);
	assert_true(cost_take(&c, COST_FULL, LIMIT + 1, LIMIT, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cheap_server_is_probed_in_full_for_ever),
		cmocka_unit_test(
			an_expensive_one_gets_its_next_full_probe_at_once_where_a_child_is_idle),
		cmocka_unit_test(the_next_full_probe_waits_a_minute_or_a_hundred_times_the_cost),
		cmocka_unit_test(one_whose_ehlo_is_expensive_is_only_connected_to_for_a_while),
		cmocka_unit_test(ten_cheap_full_probes_in_a_row_end_it),
		cmocka_unit_test(it_enters_once_and_may_enter_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
