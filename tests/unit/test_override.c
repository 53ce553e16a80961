/* SPDX-License-Identifier: BSD-2-Clause */
/* core/override.c: operators' weights: the resulting ring, what ends them, and what a plan shows in advance. */
#include "model_fixture.h"
#include "core/diff.h"
#include "core/maglev.h"
#include "core/override.h"

/* This server's share of the first service's ring, in percent. */
static unsigned share(const struct model *m, uint32_t id)
{
	uint16_t *slots = calloc(MAGLEV_SLOTS, sizeof(*slots));
	unsigned n = 0;
	struct plan p;

	assert_int_equal(plan_build(m, &p), 0);
	assert_int_equal(maglev_fill(slots, p.services[0].members, p.services[0].n_members, 1), 0);
	for (unsigned i = 0; i < MAGLEV_SLOTS; i++)
		n += slots[i] == id;
	plan_free(&p);
	free(slots);
	return (n * 100 + MAGLEV_SLOTS / 2) / MAGLEV_SLOTS;
}

static void a_weight_is_a_servers_share_and_0_is_none(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	assert_int_equal(share(m, 1), 50);
	assert_true(model_weight(m, 1, 3, "alice", at(2000)));
	assert_int_equal(share(m, 1), 75);
	assert_true(model_weight(m, 1, 0, "alice", at(2000)));
	assert_string_equal(ring(m), "oxford-b");
	assert_true(model_weight(m, 2, 0, "alice", at(2000))); /* none left: the next tier */
	assert_string_equal(ring(m), "nuneaton");
	assert_true(model_weight(m, 1, 1, "alice", at(2000)));
	model_tick(m, at(2000 + 30000));
	assert_string_equal(ring(m), "oxford-a");
	model_free(m);
	free_config(c);
}

static void a_plan_tells_of_the_weight_that_is_in_force(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	struct buf out = {0};

	(void)state;
	model_weight(m, 1, 3, "alice", at(2000));
	assert_int_equal(compare_config(m, c, NULL, 0, at(2000), &out), 0);
	assert_non_null(strstr(out.data, "server hybrid-mail/oxford-a: weight 1, now 3\n"));
	assert_non_null(strstr(out.data, "service hybrid-mail: 2"));
	assert_non_null(strstr(out.data, "% of new connections "));
	buf_free(&out);
	model_free(m);
	free_config(c);
}

static void an_operators_weight_ends_with_a_reload_which_reports_it(void **state)
{
	struct config *c = oxford(), *d = oxford();
	struct model *m = running(c);
	uint64_t seq;

	(void)state;
	assert_true(model_weight(m, 1, 100, "alice", at(2000)));
	assert_false(model_weight(m, 1, 100, "alice", at(2000)));
	assert_false(model_weight(m, 1, 257, "alice", at(2000)));
	assert_false(model_weight(m, 99, 1, "alice", at(2000)));
	assert_true(model_weight(m, 2, 7, "alice", at(2000)));
	seq = m->events.next_seq;
	d->services[0].servers[1].weight = 7; /* now also in the file */
	assert_int_equal(fixture_reload(m, d, at(3000)), 0);
	assert_int_equal(model_server(m, 1, NULL)->weight, 1);
	assert_int_equal(model_server(m, 2, NULL)->weight, 7);
	check_events(m, seq,
		     "event=backend_weight service=hybrid-mail backend=oxford-a from=100 to=1 "
		     "cause=\"reload\"\n"
		     "event=config cause=\"1 services, 3 servers in force: 0 servers added, 0 "
		     "removed\"\n");
	model_free(m);
	free_config(c);
	free_config(d);
}

/* Its time was over while the box was down: the permanent setting before it is left. */
static void of_an_order_from_before_a_reboot_the_permanent_one_is_left(void **state)
{
	static const struct {
		enum admin_state admin, after;
		int64_t until_s; /* from now; 0: permanent */
		enum admin_state becomes;
	} rows[] = {
		{ADMIN_READY, ADMIN_MAINT, -60, ADMIN_MAINT},
		{ADMIN_READY, ADMIN_MAINT, 60, ADMIN_READY},
		{ADMIN_DRAIN, ADMIN_READY, -60, ADMIN_READY},
		{ADMIN_DRAIN, ADMIN_READY, 60, ADMIN_DRAIN},
		{ADMIN_MAINT, ADMIN_DRAIN, -60, ADMIN_DRAIN},
		{ADMIN_DRAIN, ADMIN_DRAIN, 0, ADMIN_DRAIN},
	};
	struct config *c = oxford();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct model *m = running(c);
		struct now now = at(2000);
		struct order o = {.who = "alice", .since_wall_ms = now.wall_ms - 900000};
		const struct server *b = model_server(m, 1, NULL);

		o.until_wall_ms = rows[i].until_s ? now.wall_ms + rows[i].until_s * 1000 : 0;
		model_admin_restore(m, 1, rows[i].admin, rows[i].after, &o, now);
		assert_int_equal(b->admin, rows[i].becomes);
		assert_int_equal(b->order.until_ms, rows[i].until_s > 0 ? 2000 + 60000 : 0);
		model_tick(m, at(2000 + 60000));
		assert_int_equal(b->admin, rows[i].after);
		model_free(m);
	}
	free_config(c);
}

static void an_order_lasts_no_longer_because_the_clock_was_set_back(void **state)
{
	static const struct {
		int64_t since_s, until_s, left_s; /* from now; left -1: permanent */
	} rows[] = {
		{-60, 840, 840},
		{-900, 0, -1},
		{-901, -1, 0},
		{0, 900, 900},
		{86400, 86400 + 900, 900}, /* the clock was set back by more than a day */
		{86400, 0, -1},
	};
	struct now now = at(5000);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct order o = {.since_wall_ms = now.wall_ms + rows[i].since_s * 1000}, is;

		if (rows[i].left_s >= 0)
			o.until_wall_ms = now.wall_ms + rows[i].until_s * 1000;
		is = override_adopt(&o, now);
		assert_true(is.since_wall_ms <= now.wall_ms);
		assert_int_equal(is.until_ms,
				 rows[i].left_s < 0 ? 0 : 5000 + (uint64_t)rows[i].left_s * 1000);
		if (is.until_ms > 5000) /* and over another restart */
			assert_int_equal(override_adopt(&is, now).until_ms, is.until_ms);
	}
}

/* A reboot with a wrong clock, which NTP sets right later, and then a restart. */
static void an_order_lasts_as_long_as_given_after_a_wrong_clock_was_set_right(void **state)
{
	static const int64_t days[] = {-2200, -1, 0, 1, 2200};
	const int64_t day_ms = 86400000;
	struct config *c = oxford();

	(void)state;
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		struct model *m = running(c);
		struct server *b = model_server(m, 1, NULL);
		struct now now = at(2000), right = now;
		struct order was;

		now.wall_ms += days[i] * day_ms;
		model_admin_for(m, 1, ADMIN_MAINT, "alice", 7 * (uint64_t)day_ms, now);
		model_force(m, m->services[0].id, 20, "alice", 7 * (uint64_t)day_ms, now);
		assert_false(model_follow_clock(m, now));
		assert_int_equal(model_follow_clock(m, right), days[i] != 0);
		assert_false(model_follow_clock(m, right));
		was = b->order;
		assert_int_equal(override_adopt(&was, right).until_ms, b->order.until_ms);
		was = m->services[0].order;
		assert_int_equal(override_adopt(&was, right).until_ms, b->order.until_ms);
		assert_int_equal(model_server(m, 2, NULL)->order.until_wall_ms, 0); /* none */
		model_free(m);
	}
	free_config(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_weight_is_a_servers_share_and_0_is_none),
		cmocka_unit_test(a_plan_tells_of_the_weight_that_is_in_force),
		cmocka_unit_test(an_operators_weight_ends_with_a_reload_which_reports_it),
		cmocka_unit_test(of_an_order_from_before_a_reboot_the_permanent_one_is_left),
		cmocka_unit_test(an_order_lasts_no_longer_because_the_clock_was_set_back),
		cmocka_unit_test(an_order_lasts_as_long_as_given_after_a_wrong_clock_was_set_right),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
