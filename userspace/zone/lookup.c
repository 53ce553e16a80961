// SPDX-License-Identifier: BSD-2-Clause
/*
 * From a service's name to what its zone says.
 *
 *   1. Of MX records that are not well formed the others count; if none is, or more exchangers than fit, it is an error.
 *   2. Addresses are looked up in the family of the VIP; in the other one too where forward is ipip.
 *   3. A name that no server may have is not looked up.
 *   4. The answer is secure if each of them is; its TTL is the lowest.
 *   5. Of more addresses than fit those of the VIP's family count, because others are used only if there is none; and the
 *      lowest ones, because name servers rotate records.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "zone/lookup.h"

struct lookup_round {
	struct resolver *resolver;
	enum dnssec policy;
	enum dns_type family;
	char mx[DNS_NAME_SIZE];
	struct zone_server_conf *servers;
	unsigned n_servers;
	lookup_done_fn *done; /* NULL: cancelled */
	void *ctx;
	unsigned pending;
	struct address_lookup {
		struct lookup_round *round;
		unsigned exchanger;
		enum dns_type type;
	} addresses[2 * ZONE_MAX_EXCHANGERS];
	struct zone_answer answer;
};

static void take_ttl(struct zone_answer *out, uint32_t ttl_s)
{
	if (ttl_s < out->ttl_s)
		out->ttl_s = ttl_s;
}

static void lookup_fail(struct zone_answer *out, enum dns_result r, const char *why)
{
	out->mx = r;
	out->set.n = 0;
	snprintf(out->why, sizeof(out->why), "%s", why);
}

/* Of two records of one exchanger the better one counts. False: there is no room. */
static bool add_exchanger(struct zone_set *s, const struct dns_mx *mx)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct zone_exchanger *e = &s->list[i];

		if (strcmp(e->name, mx->exchanger))
			continue;
		if (mx->preference < e->preference)
			e->preference = mx->preference;
		return true;
	}
	if (s->n == ZONE_MAX_EXCHANGERS)
		return false;
	s->list[s->n] = (struct zone_exchanger){.preference = mx->preference, .result = DNS_OK};
	memcpy(s->list[s->n++].name, mx->exchanger, sizeof(mx->exchanger));
	return true;
}

void lookup_read_mx(const struct dns_answer *a, enum dnssec policy, struct zone_answer *out)
{
	bool null_mx = false;
	struct dns_mx mx;

	out->mx = dns_judge(a, policy);
	out->secure = a->secure;
	out->ttl_s = a->ttl_s;
	out->set.n = 0;
	snprintf(out->why, sizeof(out->why), "%s", out->mx > DNS_NULL_MX ? a->why : "");
	for (unsigned i = 0; i < a->n && out->mx == DNS_OK; i++) {
		if (dns_mx(&a->records[i], &mx))
			continue;
		if (!*mx.exchanger)
			null_mx = true;
		else if (!add_exchanger(&out->set, &mx))
			lookup_fail(out, DNS_UNUSABLE, "more than 64 exchangers; publish fewer");
	}
	if (out->mx == DNS_OK && !out->set.n && null_mx)
		lookup_fail(out, DNS_NULL_MX, "");
	else if (out->mx == DNS_OK && !out->set.n)
		lookup_fail(out, DNS_UNUSABLE, "no MX record is well formed");
	zone_sort(&out->set);
}

static bool is_before(const struct addr *a, const struct addr *b, bool v4)
{
	return addr_is_v4(a) != addr_is_v4(b) ? addr_is_v4(a) == v4 : memcmp(a, b, sizeof(*a)) < 0;
}

/* Rule 5. They are sorted. */
static void add_address(struct zone_exchanger *e, const struct addr *addr, bool v4)
{
	struct zone_address one = {.addr = *addr}, next;
	unsigned at = 0;

	/* those that were left out would not have been used */
	if (addr_is_v4(addr) == v4 && e->n && addr_is_v4(&e->addresses[0].addr) != v4)
		e->cut = false;
	while (at < e->n && is_before(&e->addresses[at].addr, addr, v4))
		at++;
	for (; at < e->n; at++) {
		next = e->addresses[at];
		e->addresses[at] = one;
		one = next;
	}
	if (e->n < ZONE_MAX_ADDRESSES)
		e->addresses[e->n++] = one;
	else
		e->cut |= addr_is_v4(&one.addr) == addr_is_v4(&e->addresses[0].addr);
}

void lookup_read_addresses(const struct dns_answer *a, enum dnssec policy, enum dns_type type,
			   enum dns_type family, struct zone_exchanger *e, struct zone_answer *out)
{
	enum dns_result r = a ? dns_judge(a, policy) : DNS_TIMEOUT;
	struct addr addr;

	/* two families: what could not be looked up counts, then what has addresses */
	if (r > DNS_NXDOMAIN || (e->result <= DNS_NXDOMAIN && !e->n))
		e->result = r;
	if (r > DNS_NXDOMAIN)
		out->ttl_s = 0; /* soon again */
	if (!a)
		return;
	out->secure &= a->secure;
	take_ttl(out, a->ttl_s);
	e->alias |= *a->canonical && strcmp(a->canonical, e->name);
	for (unsigned i = 0; r == DNS_OK && i < a->n; i++)
		if (!dns_address(type, &a->records[i], &addr))
			add_address(e, &addr, family == DNS_A);
}

static void lookup_finish(struct lookup_round *l)
{
	if (l->pending)
		return;
	if (l->done)
		l->done(l->ctx, &l->answer);
	lookup_free(l);
}

static void on_lookup_address(void *ctx, const struct dns_answer *a, const char *why)
{
	struct address_lookup *one = ctx;
	struct lookup_round *l = one->round;

	(void)why;
	lookup_read_addresses(a, l->policy, one->type, l->family,
			      &l->answer.set.list[one->exchanger], &l->answer);
	l->pending--;
	lookup_finish(l);
}

static void ask_address(struct lookup_round *l, unsigned i, enum dns_type type, unsigned slot)
{
	struct address_lookup *one = &l->addresses[2 * i + slot];
	struct zone_exchanger *e = &l->answer.set.list[i];

	*one = (struct address_lookup){l, i, type};
	if (resolver_ask(l->resolver, e->name, type, on_lookup_address, one))
		e->result = DNS_SERVFAIL;
	else
		l->pending++;
}

/* Rules 2 and 3. */
static void ask_addresses(struct lookup_round *l)
{
	const struct zone_conf z = {.servers = l->servers, .n_servers = l->n_servers};

	for (unsigned i = 0; i < l->answer.set.n; i++) {
		const char *name = l->answer.set.list[i].name;
		const struct zone_server_conf *s = zone_server_conf(&z, name);

		if ((s && !addr_is_zero(&s->address)) || strchr(name, '?'))
			continue;
		ask_address(l, i, l->family, 0);
		if (s && s->forward == FORWARD_IPIP)
			ask_address(l, i, l->family == DNS_A ? DNS_AAAA : DNS_A, 1);
	}
}

static void on_mx(void *ctx, const struct dns_answer *a, const char *why)
{
	struct lookup_round *l = ctx;

	if (a)
		lookup_read_mx(a, l->policy, &l->answer);
	else
		lookup_fail(&l->answer, *why ? DNS_LOCAL : DNS_TIMEOUT, why);
	if (l->answer.mx == DNS_OK && l->done)
		ask_addresses(l);
	l->pending--;
	lookup_finish(l);
}

int lookup_start(struct resolver *r, const struct service_conf *conf, enum dnssec policy,
		 lookup_done_fn *done, void *ctx, struct lookup_round **out)
{
	struct lookup_round *l = calloc(1, sizeof(*l));
	size_t size = conf->zone.n_servers * sizeof(*l->servers);

	if (l)
		l->servers = malloc(size + 1);
	if (!l || !l->servers)
		goto fail;
	if (size)
		memcpy(l->servers, conf->zone.servers, size);
	l->n_servers = conf->zone.n_servers;
	memcpy(l->mx, conf->zone.mx, sizeof(l->mx));
	l->resolver = r;
	l->policy = policy;
	l->family = addr_is_v4(&conf->address) ? DNS_A : DNS_AAAA;
	l->done = done;
	l->ctx = ctx;
	l->pending = 1;
	if (resolver_ask(r, l->mx, DNS_MX, on_mx, l))
		goto fail;
	*out = l;
	return 0;
fail:
	lookup_free(l);
	return -ENOMEM;
}

void lookup_cancel(struct lookup_round *l)
{
	if (l)
		l->done = NULL;
}

void lookup_free(struct lookup_round *l)
{
	if (l)
		free(l->servers);
	free(l);
}
