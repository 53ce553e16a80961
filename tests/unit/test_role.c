/* SPDX-License-Identifier: BSD-2-Clause */
/* core/role: the lines of keepalived's FIFO, the role they lead to, and the priority for every set of faults. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "core/role.h"

static const struct ha_conf by_keepalived = {
	.given = true, .role = HA_ROLE_KEEPALIVED, .lease_ms = 5000};
static const struct ha_conf by_file = {.given = true, .role = HA_ROLE_ACTIVE, .lease_ms = 5000};

#define T0     1000000ull
#define BIT(f) (1u << ROLE_FAULT_##f)
#define BONUS  10 /* of the active box */

static struct now at(uint64_t ms)
{
	return (struct now){.mono_ms = T0 + ms, .wall_ms = 1800000000000 + (int64_t)ms};
}

static struct role_state begin(const struct ha_conf *conf, enum role kept)
{
	struct role_state r;

	role_init(&r, conf, kept, at(0));
	role_decide(&r, conf, 0, at(0));
	return r;
}

static void each_state_of_keepalived_leads_to_its_role(void **state)
{
	static const struct {
		const char *line;
		enum vrrp_state says;
		enum role becomes; /* of a box that had the other role */
	} rows[] = {
		{"INSTANCE \"mxlb\" MASTER 110", VRRP_MASTER, ROLE_ACTIVE},
		{"INSTANCE \"mxlb\" BACKUP 110", VRRP_BACKUP, ROLE_STANDBY},
		{"INSTANCE \"mxlb\" FAULT 110", VRRP_FAULT, ROLE_STANDBY},
		{"INSTANCE \"mxlb\" STOP 0", VRRP_STOP, ROLE_STANDBY},
		{"INSTANCE \"mxlb\" DELETED 0", VRRP_DELETED, ROLE_STANDBY},
		{"GROUP \"mxlb\" MASTER 0", VRRP_MASTER, ROLE_ACTIVE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct role_state r = begin(&by_keepalived, !rows[i].becomes);

		assert_int_equal(role_line(&r, &by_keepalived, rows[i].line), rows[i].says);
		assert_true(role_decide(&r, &by_keepalived, 0, at(10)));
		assert_int_equal(r.role, rows[i].becomes);
		assert_int_equal(r.source, ROLE_FROM_KEEPALIVED);
		assert_int_equal(r.since_ms, T0 + 10);
	}
}

static void lines_that_say_nothing_of_the_instance_change_nothing(void **state)
{
	static const char *const lines[] = {
		"",
		"INSTANCE",
		"INSTANCE \"mxlb\"",
		"INSTANCE \"mxlb\" MASTER",
		"INSTANCE mxlb MASTER 1",
		"INSTANCE \"other\" BACKUP 1",
		"SCRIPT \"mxlb\" BACKUP 1",
		"INSTANCE \"mxlb\" WHATEVER 1",
		"INSTANCE \"mxlb\" master 1",
		"INSTANCE \"\" BACKUP 1",
		"INSTANCE \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" BACKUP 1",
	};
	struct role_state r = begin(&by_keepalived, ROLE_STANDBY);

	(void)state;
	role_line(&r, &by_keepalived, "INSTANCE \"mxlb\" MASTER 110");
	role_decide(&r, &by_keepalived, 0, at(1));
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(role_line(&r, &by_keepalived, lines[i]), VRRP_OTHER);
		assert_false(role_decide(&r, &by_keepalived, 0, at(2)));
		assert_int_equal(r.role, ROLE_ACTIVE);
	}
}

/* No instance is configured, and keepalived's only one has been renamed in its file. */
static void a_renamed_instance_is_followed_once_the_old_one_has_ended(void **state)
{
	static const struct ha_conf named = {
		.given = true, .role = HA_ROLE_KEEPALIVED, .instance = "mxlb"};
	static const struct {
		const char *last; /* of the old name */
		bool lost;
		enum role becomes;
	} rows[] = {
		{"INSTANCE \"mxlb\" BACKUP 200", false,
		 ROLE_STANDBY}, /* two instances: the first */
		{"INSTANCE \"mxlb\" FAULT 200", false, ROLE_STANDBY},
		{"INSTANCE \"mxlb\" STOP 200", false, ROLE_ACTIVE},
		{"INSTANCE \"mxlb\" DELETED 0", false, ROLE_ACTIVE},
		{"INSTANCE \"mxlb\" BACKUP 200", true, ROLE_ACTIVE}, /* killed */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct role_state r = begin(&by_keepalived, ROLE_STANDBY);

		role_line(&r, &by_keepalived, rows[i].last);
		role_decide(&r, &by_keepalived, 0, at(1));
		role_set_lost(&r, &by_keepalived, rows[i].lost);
		role_line(&r, &by_keepalived, "INSTANCE \"pair\" MASTER 200");
		role_decide(&r, &by_keepalived, 0, at(2));
		assert_int_equal(r.role, rows[i].becomes);

		r = begin(&named, ROLE_STANDBY);
		role_line(&r, &named, rows[i].last);
		role_set_lost(&r, &named, rows[i].lost);
		assert_int_equal(role_line(&r, &named, "INSTANCE \"pair\" MASTER 200"), VRRP_OTHER);
	}
}

static enum role after_a_time_with_role_active(const struct ha_conf *conf, const char *next)
{
	struct role_state r = begin(conf, ROLE_STANDBY);

	role_line(&r, conf, "INSTANCE \"mxlb\" MASTER 200");
	role_decide(&r, conf, 0, at(1));
	role_unfollow(&r, conf);
	role_decide(&r, &by_file, 0, at(2));
	if (next)
		role_line(&r, conf, next);
	role_decide(&r, conf, 0, at(3));
	return r.role;
}

static void after_a_time_with_another_role_a_renamed_instance_is_followed(void **state)
{
	static const struct ha_conf named = {
		.given = true, .role = HA_ROLE_KEEPALIVED, .instance = "mxlb"};
	static const char *const renamed = "INSTANCE \"pair\" BACKUP 200";

	(void)state;
	assert_int_equal(after_a_time_with_role_active(&by_keepalived, NULL), ROLE_ACTIVE);
	assert_int_equal(after_a_time_with_role_active(&by_keepalived, renamed), ROLE_STANDBY);
	assert_int_equal(after_a_time_with_role_active(&named, renamed), ROLE_ACTIVE);
	assert_int_equal(after_a_time_with_role_active(&named, "INSTANCE \"mxlb\" BACKUP 200"),
			 ROLE_STANDBY);
}

/* keepalived was MASTER and does not run: its peer is MASTER now. */
static void a_line_that_is_forgotten_leaves_the_role_as_it_is(void **state)
{
	static const struct ha_conf standby = {.given = true, .role = HA_ROLE_STANDBY};
	struct role_state r = begin(&by_keepalived, ROLE_STANDBY);

	(void)state;
	role_line(&r, &by_keepalived, "INSTANCE \"mxlb\" MASTER 200");
	role_decide(&r, &by_keepalived, 0, at(1));
	role_set_lost(&r, &by_keepalived, true);
	role_unfollow(&r, &standby);
	assert_false(r.lost);
	role_decide(&r, &standby, 0, at(2));
	assert_int_equal(r.role, ROLE_STANDBY);
	role_forget_line(&r, &by_keepalived);
	assert_false(role_decide(&r, &by_keepalived, 0, at(3)));
	assert_int_equal(r.role, ROLE_STANDBY);
	assert_int_equal(r.source, ROLE_FROM_LEASE);
}

static void before_the_first_line_the_role_is_kept(void **state)
{
	struct role_state r = begin(&by_keepalived, ROLE_ACTIVE);

	(void)state;
	assert_int_equal(r.role, ROLE_ACTIVE);
	assert_int_equal(r.source, ROLE_FROM_LEASE);
	r = begin(&by_keepalived, ROLE_STANDBY);
	assert_int_equal(r.role, ROLE_STANDBY);
	r = begin(&by_file, ROLE_STANDBY);
	assert_int_equal(r.role, ROLE_ACTIVE);
	assert_int_equal(r.source, ROLE_FROM_CONFIG);
}

static void an_order_decides_without_keepalived_and_ends_by_itself(void **state)
{
	struct role_state r = begin(&by_file, ROLE_ACTIVE);

	(void)state;
	role_order_give(&r, ROLE_ORDER_STANDBY, "anna", 900, at(0));
	assert_true(role_decide(&r, &by_file, 0, at(0)));
	assert_int_equal(r.role, ROLE_STANDBY);
	assert_int_equal(r.source, ROLE_FROM_OPERATOR);
	assert_int_equal(role_next_ms(&r), T0 + 900);
	assert_false(role_decide(&r, &by_file, 0, at(899)));
	assert_true(role_decide(&r, &by_file, 0, at(900)));
	assert_int_equal(r.role, ROLE_ACTIVE);
	assert_int_equal(r.wanted, ROLE_ORDER_AUTO);
	assert_int_equal(r.changes, 2);
}

static void an_order_from_before_a_restart_holds_and_is_not_new(void **state)
{
	struct role_state r;

	(void)state;
	role_init(&r, &by_file, ROLE_STANDBY, at(0));
	role_order_restore(&r, &by_file, ROLE_ORDER_STANDBY, "root", 5000, at(0).wall_ms - 60000,
			   at(0));
	assert_false(role_decide(&r, &by_file, 0, at(1)));
	assert_int_equal(r.role, ROLE_STANDBY);
	assert_int_equal(r.source, ROLE_FROM_OPERATOR);
	assert_int_equal(r.since_ms, T0 - 60000);
	assert_string_equal(r.order.who, "root");
	assert_true(role_decide(&r, &by_file, 0, at(5000)));
	assert_int_equal(r.role, ROLE_ACTIVE);

	role_init(&r, &by_keepalived, ROLE_ACTIVE, at(0));
	role_order_restore(&r, &by_keepalived, ROLE_ORDER_STANDBY, "root", 0, at(0).wall_ms - 10,
			   at(0));
	assert_false(role_decide(&r, &by_keepalived, 0, at(1)));
	assert_int_equal(r.role, ROLE_ACTIVE);
	assert_int_equal(r.priority, -190);
}

static void with_keepalived_an_order_moves_the_priority_alone(void **state)
{
	struct role_state r = begin(&by_keepalived, ROLE_STANDBY);

	(void)state;
	role_line(&r, &by_keepalived, "INSTANCE \"mxlb\" MASTER 210");
	role_decide(&r, &by_keepalived, 0, at(1));
	assert_int_equal(r.priority, 10);
	role_order_give(&r, ROLE_ORDER_STANDBY, "anna", 0, at(2));
	assert_false(role_decide(&r, &by_keepalived, 0, at(2)));
	assert_int_equal(r.role, ROLE_ACTIVE);
	assert_int_equal(r.priority, 10 - 200);
	role_order_give(&r, ROLE_ORDER_ACTIVE, "anna", 0, at(3));
	role_decide(&r, &by_keepalived, 0, at(3));
	assert_int_equal(r.priority, 100);
	r.lost = true;
	role_order_give(&r, ROLE_ORDER_AUTO, "anna", 0, at(4));
	role_decide(&r, &by_keepalived, 0, at(4));
	assert_int_equal(r.priority, 0); /* only a box that keepalived knows gets the bonus */
}

static void a_penalty_begins_and_ends_after_its_times(void **state)
{
	static const struct {
		unsigned cause;
		int points;
		uint64_t begins, ends; /* of an active box */
	} rows[] = {
		{BIT(READY), -100, 0, 0},
		{BIT(SERVING), -100, 0, 15000},
		{BIT(SERVERS), -60, 3000, 15000},
		{BIT(TIER), -40, 3000, 15000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct role_state r = begin(&by_keepalived, ROLE_ACTIVE);
		uint64_t gone = 10000, on = 100 + rows[i].begins;
		int held = BONUS + (rows[i].ends ? rows[i].points : 0);

		role_decide(&r, &by_keepalived, rows[i].cause, at(100));
		assert_int_equal(r.priority, BONUS + (rows[i].begins ? 0 : rows[i].points));
		if (rows[i].begins) {
			assert_int_equal(role_next_ms(&r), T0 + on);
			role_decide(&r, &by_keepalived, rows[i].cause, at(on - 1));
			assert_int_equal(r.priority, BONUS);
		}
		role_decide(&r, &by_keepalived, rows[i].cause, at(on));
		assert_int_equal(r.priority, BONUS + rows[i].points);
		role_decide(&r, &by_keepalived, 0, at(gone));
		assert_int_equal(r.priority, held);
		role_decide(&r, &by_keepalived, 0, at(gone + rows[i].ends - !!rows[i].ends));
		assert_int_equal(r.priority, held);
		role_decide(&r, &by_keepalived, 0, at(gone + rows[i].ends));
		assert_int_equal(r.priority, BONUS);
		assert_int_equal(role_next_ms(&r), 0);
	}
}

/* Both boxes notice a common fault, the active one first and the other almost three seconds later: nothing moves. */
static void a_standby_boxs_penalty_begins_before_the_active_boxs(void **state)
{
	struct role_state active = begin(&by_keepalived, ROLE_ACTIVE);
	struct role_state standby = begin(&by_keepalived, ROLE_STANDBY);

	(void)state;
	for (uint64_t ms = 100; ms < 10000; ms += 100) {
		role_decide(&active, &by_keepalived, BIT(TIER), at(ms));
		role_decide(&standby, &by_keepalived, ms < 3000 ? 0 : BIT(TIER), at(ms));
		assert_true(active.priority > standby.priority);
	}
	assert_int_equal(active.priority, BONUS - 40);
	assert_int_equal(standby.priority, -40);
}

/* The common fault is over, and the standby box notices it first, by up to 14 seconds: nothing moves either. */
static void an_active_boxs_penalty_ends_before_the_standby_boxs(void **state)
{
	struct role_state active = begin(&by_keepalived, ROLE_ACTIVE);
	struct role_state standby = begin(&by_keepalived, ROLE_STANDBY);

	(void)state;
	for (uint64_t ms = 100; ms < 60000; ms += 100) {
		role_decide(&active, &by_keepalived, ms < 24000 ? BIT(SERVERS) : 0, at(ms));
		role_decide(&standby, &by_keepalived, ms < 10000 ? BIT(SERVERS) : 0, at(ms));
		assert_true(active.priority > standby.priority);
	}
	assert_int_equal(active.priority, BONUS);
	assert_int_equal(standby.priority, 0);
	standby = begin(&by_keepalived, ROLE_STANDBY);
	role_decide(&standby, &by_keepalived, BIT(SERVERS), at(0));
	role_decide(&standby, &by_keepalived, 0, at(100));
	assert_int_equal(role_next_ms(&standby), T0 + 100 + 30000);
}

/* Every set of lasting faults: only the largest penalty counts, and the bonus. */
static void of_several_faults_the_largest_counts(void **state)
{
	(void)state;
	for (unsigned causes = 0; causes < 1u << ROLE_FAULTS; causes++) {
		struct role_state r = begin(&by_keepalived, ROLE_ACTIVE);
		int worst = 0;

		for (unsigned f = 0; f < ROLE_FAULTS; f++)
			if (causes >> f & 1 && role_fault_points(f) < worst)
				worst = role_fault_points(f);
		role_decide(&r, &by_keepalived, causes, at(1));
		role_decide(&r, &by_keepalived, causes, at(3001));
		assert_int_equal(r.priority, 10 + worst);
		assert_in_range(200 + r.priority, 1, 254); /* keepalived's limits, base 200 */
	}
}

static void the_word_is_never_always_or_a_time(void **state)
{
	struct role_state r = begin(&by_keepalived, ROLE_ACTIVE);
	struct ha_conf endless = by_keepalived;

	(void)state;
	assert_int_equal(role_word(&r, &by_keepalived, 7), 7 + 5000000000ull);
	endless.lease_ms = 0;
	assert_int_equal(role_word(&r, &endless, 7), ROLE_WORD_ALWAYS);
	assert_int_equal(role_word(&r, &by_file, 7), ROLE_WORD_ALWAYS);
	r.role = ROLE_STANDBY;
	assert_int_equal(role_word(&r, &by_keepalived, 7), ROLE_WORD_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_state_of_keepalived_leads_to_its_role),
		cmocka_unit_test(lines_that_say_nothing_of_the_instance_change_nothing),
		cmocka_unit_test(a_renamed_instance_is_followed_once_the_old_one_has_ended),
		cmocka_unit_test(after_a_time_with_another_role_a_renamed_instance_is_followed),
		cmocka_unit_test(a_line_that_is_forgotten_leaves_the_role_as_it_is),
		cmocka_unit_test(before_the_first_line_the_role_is_kept),
		cmocka_unit_test(an_order_decides_without_keepalived_and_ends_by_itself),
		cmocka_unit_test(an_order_from_before_a_restart_holds_and_is_not_new),
		cmocka_unit_test(with_keepalived_an_order_moves_the_priority_alone),
		cmocka_unit_test(a_penalty_begins_and_ends_after_its_times),
		cmocka_unit_test(a_standby_boxs_penalty_begins_before_the_active_boxs),
		cmocka_unit_test(an_active_boxs_penalty_ends_before_the_standby_boxs),
		cmocka_unit_test(of_several_faults_the_largest_counts),
		cmocka_unit_test(the_word_is_never_always_or_a_time),
	};

	return cmocka_run_group_tests_name("role", tests, NULL, NULL);
}
