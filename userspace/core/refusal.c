/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Derives the reason from an SMTP refusal by known texts. No list of texts is complete, so an unknown text decides
 * nothing here; blame.c compares it with what other clients experience.
 *
 *   1. A 4xx that mentions too many, too fast or a limit is about this client's connections.
 *   2. A refusal that asks for STARTTLS is about a probe that does not use TLS.
 *   3. A 4xx that mentions greylisting is about this client.
 *   4. A refusal of MAIL FROM that mentions the sender, or whose enhanced code has the subject 1 (addressing), is
 *      about the probe's sender.
 *   5. A 5xx that mentions this client's address, name or a block list, or whose enhanced code has the subject 7
 *      (security or policy), is about this client. A 4xx with that subject is not: Postfix reports a dead milter by
 *      4.7.1.
 *   6. A server that expects a PROXY protocol header refuses all clients, because none of them sends one.
 *   7. Otherwise the code decides.
 */
#include <string.h>
#include "core/refusal.h"

static const struct {
	enum reason code_421, code_4xx, code_5xx;
} by_stage[STAGE_DONE + 1] = {
	[STAGE_GREETING] = {REASON_greeting_421, REASON_greeting_4xx, REASON_greeting_5xx},
	[STAGE_EHLO] = {REASON_ehlo_421, REASON_ehlo_4xx, REASON_ehlo_refused},
	[STAGE_STARTTLS] = {REASON_starttls_refused, REASON_starttls_refused,
			    REASON_starttls_refused},
	[STAGE_EHLO_TLS] = {REASON_ehlo_421, REASON_ehlo_4xx, REASON_ehlo_refused},
	[STAGE_MAIL_FROM] = {REASON_mail_421, REASON_mail_4xx, REASON_mail_refused},
};

/* Exchange (docs/protocol-notes.md 4.2), Postfix smtpd.c and postscreen, Exim smtp_in.c, sendmail's ratecontrol and conncontrol. */
static const char *const limits[] = {"per-source limit",
				     "too many connections",
				     "too many open connections",
				     "too many new TLS",
				     "too many concurrent SMTP",
				     "too many sessions",
				     "too many mess",
				     "too many errors",
				     "too much mail from",
				     "rate limit",
				     "connection rate",
				     "throttl",
				     "slow down",
				     "connections from this IP",
				     "connections from your",
				     "concurrent connections from",
				     "connection limit",
				     NULL};

static const char *const tls[] = {"must issue a STARTTLS",
				  "STARTTLS is required",
				  "STARTTLS required",
				  "STARTTLS first",
				  "requires TLS",
				  "TLS required",
				  "TLS is required",
				  "encryption required",
				  "must use TLS",
				  "secure connection",
				  NULL};

static const char *const greylists[] = {"greylist",  "graylist",  "grey-list", "gray-list",
					"grey list", "gray list", NULL};

static const char *const senders[] = {"sender",	      "null reverse", "reverse-path",
				      "reverse path", "return-path",  "return path",
				      "bounce",	      "<>",	      NULL};

static const char *const sources[] = {
	"your ip",	  "your address",  "your host",	  "client host",   "helo command",
	"ehlo command",	  "blocked",	   "blacklist",	  "blocklist",	   "block list",
	"denylist",	  "spamhaus",	   "rbl",	  "dnsbl",	   "not authorized",
	"not authorised", "not permitted", "not allowed", "access denied", "access prohibited",
	"reputation",	  "reverse dns",   "ptr record",  "relay",	   NULL};

static const char *const proxies[] = {"proxy protocol", "proxy header", "proxy line", NULL};

/* Exchange (docs/protocol-notes.md 4.3, 4.5), Postfix, Exim, sendmail. */
static const char *const states[] = {"service not a",
				     "shutting down",
				     "shut down",
				     "maintenance",
				     "insufficient system",
				     "system storage",
				     "no space",
				     "disk",
				     "load average",
				     "server local error",
				     "queue",
				     "draining",
				     "resources",
				     NULL};

static bool speaks_of(const char *text, const char *const *phrases)
{
	for (; *phrases; phrases++)
		if (strcasestr(text, *phrases))
			return true;
	return false;
}

/* The subject of an enhanced status code, "5.S.d" at the text's beginning; -1: there is none. */
static int subject_of(const char *text)
{
	if (text[0] < '2' || text[0] > '5' || text[1] != '.' || text[2] < '0' || text[2] > '9' ||
	    text[3] != '.')
		return -1;
	return text[2] - '0';
}

enum reason refusal_by_code(enum probe_stage stage, uint16_t code)
{
	if ((unsigned)stage > STAGE_DONE || !by_stage[stage].code_421)
		return REASON_malformed;
	if (code == 421)
		return by_stage[stage].code_421;
	if (code / 100 == 4)
		return by_stage[stage].code_4xx;
	if (code / 100 == 5 || stage == STAGE_STARTTLS)
		return by_stage[stage].code_5xx;
	return REASON_malformed; /* 3xx: no command asks for more input */
}

bool refusal_names_server(const char *text)
{
	return speaks_of(text, states);
}

enum reason refusal_reason(enum probe_stage stage, uint16_t code, const char *text)
{
	bool temporary = code / 100 == 4, permanent = code / 100 == 5;
	int subject = subject_of(text);

	if (stage == STAGE_STARTTLS || (!temporary && !permanent))
		return refusal_by_code(stage, code); /* rule 7 */
	if (speaks_of(text, proxies))		     /* rule 6 */
		return REASON_proxy_expected;
	if (temporary && speaks_of(text, limits)) /* rule 1 */
		return REASON_per_source_limit;
	if (stage != STAGE_GREETING && speaks_of(text, tls)) /* rule 2 */
		return REASON_tls_required;
	if (temporary && speaks_of(text, greylists)) /* rule 3 */
		return REASON_greylisted;
	if (stage == STAGE_MAIL_FROM && (subject == 1 || speaks_of(text, senders))) /* rule 4 */
		return REASON_sender_refused;
	if (permanent && (subject == 7 || speaks_of(text, sources))) /* rule 5 */
		return REASON_source_refused;
	return refusal_by_code(stage, code); /* rule 7 */
}
