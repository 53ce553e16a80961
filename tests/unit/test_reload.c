/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core/build.c: what is adopted from an earlier mxlbd and what a reload keeps. It is compiled in here so that
 * each of its allocations can be made to fail.
 */
#include "model_fixture.h"

#define calloc failing_calloc
#include "core/build.c"
#undef calloc

/* ---- adoption ---- */

static void an_earlier_mxlbds_state_is_in_force_from_the_start(void **state)
{
	struct model_adopted rows[] = {
		adopted("oxford-a", 11, 700, VERDICT_DOWN, REASON_refused),
		adopted("oxford-b", 12, 4095, VERDICT_UP, REASON_ok),
		adopted("nuneaton", 13, 2, VERDICT_UP, REASON_ok),
	};
	struct config *c = oxford();
	struct model *m;
	struct server *b;

	(void)state;
	rows[2].admin = ADMIN_DRAIN;
	assert_int_equal(model_create(c, rows, 3, at(1000), &m), 0);
	assert_int_equal(m->services[0].id, 9);
	assert_string_equal(ring(m), "oxford-b");
	b = m->services[0].servers;
	assert_int_equal(b[0].id, 700);
	assert_int_equal(b[0].health.reason, REASON_refused);
	assert_int_equal(b[1].id, 4095);
	assert_int_equal(b[1].nexthop.mac.b[5], 12);
	assert_int_equal(b[2].admin, ADMIN_DRAIN);
	assert_false(result(m, 700, REASON_ok, 1100)); /* rise applies */
	assert_true(result(m, 700, REASON_ok, 1200));
	model_free(m);
	free_config(c);
}

static void whoever_was_served_by_an_earlier_mxlbd_sees_no_cold_start(void **state)
{
	struct model_adopted row = adopted("nuneaton", 13, 1, VERDICT_UP, REASON_ok);
	struct config *c = oxford();
	struct model *m;

	(void)state;
	assert_int_equal(model_create(c, &row, 1, at(1000), &m), 0);
	assert_string_equal(ring(m), "nuneaton");
	model_free(m);
	free_config(c);
}

/* Of two different records the one with the later order counts, in any sequence. */
static void assert_forced_in_either_order(const struct config *c, struct model_adopted rows[3],
					  struct now now)
{
	struct model *m;

	for (unsigned turn = 0; turn < 2; turn++) {
		struct model_adopted row = rows[1];

		assert_int_equal(model_create(c, rows, 3, now, &m), 0);
		assert_int_equal(m->services[0].forced, 20);
		model_free(m);
		rows[1] = rows[2];
		rows[2] = row;
	}
}

static void operators_settings_and_the_active_tier_outlive_a_restart_and_a_reload(void **state)
{
	struct model_adopted rows[] = {
		adopted("oxford-a", 11, 1, VERDICT_UP, REASON_ok),
		adopted("oxford-b", 12, 2, VERDICT_UP, REASON_ok),
		adopted("nuneaton", 13, 3, VERDICT_UP, REASON_ok),
	};
	struct config *c = oxford(), *same = oxford();
	struct now now = at(5000);
	struct model *m;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		rows[i].mac.b[0] = 2;
		rows[i].has_active = true;
		rows[i].active = 20;
	}
	c->services[0].failback = same->services[0].failback = FAILBACK_MANUAL;
	rows[0].admin = ADMIN_DRAIN;
	rows[0].admin_after = ADMIN_READY;
	rows[0].order = (struct order){.who = "alice",
				       .since_wall_ms = now.wall_ms - 1000,
				       .until_wall_ms = now.wall_ms + 60000};
	assert_int_equal(model_create(c, rows, 3, now, &m), 0);
	assert_string_equal(ring(m),
			    "nuneaton"); /* failback is manual, and no operator has asked */
	assert_string_equal(m->services[0].servers[0].order.who, "alice");
	assert_int_equal(model_next_tick(m), 65000);
	assert_true(model_tick(m, at(65000)));
	assert_int_equal(m->services[0].servers[0].admin, ADMIN_READY);
	model_free(m);

	/* A forced tier, an expired order of alice, and the record of a server that was absent and has an older order. */
	rows[0].order.until_wall_ms = now.wall_ms - 1;
	for (unsigned i = 1; i < 3; i++) {
		rows[i].has_forced = true;
		rows[i].forced = 20;
		rows[i].active = 20;
		rows[i].forced_order =
			(struct order){.who = "root", .since_wall_ms = now.wall_ms - 5000};
	}
	c->services[0].failback = same->services[0].failback = FAILBACK_AUTO;
	assert_int_equal(model_create(c, rows, 3, now, &m), 0);
	assert_string_equal(ring(m), "nuneaton");
	assert_int_equal(model_next_tick(m), 5000);
	assert_true(model_tick(m, at(5000)));
	assert_int_equal(m->services[0].servers[0].admin, ADMIN_READY);
	rows[1].forced = 10;
	rows[1].forced_order.since_wall_ms -= 9000;
	assert_int_equal(fixture_reload(m, same, at(6000)), 0);
	assert_string_equal(ring(m), "nuneaton");
	assert_string_equal(m->services[0].order.who, "root");
	model_free(m);
	assert_forced_in_either_order(c, rows, now);
	free_config(c);
	free_config(same);
}

static void with_ids_alone_adopted_it_is_a_cold_start(void **state)
{
	struct model_adopted row = adopted("oxford-b", 12, 77, VERDICT_UNKNOWN, REASON_not_probed);
	struct config *c = oxford();
	struct model *m;

	(void)state;
	assert_int_equal(model_create(c, &row, 1, at(1000), &m), 0);
	assert_string_equal(ring(m), "not-ready");
	assert_int_equal(m->services[0].servers[0].id, 1);
	assert_int_equal(m->services[0].servers[1].id, 77);
	assert_int_equal(m->services[0].servers[2].id, 2);
	model_free(m);
	free_config(c);
}

static void rows_that_make_no_sense_are_passed_over(void **state)
{
	struct model_adopted rows[] = {
		adopted("oxford-a", 99, 5, VERDICT_UP, REASON_ok), /* another address */
		adopted("oxford-a", 11, 0, VERDICT_UP, REASON_ok), /* no id */
		adopted("oxford-a", 11, MXLB_MAX_SERVERS, VERDICT_UP, REASON_ok),
		adopted("oxford-a", 11, 6, (enum verdict)77, REASON_ok),
		adopted("oxford-a", 11, 6, (enum verdict) - 1, REASON_ok),
		adopted("oxford-a", 11, 6, VERDICT_UP, (enum reason)999),
		adopted("oxford-b", 12, 8, VERDICT_UP, REASON_ok),
		adopted("nuneaton", 13, 8, VERDICT_UP, REASON_ok), /* an id taken already */
		adopted("oxford-b", 12, 10, VERDICT_DOWN,
			REASON_refused), /* a server adopted already */
		adopted("oxford-a", 11, 6, VERDICT_UP, REASON_ok),
	};
	struct config *c = oxford();
	struct model *m;

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		rows[i].service_id = MXLB_MAX_SERVICES;
	rows[9].admin = (enum admin_state)3;
	assert_int_equal(model_create(c, rows, sizeof(rows) / sizeof(*rows), at(1000), &m), 0);
	assert_int_equal(m->services[0].id, 0);
	assert_int_equal(m->services[0].servers[0].id, 1);
	assert_int_equal(m->services[0].servers[0].health.verdict, VERDICT_UNKNOWN);
	assert_int_equal(m->services[0].servers[1].id, 8);
	assert_int_equal(m->services[0].servers[1].health.verdict, VERDICT_UP);
	assert_int_equal(m->services[0].servers[2].id, 2);
	model_free(m);
	free_config(c);
}

/* ---- reload ---- */

static void a_reload_keeps_what_stays_and_applies_what_changed(void **state)
{
	const struct server_conf next[] = {server("nuneaton", 13, 10), server("oxford-c", 14, 10),
					   server("oxford-a", 11, 20)};
	struct config *c = oxford(), *d = make_config(next, 3);
	struct model *m = running(c);
	struct server *b;
	uint64_t seq;

	(void)state;
	result(m, 1, REASON_refused, 2000);
	m->services[0].servers[2].traffic.flows = 42;
	model_admin(m, 3, ADMIN_DRAIN, "uid=0", at(2100));
	d->services[0].servers[0].weight = 7;
	d->probes[0].fall = 1;
	strcpy(d->interfaces[0].name, "eth9"); /* eth0 is now the second */
	strcpy(d->interfaces[1].name, "eth0");
	d->n_interfaces = 2;
	d->services[0].interface = 1;
	seq = m->events.next_seq;
	assert_int_equal(fixture_reload(m, d, at(3000)), 0);
	free_config(c);

	b = m->services[0].servers;
	assert_int_equal(m->services[0].n_servers, 3);
	assert_string_equal(b[0].conf.name, "nuneaton");
	assert_int_equal(b[0].id, 3);
	assert_int_equal(b[0].conf.preference, 10);
	assert_int_equal(b[0].conf.weight, 7);
	assert_int_equal(b[0].health.verdict, VERDICT_UP);
	assert_int_equal(b[0].admin, ADMIN_DRAIN);
	assert_int_equal(b[0].traffic.flows, 42);
	assert_int_equal(b[0].nexthop.interface, 1);
	assert_true(b[0].nexthop.has_mac);
	assert_int_equal(b[1].id, 4);
	assert_int_equal(b[1].health.verdict, VERDICT_UNKNOWN);
	assert_int_equal(b[2].id, 1);
	assert_int_equal(b[2].health.verdict, VERDICT_DOWN);
	assert_null(model_server(m, 2, NULL));
	assert_ptr_equal(model_server(m, 3, NULL), &b[0]);
	assert_int_equal(m->services[0].probe.fall, 1);
	assert_string_equal(ring(m), "reset"); /* no second cold start */
	check_events(
		m, seq,
		"event=config cause=\"1 services, 3 servers in force: 1 servers added, 1 removed\"\n"
		"event=service_state service=hybrid-mail from=up to=down cause=\"reload\"\n"
		"event=service_tier service=hybrid-mail from=10 to=- cause=\"reload\"\n");
	model_free(m);
	free_config(d);
}

static void a_reload_of_the_same_file_changes_nothing_but_the_record(void **state)
{
	struct config *c = oxford(), *d = oxford();
	struct model *m = running(c);
	uint64_t seq = m->events.next_seq;

	(void)state;
	assert_int_equal(fixture_reload(m, d, at(3000)), 0);
	free_config(c);
	assert_string_equal(ring(m), "oxford-a oxford-b");
	check_events(
		m, seq,
		"event=config cause=\"1 services, 3 servers in force: 0 servers added, 0 removed\"\n");
	model_free(m);
	free_config(d);
}

static void a_change_of_the_zone_keeps_operators_weights_and_is_no_reload(void **state)
{
	const struct server_conf next[] = {server("oxford-a", 11, 20), server("oxford-b", 12, 10),
					   server("oxford-c", 14, 10)};
	struct config *c = oxford(), *d = make_config(next, 3), *e = make_config(next, 3);
	struct model *m = running(c);
	uint64_t seq;

	(void)state;
	assert_true(model_weight(m, 1, 3, "alice", at(2000)));
	seq = m->events.next_seq;
	d->from_zone = true;
	d->services[0].servers[1].weight = 5; /* nobody set another one */
	assert_int_equal(fixture_reload(m, d, at(3000)), 0);
	assert_int_equal(model_server(m, 1, NULL)->weight, 3);
	assert_int_equal(model_server(m, 1, NULL)->conf.preference, 20);
	assert_int_equal(model_server(m, 2, NULL)->weight, 5);
	check_events(m, seq, "");
	assert_int_equal(fixture_reload(m, e, at(4000)), 0); /* the file sets it again */
	assert_int_equal(model_server(m, 1, NULL)->weight, 1);
	model_free(m);
	free_config(c);
	free_config(d);
	free_config(e);
}

static void a_next_hop_through_an_interface_that_is_gone_is_forgotten(void **state)
{
	struct config *c = oxford(), *d = oxford();
	struct model *m = running(c);

	(void)state;
	strcpy(d->interfaces[0].name, "eth9");
	assert_int_equal(fixture_reload(m, d, at(3000)), 0);
	free_config(c);
	assert_false(m->services[0].servers[0].nexthop.has_mac);
	assert_string_equal(ring(m), "reset");
	model_free(m);
	free_config(d);
}

static void a_service_with_another_port_is_another_service(void **state)
{
	struct config *c = oxford(), *d = oxford();
	struct model *m = running(c);

	(void)state;
	d->services[0].port = 26;
	assert_int_equal(fixture_reload(m, d, at(3000)), 0);
	free_config(c);
	assert_string_equal(ring(m), "not-ready");
	model_free(m);
	free_config(d);
}

static void a_service_with_another_vip_is_another_service(void **state)
{
	struct config *c = oxford(), *d = oxford();
	struct model *m = running(c);

	(void)state;
	d->services[0].address = address(26);
	assert_int_equal(fixture_reload(m, d, at(3000)), 0);
	free_config(c);
	assert_string_equal(ring(m), "not-ready");
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(m->services[0].servers[i].id, 4 + i);
	assert_int_equal(model_next_tick(m), 11000);
	model_free(m);
	free_config(d);
}

/* Nobody has probed it since it was removed, or at this VIP. Its records are still there, as after any reload. */
static void a_server_that_is_new_to_a_service_is_probed_before_it_takes_mail(void **state)
{
	struct model_adopted records[] = {
		adopted("oxford-a", 11, 1, VERDICT_UP, REASON_ok),
		adopted("oxford-b", 12, 2, VERDICT_UP, REASON_ok),
		adopted("nuneaton", 13, 3, VERDICT_DOWN, REASON_refused),
	};
	struct config *c = oxford(), *without = oxford(), *again = oxford(), *moved = oxford();
	struct model *m = running(c);

	(void)state;
	without->services[0].servers[1] = without->services[0].servers[2];
	without->services[0].n_servers = 2;
	assert_int_equal(model_reload(m, without, records, 3, "", at(3000)), 0);
	assert_int_equal(model_reload(m, again, records, 3, "", at(4000)), 0);
	assert_int_equal(m->services[0].servers[1].id, 2);
	assert_string_equal(ring(m), "oxford-a");
	result(m, 2, REASON_ok, 4100);
	assert_string_equal(ring(m), "oxford-a oxford-b");

	moved->services[0].address = address(26);
	assert_int_equal(model_reload(m, moved, records, 3, "", at(5000)), 0);
	assert_string_equal(ring(m), "not-ready");
	result(m, 1, REASON_ok, 5100);
	result(m, 2, REASON_connect_timeout, 5200);
	assert_string_equal(ring(m), "oxford-a");
	model_free(m);
	free_config(c);
	free_config(without);
	free_config(again);
	free_config(moved);
}

static void a_reload_that_finds_no_memory_leaves_everything_as_it_was(void **state)
{
	struct config *c = oxford(), *d = oxford();
	struct model *m = running(c);

	(void)state;
	d->services[0].servers[1].address = address(77);
	for (fail_at = 1;; fail_at++) {
		struct snapshot *before = snapshot_take(m);
		int err;

		allocated = 0;
		err = fixture_reload(m, d, at(3000));
		if (!err) {
			free(before);
			break;
		}
		assert_int_equal(err, -ENOMEM);
		check_same(before, m);
	}
	assert_int_equal(fail_at, 7);
	fail_at = 0;
	model_free(m);
	free_config(c);
	free_config(d);
}

static void a_start_that_finds_no_memory_leaves_nothing_behind(void **state)
{
	struct config *c = oxford();
	struct model *m = NULL;

	(void)state;
	for (fail_at = 1;; fail_at++) {
		int err;

		allocated = 0;
		err = model_create(c, NULL, 0, at(1000), &m);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(m);
	}
	assert_int_equal(fail_at, 7);
	fail_at = 0;
	model_free(m);
	free_config(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_earlier_mxlbds_state_is_in_force_from_the_start),
		cmocka_unit_test(whoever_was_served_by_an_earlier_mxlbd_sees_no_cold_start),
		cmocka_unit_test(
			operators_settings_and_the_active_tier_outlive_a_restart_and_a_reload),
		cmocka_unit_test(with_ids_alone_adopted_it_is_a_cold_start),
		cmocka_unit_test(rows_that_make_no_sense_are_passed_over),
		cmocka_unit_test(a_reload_keeps_what_stays_and_applies_what_changed),
		cmocka_unit_test(a_reload_of_the_same_file_changes_nothing_but_the_record),
		cmocka_unit_test(a_change_of_the_zone_keeps_operators_weights_and_is_no_reload),
		cmocka_unit_test(a_next_hop_through_an_interface_that_is_gone_is_forgotten),
		cmocka_unit_test(a_service_with_another_port_is_another_service),
		cmocka_unit_test(a_service_with_another_vip_is_another_service),
		cmocka_unit_test(a_server_that_is_new_to_a_service_is_probed_before_it_takes_mail),
		cmocka_unit_test(a_reload_that_finds_no_memory_leaves_everything_as_it_was),
		cmocka_unit_test(a_start_that_finds_no_memory_leaves_nothing_behind),
	};

	return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
