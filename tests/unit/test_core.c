/* SPDX-License-Identifier: BSD-2-Clause */
/* core/verdict.c and core/event.c: the list of reasons keeps the table of mxlbd(8); the ring of events its numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/event.h"
#include "core/problem.h"
#include "core/verdict.h"

static void every_reason_has_a_unique_name_and_a_sentence(void **state)
{
	(void)state;
	for (enum reason r = 0; r < REASON_COUNT; r++) {
		assert_string_not_equal(reason_name(r), "");
		assert_string_not_equal(reason_text(r), "");
		for (enum reason q = 0; q < r; q++)
			assert_string_not_equal(reason_name(r), reason_name(q));
	}
}

static void only_the_listed_reasons_act_at_once(void **state)
{
	static const enum reason at_once[] = {REASON_greeting_5xx, REASON_greeting_421,
					      REASON_ehlo_421,	   REASON_mail_421,
					      REASON_refused,	   REASON_unreachable};
	const unsigned n = sizeof(at_once) / sizeof(*at_once);

	(void)state;
	for (enum reason r = 0; r < REASON_COUNT; r++) {
		bool listed = reason_verdict(r) == VERDICT_UNKNOWN && !reason_is_client(r) &&
			      r != REASON_expensive;

		for (unsigned i = 0; i < n; i++)
			listed = listed || r == at_once[i];
		if ((reason_effect(r) == EFFECT_NOW) != listed)
			fail_msg("%s", reason_name(r));
	}
	assert_int_equal(reason_effect(REASON_per_source_limit), EFFECT_NONE);
	assert_int_equal(reason_effect(REASON_expensive), EFFECT_NONE);
	assert_int_equal(reason_effect(REASON_ok), EFFECT_COUNT);
}

static void every_way_to_fail_has_exchange_onlines_code_and_no_other_has(void **state)
{
	(void)state;
	for (enum reason r = 0; r < REASON_COUNT; r++) {
		bool fails =
			reason_verdict(r) == VERDICT_DOWN || reason_verdict(r) == VERDICT_DRAINING;

		assert_int_equal(*reason_exo_code(r, TLS_NONE) != 0, fails);
		assert_int_equal(*reason_exo_code(r, TLS_DANE) != 0, fails);
	}
}

static void under_dane_exchange_onlines_codes_are_danes(void **state)
{
	(void)state;
	for (enum tls_policy p = TLS_NONE; p <= TLS_DANE; p++) {
		bool dane = p == TLS_DANE;

		assert_string_equal(reason_exo_code(REASON_no_starttls, p),
				    dane ? "5.7.321" : "4.4.317");
		assert_string_equal(reason_exo_code(REASON_certificate_expired, p),
				    dane ? "5.7.322" : "4.7.320");
		assert_string_equal(reason_exo_code(REASON_tlsa_mismatch, p), "5.7.323");
	}
}

static void a_number_that_is_no_reason_changes_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		enum reason r = (const enum reason[]){REASON_COUNT, 4711, (enum reason) - 1}[i];

		assert_string_equal(reason_name(r), "?");
		assert_int_equal(reason_verdict(r), VERDICT_UNKNOWN);
		assert_int_equal(reason_effect(r), EFFECT_NONE);
		assert_string_equal(reason_exo_code(r, TLS_DANE), "");
	}
	assert_string_equal(verdict_name((enum verdict)4), "?");
	assert_string_equal(stage_name((enum probe_stage)99), "?");
	assert_string_equal(event_kind_name((enum event_kind)99), "?");
}

static void verdicts_and_stages_have_their_names(void **state)
{
	(void)state;
	assert_string_equal(verdict_name(VERDICT_UNKNOWN), "unknown");
	assert_string_equal(verdict_name(VERDICT_UP), "up");
	assert_string_equal(verdict_name(VERDICT_DRAINING), "draining");
	assert_string_equal(verdict_name(VERDICT_DOWN), "down");
	assert_string_equal(stage_name(STAGE_CONNECT), "connect");
	assert_string_equal(stage_name(STAGE_MAIL_FROM), "mail-from");
	assert_string_equal(stage_name(STAGE_DONE), "done");
}

static void the_ring_keeps_the_last_events_and_their_numbers(void **state)
{
	struct event_log *log = calloc(1, sizeof(*log));

	(void)state;
	assert_non_null(log);
	assert_null(event_get(log, 0));
	assert_null(event_get(log, 1));
	for (uint64_t i = 1; i <= EVENT_LOG_SIZE + 10; i++) {
		struct event *e = event_add(log, EVENT_CONFIG, (int64_t)i * 1000);

		assert_int_equal(e->seq, i);
		assert_string_equal(e->cause, "");
		snprintf(e->cause, sizeof(e->cause), "left over unless wiped");
	}
	assert_null(event_get(log, 0));
	assert_null(event_get(log, 10));
	assert_non_null(event_get(log, 11));
	assert_int_equal(event_get(log, 11)->time_ms, 11000);
	assert_int_equal(event_get(log, EVENT_LOG_SIZE + 10)->seq, EVENT_LOG_SIZE + 10);
	assert_null(event_get(log, EVENT_LOG_SIZE + 11));
	free(log);
}

static const struct event sample = {
	.kind = EVENT_BACKEND_VERDICT,
	.service = "hybrid-mail",
	.server = "oxford-a",
	.from = "up",
	.to = "down",
	.cause = "greeting_5xx: 554 \"no\"\nevent=forged",
};

static void an_event_is_one_line_of_keys_and_values_with_strange_words_escaped(void **state)
{
	struct event e = {.kind = EVENT_CONFIG};
	char line[EVENT_TEXT_SIZE * 3];

	(void)state;
	assert_ptr_equal(event_line(&sample, line, sizeof(line)), line);
	assert_string_equal(line,
			    "event=backend_verdict service=hybrid-mail backend=oxford-a from=up "
			    "to=down cause=\"greeting_5xx: 554 \\\"no\\\"\\nevent=forged\"");
	assert_string_equal(event_line(&e, line, sizeof(line)), "event=config");
	e = (struct event){
		.kind = EVENT_INTERFACE, .interface = "eth0", .to = "native", .user = "root"};
	assert_string_equal(event_line(&e, line, sizeof(line)),
			    "event=interface interface=eth0 to=native user=root");
}

static void events_that_stop_mail_are_errors_in_the_log(void **state)
{
	static const struct {
		enum event_kind kind;
		const char *to;
		enum log_level level;
	} rows[] = {
		{EVENT_SERVICE_STATE, "down", LOG_LEVEL_ERROR},
		{EVENT_SERVICE_STATE, "up", LOG_LEVEL_INFO},
		{EVENT_INTERFACE, "detached", LOG_LEVEL_ERROR},
		{EVENT_INTERFACE, "native", LOG_LEVEL_INFO},
		{EVENT_LINK, "no-carrier", LOG_LEVEL_ERROR},
		{EVENT_LINK, "up", LOG_LEVEL_INFO},
		{EVENT_RELOAD_FAILED, "", LOG_LEVEL_ERROR},
		{EVENT_DETACH, "", LOG_LEVEL_WARN},
		{EVENT_STOPPED, "", LOG_LEVEL_INFO},
		{EVENT_PROBLEM, "vip_local", LOG_LEVEL_ERROR},
		{EVENT_PROBLEM, "none", LOG_LEVEL_INFO},
		{EVENT_PUT_BACK, "3", LOG_LEVEL_WARN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct event e = {.kind = rows[i].kind};

		strcpy(e.to, rows[i].to);
		if (event_level(&e) != rows[i].level)
			fail_msg("%s to %s", event_kind_name(e.kind), e.to);
	}
}

/* docs/zone.md, and mxlbd(8). */
static void events_of_zones_and_keys_have_their_level(void **state)
{
	static const struct {
		enum event_kind kind;
		const char *to, *reason;
		enum log_level level;
	} rows[] = {
		{EVENT_ZONE, "current", "", LOG_LEVEL_INFO},
		{EVENT_ZONE, "current", "unmapped", LOG_LEVEL_WARN},
		{EVENT_ZONE, "kept", "", LOG_LEVEL_WARN},
		{EVENT_ZONE, "refused", "", LOG_LEVEL_ERROR},
		{EVENT_ZONE, "held", "", LOG_LEVEL_WARN},
		{EVENT_ZONE, "held", ZONE_REMINDER, LOG_LEVEL_ERROR},
		{EVENT_TLSA, "current", "", LOG_LEVEL_INFO},
		{EVENT_TLSA, "none", "", LOG_LEVEL_INFO},
		{EVENT_TLSA, "none", "unmatched", LOG_LEVEL_WARN},
		{EVENT_TLSA, "kept", "", LOG_LEVEL_ERROR},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct event e = {.kind = rows[i].kind, .from = "held"};

		strcpy(e.to, rows[i].to);
		strcpy(e.reason, rows[i].reason);
		if (event_level(&e) != rows[i].level)
			fail_msg("%s to %s", event_kind_name(e.kind), e.to);
	}
}

static void a_line_that_does_not_fit_is_cut_at_any_size(void **state)
{
	char whole[EVENT_TEXT_SIZE * 3];

	(void)state;
	event_line(&sample, whole, sizeof(whole));
	for (size_t size = 1; size < strlen(whole) + 2; size++) {
		char *line = malloc(
			size); /* exactly as long, so that the sanitizer finds a read beyond it */

		assert_non_null(line);
		event_line(&sample, line, size);
		assert_int_equal(strlen(line), size - 1 < strlen(whole) ? size - 1 : strlen(whole));
		assert_memory_equal(line, whole, strlen(line));
		free(line);
	}
	assert_null(event_line(&sample, NULL, 0));
}

static void a_problem_is_an_event_when_it_comes_and_when_it_goes_and_a_row_between(void **state)
{
	struct event_log *log = calloc(1, sizeof(*log));
	struct problems *p = calloc(1, sizeof(*p));

	(void)state;
	assert_true(log && p);
	problem_set(p, log, 1000, "vip_local", "hybrid-mail", true, NULL); /* never there */
	assert_int_equal(log->next_seq, 0);
	problem_set(p, log, 1000, "vip_local", "hybrid-mail", true, "it is local");
	problem_set(p, log, 2000, "vip_local", "other", false, "so is this");
	problem_set(p, log, 3000, "vip_local", "hybrid-mail", true, "it still is");
	assert_int_equal(log->next_seq, 3);
	assert_string_equal(event_get(log, 1)->from, "none");
	assert_string_equal(event_get(log, 1)->to, "vip_local");
	assert_string_equal(event_get(log, 1)->service, "hybrid-mail");
	assert_string_equal(event_get(log, 1)->cause, "it is local");
	assert_int_equal(p->n, 2);
	assert_string_equal(p->list[0].text, "it still is");
	assert_int_equal(p->list[0].since_wall_ms, 1000);
	problem_set(p, log, 4000, "vip_local", "hybrid-mail", true, NULL);
	assert_int_equal(p->n, 1);
	assert_string_equal(p->list[0].about, "other");
	assert_false(p->list[0].critical);
	assert_string_equal(event_get(log, 3)->to, "none");
	free(p);
	free(log);
}

static void more_problems_than_there_is_room_for_are_events_all_the_same(void **state)
{
	struct event_log *log = calloc(1, sizeof(*log));
	struct problems *p = calloc(1, sizeof(*p));
	char about[CONFIG_NAME_SIZE];

	(void)state;
	assert_true(log && p);
	for (unsigned i = 0; i < PROBLEMS_MAX + 1; i++) {
		snprintf(about, sizeof(about), "service-%u", i);
		problem_set(p, log, 1000, "vip_local", about, true, "it is local");
	}
	assert_int_equal(p->n, PROBLEMS_MAX);
	assert_int_equal(log->next_seq, PROBLEMS_MAX + 2);
	free(p);
	free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_a_unique_name_and_a_sentence),
		cmocka_unit_test(only_the_listed_reasons_act_at_once),
		cmocka_unit_test(every_way_to_fail_has_exchange_onlines_code_and_no_other_has),
		cmocka_unit_test(under_dane_exchange_onlines_codes_are_danes),
		cmocka_unit_test(a_number_that_is_no_reason_changes_nothing),
		cmocka_unit_test(verdicts_and_stages_have_their_names),
		cmocka_unit_test(the_ring_keeps_the_last_events_and_their_numbers),
		cmocka_unit_test(
			an_event_is_one_line_of_keys_and_values_with_strange_words_escaped),
		cmocka_unit_test(events_that_stop_mail_are_errors_in_the_log),
		cmocka_unit_test(
			a_problem_is_an_event_when_it_comes_and_when_it_goes_and_a_row_between),
		cmocka_unit_test(more_problems_than_there_is_room_for_are_events_all_the_same),
		cmocka_unit_test(events_of_zones_and_keys_have_their_level),
		cmocka_unit_test(a_line_that_does_not_fit_is_cut_at_any_size),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
