/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules of evidence, row by row (docs/verdicts.md): the reason of a refusal's text, what a result is evidence
 * about, and what the clients' half of their connections shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/blame.h"
#include "core/panic.h"
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

/* ---- passive.c: the clients' connections ---- */

static struct passive_volumes volumes(const uint32_t *units, unsigned n)
{
	struct passive_volumes v = {0};

	for (unsigned i = 0; i < n; i++)
		passive_add(&v, units[i]);
	return v;
}

/* The same many times, until it counts as usual. */
static struct passive_volumes often(struct passive_volumes v)
{
	v.n *= 50;
	for (unsigned i = 0; i <= PASSIVE_UNIT_CAP; i++)
		v.of[i] *= 50;
	return v;
}

#define VOLUMES(...)                             \
	volumes((const uint32_t[]){__VA_ARGS__}, \
		sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void clients_tell_by_how_much_they_send(void **state)
{
	const struct passive_volumes none = {0};
	const struct {
		const char *what;
		struct passive_flows flows;
		bool early;
		enum passive_finding want;
		enum passive_doubt doubt;
	} rows[] = {
		{"nobody came",
		 {none, none, VOLUMES(8, 8, 8, 8)},
		 true,
		 PASSIVE_NONE,
		 PASSIVE_STANDING},
		{"nobody ever came", {none, none, none}, true, PASSIVE_NONE, PASSIVE_STANDING},
		{"as before",
		 {VOLUMES(8, 9, 7), VOLUMES(8, 9, 7), VOLUMES(8, 8, 9, 7)},
		 false,
		 PASSIVE_TAKES,
		 PASSIVE_STANDING},
		{"all leave early",
		 {VOLUMES(0, 0, 1, 0), VOLUMES(0, 0, 1), often(VOLUMES(8, 8, 9, 7))},
		 false,
		 PASSIVE_REFUSES,
		 PASSIVE_STANDING},
		{"all leave early, but few usual ones are known",
		 {VOLUMES(0, 0, 1, 0), VOLUMES(0, 0, 1), VOLUMES(8, 8, 9, 7)},
		 false,
		 PASSIVE_UNCLEAR,
		 PASSIVE_STANDING},
		{"small ones as every fourth usual one is: that may be",
		 {VOLUMES(1, 1, 1, 1, 1, 1), VOLUMES(0), often(VOLUMES(1, 8, 9, 7))},
		 false,
		 PASSIVE_UNCLEAR,
		 PASSIVE_STANDING},
		{"a dozen of them: that may not",
		 {VOLUMES(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), VOLUMES(0),
		  often(VOLUMES(1, 8, 9, 7))},
		 false,
		 PASSIVE_REFUSES,
		 PASSIVE_STANDING},
		{"three, and the text is about the probe for all that is known: that may be",
		 {VOLUMES(0, 0, 0), none, often(VOLUMES(8, 9))},
		 false,
		 PASSIVE_UNCLEAR,
		 PASSIVE_STANDING},
		{"three, just after any refusal",
		 {VOLUMES(0, 0, 0), none, often(VOLUMES(8, 9))},
		 false,
		 PASSIVE_REFUSES,
		 PASSIVE_OPEN},
		{"three of which one usual one of eight is as small",
		 {VOLUMES(0, 0, 0), none, often(VOLUMES(0, 8, 9, 7, 8, 8, 8, 8))},
		 false,
		 PASSIVE_UNCLEAR,
		 PASSIVE_EXPECTED},
		{"three, where few usual ones are known, and the text names the server",
		 {VOLUMES(0, 0, 0), none,
		  VOLUMES(8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9)},
		 false,
		 PASSIVE_REFUSES,
		 PASSIVE_EXPECTED},
		{"the same, and it does not",
		 {VOLUMES(0, 0, 0), none,
		  VOLUMES(8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9)},
		 false,
		 PASSIVE_UNCLEAR,
		 PASSIVE_OPEN},
		{"two that leave early are too few",
		 {VOLUMES(0, 0), VOLUMES(0, 0), VOLUMES(8, 8, 9, 7)},
		 false,
		 PASSIVE_UNCLEAR,
		 PASSIVE_STANDING},
		{"one message among many short ones is enough",
		 {VOLUMES(0, 0, 0, 0, 0, 0, 9), VOLUMES(0), VOLUMES(8, 8, 9, 7)},
		 false,
		 PASSIVE_TAKES,
		 PASSIVE_STANDING},
		{"the last seconds count before what was earlier",
		 {VOLUMES(0, 0, 0, 0), VOLUMES(8, 8, 8, 0, 0, 0), often(VOLUMES(8, 8, 9, 7))},
		 false,
		 PASSIVE_REFUSES,
		 PASSIVE_STANDING},
		{"few in the last seconds: all since the refusal",
		 {VOLUMES(0), VOLUMES(0, 0, 0, 0), often(VOLUMES(8, 8, 9, 7))},
		 false,
		 PASSIVE_REFUSES,
		 PASSIVE_STANDING},
		{"refused behind TLS with a client's certificate: 6 KiB against 12",
		 {VOLUMES(24, 25, 24, 24), none, often(VOLUMES(48, 60, 64, 64))},
		 false,
		 PASSIVE_REFUSES,
		 PASSIVE_STANDING},
		{"large messages do not make small ones a refusal",
		 {VOLUMES(5, 5, 6), none, VOLUMES(5, 5, 5, 6, 64, 64)},
		 false,
		 PASSIVE_TAKES,
		 PASSIVE_STANDING},
		{"nothing is known of before, refused at the greeting, a message came",
		 {VOLUMES(3), VOLUMES(3), none},
		 true,
		 PASSIVE_TAKES,
		 PASSIVE_STANDING},
		{"the same, refused at MAIL FROM: it may be TLS",
		 {VOLUMES(3), VOLUMES(3), none},
		 false,
		 PASSIVE_UNCLEAR,
		 PASSIVE_STANDING},
		{"nothing is known of before, five of next to nothing",
		 {VOLUMES(0, 0, 0, 1, 0), none, none},
		 true,
		 PASSIVE_REFUSES,
		 PASSIVE_STANDING},
		{"usual ones of next to nothing teach nothing",
		 {VOLUMES(0, 1, 0), none, VOLUMES(1, 1, 1, 1)},
		 true,
		 PASSIVE_UNCLEAR,
		 PASSIVE_STANDING},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (passive_judge(&rows[i].flows, rows[i].early, rows[i].doubt) != rows[i].want)
			fail_msg("%s: %d", rows[i].what,
				 passive_judge(&rows[i].flows, rows[i].early, rows[i].doubt));
}

static void clients_that_connect_and_say_nothing_are_counted_from_the_first(void **state)
{
	struct passive_silence s = {0};

	(void)state;
	passive_silence_look(
		&s, 100, 900,
		1000); /* connections from before mxlbd's first scan count for no server */
	assert_int_equal(passive_silence_ms(&s, 5000), 0);
	passive_silence_look(&s, 101, 900, 1050);
	assert_int_equal(passive_silence_ms(&s, 1350), 300);
	passive_silence_look(&s, 103, 901, 1400); /* three came, one spoke */
	assert_int_equal(passive_silence_ms(&s, 1450), 400);
	assert_int_equal(s.n, 3);
	passive_silence_look(&s, 103, 903, 1500);
	assert_int_equal(passive_silence_ms(&s, 9000), 0);
	passive_silence_look(&s, 104, 907, 9100); /* began and sent data between two scans */
	assert_int_equal(passive_silence_ms(&s, 9500), 0);
	passive_silence_look(&s, 104, 950, 9600);
	assert_int_equal(passive_silence_ms(&s, 9900), 0);
}

static void a_server_that_greets_late_is_given_more_time(void **state)
{
	uint32_t usual = 0;

	(void)state;
	assert_int_equal(passive_hint_limit(0), 200);
	usual = passive_greeting_learn(usual, 6000);
	assert_int_equal(usual, 6000);
	assert_int_equal(passive_hint_limit(usual), 9200);
	for (int i = 0; i < 200; i++)
		usual = passive_greeting_learn(usual, 2);
	assert_true(usual <= 8);
	assert_true(passive_hint_limit(usual) < 220);
	assert_int_equal(passive_hint_limit(UINT32_MAX), UINT32_MAX);
}

static void silence_is_found_when_probe_and_clients_have_met_it_for_long_enough(void **state)
{
	static const struct {
		const char *what;
		struct passive_quiet quiet;
		bool want;
	} rows[] = {
		{"three clients and the probe, a second", {1000, 3, 1000, 10, false, false}, true},
		{"a server that was given no CPU for a moment",
		 {950, 9, 950, 10, false, false},
		 false},
		{"the same, but a probe over IPv6 was greeted",
		 {1000, 3, 1000, 10, false, true},
		 false},
		{"two clients may be scanners", {5000, 2, 5000, 10, false, false}, false},
		{"a flood of silent clients; the probe was greeted",
		 {9000, 400, 0, 10, false, false},
		 false},
		{"the probe waits, clients came just now",
		 {300, 20, 2000, 10, false, false},
		 false},
		{"it usually takes half a second", {1600, 9, 1600, 500, false, false}, false},
		{"the same, 1.7 s", {1700, 9, 1700, 500, false, false}, true},
		{"a greeting delay of six seconds", {9000, 99, 9000, 6000, false, false}, false},
		{"the last one that is up", {1500, 99, 1500, 10, true, false}, false},
		{"the last one, three seconds", {3000, 99, 3000, 10, true, false}, true},
		{"no overflow", {1u << 31, 9, 1u << 31, UINT32_MAX, true, false}, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (passive_is_silent(&rows[i].quiet) != rows[i].want)
			fail_msg("%s", rows[i].what);
}

static void a_time_in_which_this_box_was_late_counts_for_no_silence(void **state)
{
	struct passive_clock c = {0};

	(void)state;
	assert_int_equal(passive_clock_look(&c, 50, 1000), 1000);
	assert_int_equal(passive_clock_look(&c, 50, 1050), 1050);
	assert_int_equal(passive_clock_look(&c, 50, 1125), 1125); /* 25 ms late: that is usual */
	assert_int_equal(passive_clock_look(&c, 50, 1201), 1125);
	assert_int_equal(passive_clock_look(&c, 50, 9000), 1125);
	assert_int_equal(passive_clock_look(&c, 50, 9050), 1175);
	assert_int_equal(passive_clock_look(&c, 500, 9550), 1675);
}

struct pace { /* a scan each of a server whose connections carry data */
	struct passive_pace p;
	uint64_t opened, bytes, ms;
};

static bool carries(struct pace *s, uint64_t opened, uint64_t each)
{
	s->opened += opened;
	s->bytes += opened * each;
	s->ms += 50;
	return passive_pace_look(&s->p, s->opened, s->bytes, s->ms);
}

static void clients_that_carry_far_less_than_usual_are_a_hint(void **state)
{
	struct pace s = {.opened = 70, .bytes = 5000};
	unsigned hints = 0;

	(void)state;
	assert_false(passive_pace_look(&s.p, s.opened, s.bytes, 0)); /* what was before */
	for (int i = 0; i < 40; i++)
		assert_false(carries(&s, 1, i % 2 ? 3000 : 4000));
	for (int i = 0; i < 3; i++)
		assert_false(carries(&s, 1, 300));
	assert_true(carries(&s, 1, 300)); /* the fourth */
	for (int i = 0; i < 40; i++)
		hints += carries(&s, 1, 300);
	assert_int_equal(hints, 1); /* then it is reported, and becomes the usual value */
	for (int i = 0; i < 400; i++)
		carries(&s, 1, i % 2 ? 3000 : 4000);
	assert_true(carries(&s, 900, 300)); /* a row may be long */
}

/* A refusal may begin anywhere in a row of four. */
static void a_hint_comes_with_the_fourth_low_connection_wherever_it_begins(void **state)
{
	(void)state;
	for (unsigned before = 40; before < 48; before++) {
		struct pace s = {0};

		for (unsigned i = 0; i < before; i++)
			assert_false(carries(&s, 1, 3000));
		for (unsigned i = 0; i < 3; i++)
			assert_false(carries(&s, 1, 300));
		assert_true(carries(&s, 1, 300));
	}
}

static bool run_refused(const struct pace *s, const struct passive_volumes *usual)
{
	return passive_run_refused(&s->p, usual, PASSIVE_EXPECTED, s->ms);
}

/* They need not have ended: a server that refuses its clients may reset them, which is not seen. */
static void a_run_of_low_connections_is_evidence_of_a_refusal(void **state)
{
	const struct passive_volumes usual = often(VOLUMES(8, 9, 12, 10)),
				     mixed = often(VOLUMES(0, 8, 1, 9)), few = VOLUMES(8, 9, 12);
	struct pace s = {.ms = 1000};

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		carries(&s, 1, 3000);
	for (unsigned i = 0; i < 5; i++) {
		assert_false(
			run_refused(&s, &usual)); /* the fourth is 150 ms later than the first */
		carries(&s, 1, 300);
	}
	assert_true(run_refused(&s, &usual));
	assert_false(run_refused(&s, &mixed)); /* small ones are usual */
	assert_false(run_refused(&s, &few));   /* what is usual is not known */
	assert_false(passive_run_refused(&s.p, &usual, PASSIVE_EXPECTED, s.ms + 20000));
	s.bytes += 9000; /* one carries mail: the run is over */
	carries(&s, 0, 0);
	assert_false(run_refused(&s, &usual));
}

/* Ten connections at once, each second, whose messages come 0.4 s later. */
static void connections_whose_messages_are_still_to_come_are_no_evidence(void **state)
{
	const struct passive_volumes usual = often(VOLUMES(8, 9, 12, 10));
	struct pace s = {.ms = 1000};

	(void)state;
	for (unsigned second = 0; second < 60; second++) {
		carries(&s, 10, 300);
		for (unsigned i = 0; i < 19; i++) {
			s.bytes += i == 8 ? 30000 : 0;
			carries(&s, 0, 0);
			if (second > 5)
				assert_false(run_refused(&s, &usual));
		}
	}
}

/* A scan sees the connection, the next one its data. */
static void data_that_arrives_a_scan_later_is_no_hint(void **state)
{
	struct pace s = {0};

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		assert_false(carries(&s, 1, 300));
		s.bytes += 2700;
		assert_false(carries(&s, 0, 0));
	}
}

static void what_is_usual_must_be_known_first(void **state)
{
	struct pace s = {0};

	(void)state;
	carries(&s, 1, 0);
	for (int i = 0; i < 3; i++)
		assert_false(carries(&s, 4, 3000));
	assert_false(carries(&s, 4, 300)); /* the fourth row */
	assert_true(carries(&s, 4, 300));
}

static void a_server_of_very_large_and_small_messages_gives_few_hints(void **state)
{
	struct pace s = {0};
	unsigned hints = 0;

	(void)state;
	for (int i = 0; i < 4000; i++)
		hints += carries(&s, 1, i % 50 ? 2000 + (unsigned)i * 7919 % 3000 : 2000000);
	assert_true(hints < 20);
}

/* ---- panic.c ---- */

#define NOW    100000
#define WINDOW 18000

/* A server that failed some time ago and gets no connections. */
static struct panic_view failed(uint16_t preference, enum reason reason, uint64_t ago_ms)
{
	return (struct panic_view){.offered = true,
				   .preference = preference,
				   .reason = reason,
				   .began_ms = NOW - ago_ms - 1000,
				   .failed_ms = NOW - ago_ms};
}

static enum panic_says judge(const struct panic_view *v, unsigned n, unsigned *kept)
{
	bool keep[8];
	enum panic_says says = panic_judge(v, n, WINDOW, NOW, keep);

	*kept = 0;
	for (unsigned i = 0; i < n; i++)
		*kept |= (unsigned)keep[i] << i;
	return says;
}

static void panic_needs_all_to_fail_at_the_connect_level_at_once(void **state)
{
	struct panic_view v[3];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_connect_timeout, 5000);
	v[1] = failed(10, REASON_unreachable, 3000);
	v[2] = failed(20, REASON_connect_timeout, 2000);
	assert_int_equal(judge(v, 3, &kept), PANIC_KEEP); /* rule 8 */
	assert_int_equal(kept, 1 | 2);			  /* rule 9 */
	v[1].reason = REASON_greeting_5xx;		  /* rule 2 */
	assert_int_equal(judge(v, 3, &kept), PANIC_NO);
	assert_int_equal(kept, 0);
	v[1].offered = false; /* taken out by an operator: no evidence */
	assert_int_equal(judge(v, 3, &kept), PANIC_KEEP);
	assert_int_equal(kept, 1);
	v[0].failed_ms = NOW - 60000; /* rule 3 */
	assert_int_equal(judge(v, 3, &kept), PANIC_KEEP);
	assert_int_equal(kept, 4);
	v[0].failed_ms = v[2].failed_ms = 0; /* never up since mxlbd started */
	assert_int_equal(judge(v, 3, &kept), PANIC_NO);
}

static void clients_prove_and_refute_a_panic(void **state)
{
	struct panic_view v[2];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_connect_timeout, 2000);
	v[1] = failed(10, REASON_connect_timeout, 1000);
	v[1].tried_ms = NOW - 400; /* rule 5: not yet */
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	v[1].tried_ms = NOW - 500; /* rule 7 */
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
	v[0].opened_ms = NOW - 100; /* rule 4 */
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	assert_int_equal(kept, 1);
	v[0].opened_ms = v[0].began_ms - 1; /* from before the problem: no evidence */
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
}

static void a_refusal_is_definite_unless_clients_prove_otherwise_within_a_second(void **state)
{
	struct panic_view v[2];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_refused, 3000);
	v[1] = failed(20, REASON_refused, 900);
	assert_int_equal(judge(v, 2, &kept), PANIC_NO); /* no client can give evidence */
	v[1].opened_ms = v[1].began_ms - 100;
	assert_int_equal(judge(v, 2, &kept), PANIC_HOLD);
	assert_int_equal(kept, 1);
	v[1].failed_ms = NOW - 1000;
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
	v[1].opened_ms = NOW - 10;
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	v[1].tried_ms = NOW - 600; /* and then it died */
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
}

/* Every combination of three servers in every order, against invariants. */
static const enum reason panic_reasons[] = {REASON_connect_timeout, REASON_refused,
					    REASON_greeting_silent};

static struct panic_view any_view(unsigned k)
{
	struct panic_view v =
		failed(k / 3 % 2 ? 10 : 20, panic_reasons[k % 3], k & 8 ? 500 : 30000);

	if (k / 6 % 3 == 1)
		v.opened_ms = NOW - 50;
	if (k / 6 % 3 == 2)
		v.tried_ms = NOW - 700;
	return v;
}

static void check_panic(const struct panic_view *v)
{
	static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					      {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	bool reached = false, proof = false, keep[3];
	unsigned kept, again;
	enum panic_says says = judge(v, 3, &kept);

	for (unsigned i = 0; i < 3; i++) {
		reached |= v[i].reason == REASON_greeting_silent;
		proof |= v[i].opened_ms != 0;
		if (kept & 1u << i)
			assert_int_equal(v[i].tried_ms, 0);
	}
	assert_int_equal(kept == 0, says == PANIC_NO);
	if (reached)
		assert_int_equal(says, PANIC_NO);
	if (says == PANIC_HOLD)
		assert_false(proof);
	for (unsigned o = 0; o < 6; o++) {
		struct panic_view w[3] = {v[orders[o][0]], v[orders[o][1]], v[orders[o][2]]};

		assert_int_equal(panic_judge(w, 3, WINDOW, NOW, keep), says);
		again = 0;
		for (unsigned i = 0; i < 3; i++)
			again |= (unsigned)keep[i] << orders[o][i];
		assert_int_equal(again, kept);
	}
}

static void panic_is_the_same_in_all_orders_and_never_against_an_answer(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 18; a++)
		for (unsigned b = 0; b < 18; b++)
			for (unsigned c = 0; c < 18; c++) {
				const struct panic_view v[3] = {any_view(a), any_view(b),
								any_view(c)};

				check_panic(v);
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
		cmocka_unit_test(clients_tell_by_how_much_they_send),
		cmocka_unit_test(clients_that_connect_and_say_nothing_are_counted_from_the_first),
		cmocka_unit_test(a_server_that_greets_late_is_given_more_time),
		cmocka_unit_test(
			silence_is_found_when_probe_and_clients_have_met_it_for_long_enough),
		cmocka_unit_test(clients_that_carry_far_less_than_usual_are_a_hint),
		cmocka_unit_test(a_hint_comes_with_the_fourth_low_connection_wherever_it_begins),
		cmocka_unit_test(a_run_of_low_connections_is_evidence_of_a_refusal),
		cmocka_unit_test(connections_whose_messages_are_still_to_come_are_no_evidence),
		cmocka_unit_test(data_that_arrives_a_scan_later_is_no_hint),
		cmocka_unit_test(what_is_usual_must_be_known_first),
		cmocka_unit_test(a_server_of_very_large_and_small_messages_gives_few_hints),
		cmocka_unit_test(a_time_in_which_this_box_was_late_counts_for_no_silence),
		cmocka_unit_test(panic_needs_all_to_fail_at_the_connect_level_at_once),
		cmocka_unit_test(clients_prove_and_refute_a_panic),
		cmocka_unit_test(
			a_refusal_is_definite_unless_clients_prove_otherwise_within_a_second),
		cmocka_unit_test(panic_is_the_same_in_all_orders_and_never_against_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
