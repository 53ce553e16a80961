/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps states to HAProxy's words (its management guide, 9.1, fields 17 and 36):
 *
 *   1. The state follows from the verdict that decides about new connections and from the administrative state. UP,
 *      DOWN; NOLB: the server defers new mail by a 4xx; DRAIN, MAINT: set by the operator (a drained server that is
 *      down is DOWN); "no check": no probe has finished, so it gets nothing.
 *   2. "UP 2/3": one of the three probes that take it out has failed; "DOWN 1/2": one of the two that bring it back
 *      succeeded.
 *   3. The check is the last probe, whatever its effect on the verdict.
 */
#include "haproxy/stat_row.h"

#include <stdio.h>

static const struct {
	const char *name, *text;
} checks[] = {
	[CHECK_INI] = {"INI", "Initializing"},
	[CHECK_SOCKERR] = {"SOCKERR", "Socket error"},
	[CHECK_L4OK] = {"L4OK", "Layer4 check passed"},
	[CHECK_L4TOUT] = {"L4TOUT", "Layer4 timeout"},
	[CHECK_L4CON] = {"L4CON", "Layer4 connection problem"},
	[CHECK_L6OK] = {"L6OK", "Layer6 check passed"},
	[CHECK_L6TOUT] = {"L6TOUT", "Layer6 timeout"},
	[CHECK_L6RSP] = {"L6RSP", "Layer6 invalid response"},
	[CHECK_L7TOUT] = {"L7TOUT", "Layer7 timeout"},
	[CHECK_L7RSP] = {"L7RSP", "Layer7 invalid response"},
	[CHECK_L7OK] = {"L7OK", "Layer7 check passed"},
	[CHECK_L7STS] = {"L7STS", "Layer7 wrong status"},
};

/* Reasons not named are about TLS and certificates: L6RSP. */
static const enum check_status by_reason[REASON_COUNT] = {
	[REASON_not_probed] = CHECK_INI,
	[REASON_local_error] = CHECK_SOCKERR,
	[REASON_local_carrier] = CHECK_SOCKERR,
	[REASON_local_clock] = CHECK_SOCKERR,
	[REASON_local_stall] = CHECK_SOCKERR,
	[REASON_ok] = CHECK_L7OK,
	[REASON_expensive] = CHECK_L7STS,
	[REASON_per_source_limit] = CHECK_L7STS,
	[REASON_sender_refused] = CHECK_L7STS,
	[REASON_source_refused] = CHECK_L7STS,
	[REASON_tls_required] = CHECK_L7STS,
	[REASON_greylisted] = CHECK_L7STS,
	[REASON_probe_refused] = CHECK_L7STS,
	[REASON_greeting_421] = CHECK_L7STS,
	[REASON_greeting_4xx] = CHECK_L7STS,
	[REASON_ehlo_421] = CHECK_L7STS,
	[REASON_ehlo_4xx] = CHECK_L7STS,
	[REASON_mail_421] = CHECK_L7STS,
	[REASON_mail_4xx] = CHECK_L7STS,
	[REASON_unreachable] = CHECK_L4CON,
	[REASON_refused] = CHECK_L4CON,
	[REASON_connect_timeout] = CHECK_L4TOUT,
	[REASON_vip_missing] = CHECK_L4TOUT,
	[REASON_not_on_link] = CHECK_L4TOUT,
	[REASON_tunnel_silent] = CHECK_L4TOUT,
	[REASON_greeting_silent] = CHECK_L7TOUT,
	[REASON_greeting_5xx] = CHECK_L7STS,
	[REASON_timeout] = CHECK_L7TOUT,
	[REASON_closed_early] = CHECK_L7RSP,
	[REASON_malformed] = CHECK_L7RSP,
	[REASON_reply_too_long] = CHECK_L7RSP,
	[REASON_ehlo_refused] = CHECK_L7STS,
	[REASON_no_starttls] = CHECK_L7RSP,
	[REASON_starttls_refused] = CHECK_L7STS,
	[REASON_starttls_injection] = CHECK_L7RSP,
	[REASON_mail_refused] = CHECK_L7STS,
	[REASON_proxy_expected] = CHECK_L7STS,
};

const char *stat_check_name(enum check_status c)
{
	return checks[c].name;
}

const char *stat_check_text(enum check_status c)
{
	return checks[c].text;
}

/* Rule 3. */
enum check_status stat_check(const struct service *s, const struct server *b)
{
	enum check_status c = CHECK_INI;

	if (b->last_wall_ms && (unsigned)b->last.reason < REASON_COUNT)
		c = by_reason[b->last.reason] ? by_reason[b->last.reason] : CHECK_L6RSP;
	if (c == CHECK_L7OK && s->probe.depth == DEPTH_CONNECT)
		return CHECK_L4OK;
	if (b->last.stage == STAGE_TLS && (c == CHECK_L7TOUT || c == CHECK_L7RSP))
		return c == CHECK_L7TOUT ? CHECK_L6TOUT : CHECK_L6RSP;
	return c;
}

bool stat_is_backup(const struct service *s, const struct server *b)
{
	uint16_t active = s->tier.has_active ? s->tier.active : s->servers[0].conf.preference;

	return !b->in_ring && b->conf.preference != active;
}

/* Rule 2. */
uint32_t stat_health(const struct service *s, const struct server *b)
{
	const struct health *h = &b->health;
	uint32_t most = s->probe.rise + s->probe.fall - 1;

	switch (health_effective(h)) {
	case VERDICT_UP:
	case VERDICT_DRAINING:
		return h->rising || h->differing >= s->probe.fall ? most : most - h->differing;
	case VERDICT_DOWN:
		return h->rising ? h->differing : 0;
	default:
		return 0;
	}
}

/* Rule 1. */
char *stat_status(const struct service *s, const struct server *b, char *text, size_t size)
{
	static const char *const words[VERDICT_COUNT] = {
		[VERDICT_UNKNOWN] = "no check",
		[VERDICT_UP] = "UP",
		[VERDICT_DRAINING] = "NOLB",
		[VERDICT_DOWN] = "DOWN",
	};
	enum verdict v = health_effective(&b->health);
	uint32_t health = stat_health(s, b), rise = s->probe.rise, fall = s->probe.fall;
	const char *word = b->admin == ADMIN_DRAIN && v != VERDICT_DOWN ? "DRAIN" : words[v];

	if (b->admin == ADMIN_MAINT)
		snprintf(text, size, "MAINT");
	else if (v == VERDICT_DOWN && health)
		snprintf(text, size, "%s %u/%u", word, health, rise);
	else if (v != VERDICT_DOWN && v != VERDICT_UNKNOWN && health < rise + fall - 1)
		snprintf(text, size, "%s %u/%u", word, health - rise + 1, fall);
	else
		snprintf(text, size, "%s", word);
	return text;
}
