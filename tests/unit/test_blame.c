/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core/refusal.c and blame.c (docs/verdicts.md), row by row: the reason of a refusal's text, and what a result is evidence
 * about.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/blame.h"
#include "core/refusal.h"

/* ---- refusal.c: texts ---- */

static const struct text_row {
	enum probe_stage stage;
	uint16_t code;
	const char *text;
	enum reason reason;
} texts[] = {
	/* rule 1 */
	{STAGE_GREETING, 421, "4.3.2 Connection rate limit exceeded.", REASON_per_source_limit},
	{STAGE_GREETING, 421, "4.3.2 Too many open connections.", REASON_per_source_limit},
	{STAGE_GREETING, 421, "4.7.0 Error: too many connections", REASON_per_source_limit},
	{STAGE_GREETING, 421, "too many connections from 10.0.0.5", REASON_per_source_limit},
	{STAGE_MAIL_FROM, 450, "4.7.1 Error: too much mail from 10.0.0.5", REASON_per_source_limit},
	{STAGE_GREETING, 421,
	 "4.3.2 The maximum number of concurrent server connections has exceeded a per-source "
	 "limit, closing transmission channel",
	 REASON_per_source_limit},
	{STAGE_GREETING, 421,
	 "4.3.2 The maximum number of concurrent connections has exceeded a limit, closing "
	 "transmission channel",
	 REASON_greeting_421},
	{STAGE_GREETING, 554, "per-source limit", REASON_greeting_5xx},
	/* rule 2 */
	{STAGE_MAIL_FROM, 451, "5.7.3 Must issue a STARTTLS command first", REASON_tls_required},
	{STAGE_MAIL_FROM, 530, "5.7.0 Must issue a STARTTLS command first", REASON_tls_required},
	{STAGE_MAIL_FROM, 451, "5.7.3 STARTTLS is required to send mail", REASON_tls_required},
	{STAGE_MAIL_FROM, 530, "TLS required", REASON_tls_required},
	/* rule 3 */
	{STAGE_MAIL_FROM, 450, "4.2.0 Greylisted, see http://postgrey", REASON_greylisted},
	{STAGE_MAIL_FROM, 451, "4.7.1 Graylisting in action", REASON_greylisted},
	/* rule 4 */
	{STAGE_MAIL_FROM, 554, "5.1.0 Sender Denied", REASON_sender_refused},
	{STAGE_MAIL_FROM, 550, "blank senders are not welcome", REASON_sender_refused},
	{STAGE_MAIL_FROM, 553, "<> is not acceptable here", REASON_sender_refused},
	{STAGE_MAIL_FROM, 550, "5.1.7 no thanks", REASON_sender_refused},
	{STAGE_MAIL_FROM, 450, "4.1.8 Domain not found", REASON_sender_refused},
	/* rule 5 */
	{STAGE_GREETING, 554, "5.7.1 Service unavailable; Client host blocked using zen",
	 REASON_source_refused},
	{STAGE_GREETING, 554, "No SMTP service for your host", REASON_source_refused},
	{STAGE_EHLO, 550, "5.7.1 <probe>: Helo command rejected: need FQDN", REASON_source_refused},
	{STAGE_MAIL_FROM, 550, "5.7.54 Unable to relay", REASON_source_refused},
	/* a dead milter of Postfix affects all clients */
	{STAGE_MAIL_FROM, 451, "4.7.1 Service unavailable - try again later", REASON_mail_4xx},
	/* rule 6 */
	{STAGE_GREETING, 421, "PROXY protocol header expected", REASON_proxy_expected},
	/* rule 7 */
	{STAGE_GREETING, 421, "4.3.2 Service not active", REASON_greeting_421},
	{STAGE_GREETING, 450, "later", REASON_greeting_4xx},
	{STAGE_GREETING, 521, "no", REASON_greeting_5xx},
	{STAGE_EHLO, 421, "bye", REASON_ehlo_421},
	{STAGE_EHLO_TLS, 451, "bye", REASON_ehlo_4xx},
	{STAGE_EHLO, 502, "what?", REASON_ehlo_refused},
	{STAGE_MAIL_FROM, 421, "4.3.2 Service not available", REASON_mail_421},
	{STAGE_MAIL_FROM, 452, "4.3.1 Insufficient system resources", REASON_mail_4xx},
	{STAGE_MAIL_FROM, 550, "no", REASON_mail_refused},
	{STAGE_STARTTLS, 454, "4.7.0 too many connections", REASON_starttls_refused},
	{STAGE_GREETING, 354, "go ahead", REASON_malformed},
	{STAGE_CONNECT, 421, "out of place", REASON_malformed},
};

static void each_refusal_text_has_the_reason_of_its_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		enum reason got = refusal_reason(texts[i].stage, texts[i].code, texts[i].text);

		if (got != texts[i].reason)
			fail_msg("%u %s: %s, not %s", texts[i].code, texts[i].text,
				 reason_name(got), reason_name(texts[i].reason));
	}
}

static void texts_about_the_servers_own_state_are_recognized(void **state)
{
	(void)state;
	assert_true(refusal_names_server("4.3.2 Service not active"));
	assert_true(refusal_names_server("4.3.1 Insufficient system resources"));
	assert_true(refusal_names_server("system is shutting down"));
	assert_false(refusal_names_server("4.0.0 come back tomorrow"));
	assert_false(refusal_names_server(""));
}

/* ---- blame.c: which side has the fault ---- */

static void a_silent_vip_is_judged_by_the_answer_of_the_servers_own_address(void **state)
{
	static const struct {
		enum reason raw;
		enum blame_fallback fallback;
		bool routed, has_fallback;
		enum reason want;
	} rows[] = {
		{REASON_refused, BLAME_FALLBACK_ANSWERS, true, true, REASON_refused},
		{REASON_connect_timeout, BLAME_FALLBACK_ANSWERS, false, true, REASON_vip_missing},
		{REASON_connect_timeout, BLAME_FALLBACK_ANSWERS, true, true, REASON_vip_missing},
		{REASON_connect_timeout, BLAME_FALLBACK_SILENT, true, true, REASON_unreachable},
		{REASON_connect_timeout, BLAME_FALLBACK_NONE, true, false, REASON_unreachable},
		{REASON_connect_timeout, BLAME_FALLBACK_NONE, true, true, REASON_connect_timeout},
		{REASON_connect_timeout, BLAME_FALLBACK_SILENT, false, true,
		 REASON_connect_timeout},
		{REASON_connect_timeout, BLAME_FALLBACK_NONE, false, false, REASON_connect_timeout},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(blame_silence(rows[i].raw, rows[i].fallback, rows[i].routed,
					       rows[i].has_fallback),
				 rows[i].want);
}

static void the_way_there_is_blamed_before_the_server(void **state)
{
	(void)state;
	for (enum reason r = 0; r < REASON_COUNT; r++) {
		bool way = r == REASON_unreachable || r == REASON_local_error;
		enum reason timeout = r == REASON_connect_timeout ? REASON_unreachable : r;

		assert_int_equal(blame_path(r, &(struct blame_path){.next_hop_failed = false}), r);
		assert_int_equal(blame_path(r, &(struct blame_path){.next_hop_failed = true}),
				 timeout);
		assert_int_equal(blame_path(r, &(struct blame_path){.link_is_ours = true}),
				 way ? REASON_local_carrier : r);
		assert_int_equal(blame_path(r, &(struct blame_path){.next_hop_failed = true,
								    .link_is_ours = true}),
				 way || r == REASON_connect_timeout ? REASON_local_carrier : r);
	}
}

static void what_l2_and_a_tunnel_cannot_reach_has_its_own_reason(void **state)
{
	const struct blame_path l2 = {.l2_routed = true}, tunnel = {.tunnel = true};

	(void)state;
	for (enum reason r = 0; r < REASON_COUNT; r++) {
		bool missing = r == REASON_vip_missing;

		assert_int_equal(blame_path(r, &l2),
				 missing || r == REASON_connect_timeout ? REASON_not_on_link : r);
		assert_int_equal(blame_path(r, &tunnel), missing ? REASON_tunnel_silent : r);
	}
}

/* Rules 6 to 12 as sentences, compared for every combination of facts. */
static enum blame_act expected(const struct blame_refusal *r)
{
	if (r->passive == PASSIVE_REFUSES)
		return BLAME_NOW;
	if (r->early && r->passive == PASSIVE_TAKES && r->waited)
		return BLAME_UP;
	if (reason_is_client(r->reason))
		return BLAME_WARNS;
	if (r->passive == PASSIVE_TAKES)
		return r->waited ? BLAME_WARNS : BLAME_WAITS;
	if (r->names_server)
		return BLAME_ACTS;
	if (r->coming && !r->waited)
		return BLAME_WAITS;
	if (r->all_same && !r->twin_ok)
		return BLAME_WARNS;
	return BLAME_ACTS;
}

static void every_combination_of_facts_has_its_rule(void **state)
{
	static const enum reason reasons[] = {
		REASON_greeting_421,   REASON_greeting_5xx,	REASON_mail_4xx,
		REASON_mail_refused,   REASON_per_source_limit, REASON_sender_refused,
		REASON_source_refused, REASON_tls_required,	REASON_greylisted};
	unsigned n = 0;

	(void)state;
	for (size_t k = 0; k < sizeof(reasons) / sizeof(reasons[0]); k++)
		for (unsigned bits = 0; bits < 1 << 6; bits++)
			for (enum passive_finding p = PASSIVE_NONE; p <= PASSIVE_REFUSES; p++) {
				struct blame_refusal r = {
					.reason = reasons[k],
					.names_server = bits & 1,
					.passive = p,
					.coming = bits & 2,
					.waited = bits & 4,
					.twin_ok = bits & 8,
					.all_same = bits & 16,
					.early = bits & 32,
				};

				assert_int_equal(blame_refusal(&r), expected(&r));
				n++;
			}
	assert_int_equal(n, 9 * 64 * 4);
}

static void a_server_that_takes_mail_moves_for_no_text_and_one_that_refuses_all_for_any(
	void **state)
{
	(void)state;
	for (enum reason reason = 0; reason < REASON_COUNT; reason++)
		for (unsigned bits = 0; bits < 1 << 4; bits++) {
			struct blame_refusal r = {.reason = reason,
						  .names_server = bits & 1,
						  .coming = bits & 2,
						  .twin_ok = bits & 4,
						  .all_same = bits & 8,
						  .waited = true};

			if (!reason_is_refusal(reason) && !reason_is_client(reason))
				continue;
			r.passive = PASSIVE_TAKES;
			assert_int_equal(blame_refusal(&r), BLAME_WARNS);
			r.early = true;
			assert_int_equal(blame_refusal(&r), BLAME_UP);
			r.passive = PASSIVE_REFUSES;
			assert_int_equal(blame_refusal(&r), BLAME_NOW);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refusal_text_has_the_reason_of_its_rule),
		cmocka_unit_test(texts_about_the_servers_own_state_are_recognized),
		cmocka_unit_test(a_silent_vip_is_judged_by_the_answer_of_the_servers_own_address),
		cmocka_unit_test(the_way_there_is_blamed_before_the_server),
		cmocka_unit_test(what_l2_and_a_tunnel_cannot_reach_has_its_own_reason),
		cmocka_unit_test(every_combination_of_facts_has_its_rule),
		cmocka_unit_test(
			a_server_that_takes_mail_moves_for_no_text_and_one_that_refuses_all_for_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
