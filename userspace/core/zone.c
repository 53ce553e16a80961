/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an answer of DNS does to the set in force. One time, refresh-min (m), sets the pace of all others.
 *
 *   1. An error, a bogus answer, or an unsigned one where signatures are required keeps the set (`kept`) and is retried
 *      after m/6, doubling to 2m.
 *   2. No name, no MX record or a null MX keeps the set too (`refused`): an empty zone never empties a service.
 *   3. If the address lookups of an exchanger fail, its last addresses stay; the rest of the answer counts.
 *   4. What is added or has another preference is applied at once, but at most one change in 2m. What is missing stays
 *      until it was missing in two answers in a row and for 4m.
 *   5. An answer that has fewer than half of the exchangers in force, or a change that would leave no server, or none of
 *      those that take mail now, is held back (`held`) until an operator accepts it or the answer is another one.
 *   6. The first set of a service that has no servers yet is applied as it is. One that replaces `tiers` is a change,
 *      and waits until their servers have been probed.
 *   7. An exchanger that gets no mail, or is an alias, is reported when that is new.
 *   8. The next lookup is due at the lowest TTL, between m and refresh-max, and up to 10 % earlier.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/zone.h"

#define ABSENT_LOOKUPS	2
#define CHANGE_PACES	2 /* in units of refresh-min */
#define ABSENT_PACES	4
#define RETRY_PACES	2
#define RETRY_FRACTION	6
#define REMINDER_PACES	120
#define JITTER_FRACTION 10

static const char *const names[] = {
	[ZONE_CURRENT] = "current",
	[ZONE_KEPT] = "kept",
	[ZONE_HELD] = "held",
	[ZONE_REFUSED] = "refused",
};

const char *zone_state_name(enum zone_state s)
{
	return (unsigned)s < ZONE_STATES ? names[s] : "?";
}

static int zone_by_preference(const void *a, const void *b)
{
	const struct zone_exchanger *x = a, *y = b;

	return x->preference != y->preference ? (int)x->preference - (int)y->preference
					      : strcmp(x->name, y->name);
}

void zone_sort(struct zone_set *s)
{
	qsort(s->list, s->n, sizeof(*s->list), zone_by_preference);
}

const struct zone_exchanger *zone_find(const struct zone_set *s, const char *name)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!strcmp(s->list[i].name, name))
			return &s->list[i];
	return NULL;
}

static const struct zone_address *find_address(const struct zone_exchanger *e, const struct addr *a)
{
	for (unsigned i = 0; i < e->n; i++)
		if (addr_equal(&e->addresses[i].addr, a))
			return &e->addresses[i];
	return NULL;
}

static void note_absence(struct zone_absence *absent, bool present, uint64_t now_ms)
{
	if (present)
		*absent = (struct zone_absence){0};
	else if (!absent->lookups++)
		absent->since_ms = now_ms;
}

/* Rule 4: counts of a new answer. Rule 3: nothing is known about addresses that could not be looked up. */
static void note_absences(struct zone_set *in_force, const struct zone_set *answer, uint64_t now_ms)
{
	for (unsigned i = 0; i < in_force->n; i++) {
		struct zone_exchanger *e = &in_force->list[i];
		const struct zone_exchanger *is = zone_find(answer, e->name);

		note_absence(&e->absent, is, now_ms);
		for (unsigned k = 0; is && is->result <= DNS_NXDOMAIN && k < e->n; k++)
			note_absence(&e->addresses[k].absent,
				     find_address(is, &e->addresses[k].addr), now_ms);
	}
}

/* Its addresses in DNS are not looked up any more, so they are not absent either. */
static void forget_configured(struct zone_set *in_force, const struct zone_conf *conf)
{
	for (unsigned i = 0; i < in_force->n; i++) {
		struct zone_exchanger *e = &in_force->list[i];
		const struct zone_server_conf *fixed = zone_server_conf(conf, e->name);

		if (fixed && !addr_is_zero(&fixed->address))
			e->n = 0;
	}
}

static bool stays(const struct zone_absence *absent, const struct zone_view *v)
{
	return absent->lookups < ABSENT_LOOKUPS ||
	       v->now_ms - absent->since_ms < ABSENT_PACES * v->dns->refresh_min_ms;
}

/* An exchanger of the answer with what stays of the one in force. v NULL: nothing that is absent stays. */
static void merge_exchanger(const struct zone_exchanger *was, const struct zone_exchanger *is,
			    const struct zone_view *v, struct zone_exchanger *out)
{
	*out = *is;
	out->n = 0;
	for (unsigned k = 0; was && k < was->n; k++) {
		const struct zone_address *a = &was->addresses[k];

		if (a->absent.lookups && (!v || !stays(&a->absent, v)))
			continue;
		out->addresses[out->n++] = *a;
	}
	for (unsigned k = 0; k < is->n && out->n < ZONE_MAX_ADDRESSES; k++)
		if (!find_address(out, &is->addresses[k].addr))
			out->addresses[out->n++] =
				(struct zone_address){.addr = is->addresses[k].addr};
}

/* Rules 3 and 4. */
static void merge(const struct zone *z, const struct zone_view *v, struct zone_set *out)
{
	out->n = 0;
	for (unsigned i = 0; i < z->answer.n; i++)
		merge_exchanger(zone_find(&z->in_force, z->answer.list[i].name), &z->answer.list[i],
				v, &out->list[out->n++]);
	for (unsigned i = 0; v && i < z->in_force.n && out->n < ZONE_MAX_EXCHANGERS; i++) {
		const struct zone_exchanger *e = &z->in_force.list[i];

		if (!zone_find(&z->answer, e->name) && stays(&e->absent, v))
			out->list[out->n++] = *e;
	}
	zone_sort(out);
}

static bool is_in(const struct zone_map *map, const struct server_conf *b)
{
	for (unsigned i = 0; i < map->n; i++)
		if (!strcmp(map->servers[i].name, b->name) &&
		    addr_equal(&map->servers[i].address, &b->address))
			return true;
	return false;
}

static const struct server_conf *at_address(const struct zone_map *map, const struct addr *a)
{
	for (unsigned i = 0; i < map->n; i++)
		if (addr_equal(&map->servers[i].address, a))
			return &map->servers[i];
	return NULL;
}

bool zone_may_have(const struct service_conf *conf, const struct zone_map *map)
{
	return map->n || !conf->n_servers;
}

/* Rule 5. NULL: it may be applied. */
static const char *objection(const struct zone *z, const struct zone_view *v,
			     const struct zone_map *next, char why[ZONE_WHY_SIZE])
{
	unsigned left = 0;

	if (!zone_may_have(v->service, next)) {
		snprintf(why, ZONE_WHY_SIZE,
			 "no exchanger has an address that can be used; correct the zone, or set "
			 "addresses below servers");
		return why;
	}
	for (unsigned i = 0; i < z->in_force.n; i++)
		left += zone_find(&z->answer, z->in_force.list[i].name) != NULL;
	if (2 * left < z->in_force.n) {
		snprintf(why, ZONE_WHY_SIZE, "only %u of %u exchangers are left in the zone", left,
			 z->in_force.n);
		return why;
	}
	for (unsigned i = 0; i < v->n_takers; i++)
		if (is_in(next, &v->takers[i]))
			return NULL;
	if (!v->n_takers)
		return NULL;
	for (unsigned i = 0; i < v->n_takers; i++) {
		const struct server_conf *is = at_address(next, &v->takers[i].address);

		if (!is)
			continue;
		snprintf(
			why, ZONE_WHY_SIZE,
			"the zone has other names for the servers that take mail now (%s for %s), and "
			"under another name a server takes no mail before it has been probed",
			is->name, v->takers[i].name);
		return why;
	}
	snprintf(why, ZONE_WHY_SIZE, "none of the %u servers that take mail now would be left",
		 v->n_takers);
	return why;
}

static unsigned zone_set_state(struct zone *z, enum zone_state state, const char *why,
			       const struct zone_view *v)
{
	bool entered = z->state != state;
	bool other = entered || (state != ZONE_CURRENT && strcmp(z->why, why));
	bool reminder = !entered && state == ZONE_HELD &&
			v->now_ms - z->told_ms >= REMINDER_PACES * v->dns->refresh_min_ms;

	z->state = state;
	snprintf(z->why, sizeof(z->why), "%s", why);
	if (entered || reminder) /* another reason puts no reminder off */
		z->told_ms = v->now_ms;
	return reminder ? ZONE_TELL | ZONE_REMIND : other ? ZONE_TELL : 0;
}

/* When something that is absent may go; 0: nothing is. */
static uint64_t absence_ends(const struct zone_set *s, const struct zone_view *v)
{
	uint64_t first = 0, pace = ABSENT_PACES * v->dns->refresh_min_ms;

	for (unsigned i = 0; i < s->n; i++) {
		const struct zone_exchanger *e = &s->list[i];

		for (unsigned k = 0; k <= e->n; k++) {
			const struct zone_absence *a =
				k < e->n ? &e->addresses[k].absent : &e->absent;

			if (a->lookups && (!first || a->since_ms + pace < first))
				first = a->since_ms + pace;
		}
	}
	return first > v->now_ms ? first : 0; /* afterwards at the next answer */
}

static unsigned zone_apply(struct zone *z, const struct zone_view *v, const struct zone_set *next,
			   const struct zone_map *was, const struct zone_map *is, bool first)
{
	char why[ZONE_WHY_SIZE];

	zone_describe(was, is, why, sizeof(why));
	z->in_force = *next;
	z->has_set = true;
	z->set_wall_ms = v->wall_ms;
	z->changed_ms = first ? 0 : v->now_ms;
	z->again_ms = absence_ends(&z->in_force, v);
	zone_set_state(z, ZONE_CURRENT, why, v);
	z->told_ms = v->now_ms;
	return ZONE_TELL | ZONE_APPLY;
}

static void servers_of(struct zone_set *s, const struct zone_view *v, struct zone_map *out)
{
	zone_servers(s, v->service, v->box, v->room, out);
}

/* Rule 7. `was` is of the set in force, `is` of the next one. */
static bool has_news(const struct zone *z, const struct zone_map *was, const struct zone_set *next,
		     const struct zone_map *is)
{
	for (unsigned i = 0; i < next->n; i++) {
		const struct zone_exchanger *e = &next->list[i],
					    *known = zone_find(&z->in_force, e->name);
		const char *before = known ? was->unmapped[known - z->in_force.list] : "";

		if (!e->absent.lookups &&
		    ((is->unmapped[i][0] && strcmp(is->unmapped[i], before)) ||
		     (e->alias && (!known || !known->alias))))
			return true;
	}
	return false;
}

/* Rule 6, after a boot: which of the servers from before the zone take mail is not known. */
static bool awaits_verdicts(const struct zone *z, const struct zone_view *v,
			    const struct zone_map *was, const struct zone_map *is)
{
	return !z->has_set && !v->n_takers && v->n_unknown && !zone_has_servers(is, was);
}

static unsigned zone_decide(struct zone *z, const struct zone_view *v, struct zone_set *next,
			    struct zone_map *was, struct zone_map *map)
{
	uint64_t at = z->changed_ms + CHANGE_PACES * v->dns->refresh_min_ms;
	char why[ZONE_WHY_SIZE];
	const char *no;

	*was = *map;
	servers_of(next, v, map);
	no = objection(z, v, map, why); /* rule 6: also to the first set */
	if (!no && awaits_verdicts(z, v, was, map)) {
		no = "the servers in force have not been probed yet";
		z->again_ms = v->now_ms + v->dns->refresh_min_ms / RETRY_FRACTION;
	}
	if (no) {
		*map = *was;
		return zone_set_state(z, ZONE_HELD, no, v);
	}
	if (!z->has_set)
		return zone_apply(z, v, next, was, map, true);
	if (zone_same_servers(was, map)) {
		unsigned news = has_news(z, was, next, map) ? ZONE_TELL : 0;

		z->in_force = *next;
		z->set_wall_ms = v->wall_ms;
		z->again_ms = absence_ends(&z->in_force, v);
		return zone_set_state(z, ZONE_CURRENT, "", v) | news;
	}
	if (z->changed_ms && v->now_ms < at) {
		*map = *was;
		z->again_ms = at;
		return zone_set_state(z, ZONE_CURRENT, "", v);
	}
	return zone_apply(z, v, next, was, map, false);
}

unsigned zone_consider(struct zone *z, const struct zone_view *v, struct zone_map *map)
{
	struct zone_set *next = malloc(sizeof(*next));
	struct zone_map *was = malloc(sizeof(*was));
	unsigned act = 0;

	z->again_ms = 0;
	if (next && was && z->has_answer && z->state != ZONE_KEPT && z->state != ZONE_REFUSED) {
		merge(z, v, next);
		act = zone_decide(z, v, next, was, map);
	}
	free(next);
	free(was);
	return act;
}

/* Rule 8. */
static uint64_t next_lookup(const struct zone_view *v, uint32_t ttl_s)
{
	uint64_t ms = ttl_s * 1000ull;

	if (ms > v->dns->refresh_max_ms)
		ms = v->dns->refresh_max_ms;
	if (ms < v->dns->refresh_min_ms)
		ms = v->dns->refresh_min_ms;
	return v->now_ms + ms - v->random % (ms / JITTER_FRACTION + 1);
}

/* Rule 1. */
static uint64_t next_try(const struct zone_view *v, unsigned failures)
{
	uint64_t first = v->dns->refresh_min_ms / RETRY_FRACTION,
		 most = RETRY_PACES * v->dns->refresh_min_ms;
	uint64_t ms = failures < 16 ? first << (failures ? failures - 1 : 0) : most;

	return v->now_ms + (ms < most ? ms : most);
}

static const char *reason(const struct zone_answer *a, const char *mx, char why[ZONE_WHY_SIZE])
{
	snprintf(why, ZONE_WHY_SIZE, "%.100s: %s%s%s", mx, dns_result_text(a->mx),
		 a->why[0] ? ": " : "", a->why);
	return why;
}

unsigned zone_answered(struct zone *z, const struct zone_answer *a, const struct zone_view *v,
		       struct zone_map *map)
{
	char why[ZONE_WHY_SIZE];

	z->lookups[a->mx]++;
	z->last = a->mx;
	if (a->mx == DNS_OK) {
		z->failures = 0;
		z->answer = a->set;
		z->has_answer = true;
		z->secure = a->secure;
		z->answer_wall_ms = v->wall_ms;
		z->due_ms = next_lookup(v, a->ttl_s);
		forget_configured(&z->in_force, &v->service->zone);
		note_absences(&z->in_force, &z->answer, v->now_ms);
		if (z->state == ZONE_KEPT || z->state == ZONE_REFUSED) {
			unsigned told = zone_set_state(z, ZONE_CURRENT, "", v);

			return told | zone_consider(z, v, map);
		}
		return zone_consider(z, v, map);
	}
	z->again_ms = 0;
	if (a->mx == DNS_NODATA || a->mx == DNS_NXDOMAIN || a->mx == DNS_NULL_MX) {
		z->due_ms = v->now_ms + v->dns->refresh_min_ms; /* rule 2 */
		z->failures = 0;
		return zone_set_state(z, ZONE_REFUSED, reason(a, v->service->zone.mx, why), v);
	}
	z->failures++;
	z->due_ms = next_try(v, z->failures);
	return zone_set_state(z, ZONE_KEPT, reason(a, v->service->zone.mx, why), v);
}

/* docs/zone.md; what is not certain there is not said here. */
const char *zone_exchange_online(const struct zone *z)
{
	static const char *const texts[] = {
		[DNS_OK] = "delivers by preference; among equals at random",
		[DNS_NODATA] = "uses the name's own address, or defers with 4.4.312",
		[DNS_NXDOMAIN] = "defers with 4.4.312",
		[DNS_NULL_MX] = "does not deliver: the name accepts no mail",
		[DNS_SERVFAIL] = "defers with 4.4.312",
		[DNS_TIMEOUT] = "defers with 4.4.312",
		[DNS_BOGUS] = "defers with 5.7.324 where it validates, else with 4.4.312",
		[DNS_UNSIGNED] = "delivers by preference; it needs no signature",
		[DNS_UNUSABLE] = "not known",
		[DNS_LOCAL] = "not known",
	};

	if (z->state == ZONE_HELD)
		return "delivers by the zone as it is now, which is held back here";
	return z->has_answer || z->last != DNS_OK ? texts[z->last] : "not known";
}

bool zone_held(const struct zone *z, struct zone_set *out)
{
	if (z->state != ZONE_HELD || !z->has_answer)
		return false;
	merge(z, NULL, out);
	return true;
}

unsigned zone_accept(struct zone *z, const struct zone_view *v, struct zone_map *map)
{
	struct zone_set *next = malloc(sizeof(*next));
	struct zone_map *was = malloc(sizeof(*was));
	unsigned act = 0;

	if (next && was && zone_held(z, next)) {
		*was = *map;
		servers_of(next, v, map);
		if (zone_may_have(v->service, map))
			act = zone_apply(z, v, next, was, map, false);
		else /* it would be without servers at the next start */
			*map = *was;
	}
	free(next);
	free(was);
	return act;
}

bool zone_differs(const struct zone *z)
{
	bool absent = z->again_ms != 0;

	for (unsigned i = 0; i < z->in_force.n && !absent; i++) {
		const struct zone_exchanger *e = &z->in_force.list[i];

		absent = e->absent.lookups;
		for (unsigned k = 0; k < e->n; k++)
			absent |= e->addresses[k].absent.lookups > 0;
	}
	return absent || z->state != ZONE_CURRENT || !z->has_answer;
}
