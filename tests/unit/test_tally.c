/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core/tally.c: each result and each change counts once, downtimes, and the histograms' edges; and in a model: as many
 * changes as events, over a reload, and none for what an earlier mxlbd left.
 */
#include "model_fixture.h"

static void end_probe(struct server_tally *t, enum reason reason, enum verdict before)
{
	struct probe_result r = {.reason = reason};

	tally_result(t, &r, before);
}

static uint64_t all_results(const struct server_tally *t)
{
	uint64_t n = 0;

	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		n += t->results[v];
	return n;
}

static void each_result_is_counted_once_by_its_verdict(void **state)
{
	struct server_tally t;

	(void)state;
	tally_begin(&t, VERDICT_UNKNOWN, ADMIN_READY, 1000);
	assert_int_equal(all_results(&t), 0);
	for (int reason = 0; reason < REASON_COUNT; reason++)
		end_probe(&t, reason, VERDICT_DOWN);
	assert_int_equal(all_results(&t), REASON_COUNT);
	assert_int_equal(t.results[VERDICT_UP], 1);
	assert_int_equal(t.results[VERDICT_DRAINING], 6);
	assert_int_equal(t.results[VERDICT_UNKNOWN], 12);
	assert_int_equal(tally_failed(&t), REASON_COUNT - 13);
	assert_int_equal(t.failed_up, 0);
}

static void failures_while_the_server_is_up_are_counted_separately(void **state)
{
	struct server_tally t;

	(void)state;
	tally_begin(&t, VERDICT_UP, ADMIN_READY, 1000);
	end_probe(&t, REASON_ok, VERDICT_UP);
	end_probe(&t, REASON_local_error, VERDICT_UP);
	end_probe(&t, REASON_per_source_limit, VERDICT_UP);
	assert_int_equal(t.failed_up, 0);
	end_probe(&t, REASON_greeting_421, VERDICT_UP);
	end_probe(&t, REASON_refused, VERDICT_UP);
	end_probe(&t, REASON_refused, VERDICT_DOWN);
	end_probe(&t, REASON_refused, VERDICT_UNKNOWN);
	assert_int_equal(t.failed_up, 2);
	assert_int_equal(tally_failed(&t), 4);
}

static void a_server_is_down_by_its_verdict_or_in_maint_and_for_how_long(void **state)
{
	struct server_tally t;

	(void)state;
	tally_begin(&t, VERDICT_UNKNOWN, ADMIN_READY, 1000);
	tally_state(&t, VERDICT_UP, ADMIN_READY, 2000);
	tally_state(&t, VERDICT_UP, ADMIN_READY, 3000); /* no change */
	assert_int_equal(t.changed_ms, 2000);
	assert_int_equal(downtime_ms(&t.down, 5000), 0);
	tally_state(&t, VERDICT_DOWN, ADMIN_READY, 6000);
	assert_int_equal(downtime_ms(&t.down, 6500), 500);
	tally_state(&t, VERDICT_DOWN, ADMIN_MAINT, 7000); /* down still */
	tally_state(&t, VERDICT_UNKNOWN, ADMIN_MAINT, 8000);
	assert_int_equal(t.changed_ms, 8000);
	assert_int_equal(downtime_ms(&t.down, 9000), 3000);
	tally_state(&t, VERDICT_UNKNOWN, ADMIN_READY, 10000);
	tally_state(&t, VERDICT_DRAINING, ADMIN_READY, 11000);
	tally_state(&t, VERDICT_UP, ADMIN_DRAIN, 12000);
	assert_int_equal(downtime_ms(&t.down, 99000), 4000);
	assert_int_equal(t.rises, 2);
	assert_int_equal(t.falls, 1);
	assert_int_equal(downtime_ms(&t.down, 0),
			 4000); /* a clock does not go back, but an answer's time may */
}

static void a_server_that_is_down_already_falls_no_more_but_its_time_runs(void **state)
{
	struct server_tally t;

	(void)state;
	tally_begin(&t, VERDICT_DOWN, ADMIN_READY, 1000);
	tally_state(&t, VERDICT_DOWN, ADMIN_READY, 1000);
	assert_int_equal(t.falls, 0);
	assert_int_equal(downtime_ms(&t.down, 4000), 3000);
	tally_state(&t, VERDICT_UP, ADMIN_READY, 5000);
	assert_int_equal(t.rises, 1);
	assert_int_equal(downtime_ms(&t.down, 9000), 4000);
}

static void a_time_falls_into_the_bucket_whose_bound_it_does_not_pass(void **state)
{
	struct probe_result r = {.reason = REASON_timeout};
	struct server_tally t;
	const struct histogram *h = &t.stage[TALLY_CONNECT];
	uint64_t n = 0, sum = 0;

	(void)state;
	tally_begin(&t, VERDICT_UNKNOWN, ADMIN_READY, 1000);
	for (unsigned i = 0; i < TALLY_BOUNDS; i++) {
		assert_true(!i || tally_bounds_ms[i] > tally_bounds_ms[i - 1]);
		r.connect_ms = tally_bounds_ms[i];
		tally_result(&t, &r, VERDICT_UP);
		assert_int_equal(h->bucket[i], i ? 2 : 1);
		r.connect_ms++;
		tally_result(&t, &r, VERDICT_UP);
		assert_int_equal(h->bucket[i + 1], 1);
		n += 2;
		sum += 2 * tally_bounds_ms[i] + 1;
	}
	assert_int_equal(h->n, n);
	assert_int_equal(h->sum_ms, sum);
	assert_int_equal(t.stage[TALLY_TLS].n, 0); /* never reached */
}

static void each_stage_has_its_own_times(void **state)
{
	struct probe_result r = {.connect_ms = 1, .greeting_ms = 20, .tls_ms = 7, .total_ms = 31};
	struct server_tally t;

	(void)state;
	tally_begin(&t, VERDICT_UNKNOWN, ADMIN_READY, 1000);
	tally_result(&t, &r, VERDICT_UP);
	assert_int_equal(t.stage[TALLY_CONNECT].sum_ms, 1);
	assert_int_equal(t.stage[TALLY_GREETING].sum_ms, 20);
	assert_int_equal(t.stage[TALLY_TLS].sum_ms, 7);
	assert_int_equal(t.stage[TALLY_TOTAL].sum_ms, 31);
	for (int s = 0; s < TALLY_STAGES; s++)
		assert_int_equal(t.stage[s].n, 1);
	assert_string_equal(tally_stage_name(TALLY_TOTAL), "total");
	assert_string_equal(tally_stage_name(TALLY_STAGES), "?");
}

static void a_service_switches_when_another_tier_is_active_and_not_when_none_is(void **state)
{
	static const struct tier_state none = {.state = SERVICE_DOWN},
				       ten = {.state = SERVICE_UP,
					      .has_active = true,
					      .active = 10},
				       twenty = {.state = SERVICE_UP,
						 .has_active = true,
						 .active = 20};
	struct service_tally t;

	(void)state;
	tally_service_begin(&t, 1000);
	tally_service(&t, &none, &ten, 2000);
	tally_service(&t, &ten, &ten, 3000);
	tally_service(&t, &ten, &twenty, 4000);
	assert_int_equal(t.tier_switches, 2);
	assert_int_equal(t.changed_ms, 2000); /* of the state */
	tally_service(&t, &twenty, &none, 5000);
	assert_int_equal(t.tier_switches, 2);
	assert_int_equal(t.became[SERVICE_DOWN], 1);
	assert_int_equal(downtime_ms(&t.down, 7000), 2000);
	tally_service(&t, &none, &twenty, 8000);
	assert_int_equal(t.tier_switches, 3);
	assert_int_equal(t.became[SERVICE_UP], 2);
	assert_int_equal(downtime_ms(&t.down, 9000), 3000);
}

/* For the events from `seq` on. */
static unsigned events_to(const struct model *m, uint64_t seq, enum event_kind kind,
			  const char *server, const char *to)
{
	const struct event *e;
	unsigned n = 0;

	for (; (e = event_get(&m->events, seq)); seq++)
		n += e->kind == kind && !strcmp(e->server, server) && strcmp(e->from, e->to) &&
		     (!to || !strcmp(e->to, to));
	return n;
}

static void as_many_changes_are_counted_as_there_are_events(void **state)
{
	static const enum reason story[] = {
		REASON_ok,	     REASON_refused,  REASON_local_error,
		REASON_unreachable,  REASON_ok,	      REASON_ok,
		REASON_mail_4xx,     REASON_mail_4xx, REASON_mail_4xx,
		REASON_greeting_421, REASON_ok,	      REASON_ok,
		REASON_local_stall,  REASON_ok};
	struct config *c = oxford();
	struct model *m = running(c);
	const struct server_tally *t = &model_server(m, 1, NULL)->tally;
	uint64_t ms = 2000;

	(void)state;
	c->services[0].failback_hold_ms = 0;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < sizeof(story) / sizeof(*story); i++) {
			result(m, 1, story[i], ms += 100);
			result(m, 2, story[i], ms);
		}
		model_tick(m, at(ms += 60000));
	}
	assert_int_equal(all_results(t), 1 + 3 * sizeof(story) / sizeof(*story));
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		assert_int_equal(t->became[v], events_to(m, 1, EVENT_BACKEND_VERDICT, "oxford-a",
							 verdict_name(v)));
	assert_int_equal(t->falls, 3);
	assert_true(m->services[0].tally.tier_switches > 3);
	assert_int_equal(m->services[0].tally.tier_switches,
			 events_to(m, 1, EVENT_SERVICE_TIER, "", NULL));
	for (unsigned s = 0; s < SERVICE_STATE_COUNT; s++)
		assert_int_equal(m->services[0].tally.became[s],
				 events_to(m, 1, EVENT_SERVICE_STATE, "", service_state_name(s)));
	model_free(m);
	free_config(c);
}

static void counts_go_on_over_a_reload_and_a_new_server_begins_with_none(void **state)
{
	const struct server_conf other[] = {server("oxford-a", 11, 10), server("oxford-c", 19, 10)};
	struct config *c = oxford(), *d = make_config(other, 2);
	struct model *m = running(c);
	struct service_tally was;
	struct server *b;

	(void)state;
	result(m, 1, REASON_refused, 5000);
	was = m->services[0].tally;
	assert_int_equal(fixture_reload(m, d, at(6000)), 0);
	b = model_find(m, "hybrid-mail", "oxford-a");
	assert_int_equal(all_results(&b->tally), 2);
	assert_int_equal(downtime_ms(&b->tally.down, 7000), 2000);
	assert_int_equal(m->services[0].tally.became[SERVICE_UP], was.became[SERVICE_UP]);
	b = model_find(m, "hybrid-mail", "oxford-c");
	assert_int_equal(all_results(&b->tally), 0);
	assert_int_equal(b->tally.changed_ms, 6000);
	model_free(m);
	free_config(c);
	free_config(d);
}

static void an_earlier_mxlbds_state_is_no_change(void **state)
{
	struct model_adopted left[] = {
		{.server = "oxford-a", .server_id = 1, .verdict = VERDICT_UP},
		{.server = "oxford-b", .server_id = 2, .verdict = VERDICT_DOWN},
		{.server = "nuneaton", .server_id = 3, .admin = ADMIN_MAINT},
	};
	struct config *c = oxford();
	struct model *m;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		strcpy(left[i].service, "hybrid-mail");
		left[i].address = c->services[0].servers[i].address;
		left[i].reason = REASON_ok;
	}
	assert_int_equal(model_create(c, left, 3, at(1000), &m), 0);
	for (unsigned i = 0; i < 3; i++) {
		const struct server_tally *t = &m->services[0].servers[i].tally;

		assert_int_equal(t->rises + t->falls, 0);
		assert_int_equal(t->changed_ms, 1000);
		assert_int_equal(downtime_ms(&t->down, 3000), i ? 2000 : 0);
	}
	model_free(m);
	free_config(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_result_is_counted_once_by_its_verdict),
		cmocka_unit_test(failures_while_the_server_is_up_are_counted_separately),
		cmocka_unit_test(a_server_is_down_by_its_verdict_or_in_maint_and_for_how_long),
		cmocka_unit_test(a_server_that_is_down_already_falls_no_more_but_its_time_runs),
		cmocka_unit_test(a_time_falls_into_the_bucket_whose_bound_it_does_not_pass),
		cmocka_unit_test(each_stage_has_its_own_times),
		cmocka_unit_test(
			a_service_switches_when_another_tier_is_active_and_not_when_none_is),
		cmocka_unit_test(as_many_changes_are_counted_as_there_are_events),
		cmocka_unit_test(counts_go_on_over_a_reload_and_a_new_server_begins_with_none),
		cmocka_unit_test(an_earlier_mxlbds_state_is_no_change),
	};

	return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
