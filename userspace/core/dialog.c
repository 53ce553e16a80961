/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of SMTP commands, and the reason for each refusal. Never speaks before the greeting, never pipelines, and
 * stops after a reply that came with more data behind it (CVE-2011-0411, from the client's side).
 *
 *   1. The first digit of a code decides (RFC 5321 section 4.2.1), except for the 220 that STARTTLS requires (RFC
 *      3207).
 *   2. refusal.c decides what a refusal means. EHLO answered by 500 or 502 is followed by HELO (RFC 5321 section 3.2),
 *      unless TLS is required, which HELO cannot offer.
 *   3. The result is decided once. RSET and QUIT follow for the sake of the server's log (docs/protocol-notes.md 1.4);
 *      their replies change nothing.
 *   4. QUIT is sent after a 421 as well: a server that has closed does not see it, one that has not logs a clean end.
 *   5. A server whose replies are invalid or too slow is sent QUIT without waiting for the reply; nothing is sent
 *      while STARTTLS is pending.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "core/dialog.h"
#include "core/refusal.h"
#include "util/log.h"

void dialog_init(struct dialog *d, const struct dialog_conf *conf)
{
	memset(d, 0, sizeof(*d));
	d->conf = *conf;
	d->conf.helo[sizeof(d->conf.helo) - 1] = '\0';
	d->conf.sender[sizeof(d->conf.sender) - 1] = '\0';
	d->stage = STAGE_CONNECT;
	reply_init(&d->reply);
}

static void dialog_decide(struct dialog *d, enum reason reason, const char *text, size_t len)
{
	d->decided = true;
	d->reason = reason;
	log_quote(text, len, d->text, sizeof(d->text));
}

/* Records the result from the reply just read: its code and words. */
static void decide_by_reply(struct dialog *d, enum reason reason)
{
	char words[REPLY_TEXT_SIZE + 8];
	int len = snprintf(words, sizeof(words), "%u %s", d->reply.code, d->reply.text);

	d->smtp_code = d->reply.code;
	dialog_decide(d, reason, words, (size_t)len);
}

static enum dialog_want dialog_say(struct dialog *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static enum dialog_want dialog_say(struct dialog *d, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(d->out, sizeof(d->out), format, args);
	va_end(args);
	d->out_len = (size_t)len;
	reply_init(&d->reply);
	return DIALOG_WRITE;
}

static enum dialog_want say_quit(struct dialog *d)
{
	d->quitting = true;
	return dialog_say(d, "QUIT\r\n");
}

/* Rule 5: sends QUIT, if the server can receive it, and ends without waiting. */
static enum dialog_want leave(struct dialog *d)
{
	if (d->stage != STAGE_CONNECT && d->stage != STAGE_STARTTLS && d->stage != STAGE_TLS)
		dialog_say(d, "QUIT\r\n");
	return DIALOG_CLOSE;
}

static enum dialog_want dialog_enter(struct dialog *d, enum probe_stage stage)
{
	d->stage = stage;
	if (stage == STAGE_STARTTLS)
		return dialog_say(d, "STARTTLS\r\n");
	if (stage == STAGE_MAIL_FROM)
		return dialog_say(d, "MAIL FROM:<%s>\r\n", d->conf.sender);
	return dialog_say(d, "%s %s\r\n", d->helo ? "HELO" : "EHLO", d->conf.helo);
}

static enum dialog_want succeed(struct dialog *d)
{
	bool mail_begun = d->stage == STAGE_MAIL_FROM;

	d->stage = STAGE_DONE;
	return mail_begun ? dialog_say(d, "RSET\r\n") : say_quit(d);
}

static enum dialog_want after_ehlo(struct dialog *d)
{
	if (d->conf.tls != TLS_NONE && !d->reply.starttls) {
		decide_by_reply(d, REASON_no_starttls);
		return say_quit(d);
	}
	if (d->conf.depth >= DEPTH_STARTTLS && d->conf.tls != TLS_NONE)
		return dialog_enter(d, STAGE_STARTTLS);
	if (d->conf.depth == DEPTH_MAIL_FROM)
		return dialog_enter(d, STAGE_MAIL_FROM);
	decide_by_reply(d, REASON_ok);
	return succeed(d);
}

/* The server agreed: continue with the next stage, or finish at the configured depth. */
static enum dialog_want advance(struct dialog *d)
{
	if (d->stage == STAGE_EHLO)
		return after_ehlo(d);
	if (d->stage == STAGE_STARTTLS) {
		d->stage = STAGE_TLS;
		return DIALOG_START_TLS;
	}
	if (d->stage == STAGE_GREETING && d->conf.depth > DEPTH_BANNER)
		return dialog_enter(d, STAGE_EHLO);
	if (d->stage == STAGE_EHLO_TLS)
		return dialog_enter(d, STAGE_MAIL_FROM);
	decide_by_reply(d, REASON_ok);
	return succeed(d);
}

/* Rule 2. */
static bool may_say_helo(const struct dialog *d)
{
	return d->stage == STAGE_EHLO && !d->helo && d->conf.tls == TLS_NONE &&
	       (d->reply.code == 500 || d->reply.code == 502);
}

static enum dialog_want dialog_judge(struct dialog *d, const char *rest, size_t rest_len)
{
	bool agreed = d->stage == STAGE_STARTTLS ? d->reply.code == 220 : d->reply.code / 100 == 2;

	if (may_say_helo(d) && !rest_len) {
		d->helo = true;
		return dialog_enter(d, STAGE_EHLO);
	}
	if (!agreed) {
		decide_by_reply(d, refusal_reason(d->stage, d->reply.code, d->reply.text));
		return say_quit(d);
	}
	if (rest_len) {
		dialog_decide(d,
			      d->stage == STAGE_STARTTLS ? REASON_starttls_injection
							 : REASON_malformed,
			      rest, rest_len);
		return leave(d);
	}
	return advance(d);
}

enum dialog_want dialog_connected(struct dialog *d)
{
	d->out_len = 0;
	if (d->conf.depth == DEPTH_CONNECT) {
		dialog_decide(d, REASON_ok, "", 0);
		d->stage = STAGE_DONE;
		return DIALOG_CLOSE;
	}
	d->stage = STAGE_GREETING;
	return DIALOG_READ;
}

enum dialog_want dialog_bytes(struct dialog *d, const char *bytes, size_t len)
{
	enum reply_status status;
	size_t used;

	d->out_len = 0;
	if (d->stage == STAGE_TLS && !d->decided)
		return dialog_fail(d, REASON_starttls_injection, bytes, len);
	status = reply_feed(&d->reply, bytes, len, &used);
	if (status == REPLY_MORE)
		return DIALOG_READ;
	if (d->decided)
		return d->quitting ? DIALOG_CLOSE : say_quit(d);
	if (status == REPLY_COMPLETE)
		return dialog_judge(d, bytes + used, len - used);
	dialog_decide(d, status == REPLY_TOO_LONG ? REASON_reply_too_long : REASON_malformed,
		      d->reply.line, d->reply.line_len);
	return leave(d);
}

enum dialog_want dialog_tls_done(struct dialog *d, bool ok, enum reason reason_if_not,
				 const char *text)
{
	d->out_len = 0;
	d->tls_on = ok || reason_if_not != REASON_tls_handshake;
	if (!ok) {
		dialog_decide(d, reason_if_not, text, strlen(text));
		return d->tls_on ? say_quit(d) : DIALOG_CLOSE;
	}
	if (d->conf.depth >= DEPTH_MAIL_FROM)
		return dialog_enter(d, STAGE_EHLO_TLS);
	dialog_decide(d, REASON_ok, "", 0);
	return succeed(d);
}

enum dialog_want dialog_fail(struct dialog *d, enum reason reason, const char *text, size_t len)
{
	d->out_len = 0;
	if (!d->decided)
		dialog_decide(d, reason, text, len);
	return DIALOG_CLOSE;
}

enum dialog_want dialog_eof(struct dialog *d, const char *text)
{
	enum reason reason = d->stage == STAGE_TLS ? REASON_tls_handshake : REASON_closed_early;

	return dialog_fail(d, reason, text, strlen(text));
}

/* Decides by the part of the reply that has arrived. */
static void decide_unfinished(struct dialog *d, enum reason reason)
{
	char words[sizeof(d->text)];
	int len;

	if (d->stage != STAGE_GREETING || !d->reply.bytes) {
		dialog_decide(d, reason, d->reply.line, d->reply.line_len);
		return;
	}
	len = snprintf(words, sizeof(words), "the greeting is incomplete: %.*s",
		       (int)(d->reply.line_len < 150 ? d->reply.line_len : 150), d->reply.line);
	dialog_decide(d, reason, words, len < (int)sizeof(words) ? (size_t)len : sizeof(words) - 1);
}

enum dialog_want dialog_timeout(struct dialog *d)
{
	static const enum reason reasons[STAGE_DONE + 1] = {
		[STAGE_CONNECT] = REASON_connect_timeout,
		[STAGE_GREETING] = REASON_greeting_silent,
	};
	enum reason reason = reasons[d->stage] ? reasons[d->stage] : REASON_timeout;

	d->out_len = 0;
	if (d->decided)
		return DIALOG_CLOSE;
	decide_unfinished(d, reason);
	return d->stage == STAGE_GREETING ? DIALOG_CLOSE : leave(d);
}
