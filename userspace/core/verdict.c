/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names and meanings of verdicts, reasons and stages. Their effect on verdicts is decided by health.c. An unknown
 * number is shown as "?", has the verdict unknown, and changes nothing.
 */
#include <stddef.h>
#include "core/verdict.h"

struct reason_row {
	const char *name, *exo_code, *text;
	enum verdict verdict;
	enum effect effect;
};

static const struct reason_row reasons[REASON_COUNT] = {
#define R(name, verdict, effect, exo, text) \
	[REASON_##name] = {#name, exo, text, VERDICT_##verdict, EFFECT_##effect},
	MXLB_REASONS(R)
#undef R
};

static const struct reason_row no_reason = {"?", "", "?", VERDICT_UNKNOWN, EFFECT_NONE};

static const char *const verdicts[] = {
	[VERDICT_UNKNOWN] = "unknown",
	[VERDICT_UP] = "up",
	[VERDICT_DRAINING] = "draining",
	[VERDICT_DOWN] = "down",
};

static const char *const stages[] = {
	[STAGE_NONE] = "none",	       [STAGE_CONNECT] = "connect",
	[STAGE_GREETING] = "greeting", [STAGE_EHLO] = "ehlo",
	[STAGE_STARTTLS] = "starttls", [STAGE_TLS] = "tls",
	[STAGE_EHLO_TLS] = "ehlo-tls", [STAGE_MAIL_FROM] = "mail-from",
	[STAGE_DONE] = "done",
};

static const struct reason_row *verdict_row(enum reason r)
{
	return (unsigned)r < REASON_COUNT ? &reasons[r] : &no_reason;
}

static const char *verdict_word(const char *const *names, size_t n, unsigned i)
{
	return i < n ? names[i] : "?";
}

const char *verdict_name(enum verdict v)
{
	return verdict_word(verdicts, sizeof(verdicts) / sizeof(*verdicts), v);
}

const char *stage_name(enum probe_stage s)
{
	return verdict_word(stages, sizeof(stages) / sizeof(*stages), s);
}

const char *reason_name(enum reason r)
{
	return verdict_row(r)->name;
}

enum verdict reason_verdict(enum reason r)
{
	return verdict_row(r)->verdict;
}

enum effect reason_effect(enum reason r)
{
	return verdict_row(r)->effect;
}

bool reason_is_certificate(enum reason r)
{
	return r >= REASON_certificate_expired && r <= REASON_tlsa_mismatch;
}

bool reason_is_client(enum reason r)
{
	return (r >= REASON_per_source_limit && r <= REASON_probe_refused) || r == REASON_expensive;
}

bool reason_is_refusal(enum reason r)
{
	return (r >= REASON_greeting_421 && r <= REASON_mail_4xx) || r == REASON_greeting_5xx ||
	       r == REASON_ehlo_refused || r == REASON_mail_refused;
}

bool reason_is_connect(enum reason r)
{
	return r == REASON_unreachable || r == REASON_refused || r == REASON_connect_timeout ||
	       r == REASON_vip_missing || r == REASON_not_on_link || r == REASON_tunnel_silent;
}

enum probe_stage reason_stage(enum reason r)
{
	switch (r) {
	case REASON_unreachable:
	case REASON_refused:
	case REASON_connect_timeout:
	case REASON_vip_missing:
	case REASON_not_on_link:
	case REASON_tunnel_silent:
	case REASON_greeting_silent:
		return STAGE_CONNECT;
	case REASON_ehlo_421:
	case REASON_ehlo_4xx:
	case REASON_ehlo_refused:
	case REASON_no_starttls:
		return STAGE_EHLO;
	case REASON_starttls_refused:
	case REASON_starttls_injection:
		return STAGE_STARTTLS;
	case REASON_mail_421:
	case REASON_mail_4xx:
	case REASON_mail_refused:
		return STAGE_MAIL_FROM;
	default:
		if (r == REASON_tls_handshake || r == REASON_tls_version ||
		    reason_is_certificate(r))
			return STAGE_TLS;
		return verdict_row(r)->verdict == VERDICT_UP ||
				       verdict_row(r)->verdict == VERDICT_UNKNOWN
			       ? STAGE_NONE
			       : STAGE_GREETING;
	}
}

/* If DANE is required, Exchange Online uses other codes (docs/protocol-notes.md 2.7). */
const char *reason_exo_code(enum reason r, enum tls_policy policy)
{
	if (policy == TLS_DANE && r == REASON_no_starttls)
		return "5.7.321";
	if (policy == TLS_DANE && r == REASON_certificate_expired)
		return "5.7.322";
	return verdict_row(r)->exo_code;
}

const char *reason_text(enum reason r)
{
	return verdict_row(r)->text;
}
