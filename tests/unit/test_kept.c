/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Panic mode (core/panic.c) as part of the model: what it keeps after everything that may have happened to the servers
 * before, and what it does not.
 */
#include "model_fixture.h"

#define FALL 3

/* At once, by the state of the next hop: these results do not count towards fall. */
static void cut(struct model *m, uint32_t first, uint32_t last, uint64_t from_ms)
{
	for (uint32_t id = first; id <= last; id++)
		result(m, id, REASON_unreachable, from_ms + id);
}

/* Their probes fail at the connect level, within a second. */
static void lose(struct model *m, uint32_t first, uint32_t last, uint64_t from_ms)
{
	for (unsigned i = 0; i < FALL; i++)
		for (uint32_t id = first; id <= last; id++)
			result(m, id, REASON_connect_timeout, from_ms + 300 * i + id);
}

static void refuse(struct model *m, uint32_t id, enum reason reason, uint64_t now_ms)
{
	struct probe_result r = {
		.reason = reason, .stage = STAGE_GREETING, .smtp_code = 554, .text = "554 no"};

	model_probe_result(m, id, &r, at(now_ms));
}

static void ticks(struct model *m, uint64_t until_ms)
{
	uint64_t next_ms;

	while ((next_ms = model_next_tick(m)) && next_ms <= until_ms)
		model_tick(m, at(next_ms));
}

static void servers_that_refuse_the_probe_alone_are_kept_like_others(void **state)
{
	struct config *c = oxford();
	struct model *m = create(c, 1000);

	(void)state;
	for (uint32_t id = 1; id <= 3; id++) {
		resolve(m, id, 1001);
		refuse(m, id, REASON_source_refused, 1100);
	}
	assert_string_equal(ring(m), "oxford-a oxford-b");
	cut(m, 1, 3, 100000);
	assert_int_equal(m->services[0].tier.state, SERVICE_PANIC);
	assert_string_equal(ring(m), "oxford-a oxford-b");
	model_free(m);
	free_config(c);
}

static void a_server_that_came_back_refusing_the_probe_is_not_dead(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	lose(m, 1, 1, 2000);
	for (unsigned i = 0; i < 2; i++) /* rise */
		refuse(m, 1, REASON_source_refused, 5000 + i);
	assert_string_equal(ring(m), "oxford-a oxford-b");
	cut(m, 1, 3, 100000);
	assert_string_equal(ring(m), "oxford-a oxford-b");
	model_free(m);
	free_config(c);
}

/* By the pinned records. Those of older versions have no cause, so the stage of a timeout is not known. */
static struct model *restarted(const struct config *c, struct model *m, bool has_cause)
{
	const struct server *b = m->services[0].servers;
	struct model_adopted a =
		adopted("oxford-a", 11, 1, health_effective(&b->health), b->health.before_reason);

	if (has_cause)
		a.cause = b->cause;
	model_free(m);
	assert_int_equal(model_create(c, &a, 1, at(2500), &m), 0);
	return m;
}

/*
 * A server that always refuses the probe's address, and clients take no notice, comes back after whatever took it out,
 * but not because a server that is too busy for its clients has a limit, too.
 */
static void a_permanent_refusal_of_the_probe_shows_that_a_temporary_failure_is_over(void **state)
{
	static const struct {
		struct probe_result cause, then;
		enum verdict verdict;
	} rows[] = {
#define RESULT(r, s, c) {.reason = REASON_##r, .stage = STAGE_##s, .smtp_code = c}
		{RESULT(greeting_421, GREETING, 421), RESULT(source_refused, GREETING, 554),
		 VERDICT_UP},
		{RESULT(closed_early, GREETING, 0), RESULT(source_refused, GREETING, 554),
		 VERDICT_UP},
		{RESULT(greeting_silent, GREETING, 0), RESULT(per_source_limit, GREETING, 421),
		 VERDICT_UP},
		{RESULT(tunnel_silent, CONNECT, 0), RESULT(per_source_limit, GREETING, 421),
		 VERDICT_UP},
		{RESULT(not_on_link, CONNECT, 0), RESULT(per_source_limit, GREETING, 421),
		 VERDICT_UP},
		{RESULT(greeting_421, GREETING, 421), RESULT(per_source_limit, GREETING, 421),
		 VERDICT_DRAINING},
		{RESULT(greeting_5xx, GREETING, 554), RESULT(source_refused, GREETING, 554),
		 VERDICT_DOWN},
		{RESULT(timeout, MAIL_FROM, 0), RESULT(source_refused, EHLO, 550), VERDICT_DOWN},
		{RESULT(timeout, MAIL_FROM, 0), RESULT(sender_refused, MAIL_FROM, 550), VERDICT_UP},
		{RESULT(certificate_expired, TLS, 0), RESULT(sender_refused, MAIL_FROM, 550),
		 VERDICT_UP},
#undef RESULT
	};
	enum { RUNS_ON, RESTARTS, IS_UPGRADED, TIMES };

	(void)state;
	for (size_t i = 0; i < TIMES * sizeof(rows) / sizeof(*rows); i++) {
		size_t row = i / TIMES;
		struct config *c = oxford();
		struct model *m = running(c);

		for (unsigned k = 0; k < FALL; k++)
			model_probe_result(m, 1, &rows[row].cause, at(2000 + k));
		assert_int_not_equal(m->services[0].servers[0].health.verdict, VERDICT_UP);
		if (i % TIMES != RUNS_ON)
			m = restarted(c, m, i % TIMES == RESTARTS);
		for (unsigned k = 0; k < FALL; k++)
			model_probe_result(m, 1, &rows[row].then, at(3000 + k));
		if (m->services[0].servers[0].health.verdict != rows[row].verdict &&
		    (i % TIMES != IS_UPGRADED || rows[row].cause.reason != REASON_timeout))
			fail_msg("row %zu, %zu", row, i % TIMES);
		model_free(m);
		free_config(c);
	}
}

/* A change of the zone must not replace them all (zone.c, rule 5). */
static void servers_that_this_box_cannot_probe_or_keeps_in_panic_take_mail(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	const struct service *s = m->services;

	(void)state;
	assert_true(model_takes_mail(&s->servers[0]));
	assert_false(model_takes_mail(&s->servers[2])); /* the next tier */
	for (uint32_t id = 1; id <= 3; id++)
		result(m, id, REASON_local_error, 2000);
	assert_true(model_takes_mail(&s->servers[0]));
	assert_false(model_takes_mail(&s->servers[2]));
	cut(m, 1, 3, 100000);
	assert_int_equal(s->tier.state, SERVICE_PANIC);
	assert_true(model_takes_mail(&s->servers[0]));
	for (unsigned i = 0; i < 3 * FALL; i++) /* they answer, so it is not this box */
		refuse(m, 1 + i % 3, REASON_greeting_5xx, 200000 + i);
	assert_int_equal(s->tier.state, SERVICE_DOWN);
	assert_false(model_takes_mail(&s->servers[0]));
	model_free(m);
	free_config(c);
}

/* The state differs while panic mode is not decided, and while packets bypass the program of this box. */
static void servers_that_are_kept_take_mail_whatever_the_services_state_is(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	const struct service *s = m->services;

	(void)state;
	for (uint32_t id = 1; id <= 3; id++) {
		model_clients(m, id, true, false, 99000);
		result(m, id, REASON_refused, 100000);
	}
	assert_int_equal(s->tier.state, SERVICE_UP);
	assert_true(model_takes_mail(&s->servers[0]));
	assert_false(model_takes_mail(&s->servers[2])); /* the next tier */
	model_clients(m, 1, true, false, 100200);
	ticks(m, 101000);
	assert_int_equal(s->tier.state, SERVICE_PANIC);
	model_blind(m, 0, true, "eth0", at(102000));
	assert_int_equal(s->tier.state, SERVICE_BLIND);
	assert_true(model_takes_mail(&s->servers[0]));
	assert_false(model_takes_mail(&s->servers[2]));
	model_free(m);
	free_config(c);
}

/* Its clients connected while it was up, so they prove nothing about the time after. */
static void connections_from_before_a_recovery_are_no_proof(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	result(m, 1, REASON_connect_timeout, 2000);
	refuse(m, 1, REASON_source_refused, 3000);
	model_clients(m, 1, true, false, 4000);
	for (uint32_t id = 1; id <= 3; id++)
		result(m, id, REASON_refused, 20000);
	assert_string_equal(ring(m), "reset");
	model_free(m);
	free_config(c);
}

/* A scanner's SYN during a quiet night. */
static void an_unanswered_syn_from_before_a_good_probe_refutes_nothing(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	for (uint32_t id = 1; id <= 3; id++)
		model_clients(m, id, false, true, 3000);
	for (uint32_t id = 1; id <= 3; id++)
		result(m, id, REASON_ok, 12000);
	lose(m, 1, 3, 22000);
	assert_int_equal(m->services[0].tier.state, SERVICE_PANIC);
	model_clients(m, 1, false, true, 23000); /* a client of now does */
	ticks(m, 24000);
	assert_int_equal(m->services[0].tier.state, SERVICE_PANIC);
	model_clients(m, 1, false, true, 24000); /* when it sends its SYN again */
	ticks(m, 24400);			 /* half a second for an answer */
	assert_int_equal(m->services[0].tier.state, SERVICE_PANIC);
	ticks(m, 24800);
	assert_int_equal(m->services[0].tier.state, SERVICE_DOWN);
	model_free(m);
	free_config(c);
}

static void a_server_that_leaves_maint_and_does_not_answer_is_dead(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	model_admin(m, 1, ADMIN_MAINT, "root", at(2000));
	lose(m, 2, 3, 100000);
	assert_string_equal(ring(m), "oxford-b");
	model_clients(m, 2, true, false, 150000);
	model_admin(m, 1, ADMIN_READY, "root", at(200000));
	lose(m, 1, 1, 201000);
	assert_int_equal(m->services[0].tier.state, SERVICE_PANIC);
	assert_string_equal(ring(m), "oxford-b");
	model_free(m);
	free_config(c);
}

/* oxford-b carries mail, and its clients prove it. oxford-a leaves maint, but is not probed yet, or cannot be. */
static void a_server_without_a_result_ends_no_panic(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	model_admin(m, 1, ADMIN_MAINT, "root", at(2000));
	lose(m, 2, 3, 100000);
	model_clients(m, 2, true, false, 150000);
	model_admin(m, 1, ADMIN_READY, "root", at(200000));
	assert_string_equal(ring(m), "oxford-b");
	result(m, 1, REASON_local_error, 201000);
	assert_string_equal(ring(m), "oxford-b");
	model_free(m);
	free_config(c);
}

/* nuneaton was reached a moment before this box could reach nobody any more. */
static void a_server_that_has_been_broken_for_long_prevents_no_panic(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	refuse(m, 3, REASON_greeting_5xx, 50000);
	refuse(m, 3, REASON_greeting_5xx, 99000);
	lose(m, 1, 2, 100000);
	assert_int_equal(m->services[0].tier.state, SERVICE_PANIC);
	refuse(m, 3, REASON_greeting_5xx, 108000); /* this box still reaches it */
	ticks(m, 109000);
	assert_int_equal(m->services[0].tier.state, SERVICE_DOWN);
	model_free(m);
	free_config(c);
}

/* All refuse connections, so that without the clients' proof it would be a definite answer. */
static void a_restart_keeps_what_panic_mode_kept(void **state)
{
	struct model_adopted kept[] = {
		adopted("oxford-a", 11, 1, VERDICT_DOWN, REASON_refused),
		adopted("oxford-b", 12, 2, VERDICT_DOWN, REASON_refused),
		adopted("nuneaton", 13, 3, VERDICT_DOWN, REASON_refused),
	};
	struct config *c = oxford();
	struct model *m;

	(void)state;
	kept[1].kept = true;
	assert_int_equal(model_create(c, kept, 3, at(1000), &m), 0);
	assert_int_equal(m->services[0].tier.state, SERVICE_PANIC);
	assert_string_equal(ring(m), "oxford-b");
	for (uint32_t id = 1; id <= 3; id++)
		result(m, id, REASON_refused, 1500);
	ticks(m, 20000);
	assert_string_equal(ring(m), "oxford-b");
	model_clients(m, 2, false, true, 20000);
	model_clients(m, 2, false, true, 21000);
	ticks(m, 23000);
	assert_string_equal(ring(m), "reset");
	model_free(m);
	free_config(c);
}

/* All refuse connections while clients come, so that panic.c waits for a proof: it comes, or does not. */
static void what_ends_the_wait_for_a_proof_is_the_cause(void **state)
{
	(void)state;
	for (unsigned proof = 0; proof < 2; proof++) {
		struct config *c = oxford();
		struct model *m = running(c);
		uint64_t seq;

		model_clients(m, 1, true, false, 99000);
		for (uint32_t id = 3; id >= 1; id--)
			result(m, id, REASON_refused, 100000);
		assert_int_equal(m->services[0].tier.state, SERVICE_UP);
		seq = m->events.next_seq;
		model_clients(m, 1, proof, !proof, 100100);
		ticks(m, 102000);
		check_events(m, seq,
			     proof ? "event=service_state service=hybrid-mail from=up to=panic "
				     "cause=\"clients can connect\"\n"
				   : "event=service_state service=hybrid-mail from=up to=down "
				     "cause=\"clients cannot connect either\"\n"
				     "event=service_tier service=hybrid-mail from=10 to=- "
				     "cause=\"clients cannot connect either\"\n");
		model_free(m);
		free_config(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_that_refuse_the_probe_alone_are_kept_like_others),
		cmocka_unit_test(a_server_that_came_back_refusing_the_probe_is_not_dead),
		cmocka_unit_test(
			a_permanent_refusal_of_the_probe_shows_that_a_temporary_failure_is_over),
		cmocka_unit_test(servers_that_this_box_cannot_probe_or_keeps_in_panic_take_mail),
		cmocka_unit_test(servers_that_are_kept_take_mail_whatever_the_services_state_is),
		cmocka_unit_test(connections_from_before_a_recovery_are_no_proof),
		cmocka_unit_test(an_unanswered_syn_from_before_a_good_probe_refutes_nothing),
		cmocka_unit_test(a_server_that_leaves_maint_and_does_not_answer_is_dead),
		cmocka_unit_test(a_server_without_a_result_ends_no_panic),
		cmocka_unit_test(a_server_that_has_been_broken_for_long_prevents_no_panic),
		cmocka_unit_test(a_restart_keeps_what_panic_mode_kept),
		cmocka_unit_test(what_ends_the_wait_for_a_proof_is_the_cause),
	};

	return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
