/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of core/resets.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "core/resets.h"

#define PLACES 100000

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void the_flows_used_last_come_first_and_all_of_them_come(void **state)
{
	struct resets r;
	uint64_t place, n = 0;
	uint32_t before = 0;
	static uint16_t idle_of[PLACES];

	(void)state;
	assert_int_equal(resets_init(&r, PLACES), 0);
	resets_begin(&r);
	for (unsigned i = 0; i < PLACES; i++) {
		idle_of[i] = i * 7919u % 1100; /* some beyond what counts */
		resets_add(&r, i, idle_of[i]);
	}
	resets_add(&r, 5, 5); /* more than the table has: rejected, not written */
	resets_ready(&r);
	for (; resets_next(&r, &place); n++) {
		uint32_t idle =
			idle_of[place] < RESETS_IDLE_MAX ? idle_of[place] : RESETS_IDLE_MAX - 1;

		assert_true(idle >= before);
		before = idle;
	}
	assert_int_equal(n, PLACES);
	assert_int_equal(resets_left(&r), 0);
	resets_free(&r);
}

/* n flows of one prefix, followed by one of another. Returns the number of packets to the former in the first second. */
static unsigned first_second(const char *crowd, const char *other, unsigned n, bool *reached)
{
	struct addr many = address(crowd), one = address(other);
	struct resets r;
	unsigned sent = 0, total = 0;
	uint64_t place, second = 1;

	*reached = false;
	assert_int_equal(resets_init(&r, PLACES), 0);
	resets_begin(&r);
	for (unsigned i = 0; i <= n; i++)
		resets_add(&r, i, i == n);
	resets_ready(&r);
	for (unsigned turn = 0; resets_next(&r, &place); turn++) {
		second = 1 + turn / (n + 1);
		if (!resets_may(&r, place, place == n ? &one : &many, second))
			continue;
		total++;
		sent += place != n && second == 1;
		*reached |= place == n && second == 1;
	}
	assert_int_equal(total, n + 1); /* each of them, once */
	resets_free(&r);
	return sent;
}

static void a_prefix_has_a_share_of_a_second_and_lets_others_pass(void **state)
{
	bool reached;

	(void)state;
	assert_int_equal(first_second("198.51.100.7", "198.51.101.7", 1000, &reached),
			 RESETS_PREFIX_MAX);
	assert_true(reached);
	assert_int_equal(first_second("2001:db8:1:2::7", "2001:db8:1:3::7", 1000, &reached),
			 RESETS_PREFIX_MAX);
	assert_true(reached);
	assert_int_equal(first_second("198.51.100.7", "198.51.101.7", RESETS_PREFIX_MAX, &reached),
			 RESETS_PREFIX_MAX);
	assert_true(reached);
}

static void a_new_round_discards_the_rest_of_the_one_before(void **state)
{
	struct addr a = address("198.51.100.7");
	struct resets r;
	uint64_t place;

	(void)state;
	assert_int_equal(resets_init(&r, PLACES), 0);
	resets_begin(&r);
	for (unsigned i = 0; i < 2 * RESETS_PREFIX_MAX; i++)
		resets_add(&r, i, 0);
	resets_ready(&r);
	for (unsigned i = 0; i < 2 * RESETS_PREFIX_MAX; i++) {
		assert_true(resets_next(&r, &place));
		resets_may(&r, place, &a, 1);
	}
	assert_int_equal(resets_left(&r), RESETS_PREFIX_MAX);
	resets_begin(&r);
	resets_ready(&r);
	assert_false(resets_next(&r, &place));
	resets_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_flows_used_last_come_first_and_all_of_them_come),
		cmocka_unit_test(a_prefix_has_a_share_of_a_second_and_lets_others_pass),
		cmocka_unit_test(a_new_round_discards_the_rest_of_the_one_before),
	};

	return cmocka_run_group_tests_name("resets", tests, NULL, NULL);
}
