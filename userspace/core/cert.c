/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events about certificates, independent of the policy. They change no verdict.
 *
 *   1. A certificate that expires within expiry-warn, or has expired: reported at once, once a day, and when another
 *      such certificate replaces it.
 *   2. An issuer or subject that differs from those of the service's other servers: reported once per change. In a
 *      hybrid organisation they must be the same (docs/protocol-notes.md 2.5); a connector that names one of them
 *      accepts mail from half the servers only.
 */
#include <stdio.h>
#include <string.h>
#include "core/model_event.h"

#define DAY_S 86400

int64_t model_days_left(int64_t not_after_s, int64_t now_wall_ms)
{
	int64_t left = not_after_s - now_wall_ms / 1000;

	return left / DAY_S - (left % DAY_S < 0);
}

/* FNV-1a, 64 bits; never 0. */
static uint64_t identity_of(const struct tls_info *t)
{
	const char *const texts[] = {t->issuer, "\n", t->subject};
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (const char *c = texts[i]; *c; c++)
			hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
	return hash ? hash : 1;
}

/* Rule 1. */
static void warn_of_expiry(struct model *m, const struct service *s, struct server *b,
			   struct now now)
{
	int64_t not_after = b->last.tls.not_after, days = model_days_left(not_after, now.wall_ms);
	struct event *e;

	if (!s->probe.expiry_warn_ms ||
	    not_after - now.wall_ms / 1000 >= (int64_t)(s->probe.expiry_warn_ms / 1000)) {
		b->cert.not_after = b->cert.days = 0;
		return;
	}
	if (b->cert.not_after == not_after && b->cert.days == days)
		return;
	b->cert.not_after = not_after;
	b->cert.days = days;
	e = model_event(m, EVENT_CERTIFICATE_EXPIRES, s, b, now);
	snprintf(e->to, sizeof(e->to), "%lldd", (long long)days);
	snprintf(e->cause, sizeof(e->cause), "%.*s %s", EVENT_TEXT_SIZE - 16, b->last.tls.subject,
		 days < 0 ? "has expired" : "expires");
}

/* Rule 2. */
static void compare_identities(struct model *m, const struct service *s, struct server *b,
			       struct now now)
{
	uint64_t identity = identity_of(&b->last.tls);

	if (identity == b->cert.identity)
		return;
	b->cert.identity = identity;
	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *other = &s->servers[i];
		struct event *e;

		if (!other->cert.identity || other->cert.identity == identity)
			continue;
		e = model_event(m, EVENT_CERTIFICATE_DIFFERS, s, b, now);
		snprintf(e->cause, sizeof(e->cause), "differs from %s's: %.100s, issued by %.100s",
			 other->conf.name, b->last.tls.subject, b->last.tls.issuer);
		return;
	}
}

void model_certificate(struct model *m, const struct service *s, struct server *b, struct now now)
{
	const struct tls_info *t = &b->last.tls;

	if (!t->version[0] || !t->not_after)
		return;
	warn_of_expiry(m, s, b, now);
	compare_identities(m, s, b, now);
}
