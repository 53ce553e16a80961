/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which server an exchanger is.
 *
 *   1. Its address: the one below `servers`; else its addresses of the VIP's family, or of the other one if it has none
 *      and its forward is ipip. Excluded: VIPs, addresses of this box, what is outside `within`, what is not unicast.
 *   2. Without an address it is unmapped: it gets no mail, and the reason is given.
 *   3. An address that two exchangers have is that of the better preference; one that is no longer in the zone comes last.
 *   4. Its name: without ".MX", else the whole name. Of several addresses the first one in use has that name, the others
 *      the address behind it: "oxford-a.10-1-0-11". A name that has been given stays, so that a second address does not rename a server.
 *   5. The preference is the tier; the weight is 1 unless it is set.
 *   6. An address that is no longer in the zone is no reason to report the exchanger, and while it still gives a server
 *      the exchanger does not lack one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/zone.h"

#define SAY(e, ...) snprintf(out->unmapped[e], ZONE_WHY_SIZE, __VA_ARGS__)

struct mapping {
	struct zone_set *set;
	const struct service_conf *conf;
	const struct zone_box *box;
	unsigned room;
	bool *served; /* by exchanger: it gives a server */
	struct zone_map *out;
};

const struct zone_server_conf *zone_server_conf(const struct zone_conf *z, const char *exchanger)
{
	for (unsigned i = 0; i < z->n_servers; i++)
		if (!strcmp(z->servers[i].exchanger, exchanger))
			return &z->servers[i];
	return NULL;
}

/* Rule 4. False: no server may have this name. */
static bool server_name(const struct zone_conf *z, const struct zone_exchanger *e,
			const struct zone_address *a, char out[CONFIG_NAME_SIZE])
{
	size_t len = strlen(e->name), under = strlen(z->mx), more = 0;
	char address[ADDR_TEXT_SIZE] = "";

	if (len > under + 1 && e->name[len - under - 1] == '.' &&
	    !strcmp(e->name + len - under, z->mx))
		len -= under + 1;
	if (a && a->naming != ZONE_BARE) {
		addr_text(&a->addr, address);
		more = 1 + strlen(address);
	}
	if (len + more >= CONFIG_NAME_SIZE || e->name[0] == '-' || e->name[0] == '_' ||
	    strchr(e->name, '?'))
		return false;
	memcpy(out, e->name, len);
	out[len] = '\0';
	if (more)
		out[len] = '.';
	for (size_t i = 0; i < more; i++) /* with the NUL */
		out[len + 1 + i] = address[i] == '.' || address[i] == ':' ? '-' : address[i];
	return true;
}

static bool zonemap_holds(const struct addr *list, unsigned n, const struct addr *a)
{
	for (unsigned i = 0; i < n; i++)
		if (addr_equal(&list[i], a))
			return true;
	return false;
}

static bool is_within(const struct mapping *m, const struct addr *a)
{
	bool own = m->conf->zone.n_within;
	const struct prefix *list = own ? m->conf->zone.within : m->box->networks;
	unsigned n = own ? m->conf->zone.n_within : m->box->n_networks;

	for (unsigned i = 0; i < n; i++)
		if (addr_in_prefix(a, &list[i]))
			return true;
	return false;
}

const char *zone_unusable(const struct zone_box *box, const struct addr *a)
{
	return zonemap_holds(box->vips, box->n_vips, a)	      ? "a VIP"
	       : addr_is_martian(a) || addr_is_zero(a)	      ? "which is no host's address"
	       : zonemap_holds(box->locals, box->n_locals, a) ? "an address of this box"
							      : NULL;
}

/* Rule 1. False: excluded, and the reason is there. */
static bool may_use(const struct mapping *m, unsigned e, const struct addr *a)
{
	const char *unusable = zone_unusable(m->box, a);
	struct zone_map *out = m->out;
	char text[ADDR_TEXT_SIZE];

	addr_text(a, text);
	if (zonemap_holds(m->box->vips, m->box->n_vips, a))
		SAY(e, "resolves to the VIP %s: set its address below servers:", text);
	else if (unusable)
		SAY(e, "resolves to %s, %s", text, unusable);
	else if (!is_within(m, a))
		SAY(e,
		    "resolves to %s, which is outside within: set its address below servers:, or within:",
		    text);
	else
		return true;
	return false;
}

static const struct server_conf *server_at(const struct zone_map *out, const struct addr *a,
					   const char *name)
{
	for (unsigned i = 0; i < out->n; i++)
		if ((a && addr_equal(&out->servers[i].address, a)) ||
		    (name && !strcmp(out->servers[i].name, name)))
			return &out->servers[i];
	return NULL;
}

/* Rules 3, 4 and 5. a NULL: its address is fixed. */
static void add(const struct mapping *m, unsigned i, const struct zone_address *a,
		const struct zone_server_conf *fixed)
{
	const struct zone_exchanger *e = &m->set->list[i];
	const struct addr *address = a ? &a->addr : &fixed->address;
	struct zone_map *out = m->out;
	struct server_conf b = {.address = *address,
				.preference = e->preference,
				.weight = fixed ? fixed->weight : 1,
				.forward = fixed ? fixed->forward : FORWARD_L2};
	const struct server_conf *other = server_at(out, address, NULL);
	char text[ADDR_TEXT_SIZE];

	if (!server_name(&m->conf->zone, e, a, b.name)) {
		SAY(i,
		    "its name cannot be a server's: letters, digits, hyphens, at most %d characters",
		    CONFIG_NAME_SIZE - 1);
	} else if (other) {
		SAY(i, "has the same address as %s: %s", other->name, addr_text(address, text));
	} else if (server_at(out, NULL, b.name)) {
		SAY(i, "another exchanger gives the same server name %s", b.name);
	} else if (out->n >= m->room || out->n == ZONE_MAX_SERVERS) {
		SAY(i, "there is no room for it: %u servers at most, and %u in all services",
		    ZONE_MAX_SERVERS, MXLB_MAX_SERVERS - 1);
	} else {
		out->servers[out->n++] = b;
		m->served[i] = true;
	}
}

static bool zonemap_is_v4(const struct zone_exchanger *e, unsigned k)
{
	return addr_is_v4(&e->addresses[k].addr);
}

/* Rule 4. */
static void name_address(struct zone_exchanger *e, struct zone_address *a)
{
	bool first = true;

	for (unsigned k = 0; k < e->n; k++)
		first = first && e->addresses[k].naming == ZONE_UNNAMED;
	if (a->naming == ZONE_UNNAMED)
		a->naming = first ? ZONE_BARE : ZONE_SUFFIXED;
}

/* A server that has other addresses of its own has registered its loopback adapter's. */
static void ask_about_vip(const struct mapping *m, unsigned i)
{
	const struct zone_exchanger *e = &m->set->list[i];
	struct zone_map *out = m->out;
	char text[ADDR_TEXT_SIZE];

	for (unsigned k = 0; k < e->n; k++)
		if (!e->addresses[k].absent.lookups &&
		    zonemap_holds(m->box->vips, m->box->n_vips, &e->addresses[k].addr))
			SAY(i,
			    "resolves to the VIP %s, too; is \"Register this connection's addresses in "
			    "DNS\" ticked on its loopback adapter?",
			    addr_text(&e->addresses[k].addr, text));
}

/* What is wrong with the exchanger as a whole, once its addresses in the zone have been judged. */
static void judge_exchanger(const struct mapping *m, unsigned i)
{
	const struct zone_exchanger *e = &m->set->list[i];
	struct zone_map *out = m->out;

	if (m->served[i])
		ask_about_vip(m, i);
	if (m->served[i] && e->cut && !out->unmapped[i][0])
		SAY(i, "has more than %d addresses, the lowest ones are used; publish fewer",
		    ZONE_MAX_ADDRESSES);
}

/* Rule 2, of those for which there is no other reason. */
static void report_missing(const struct mapping *m, unsigned i)
{
	const struct zone_exchanger *e = &m->set->list[i];
	struct zone_map *out = m->out;

	if (!m->served[i] && !out->unmapped[i][0] && !e->absent.lookups)
		SAY(i, "has no %s address%s%s", addr_is_v4(&m->conf->address) ? "IPv4" : "IPv6",
		    e->result == DNS_OK ? "" : ": ",
		    e->result == DNS_OK ? "" : dns_result_name(e->result));
}

static void map_exchanger(const struct mapping *m, unsigned i, bool absent)
{
	struct zone_exchanger *e = &m->set->list[i];
	const struct zone_server_conf *fixed = zone_server_conf(&m->conf->zone, e->name);
	bool v4 = addr_is_v4(&m->conf->address), other = false;
	struct zone_map *out = m->out;
	char why[ZONE_WHY_SIZE];

	memcpy(why, out->unmapped[i], sizeof(why));
	if (fixed && !addr_is_zero(&fixed->address)) {
		if (absent == (e->absent.lookups > 0))
			add(m, i, NULL, fixed);
		return;
	}
	if (fixed && fixed->forward == FORWARD_IPIP) {
		other = e->n;
		for (unsigned k = 0; k < e->n; k++)
			other = other && zonemap_is_v4(e, k) != v4;
	}
	for (unsigned k = 0; k < e->n; k++) {
		struct zone_address *a = &e->addresses[k];

		if (zonemap_is_v4(e, k) != (v4 != other) ||
		    absent != (e->absent.lookups || a->absent.lookups) || !may_use(m, i, &a->addr))
			continue;
		name_address(e, a);
		add(m, i, a, fixed);
	}
	if (!absent)
		judge_exchanger(m, i);
	else if (!e->absent.lookups) /* rule 6 */
		memcpy(out->unmapped[i], why, sizeof(why));
}

static int zonemap_by_preference(const void *a, const void *b)
{
	const struct server_conf *x = a, *y = b;

	return x->preference != y->preference ? (int)x->preference - (int)y->preference
					      : strcmp(x->name, y->name);
}

void zone_servers(struct zone_set *s, const struct service_conf *conf, const struct zone_box *box,
		  unsigned room, struct zone_map *out)
{
	bool served[ZONE_MAX_EXCHANGERS] = {false};
	const struct mapping m = {
		.set = s, .conf = conf, .box = box, .room = room, .served = served, .out = out};

	memset(out, 0, sizeof(*out)); /* settings are compared by their bytes */
	for (unsigned i = 0; i < s->n; i++)
		map_exchanger(&m, i, false);
	for (unsigned i = 0; i < s->n; i++)
		map_exchanger(&m, i, true);
	for (unsigned i = 0; i < s->n; i++)
		report_missing(&m, i);
	qsort(out->servers, out->n, sizeof(*out->servers), zonemap_by_preference);
}

static bool same_server(const struct server_conf *a, const struct server_conf *b)
{
	return !strcmp(a->name, b->name) && addr_equal(&a->address, &b->address) &&
	       a->preference == b->preference && a->weight == b->weight && a->forward == b->forward;
}

bool zone_same_servers(const struct zone_map *a, const struct zone_map *b)
{
	for (unsigned i = 0; i < a->n && a->n == b->n; i++)
		if (!same_server(&a->servers[i], &b->servers[i]))
			return false;
	return a->n == b->n;
}

bool zone_has_servers(const struct zone_map *a, const struct zone_map *b)
{
	const struct server_conf *is;

	for (unsigned i = 0; i < b->n; i++) {
		is = server_at(a, &b->servers[i].address, NULL);
		if (!is || !same_server(is, &b->servers[i]))
			return false;
	}
	return true;
}

static const struct server_conf *counterpart(const struct zone_map *m, const struct server_conf *b)
{
	for (unsigned i = 0; i < m->n; i++)
		if (!strcmp(m->servers[i].name, b->name))
			return &m->servers[i];
	return NULL;
}

static size_t describe_server(const struct server_conf *was, const struct server_conf *is,
			      char *out, size_t size, const char *comma)
{
	char text[ADDR_TEXT_SIZE];

	if (!was)
		return (size_t)snprintf(out, size, "%sadded %s (tier %u, %s)", comma, is->name,
					is->preference, addr_text(&is->address, text));
	if (!addr_equal(&was->address, &is->address))
		return (size_t)snprintf(out, size, "%s%s: address %s", comma, is->name,
					addr_text(&is->address, text));
	if (was->preference != is->preference)
		return (size_t)snprintf(out, size, "%s%s: tier %u, was %u", comma, is->name,
					is->preference, was->preference);
	if (was->weight != is->weight || was->forward != is->forward)
		return (size_t)snprintf(out, size, "%s%s: weight or forward", comma, is->name);
	return 0;
}

void zone_describe(const struct zone_map *was, const struct zone_map *is, char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < is->n && at < size; i++)
		at += describe_server(counterpart(was, &is->servers[i]), &is->servers[i], out + at,
				      size - at, at ? ", " : "");
	for (unsigned i = 0; i < was->n && at < size; i++)
		if (!counterpart(is, &was->servers[i]))
			at += (size_t)snprintf(out + at, size - at, "%sremoved %s", at ? ", " : "",
					       was->servers[i].name);
}
