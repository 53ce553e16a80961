/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *   1. A zone whose set is not the one in force is a finding: what is missing, why, and what ends it. As zone_differs().
 *   2. Exchangers without a usable address, and aliases, are warnings: the first ones are named, the others counted.
 *   3. TLSA records that could not be looked up, that no server of the best tier matches or that are unusable. None at
 *      all is no fault.
 *   4. A cause that has its own remedy has it behind its last "; " (resolver.h), an exchanger's behind ": set ".
 */
#include <stdio.h>
#include <string.h>
#include "core/zone_finding.h"

#define NAMED 2 /* exchangers in one sentence */

#define TEXT(f, ...) \
	snprintf((f)->text + strlen((f)->text), sizeof((f)->text) - strlen((f)->text), __VA_ARGS__)

/* By what the last lookup gave. %s: the service. */
static const char *const steps[] = {
	[DNS_OK] = "wait for the first lookup: mxlbctl zone %s shows it",
	[DNS_NODATA] = "publish its MX records, or correct mx; then mxlbctl zone %s read",
	[DNS_NXDOMAIN] = "publish its MX records, or correct mx; then mxlbctl zone %s read",
	[DNS_NULL_MX] = "replace the null MX by MX records; then mxlbctl zone %s read",
	[DNS_SERVFAIL] = "check the zone's name servers, and the resolvers (dns.resolvers, else "
			 "/etc/resolv.conf); then mxlbctl zone %s read",
	[DNS_TIMEOUT] = "check that this box reaches its resolvers (dns.resolvers, else "
			"/etc/resolv.conf); then mxlbctl zone %s read",
	[DNS_BOGUS] = "check the zone's signatures and DS record, dns.trust-anchors and this box's "
		      "clock; if the zone is not to be validated, list it in dns.insecure; then "
		      "mxlbctl zone %s read",
	[DNS_UNSIGNED] = "sign the zone, or set dnssec: prefer; then mxlbctl zone %s read",
	[DNS_UNUSABLE] = "correct the records; then mxlbctl zone %s read",
	[DNS_LOCAL] = "see mxlbd's log; then mxlbctl zone %s read",
};

/* Rule 4. NULL: the cause has none. */
static const char *own_remedy(const char *why)
{
	const char *found = strstr(why, ": set ");

	if (found)
		return found + 2;
	for (const char *at = why; (at = strstr(at, "; ")); at += 2)
		found = at + 2;
	return found;
}

int zone_cause_len(const char *why)
{
	const char *remedy = own_remedy(why);

	return (int)(remedy ? remedy - 2 - why : (long)strlen(why));
}

static void put_step(enum dns_result r, const char *why, const char *service,
		     char out[FINDING_NEXT_SIZE])
{
	const char *own = own_remedy(why), *mark = strstr(steps[r], "%s");

	if (own)
		snprintf(out, FINDING_NEXT_SIZE, "%s, then mxlbctl zone %s read", own, service);
	else
		snprintf(out, FINDING_NEXT_SIZE, "%.*s%s%s", (int)(mark - steps[r]), steps[r],
			 service, mark + 2);
}

char *zone_next_step(const struct zone *z, const char *service, char out[FINDING_NEXT_SIZE])
{
	out[0] = '\0';
	if (z->state == ZONE_HELD && !own_remedy(z->why))
		snprintf(out, FINDING_NEXT_SIZE,
			 "see what it would change: mxlbctl zone %s; if that is intended: mxlbctl "
			 "zone %s accept",
			 service, service);
	else if (z->state != ZONE_CURRENT)
		put_step(z->last, z->why, service, out);
	return out;
}

static bool is_server(const struct zone_map *map, const struct addr *a)
{
	for (unsigned i = 0; map && i < map->n; i++)
		if (addr_equal(&map->servers[i].address, a))
			return true;
	return false;
}

enum leaving { LEAVING_NOTHING, LEAVING_UNUSED, LEAVING_SERVER };

/* Is something of it missing in the last answers, and does mail go there? */
static enum leaving leaving_of(const struct zone_exchanger *e, const struct zone_conf *conf,
			       const struct zone_map *map)
{
	const struct zone_server_conf *fixed = zone_server_conf(conf, e->name);
	bool server = e->absent.lookups && fixed && is_server(map, &fixed->address), any = server;

	for (unsigned k = 0; k < e->n; k++) {
		if (!e->absent.lookups && !e->addresses[k].absent.lookups)
			continue;
		any = true;
		server |= is_server(map, &e->addresses[k].addr);
	}
	return server			  ? LEAVING_SERVER
	       : any || e->absent.lookups ? LEAVING_UNUSED
					  : LEAVING_NOTHING;
}

/* Appends the exchangers in force, or their addresses, that the last answers do not have. */
static unsigned put_leaving(const struct zone *z, const struct zone_conf *conf,
			    const struct zone_map *map, enum leaving which, struct finding *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < z->in_force.n; i++) {
		const struct zone_exchanger *e = &z->in_force.list[i];

		if (leaving_of(e, conf, map) == which && ++n <= NAMED)
			TEXT(f, "%s%s%s", n > 1 ? ", " : "",
			     e->absent.lookups ? "" : "an address of ", e->name);
	}
	if (n > NAMED)
		TEXT(f, " and %u more", n - NAMED);
	if (n)
		TEXT(f, which == LEAVING_SERVER
				? " left the zone: mail still goes there until that is certain"
				: " left the zone; no mail went there");
	return n;
}

static void put_state(const struct zone *z, const struct service_conf *s,
		      const struct zone_map *map, struct finding *f)
{
	static const struct {
		enum finding_level level;
		const char *code, *text;
	} states[ZONE_STATES] = {
		[ZONE_CURRENT] = {FINDING_WARNING, "zone_pending", ""},
		[ZONE_KEPT] = {FINDING_WARNING, "zone_kept",
			       "the last servers from DNS stay in force: "},
		[ZONE_HELD] = {FINDING_WARNING, "zone_held", "a change of the zone is held back: "},
		[ZONE_REFUSED] = {FINDING_ERROR, "zone_refused",
				  "the zone has no servers, the last ones stay in force: "},
	};

	*f = (struct finding){.level = states[z->state].level, .code = states[z->state].code};
	TEXT(f, "%s: %s", s->name,
	     z->has_set || z->state == ZONE_HELD ? states[z->state].text
						 : "DNS has not given any servers yet: ");
	zone_next_step(z, s->name, f->next);
	if (z->state != ZONE_CURRENT) {
		TEXT(f, "%.*s", zone_cause_len(z->why), z->why);
		return;
	}
	if (!put_leaving(z, &s->zone, map, LEAVING_SERVER, f) &&
	    !put_leaving(z, &s->zone, map, LEAVING_UNUSED, f))
		TEXT(f, "the zone has changed again, and changes come into force one by one");
	snprintf(f->next, sizeof(f->next), "wait, or see mxlbctl zone %s", s->name);
}

/* Rule 2. Of the exchangers for which it is said. */
static unsigned put_unmapped(const struct zone *z, const struct zone_map *map, struct finding *f)
{
	unsigned n = 0;

	for (unsigned i = 0; map && i < z->in_force.n; i++) {
		if (!map->unmapped[i][0] || z->in_force.list[i].absent.lookups || ++n > NAMED)
			continue;
		TEXT(f, "%s%s %.*s", n > 1 ? "; " : "", z->in_force.list[i].name,
		     zone_cause_len(map->unmapped[i]), map->unmapped[i]);
		snprintf(f->next, sizeof(f->next), "%s",
			 own_remedy(map->unmapped[i]) ?: "correct the zone");
	}
	if (n > NAMED)
		TEXT(f, "; and %u more", n - NAMED);
	return n;
}

static unsigned put_aliases(const struct zone *z, struct finding *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < z->in_force.n; i++)
		if (z->in_force.list[i].alias && ++n <= NAMED)
			TEXT(f, "%s%s", n > 1 ? ", " : "", z->in_force.list[i].name);
	if (n > NAMED)
		TEXT(f, " and %u more", n - NAMED);
	return n;
}

char *tlsa_next_step(const struct tlsaset *t, bool unmatched, const char *service,
		     char out[FINDING_NEXT_SIZE])
{
	out[0] = '\0';
	if (t->state == TLSASET_KEPT)
		put_step(t->last, t->why, service, out);
	else if (unmatched)
		snprintf(out, FINDING_NEXT_SIZE,
			 "publish the record of the new key beside the old one, or put the old key "
			 "back (docs/zone.md)");
	else if (t->state == TLSASET_NONE && t->warn)
		snprintf(out, FINDING_NEXT_SIZE, "%s", own_remedy(t->why) ?: "");
	return out;
}

/* Rule 3. False: nothing is wrong. */
static bool put_tlsa(const struct tlsaset *t, bool unmatched, const char *name, const char *service,
		     struct finding *f)
{
	*f = (struct finding){.level = FINDING_WARNING, .code = "tlsa_unmatched"};
	TEXT(f, "%s: TLSA records of %.253s: ", service, name);
	tlsa_next_step(t, unmatched, service, f->next);
	if (t->state == TLSASET_KEPT && t->failures) {
		f->level = FINDING_ERROR;
		f->code = "tlsa_kept";
		TEXT(f, "%s in force: %.*s", t->n ? "the last ones stay" : "none is",
		     zone_cause_len(t->why), t->why);
	} else if (unmatched) {
		TEXT(f, "no server of the best tier has a key that matches: senders that validate "
			"them will not deliver");
	} else if (t->state == TLSASET_NONE && t->warn) {
		f->code = "tlsa_unusable";
		TEXT(f, "%.*s", zone_cause_len(t->why), t->why);
	} else {
		return false;
	}
	return true;
}

unsigned zone_findings(const struct zone_report *r, const struct config *c, unsigned service,
		       struct finding out[ZONE_FINDINGS])
{
	const char *name = c->services[service].name;
	unsigned probe = c->services[service].probe, n = 0;
	const struct zone *z = r->zones[service];
	const struct tlsaset *t = r->tlsasets[probe];

	if (z && zone_differs(z)) /* rule 1 */
		put_state(z, &c->services[service], r->maps[service], &out[n++]);
	if (z) { /* rule 2 */
		out[n] = (struct finding){.level = FINDING_WARNING, .code = "zone_unmapped"};
		TEXT(&out[n], "%s: ", name);
		n += put_unmapped(z, r->maps[service], &out[n]) > 0;
		out[n] = (struct finding){.level = FINDING_WARNING,
					  .code = "zone_alias",
					  .next = "name the host itself in the MX record"};
		TEXT(&out[n], "%s: MX records name aliases (RFC 2181 section 10.3): ", name);
		n += put_aliases(z, &out[n]) > 0;
	}
	if (t)
		n += put_tlsa(t, r->tlsa_unmatched[probe], c->probes[probe].tlsa_name, name,
			      &out[n]);
	return n;
}

void zone_no_servers(const struct zone *z, const struct zone_map *map, const char *service,
		     const char *mx, struct finding *f)
{
	TEXT(f, "%s: it has no server, so the VIP does not answer: ", service);
	if (z && z->has_set && z->in_force.n && put_unmapped(z, map, f))
		return;
	TEXT(f, "%s has not given any yet", mx);
	if (z)
		zone_next_step(z, service, f->next);
}
