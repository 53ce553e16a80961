/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *   1. Only secure answers count, whatever dns.dnssec says.
 *   2. Secure, with a usable record (usage 2 or 3): one must match (`current`).
 *   3. Secure, with none that is usable; or proven to be absent; or not signed: as encryption-only (`none`).
 *   4. Bogus, or an error: the last good set stays (`kept`): the zone is at fault and not a server.
 *   5. More usable records than fit are an error, because leaving one out could fail the server that has its key.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/tlsaset.h"
#include "core/zone.h"

static const char *const names[] = {
	[TLSASET_CURRENT] = "current",
	[TLSASET_NONE] = "none",
	[TLSASET_KEPT] = "kept",
};

const char *tlsaset_state_name(enum tlsaset_state s)
{
	return (unsigned)s < TLSASET_STATES ? names[s] : "?";
}

/* Rules 2, 3 and 5. */
static enum tlsaset_state tlsaset_read_records(const struct dns_answer *a, struct tlsa *list,
					       unsigned *n, char *why, size_t size)
{
	struct tlsa t;

	*n = 0;
	for (unsigned i = 0; i < a->n; i++) {
		if (dns_tlsa(&a->records[i], &t))
			continue;
		if (*n == CONFIG_MAX_TLSA) {
			snprintf(why, size, "more than %d usable records; publish fewer",
				 CONFIG_MAX_TLSA);
			return TLSASET_KEPT;
		}
		list[(*n)++] = t;
	}
	if (*n)
		return TLSASET_CURRENT;
	snprintf(why, size, "none of its %u records is usable for SMTP; publish usage 3 or 2",
		 a->n);
	return TLSASET_NONE;
}

static enum tlsaset_state judge(const struct dns_answer *a, enum dns_result r, const char *none,
				struct tlsa *list, unsigned *n, char *why, size_t size)
{
	const char *words = a ? a->why : none;

	*n = 0;
	if (r > DNS_NXDOMAIN) { /* rule 4 */
		snprintf(why, size, "%s%s%s", dns_result_text(r), *words ? ": " : "", words);
		return TLSASET_KEPT;
	}
	if (a->secure && r == DNS_OK)
		return tlsaset_read_records(a, list, n, why, size);
	if (a->secure)
		snprintf(why, size, "the zone has no TLSA record for it");
	else
		snprintf(why, size, "the answer is not signed");
	return TLSASET_NONE;
}

static uint64_t due(struct tlsaset *s, enum tlsaset_state state, const struct tlsaset_view *v,
		    uint32_t ttl_s)
{
	uint64_t min = v->dns->refresh_min_ms, max = v->dns->refresh_max_ms, ms = ttl_s * 1000ull;

	s->failures = state == TLSASET_KEPT ? s->failures + 1 : 0;
	if (s->failures)
		ms = (min / 6) << (s->failures < 6 ? s->failures - 1 : 5);
	if (s->failures)
		return v->now_ms + (ms < 2 * min ? ms : 2 * min);
	ms = ms > max ? max : ms < min ? min : ms;
	return v->now_ms + ms - v->random % (ms / 10 + 1);
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tlsa));
}

bool tlsaset_answered(struct tlsaset *s, const struct dns_answer *a, const char *none,
		      const struct tlsaset_view *v)
{
	struct tlsa list[CONFIG_MAX_TLSA];
	char why[sizeof(s->why)] = "";
	unsigned n;
	enum tlsaset_state state;
	bool changed;

	memset(list, 0, sizeof(list));
	s->last = a ? dns_judge(a, DNSSEC_PREFER) : *none ? DNS_LOCAL : DNS_TIMEOUT;
	state = judge(a, s->last, none, list, &n, why, sizeof(why));
	if (state == TLSASET_KEPT && s->last == DNS_OK) /* rule 5 */
		s->last = DNS_UNUSABLE;
	s->lookups[s->last]++;
	qsort(list, n, sizeof(*list), by_bytes); /* name servers rotate records */
	s->due_ms = due(s, state, v, a ? a->ttl_s : 0);
	changed = state != s->state || strcmp(why, s->why);
	if (state != TLSASET_KEPT) {
		changed |= n != s->n || memcmp(list, s->list, n * sizeof(*list));
		memcpy(s->list, list, sizeof(s->list));
		s->n = n;
		s->warn = state == TLSASET_NONE && a->n && a->secure;
		s->set_wall_ms = v->wall_ms;
	}
	if (changed)
		s->changed_ms = v->now_ms;
	s->state = state;
	memcpy(s->why, why, sizeof(s->why));
	return changed;
}

const char *tlsaset_exchange_online(const struct tlsaset *s)
{
	if (s->state == TLSASET_KEPT)
		return s->last == DNS_UNUSABLE || s->last == DNS_LOCAL || !s->failures
			       ? "not known"
			       : "defers with 5.7.324";
	if (s->state == TLSASET_NONE)
		return s->warn ? "TLS without authentication" : "opportunistic TLS";
	return "a record must match, else 5.7.323; no STARTTLS: 5.7.321; expired: 5.7.322";
}

static bool is_digest_of(const struct tlsa *t, const struct tls_info *tls)
{
	bool key = t->selector == TLSA_SELECTOR_SPKI;

	if (t->matching == TLSA_MATCHING_SHA512)
		return !memcmp(t->digest, key ? tls->spki_sha512 : tls->cert_sha512, 64);
	return !memcmp(t->digest, key ? tls->spki_sha256 : tls->cert_sha256, 32);
}

enum tlsaset_match tlsaset_matches(const struct tlsaset *s, const struct tls_info *tls)
{
	enum tlsaset_match found = TLSASET_NO_MATCH;

	if (!tls->version[0] || !s->n)
		return TLSASET_UNKNOWN;
	for (unsigned i = 0; i < s->n; i++) {
		const struct tlsa *t = &s->list[i];

		if (t->usage != TLSA_USAGE_EE)
			found = TLSASET_UNKNOWN;
		else if (is_digest_of(t, tls))
			return TLSASET_MATCH;
	}
	return found;
}

enum tlsaset_match tlsaset_judge(const struct tlsaset *s, const struct probe_result *last,
				 uint64_t ended_ms)
{
	enum tlsaset_match m = tlsaset_matches(s, &last->tls);

	if (m != TLSASET_UNKNOWN || !s->n || ended_ms <= s->changed_ms + last->total_ms)
		return m;
	return last->reason == REASON_tlsa_mismatch ? TLSASET_NO_MATCH
	       : last->reason == REASON_ok	    ? TLSASET_MATCH
						    : TLSASET_UNKNOWN;
}

void tlsaset_count(struct tlsaset_tally *t, enum tlsaset_match m, bool is_up)
{
	t->match |= m == TLSASET_MATCH;
	t->miss |= m == TLSASET_NO_MATCH;
	t->unsure |= m == TLSASET_UNKNOWN && is_up;
}

bool tlsaset_unmatched(const struct tlsaset_tally *t, bool was)
{
	return t->match ? false : t->miss && !t->unsure ? true : was;
}
