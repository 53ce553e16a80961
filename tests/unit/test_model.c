/* SPDX-License-Identifier: BSD-2-Clause */
/* core/change.c and decide.c: the consequences of events, and what is recorded. */
#include "model_fixture.h"

/* ---- certificates ---- */

#define T0_S  1700000000 /* at(0) */
#define DAY_S 86400

static bool shows(struct model *m, uint32_t id, const char *subject, int64_t not_after_s,
		  int64_t now_s)
{
	struct probe_result p = {
		.reason = REASON_ok,
		.tls = {.version = "TLSv1.3", .issuer = "CN=ca", .not_after = not_after_s}};

	snprintf(p.tls.subject, sizeof(p.tls.subject), "CN=%s", subject);
	return model_probe_result(m, id, &p, at((uint64_t)(now_s - T0_S) * 1000));
}

static void a_certificate_about_to_expire_is_reported_once_a_day_and_once_a_change(void **state)
{
	struct config *c = oxford();
	const int64_t end = T0_S + 30 * DAY_S;
	struct model *m;
	uint64_t seq;

	(void)state;
	c->probes[0].expiry_warn_ms = 21ull * DAY_S * 1000;
	m = running(c);
	seq = m->events.next_seq;
	shows(m, 1, "mail", end, end - 21 * DAY_S);
	assert_int_equal(m->events.next_seq, seq);
	shows(m, 1, "mail", end, end - 21 * DAY_S + 1);
	shows(m, 1, "mail", end, end - 20 * DAY_S);
	check_events(
		m, seq,
		"event=certificate_expires service=hybrid-mail backend=oxford-a to=20d cause=\"CN=mail expires\"\n");
	seq = m->events.next_seq;
	shows(m, 1, "mail", end, end - 20 * DAY_S + 1);
	shows(m, 1, "mail", end + 60, end - 20 * DAY_S + 1);
	shows(m, 1, "mail", end, end + 1);
	shows(m, 1, "mail", end + 365 * DAY_S, end + 1);
	result(m, 1, REASON_ok, 1u << 30); /* no TLS was seen */
	check_events(
		m, seq,
		"event=certificate_expires service=hybrid-mail backend=oxford-a to=19d cause=\"CN=mail expires\"\n"
		"event=certificate_expires service=hybrid-mail backend=oxford-a to=20d cause=\"CN=mail expires\"\n"
		"event=certificate_expires service=hybrid-mail backend=oxford-a to=-1d cause=\"CN=mail has expired\"\n");
	assert_int_equal(event_level(event_get(&m->events, seq)), LOG_LEVEL_WARN);
	model_free(m);
	free_config(c);
}

static void no_expiry_is_reported_with_expiry_warn_0(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq = m->events.next_seq;

	(void)state;
	shows(m, 1, "mail", T0_S - 1, T0_S + 10);
	assert_int_equal(m->events.next_seq, seq);
	model_free(m);
	free_config(c);
}

static void servers_with_different_identities_are_reported_once_a_change(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq = m->events.next_seq;

	(void)state;
	shows(m, 1, "mail", T0_S * 2LL, T0_S + 10);
	shows(m, 2, "mail", T0_S * 2LL, T0_S + 10);
	assert_int_equal(m->events.next_seq, seq);
	shows(m, 2, "other", T0_S * 2LL, T0_S + 11);
	shows(m, 2, "other", T0_S * 2LL, T0_S + 12);
	result(m, 2, REASON_ok, 13000);
	shows(m, 2, "other", T0_S * 2LL, T0_S + 14);
	check_events(
		m, seq,
		"event=certificate_differs service=hybrid-mail backend=oxford-b cause=\"differs from oxford-a's: CN=other, issued by CN=ca\"\n");
	assert_int_equal(event_level(event_get(&m->events, seq)), LOG_LEVEL_WARN);
	seq = m->events.next_seq;
	shows(m, 2, "mail", T0_S * 2LL, T0_S + 15);
	assert_int_equal(m->events.next_seq, seq);
	model_free(m);
	free_config(c);
}

static void bad_certificates_everywhere_fail_open_loudly_and_stay_so_through_trouble_of_our_own(
	void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq;

	(void)state;
	for (uint32_t id = 1; id <= 3; id++)
		for (int i = 0; i < 3; i++) {
			seq = m->events.next_seq;
			result(m, id, REASON_certificate_expired, 2000 + (uint64_t)i);
		}
	assert_string_equal(ring(m), "oxford-a oxford-b");
	assert_int_equal(m->services[0].tier.state, SERVICE_FAIL_OPEN);
	assert_int_equal(event_get(&m->events, seq + 1)->kind, EVENT_SERVICE_STATE);
	assert_int_equal(event_level(event_get(&m->events, seq + 1)), LOG_LEVEL_ERROR);
	result(m, 1, REASON_local_error, 3000);
	assert_string_equal(ring(m), "oxford-a oxford-b");
	result(m, 1, REASON_refused, 4000);
	assert_string_equal(ring(m), "oxford-b");
	model_free(m);
	free_config(c);
}

/* ---- a day at Oxford ---- */

static void a_new_model_is_not_ready_and_reports_the_configuration(void **state)
{
	struct config *c = oxford();
	struct model *m = create(c, 1000);
	struct service *s;

	(void)state;
	assert_string_equal(ring(m), "not-ready");
	assert_int_equal(m->services[0].id, 0);
	for (uint32_t id = 1; id <= 3; id++) {
		assert_ptr_equal(model_server(m, id, &s), &m->services[0].servers[id - 1]);
		assert_ptr_equal(s, &m->services[0]);
	}
	assert_null(model_server(m, 0, NULL));
	assert_null(model_server(m, 4, NULL));
	assert_null(model_server(m, MXLB_MAX_SERVERS, NULL));
	assert_null(model_server(m, UINT32_MAX, NULL));
	assert_int_equal(model_find(m, "hybrid-mail", "nuneaton")->id, 3);
	assert_null(model_find(m, "hybrid-mail", "oxford-c"));
	assert_null(model_find(m, "other", "nuneaton"));
	assert_int_equal(model_next_tick(m), 9000);
	check_events(
		m, 1,
		"event=config cause=\"1 services, 3 servers in force: 3 servers added, 0 removed\"\n");
	model_free(m);
	free_config(c);
}

static void mail_follows_the_verdicts_and_each_transition_is_recorded_once(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq = m->events.next_seq;

	(void)state;
	assert_string_equal(ring(m), "oxford-a oxford-b");
	assert_false(result(m, 1, REASON_ok, 2000));
	assert_false(result(m, 1, REASON_timeout, 2100));
	check_events(m, seq, "");

	assert_true(result(m, 1, REASON_refused, 2200));
	assert_false(result(m, 1, REASON_refused, 2300));
	assert_string_equal(ring(m), "oxford-b");
	assert_int_equal(m->services[0].servers[0].since_wall_ms, at(2200).wall_ms);
	assert_int_equal(m->services[0].servers[0].last_wall_ms, at(2300).wall_ms);
	check_events(m, seq,
		     "event=backend_verdict service=hybrid-mail backend=oxford-a from=up to=down "
		     "cause=\"refused: words\"\n");

	seq = m->events.next_seq;
	assert_true(result(m, 2, REASON_mail_421, 3000));
	assert_string_equal(ring(m), "nuneaton");
	check_events(
		m, seq,
		"event=backend_verdict service=hybrid-mail backend=oxford-b from=up to=draining "
		"cause=\"mail_421: words\"\n"
		"event=service_tier service=hybrid-mail from=10 to=20 "
		"cause=\"oxford-b draining: mail_421: words\"\n");

	seq = m->events.next_seq;
	assert_true(result(m, 3, REASON_greeting_5xx, 4000));
	assert_string_equal(ring(m), "oxford-b");
	assert_true(result(m, 2, REASON_unreachable, 5000));
	assert_string_equal(ring(m), "reset");
	check_events(
		m, seq,
		"event=backend_verdict service=hybrid-mail backend=nuneaton from=up to=down "
		"cause=\"greeting_5xx: words\"\n"
		"event=service_state service=hybrid-mail from=up to=draining-only "
		"cause=\"nuneaton down: greeting_5xx: words\"\n"
		"event=service_tier service=hybrid-mail from=20 to=10 "
		"cause=\"nuneaton down: greeting_5xx: words\"\n"
		"event=backend_verdict service=hybrid-mail backend=oxford-b from=draining to=down "
		"cause=\"unreachable: words\"\n"
		"event=service_state service=hybrid-mail from=draining-only to=down "
		"cause=\"oxford-b down: unreachable: words\"\n"
		"event=service_tier service=hybrid-mail from=10 to=- "
		"cause=\"oxford-b down: unreachable: words\"\n");
	assert_int_equal(model_next_tick(m), 0);
	model_free(m);
	free_config(c);
}

static void a_better_tier_comes_back_when_its_hold_is_over(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq;

	(void)state;
	result(m, 1, REASON_refused, 2000);
	result(m, 2, REASON_refused, 2000);
	result(m, 1, REASON_ok, 3000);
	assert_true(result(m, 1, REASON_ok, 4000));
	assert_string_equal(ring(m), "nuneaton");
	assert_int_equal(model_next_tick(m), 34000);
	seq = m->events.next_seq;
	assert_false(model_tick(m, at(33999)));
	assert_true(model_tick(m, at(34000)));
	assert_false(model_tick(m, at(34001)));
	assert_string_equal(ring(m), "oxford-a");
	assert_int_equal(model_next_tick(m), 0);
	check_events(
		m, seq,
		"event=service_tier service=hybrid-mail from=20 to=10 cause=\"failback-hold is over\"\n");
	model_free(m);
	free_config(c);
}

static void a_takeover_restarts_the_hold(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	model_restart_holds(m, at(1500)); /* nothing is held */
	assert_string_equal(ring(m), "oxford-a oxford-b");
	result(m, 1, REASON_refused, 2000);
	result(m, 2, REASON_refused, 2000);
	result(m, 1, REASON_ok, 3000);
	assert_true(result(m, 1, REASON_ok, 4000));
	assert_int_equal(model_next_tick(m), 34000);
	model_restart_holds(m, at(33000));
	assert_int_equal(model_next_tick(m), 63000);
	model_tick(m, at(34000));
	assert_string_equal(ring(m), "nuneaton");
	assert_true(model_tick(m, at(63000)));
	assert_string_equal(ring(m), "oxford-a");
	model_free(m);
	free_config(c);
}

static void a_cold_start_ends_by_verdicts_or_by_the_probes_timeout(void **state)
{
	struct config *c = oxford();
	struct model *m = create(c, 1000);

	(void)state;
	resolve(m, 1, 1001);
	result(m, 1, REASON_ok, 1100);
	assert_string_equal(ring(m), "not-ready");
	assert_true(result(m, 2, REASON_refused, 1200));
	assert_string_equal(ring(m), "oxford-a");
	model_free(m);

	m = create(c, 1000);
	assert_false(model_tick(m, at(8999)));
	assert_true(model_tick(m, at(9000)));
	assert_string_equal(ring(m), "reset");
	model_free(m);
	free_config(c);
}

static void trouble_on_this_side_changes_nothing_for_mail(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	for (uint32_t id = 1; id <= 3; id++)
		assert_true(result(m, id, REASON_local_error, 2000));
	assert_string_equal(ring(m), "oxford-a oxford-b");
	assert_int_equal(m->services[0].servers[0].health.verdict, VERDICT_UNKNOWN);
	model_free(m);
	free_config(c);
}

static void the_next_tick_is_that_of_the_service_that_is_due_first(void **state)
{
	struct config *c = two_services();
	struct model *m;

	(void)state;
	c->probes[1] = c->probes[0];
	c->probes[1].timeout_ms = 500;
	c->services[1].probe = 1;
	m = create(c, 1000);
	assert_int_equal(model_next_tick(m), 1500);
	assert_true(model_tick(m, at(1500)));
	assert_int_equal(m->services[0].tier.state, SERVICE_NOT_READY);
	assert_int_equal(m->services[1].tier.state, SERVICE_DOWN);
	assert_int_equal(model_next_tick(m), 9000);
	model_free(m);
	free_config(c);
}

static void a_blind_interface_makes_its_services_blind_and_moves_no_mail(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t from = m->events.next_seq;
	char before[256];

	(void)state;
	snprintf(before, sizeof(before), "%s", ring(m));
	assert_false(model_blind(m, 0, false, "eth0", at(2000)));
	assert_true(model_blind(m, 0, true, "eth0", at(2000)));
	assert_false(model_blind(m, 0, true, "eth0", at(2001)));
	assert_int_equal(m->services[0].tier.state, SERVICE_BLIND);
	assert_string_equal(ring(m), before);
	result(m, 1, REASON_ok, 3000); /* a verdict does not make it visible */
	assert_int_equal(m->services[0].tier.state, SERVICE_BLIND);
	assert_true(model_blind(m, 0, false, "eth0", at(4000)));
	assert_int_equal(m->services[0].tier.state, SERVICE_UP);
	check_events(
		m, from,
		"event=service_state service=hybrid-mail from=up to=blind cause=\"mxlb's program does not see the packets that arrive on eth0\"\n"
		"event=service_state service=hybrid-mail from=blind to=up cause=\"mxlb's program sees the packets that arrive on eth0\"\n");
	model_free(m);
	free_config(c);
}

static void a_cold_start_on_a_blind_interface_ends_blind(void **state)
{
	struct config *c = oxford();
	struct model *m = create(c, 1000);

	(void)state;
	assert_false(model_blind(m, 0, true, "eth0", at(1000)));
	assert_int_equal(m->services[0].tier.state, SERVICE_NOT_READY);
	for (uint32_t id = 1; id <= c->services[0].n_servers; id++) {
		resolve(m, id, 1001);
		result(m, id, REASON_ok, 1100);
	}
	assert_int_equal(m->services[0].tier.state, SERVICE_BLIND);
	model_free(m);
	free_config(c);
}

static void another_reason_for_being_down_is_an_event_of_its_own(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq;

	(void)state;
	result(m, 1, REASON_refused, 2000);
	seq = m->events.next_seq;
	assert_true(result(m, 1, REASON_unreachable, 3000));
	check_events(m, seq,
		     "event=backend_verdict service=hybrid-mail backend=oxford-a from=down to=down "
		     "cause=\"unreachable: words\"\n");
	assert_int_equal(m->services[0].servers[0].since_wall_ms, at(2000).wall_ms);
	model_free(m);
	free_config(c);
}

/* Of 400 changes in 100 s, three a minute are events, and the next one has the number of the others. */
static void a_reason_that_flaps_is_summarised(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq, now = 2000;

	(void)state;
	result(m, 1, REASON_refused, now);
	seq = m->events.next_seq;
	for (unsigned i = 1; i <= 400; i++, now += 250)
		assert_true(result(m, 1, i % 2 ? REASON_unreachable : REASON_refused, now));
	assert_int_equal(m->events.next_seq - seq, 6);
	assert_non_null(strstr(event_get(&m->events, seq + 3)->cause,
			       "; the reason changed 237 times before, which was not logged"));
	assert_null(strstr(event_get(&m->events, seq + 4)->cause, "not logged"));
	seq = m->events.next_seq;
	result(m, 1, REASON_ok, now);
	result(m, 1, REASON_ok, now + 250);
	assert_non_null(strstr(event_get(&m->events, seq)->cause, "the reason changed 157 times"));
	model_free(m);
	free_config(c);
}

static void a_result_for_an_unknown_server_changes_nothing(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq = m->events.next_seq;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		uint32_t id = (const uint32_t[]){0, 4, MXLB_MAX_SERVERS, UINT32_MAX}[i];

		assert_false(result(m, id, REASON_refused, 2000));
		assert_false(resolve(m, id, 2000));
		assert_false(model_admin(m, id, ADMIN_MAINT, "uid=0", at(2000)));
	}
	check_events(m, seq, "");
	model_free(m);
	free_config(c);
}

/* ---- the operator ---- */

static void drain_and_maint_take_nothing_new_and_ready_does(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq = m->events.next_seq;

	(void)state;
	assert_true(model_admin(m, 1, ADMIN_DRAIN, "uid=0", at(2000)));
	assert_false(model_admin(m, 1, ADMIN_DRAIN, "uid=0", at(2001)));
	assert_string_equal(ring(m), "oxford-b");
	assert_false(planned(m, 1).down);
	assert_true(model_admin(m, 2, ADMIN_MAINT, "uid=0", at(2002)));
	assert_string_equal(ring(m), "nuneaton");
	assert_true(planned(m, 2).down && !planned(m, 2).reset_flows);
	assert_true(model_admin(m, 3, ADMIN_DRAIN, "uid=0", at(2003)));
	assert_string_equal(ring(m), "reset");
	assert_true(model_admin(m, 1, ADMIN_READY, "uid=1000", at(2004)));
	assert_string_equal(ring(m), "oxford-a");
	check_events(
		m, seq,
		"event=backend_admin service=hybrid-mail backend=oxford-a from=ready to=drain user=uid=0\n"
		"event=backend_admin service=hybrid-mail backend=oxford-b from=ready to=maint user=uid=0\n"
		"event=service_tier service=hybrid-mail from=10 to=20 cause=\"oxford-b set to maint by uid=0\"\n"
		"event=backend_admin service=hybrid-mail backend=nuneaton from=ready to=drain user=uid=0\n"
		"event=service_state service=hybrid-mail from=up to=down cause=\"nuneaton set to drain by uid=0\"\n"
		"event=service_tier service=hybrid-mail from=20 to=- cause=\"nuneaton set to drain by uid=0\"\n"
		"event=backend_admin service=hybrid-mail backend=oxford-a from=drain to=ready user=uid=1000\n"
		"event=service_state service=hybrid-mail from=down to=up cause=\"oxford-a set to ready by uid=1000\"\n"
		"event=service_tier service=hybrid-mail from=- to=10 cause=\"oxford-a set to ready by uid=1000\"\n");
	model_free(m);
	free_config(c);
}

/* Advances the model to its next tick, which must be at that time. */
static void tick_at(struct model *m, uint64_t ms)
{
	assert_int_equal(model_next_tick(m), ms);
	model_tick(m, at(ms - 1));
	assert_int_equal(model_next_tick(m), ms);
	assert_true(model_tick(m, at(ms)));
}

static void a_temporary_order_reverts_to_the_last_permanent_one(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	struct server *b = &m->services[0].servers[0];
	uint64_t seq = m->events.next_seq;

	(void)state;
	assert_true(model_admin_for(m, 1, ADMIN_DRAIN, "alice", 60000, at(2000)));
	assert_string_equal(b->order.who, "alice");
	assert_int_equal(b->order.until_wall_ms - b->order.since_wall_ms, 60000);
	assert_true(model_admin_for(m, 1, ADMIN_MAINT, "bob", 10000, at(3000)));
	tick_at(m, 13000);
	assert_int_equal(b->admin, ADMIN_READY); /* not drain, which was not permanent */
	assert_int_equal(model_next_tick(m), 0);
	model_admin(m, 1, ADMIN_DRAIN, "alice", at(20000));
	assert_true(model_admin_for(m, 1, ADMIN_READY, "bob", 1000, at(21000)));
	tick_at(m, 22000);
	assert_int_equal(b->admin, ADMIN_DRAIN);
	assert_true(model_admin_for(m, 1, ADMIN_DRAIN, "bob", 1000, at(30000)));
	assert_true(model_admin(m, 1, ADMIN_DRAIN, "bob", at(30500))); /* for good after all */
	assert_int_equal(model_next_tick(m), 0);
	check_events(
		m, seq,
		"event=backend_admin service=hybrid-mail backend=oxford-a from=ready to=drain user=alice cause=\"for 60 s\"\n"
		"event=backend_admin service=hybrid-mail backend=oxford-a from=drain to=maint user=bob cause=\"for 10 s\"\n"
		"event=backend_admin service=hybrid-mail backend=oxford-a from=maint to=ready user=bob cause=\"expired\"\n"
		"event=backend_admin service=hybrid-mail backend=oxford-a from=ready to=drain user=alice\n"
		"event=backend_admin service=hybrid-mail backend=oxford-a from=drain to=ready user=bob cause=\"for 1 s\"\n"
		"event=backend_admin service=hybrid-mail backend=oxford-a from=ready to=drain user=bob cause=\"expired\"\n"
		"event=backend_admin service=hybrid-mail backend=oxford-a from=drain to=drain user=bob cause=\"for 1 s\"\n"
		"event=backend_admin service=hybrid-mail backend=oxford-a from=drain to=drain user=bob\n");
	model_free(m);
	free_config(c);
}

static void a_forced_tier_falls_back_as_usual_and_reports_it(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	uint64_t seq = m->events.next_seq;

	(void)state;
	assert_false(model_force(m, 0, 30, "root", 0, at(2000))); /* no such tier */
	assert_false(model_force(m, 7, 20, "root", 0, at(2000))); /* no such service */
	assert_true(model_force(m, 0, 20, "root", 0, at(2000)));
	assert_string_equal(ring(m), "nuneaton");
	result(m, 3, REASON_refused, 2100);
	assert_string_equal(ring(m), "oxford-a oxford-b");
	result(m, 3, REASON_ok, 2200);
	result(m, 3, REASON_ok, 2300);
	assert_string_equal(ring(m), "nuneaton");
	assert_true(model_auto(m, 0, "root", at(3000)));
	assert_string_equal(ring(m), "oxford-a oxford-b"); /* no hold */
	model_force(m, 0, 20, "root", 900000, at(4000));
	tick_at(m, 904000);
	assert_string_equal(ring(m), "oxford-a oxford-b");
	check_events(
		m, seq,
		"event=service_forced service=hybrid-mail from=auto to=20 user=root\n"
		"event=service_tier service=hybrid-mail from=10 to=20 cause=\"tier set to 20 by root\"\n"
		"event=backend_verdict service=hybrid-mail backend=nuneaton from=up to=down cause=\"refused: words\"\n"
		"event=service_tier service=hybrid-mail from=20 to=10 cause=\"nuneaton down: refused: words; tier 20, forced by root, has no server up\"\n"
		"event=backend_verdict service=hybrid-mail backend=nuneaton from=down to=up cause=\"ok: words\"\n"
		"event=service_tier service=hybrid-mail from=10 to=20 cause=\"nuneaton up: ok: words\"\n"
		"event=service_forced service=hybrid-mail from=20 to=auto user=root\n"
		"event=service_tier service=hybrid-mail from=20 to=10 cause=\"tier set to auto by root\"\n"
		"event=service_forced service=hybrid-mail from=auto to=20 user=root cause=\"for 900 s\"\n"
		"event=service_tier service=hybrid-mail from=10 to=20 cause=\"tier set to 20 by root\"\n"
		"event=service_forced service=hybrid-mail from=20 to=auto user=root cause=\"expired\"\n"
		"event=service_tier service=hybrid-mail from=20 to=10 cause=\"tier set to auto by root, whose setting expired\"\n");
	model_free(m);
	free_config(c);
}

static void after_maint_only_a_new_probe_counts(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	model_admin(m, 1, ADMIN_MAINT, "uid=0", at(2000));
	model_admin(m, 1, ADMIN_READY, "uid=0", at(9000));
	assert_int_equal(m->services[0].servers[0].health.verdict, VERDICT_UNKNOWN);
	assert_string_equal(ring(m), "oxford-b");
	assert_true(result(m, 1, REASON_ok, 9100));
	assert_string_equal(ring(m), "oxford-a oxford-b");
	model_free(m);
	free_config(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_certificate_about_to_expire_is_reported_once_a_day_and_once_a_change),
		cmocka_unit_test(no_expiry_is_reported_with_expiry_warn_0),
		cmocka_unit_test(servers_with_different_identities_are_reported_once_a_change),
		cmocka_unit_test(
			bad_certificates_everywhere_fail_open_loudly_and_stay_so_through_trouble_of_our_own),
		cmocka_unit_test(a_new_model_is_not_ready_and_reports_the_configuration),
		cmocka_unit_test(mail_follows_the_verdicts_and_each_transition_is_recorded_once),
		cmocka_unit_test(a_better_tier_comes_back_when_its_hold_is_over),
		cmocka_unit_test(a_takeover_restarts_the_hold),
		cmocka_unit_test(a_cold_start_ends_by_verdicts_or_by_the_probes_timeout),
		cmocka_unit_test(trouble_on_this_side_changes_nothing_for_mail),
		cmocka_unit_test(the_next_tick_is_that_of_the_service_that_is_due_first),
		cmocka_unit_test(another_reason_for_being_down_is_an_event_of_its_own),
		cmocka_unit_test(a_reason_that_flaps_is_summarised),
		cmocka_unit_test(a_result_for_an_unknown_server_changes_nothing),
		cmocka_unit_test(drain_and_maint_take_nothing_new_and_ready_does),
		cmocka_unit_test(a_blind_interface_makes_its_services_blind_and_moves_no_mail),
		cmocka_unit_test(a_cold_start_on_a_blind_interface_ends_blind),
		cmocka_unit_test(a_temporary_order_reverts_to_the_last_permanent_one),
		cmocka_unit_test(a_forced_tier_falls_back_as_usual_and_reports_it),
		cmocka_unit_test(after_maint_only_a_new_probe_counts),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
