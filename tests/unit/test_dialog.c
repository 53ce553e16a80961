/* SPDX-License-Identifier: BSD-2-Clause */
/* The SMTP dialogue: the commands, their order, and the effect of each reply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/dialog.h"

#define NO_TLS	 TLS_NONE
#define WITH_TLS TLS_ENCRYPTION_ONLY
#define EHLO_OK	 "250-mx\r\n250-STARTTLS\r\n250 SIZE\r\n"

/*
 * A conversation: what the server sends, one entry per read. "TLS" is a successful handshake, "-TLS" a failed one,
 * "OLD" one with a version that is too old, "EOF" the end, "TIME" the deadline. Then all commands that were sent.
 */
struct row {
	const char *what;
	enum probe_depth depth;
	enum tls_policy tls;
	const char *server[8];
	enum reason reason;
	enum probe_stage stage;
	uint16_t code;
	const char *said;
};

#define FULL "EHLO h|STARTTLS|EHLO h|MAIL FROM:<>|"

static const struct row rows[] = {
	{"all is well",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "220 go\r\n", "TLS", "250 mx\r\n", "250 ok\r\n", "250 ok\r\n",
	  "221 bye\r\n"},
	 REASON_ok,
	 STAGE_DONE,
	 250,
	 FULL "RSET|QUIT|"},
	{"all is well, without TLS",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "250 mx\r\n", "250 ok\r\n", "250 ok\r\n", "221 bye\r\n"},
	 REASON_ok,
	 STAGE_DONE,
	 250,
	 "EHLO h|MAIL FROM:<>|RSET|QUIT|"},
	{"a connection is enough", DEPTH_CONNECT, WITH_TLS, {NULL}, REASON_ok, STAGE_DONE, 0, ""},
	{"a banner is enough",
	 DEPTH_BANNER,
	 WITH_TLS,
	 {"220 mx\r\n", "221 bye\r\n"},
	 REASON_ok,
	 STAGE_DONE,
	 220,
	 "QUIT|"},
	{"an offer of STARTTLS is enough",
	 DEPTH_EHLO,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "221 bye\r\n"},
	 REASON_ok,
	 STAGE_DONE,
	 250,
	 "EHLO h|QUIT|"},
	{"an offer of STARTTLS is missing",
	 DEPTH_EHLO,
	 WITH_TLS,
	 {"220 mx\r\n", "250 mx\r\n", "221 bye\r\n"},
	 REASON_no_starttls,
	 STAGE_EHLO,
	 250,
	 "EHLO h|QUIT|"},
	{"a handshake is enough",
	 DEPTH_STARTTLS,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "220 go\r\n", "TLS", "221 bye\r\n"},
	 REASON_ok,
	 STAGE_DONE,
	 0,
	 "EHLO h|STARTTLS|QUIT|"},
	{"depth starttls without TLS ends after EHLO",
	 DEPTH_STARTTLS,
	 NO_TLS,
	 {"220 mx\r\n", EHLO_OK, "221 bye\r\n"},
	 REASON_ok,
	 STAGE_DONE,
	 250,
	 "EHLO h|QUIT|"},
	{"greeting 421",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"421 4.3.2 no\r\n", "EOF"},
	 REASON_greeting_421,
	 STAGE_GREETING,
	 421,
	 "QUIT|"},
	{"greeting 450",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"450 no\r\n", "221 bye\r\n"},
	 REASON_greeting_4xx,
	 STAGE_GREETING,
	 450,
	 "QUIT|"},
	{"greeting 521",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"521 no\r\n", "221 bye\r\n"},
	 REASON_greeting_5xx,
	 STAGE_GREETING,
	 521,
	 "QUIT|"},
	{"greeting 354",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"354 go\r\n", "221 bye\r\n"},
	 REASON_malformed,
	 STAGE_GREETING,
	 354,
	 "QUIT|"},
	{"per-source limit",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"421 4.3.2 The maximum number of concurrent server connections has exceeded a per-source limit, closing "
	  "transmission channel\r\n",
	  "EOF"},
	 REASON_per_source_limit,
	 STAGE_GREETING,
	 421,
	 "QUIT|"},
	{"a limit for all sources is the server's",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission "
	  "channel\r\n",
	  "EOF"},
	 REASON_greeting_421,
	 STAGE_GREETING,
	 421,
	 "QUIT|"},
	{"a 5xx is no limit, whatever it says",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"554 per-source limit\r\n", "EOF"},
	 REASON_greeting_5xx,
	 STAGE_GREETING,
	 554,
	 "QUIT|"},
	{"EHLO 421",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "421 no\r\n", "EOF"},
	 REASON_ehlo_421,
	 STAGE_EHLO,
	 421,
	 "EHLO h|QUIT|"},
	{"EHLO 502: HELO is tried",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "502 no\r\n", "250 mx\r\n", "250 ok\r\n", "250 ok\r\n", "221 bye\r\n"},
	 REASON_ok,
	 STAGE_DONE,
	 250,
	 "EHLO h|HELO h|MAIL FROM:<>|RSET|QUIT|"},
	{"EHLO 500 and HELO 500",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "500 no\r\n", "500 no\r\n", "221 bye\r\n"},
	 REASON_ehlo_refused,
	 STAGE_EHLO,
	 500,
	 "EHLO h|HELO h|QUIT|"},
	{"EHLO 550 is a refusal, not an unknown command",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "550 no\r\n", "221 bye\r\n"},
	 REASON_ehlo_refused,
	 STAGE_EHLO,
	 550,
	 "EHLO h|QUIT|"},
	{"EHLO 502 where TLS is wanted: HELO cannot offer it",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", "502 no\r\n", "221 bye\r\n"},
	 REASON_ehlo_refused,
	 STAGE_EHLO,
	 502,
	 "EHLO h|QUIT|"},
	{"the null sender is refused",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "250 mx\r\n", "554 5.1.0 Sender Denied\r\n", "221 bye\r\n"},
	 REASON_sender_refused,
	 STAGE_MAIL_FROM,
	 554,
	 "EHLO h|MAIL FROM:<>|QUIT|"},
	{"a greeting that never ends",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220-mx\r\n", "220-mx again\r\n", "TIME"},
	 REASON_greeting_silent,
	 STAGE_GREETING,
	 0,
	 ""},
	{"STARTTLS 454",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "454 no\r\n", "221 bye\r\n"},
	 REASON_starttls_refused,
	 STAGE_STARTTLS,
	 454,
	 "EHLO h|STARTTLS|QUIT|"},
	{"STARTTLS 250 is no 220",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "250 ok\r\n", "221 bye\r\n"},
	 REASON_starttls_refused,
	 STAGE_STARTTLS,
	 250,
	 "EHLO h|STARTTLS|QUIT|"},
	{"more behind the 220",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "220 go\r\n2"},
	 REASON_starttls_injection,
	 STAGE_STARTTLS,
	 0,
	 "EHLO h|STARTTLS|"},
	{"more after the 220",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "220 go\r\n", "250 x\r\n"},
	 REASON_starttls_injection,
	 STAGE_TLS,
	 0,
	 "EHLO h|STARTTLS|"},
	{"more behind the greeting",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n250 x\r\n"},
	 REASON_malformed,
	 STAGE_GREETING,
	 0,
	 "QUIT|"},
	{"handshake failed",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "220 go\r\n", "-TLS"},
	 REASON_tls_handshake,
	 STAGE_TLS,
	 0,
	 "EHLO h|STARTTLS|"},
	{"TLS too old: QUIT goes through it",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "220 go\r\n", "OLD", "221 bye\r\n"},
	 REASON_tls_version,
	 STAGE_TLS,
	 0,
	 "EHLO h|STARTTLS|QUIT|"},
	{"STARTTLS is not wanted twice",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "220 go\r\n", "TLS", EHLO_OK, "250 ok\r\n", "EOF"},
	 REASON_ok,
	 STAGE_DONE,
	 250,
	 FULL "RSET|"},
	{"MAIL FROM 421",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "250 mx\r\n", "421 4.3.2 no\r\n", "EOF"},
	 REASON_mail_421,
	 STAGE_MAIL_FROM,
	 421,
	 "EHLO h|MAIL FROM:<>|QUIT|"},
	{"MAIL FROM 452",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "250 mx\r\n", "452 no\r\n", "TIME"},
	 REASON_mail_4xx,
	 STAGE_MAIL_FROM,
	 452,
	 "EHLO h|MAIL FROM:<>|QUIT|"},
	{"MAIL FROM 550",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "250 mx\r\n", "550 no\r\n", "221 bye\r\n"},
	 REASON_mail_refused,
	 STAGE_MAIL_FROM,
	 550,
	 "EHLO h|MAIL FROM:<>|QUIT|"},
	{"nonsense after the decision changes nothing",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "250 mx\r\n", "250 ok\r\n", "?", "??"},
	 REASON_ok,
	 STAGE_DONE,
	 250,
	 "EHLO h|MAIL FROM:<>|RSET|QUIT|"},
	{"nobody answers",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"-CONNECT"},
	 REASON_connect_timeout,
	 STAGE_CONNECT,
	 0,
	 ""},
	{"no greeting",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"TIME"},
	 REASON_greeting_silent,
	 STAGE_GREETING,
	 0,
	 ""},
	{"half a greeting",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 m", "TIME"},
	 REASON_greeting_silent,
	 STAGE_GREETING,
	 0,
	 ""},
	{"no answer to EHLO",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "TIME"},
	 REASON_timeout,
	 STAGE_EHLO,
	 0,
	 "EHLO h|QUIT|"},
	{"no answer to STARTTLS: no word more",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "TIME"},
	 REASON_timeout,
	 STAGE_STARTTLS,
	 0,
	 "EHLO h|STARTTLS|"},
	{"the handshake stalls: no word more",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "220 go\r\n", "TIME"},
	 REASON_timeout,
	 STAGE_TLS,
	 0,
	 "EHLO h|STARTTLS|"},
	{"closed at once",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"EOF"},
	 REASON_closed_early,
	 STAGE_GREETING,
	 0,
	 ""},
	{"closed after EHLO",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"220 mx\r\n", "EOF"},
	 REASON_closed_early,
	 STAGE_EHLO,
	 0,
	 "EHLO h|"},
	{"closed in the handshake",
	 DEPTH_MAIL_FROM,
	 WITH_TLS,
	 {"220 mx\r\n", EHLO_OK, "220 go\r\n", "EOF"},
	 REASON_tls_handshake,
	 STAGE_TLS,
	 0,
	 "EHLO h|STARTTLS|"},
	{"not SMTP",
	 DEPTH_MAIL_FROM,
	 NO_TLS,
	 {"HTTP/1.0 400 no\r\n"},
	 REASON_malformed,
	 STAGE_GREETING,
	 0,
	 "QUIT|"},
};

static enum dialog_want hear(struct dialog *d, const char *event)
{
	if (!strcmp(event, "TLS"))
		return dialog_tls_done(d, true, 0, "");
	if (!strcmp(event, "-TLS"))
		return dialog_tls_done(d, false, REASON_tls_handshake, "no cipher");
	if (!strcmp(event, "OLD"))
		return dialog_tls_done(d, false, REASON_tls_version, "TLSv1");
	if (!strcmp(event, "EOF"))
		return dialog_eof(d, "closed");
	if (!strcmp(event, "TIME"))
		return dialog_timeout(d);
	return dialog_bytes(d, event, strlen(event));
}

/* The commands, with '|' for each end of line; only whole commands are sent. */
static void note(const struct dialog *d, char *said, size_t size)
{
	size_t len = strlen(said);

	if (!d->out_len)
		return;
	assert_true(d->out_len > 2 && !memcmp(d->out + d->out_len - 2, "\r\n", 2));
	assert_null(memchr(d->out, '\r', d->out_len - 2)); /* never two in one packet */
	snprintf(said + len, size - len, "%.*s|", (int)d->out_len - 2, d->out);
}

static void every_conversation_ends_as_it_should(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct dialog_conf conf = {.depth = row->depth, .tls = row->tls, .helo = "h"};
		bool no_connect = row->server[0] && !strcmp(row->server[0], "-CONNECT");
		char said[256] = "";
		enum dialog_want want;
		struct dialog d;

		dialog_init(&d, &conf);
		want = no_connect ? dialog_timeout(&d) : dialog_connected(&d);
		for (size_t k = 0; k < 8 && row->server[k] && want != DIALOG_CLOSE; k++) {
			bool handshake = strstr(row->server[k], "TLS") == row->server[k] ||
					 !strcmp(row->server[k], "-TLS") ||
					 !strcmp(row->server[k], "OLD");

			if (handshake)
				assert_int_equal(want, DIALOG_START_TLS);
			want = hear(&d, row->server[k]);
			note(&d, said, sizeof(said));
		}
		if (want != DIALOG_CLOSE || !d.decided || d.reason != row->reason)
			fail_msg("%s: want %d, %s", row->what, want, reason_name(d.reason));
		if (d.stage != row->stage || d.smtp_code != row->code || strcmp(said, row->said))
			fail_msg("%s: stage %s, code %u, said %s", row->what, stage_name(d.stage),
				 d.smtp_code, said);
	}
}

/* Split into single bytes, a conversation has the same result, apart from entries that must arrive alone. */
static void single_bytes_lead_to_the_same_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct dialog_conf conf = {.depth = row->depth, .tls = row->tls, .helo = "h"};
		enum dialog_want want;
		struct dialog d;

		if (!strncmp(row->what, "more ", 5) || (row->server[0] && row->server[0][0] == '-'))
			continue;
		dialog_init(&d, &conf);
		want = dialog_connected(&d);
		for (size_t k = 0; k < 8 && row->server[k] && want != DIALOG_CLOSE; k++) {
			const char *event = row->server[k];

			if (event[0] > '9' || event[0] == '-')
				want = hear(&d, event);
			else
				for (; *event && want != DIALOG_CLOSE; event++)
					want = dialog_bytes(&d, event, 1);
		}
		if (d.reason != row->reason || d.stage != row->stage)
			fail_msg("%s: %s", row->what, reason_name(d.reason));
	}
}

static void the_servers_reply_is_kept_with_its_code_and_escaped(void **state)
{
	struct dialog_conf conf = {.depth = DEPTH_MAIL_FROM, .helo = "h"};
	const char greeting[] = "554-no \"mail\"\x1b[2J\xff today\r\n554 not ever\r\n";
	struct dialog d;

	(void)state;
	dialog_init(&d, &conf);
	dialog_connected(&d);
	dialog_bytes(&d, greeting, sizeof(greeting) - 1);
	assert_string_equal(d.text, "554 no \\\"mail\\\"\\x1b[2J\\xff today");
}

static void a_reply_that_is_not_smtp_is_shown(void **state)
{
	struct dialog_conf conf = {.depth = DEPTH_MAIL_FROM, .helo = "h"};
	struct dialog d;

	(void)state;
	dialog_init(&d, &conf);
	dialog_connected(&d);
	dialog_bytes(&d, "22x", 3);
	assert_string_equal(d.text, "22x");
}

static void the_longest_name_still_makes_a_whole_ehlo(void **state)
{
	struct dialog_conf conf = {.depth = DEPTH_MAIL_FROM};
	struct dialog d;

	(void)state;
	memset(conf.helo, 'h', sizeof(conf.helo)); /* not even terminated */
	dialog_init(&d, &conf);
	dialog_connected(&d);
	assert_int_equal(dialog_bytes(&d, "220 mx\r\n", 8), DIALOG_WRITE);
	assert_int_equal(d.out_len, strlen("EHLO \r\n") + sizeof(conf.helo) - 1);
	assert_memory_equal(d.out + d.out_len - 2, "\r\n", 2);
}

static void the_first_decision_stands(void **state)
{
	struct dialog_conf conf = {.depth = DEPTH_MAIL_FROM, .helo = "h"};
	struct dialog d;

	(void)state;
	dialog_init(&d, &conf);
	dialog_connected(&d);
	dialog_bytes(&d, "421 no\r\n", 8);
	assert_int_equal(dialog_fail(&d, REASON_local_error, "x", 1), DIALOG_CLOSE);
	assert_int_equal(dialog_eof(&d, "x"), DIALOG_CLOSE);
	assert_int_equal(dialog_timeout(&d), DIALOG_CLOSE);
	assert_int_equal(d.reason, REASON_greeting_421);
	assert_string_equal(d.text, "421 no");
	assert_int_equal(d.out_len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_conversation_ends_as_it_should),
		cmocka_unit_test(single_bytes_lead_to_the_same_end),
		cmocka_unit_test(the_servers_reply_is_kept_with_its_code_and_escaped),
		cmocka_unit_test(a_reply_that_is_not_smtp_is_shown),
		cmocka_unit_test(the_longest_name_still_makes_a_whole_ehlo),
		cmocka_unit_test(the_first_decision_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
