/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is taken from DNS: the section `dns`, a service's `within` and `servers`, and the rules about them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf/prefixes.h"
#include "conf/schema.h"

#define DNS_PORT	 53
#define WITHIN_MAX	 64
#define ZONE_SERVERS_MAX 64
#define SYSTEM_ANCHOR	 "/usr/share/dns/root.key"
#define TIERS_INSTEAD \
	"needs mx; without it write the servers under tiers, by preference: tiers: {10: {NAME: {address: ADDRESS}}}"

const struct key zone_server_keys[] = {
	{"address", .offset = offsetof(struct zone_server_conf, address), .convert = value_address},
	{"weight", .offset = offsetof(struct zone_server_conf, weight), .convert = value_integer,
	 .kind = {.max = MXLB_MAX_WEIGHT, .size = sizeof(uint16_t)}, .initial = "1"},
	{"forward", .offset = offsetof(struct zone_server_conf, forward), .convert = value_word,
	 .kind = {.words = (const char *const[]){"l2", "ipip", NULL},
		  .size = sizeof(enum forward_mode)},
	 .initial = "l2"},
	{.name = NULL},
};

static bool is_scalar(struct reader *r, const struct path *p, const yaml_node_t *n, const char *of)
{
	if (n->type == YAML_SCALAR_NODE)
		return true;
	tree_error_at(r->tree, n, p, "must be a list of %s", of);
	return false;
}

/* An address, or an address and a port. Any address: resolvers are often on the loopback. */
static void read_resolver(struct reader *r, const struct path *p, const yaml_node_t *n,
			  void *object)
{
	struct dns_conf *c = object;
	struct listen_conf at = {.port = DNS_PORT};
	char why[VALUE_WHY_SIZE];

	if (!is_scalar(r, p, n, "addresses"))
		return;
	if (addr_parse(tree_text(n), &at.address) &&
	    (!*tree_text(n) || value_listen(NULL, tree_text(n), &at, why)))
		tree_error_at(
			r->tree, n, p,
			"must be an address, or an address and a port like 192.0.2.53:5353 or [2001:db8::53]:5353");
	else if (c->n_resolvers == CONFIG_MAX_RESOLVERS)
		tree_error_at(r->tree, n, p, "more than %d resolvers", CONFIG_MAX_RESOLVERS);
	else
		c->resolvers[c->n_resolvers++] = at;
}

void read_resolvers(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_list(r, p, n, read_resolver, object);
}

static void read_anchor(struct reader *r, const struct path *p, const yaml_node_t *n, void *object)
{
	const struct value_kind kind = {.size = CONFIG_PATH_SIZE};
	struct dns_conf *c = object;
	char why[VALUE_WHY_SIZE];

	if (!is_scalar(r, p, n, "files"))
		return;
	if (c->n_anchors == CONFIG_MAX_ANCHORS)
		tree_error_at(r->tree, n, p, "more than %d files", CONFIG_MAX_ANCHORS);
	else if (value_path(&kind, tree_text(n), c->anchors[c->n_anchors], why))
		tree_error_at(r->tree, n, p, "%s", why);
	else if (access(c->anchors[c->n_anchors], R_OK))
		tree_error_at(r->tree, n, p, "%s: %s", tree_text(n), strerror(errno));
	else
		c->n_anchors++;
}

void read_anchors(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_list(r, p, n, read_anchor, object);
}

static void read_insecure_name(struct reader *r, const struct path *p, const yaml_node_t *n,
			       void *object)
{
	const struct value_kind kind = {.size = DNS_NAME_SIZE};
	struct dns_conf *c = object;
	char why[VALUE_WHY_SIZE];

	if (!is_scalar(r, p, n, "names"))
		return;
	if (c->n_insecure == CONFIG_MAX_INSECURE)
		tree_error_at(r->tree, n, p, "more than %d names", CONFIG_MAX_INSECURE);
	else if (!*tree_text(n) ||
		 value_domain(&kind, tree_text(n), c->insecure[c->n_insecure], why))
		tree_error_at(r->tree, n, p, "%s", *tree_text(n) ? why : "a name is empty");
	else
		c->n_insecure++;
}

void read_insecure(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_list(r, p, n, read_insecure_name, object);
}

void read_dns(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_read(r, p, n, dns_keys, object);
}

/* ---- of a service ---- */

struct within_reader {
	struct service_conf *service;
	struct prefixes list;
};

static void read_prefix(struct reader *r, const struct path *p, const yaml_node_t *n, void *object)
{
	const struct value_kind kind = {.size = sizeof(struct prefix)};
	struct within_reader *w = object;
	char why[VALUE_WHY_SIZE];
	struct prefix prefix;

	if (!is_scalar(r, p, n, "prefixes"))
		return;
	if (w->list.n == WITHIN_MAX)
		tree_error_at(r->tree, n, p, "more than %d prefixes", WITHIN_MAX);
	else if (value_prefix(&kind, tree_text(n), &prefix, why))
		tree_error_at(r->tree, n, p, "%s", why);
	else if (prefixes_add(&w->list, &prefix, 1))
		r->no_memory = true;
}

void read_within(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	struct service_conf *s = object;
	struct within_reader w = {.service = s};

	if (n && !tree_is_empty(n) && !s->zone.mx[0])
		tree_error(r->tree, p, "needs mx");
	schema_list(r, p, n, read_prefix, &w);
	prefixes_tidy(&w.list);
	s->zone.within = w.list.list;
	s->zone.n_within = w.list.n;
}

struct servers_reader {
	struct reader *r;
	struct service_conf *service;
};

/* The whole name of an exchanger: one without a dot is below mx. */
static bool exchanger_name(struct servers_reader *s, const struct path *p, const yaml_node_t *key,
			   char name[DNS_NAME_SIZE])
{
	const struct value_kind kind = {.size = DNS_NAME_SIZE};
	char whole[2 * DNS_NAME_SIZE], why[VALUE_WHY_SIZE];
	bool below = !strchr(p->key, '.');

	snprintf(whole, sizeof(whole), "%.255s%s%s", p->key, below ? "." : "",
		 below ? s->service->zone.mx : "");
	if (*p->key && !value_domain(&kind, whole, name, why))
		return true;
	tree_error_at(s->r->tree, key, p, "%s", *p->key ? why : "a name is empty");
	return false;
}

static void read_server(struct path *p, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	struct servers_reader *s = ctx;
	struct zone_conf *z = &s->service->zone;
	struct zone_server_conf conf, *room;
	bool ok;

	memset(&conf, 0, sizeof(conf));
	ok = exchanger_name(s, p, key, conf.exchanger);
	schema_read(s->r, p, value, zone_server_keys, &conf);
	for (unsigned i = 0; i < z->n_servers && ok; i++)
		if (!strcmp(z->servers[i].exchanger, conf.exchanger)) {
			tree_error_at(s->r->tree, key, p, "%s is given twice", conf.exchanger);
			ok = false;
		}
	if (ok && z->n_servers == ZONE_SERVERS_MAX) {
		tree_error_at(s->r->tree, key, p, "more than %d exchangers", ZONE_SERVERS_MAX);
		ok = false;
	}
	if (!ok)
		return;
	room = realloc(z->servers, (z->n_servers + 1) * sizeof(*room));
	s->r->no_memory |= !room;
	if (!room)
		return;
	z->servers = room;
	z->servers[z->n_servers++] = conf;
}

void read_zone_servers(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	struct servers_reader s = {.r = r, .service = object};

	if (n && !tree_is_empty(n) && !s.service->zone.mx[0])
		tree_error(r->tree, p, TIERS_INSTEAD);
	else if (n)
		tree_each(r->tree, p, n, read_server, &s);
}

/* ---- rules ---- */

static void check_server(struct tree *t, const struct config *c, const struct service_conf *s,
			 const struct zone_server_conf *server)
{
	struct path services = {NULL, "services"}, service = {&services, s->name},
		    servers = {&service, "servers"};

	for (unsigned i = 0; i < c->n_services; i++)
		if (!addr_is_zero(&server->address) &&
		    addr_equal(&c->services[i].address, &server->address))
			tree_error(t, &servers, "%s: this is the VIP of service %s",
				   server->exchanger, c->services[i].name);
	for (const struct zone_server_conf *e = s->zone.servers; e < server; e++)
		if (!addr_is_zero(&e->address) && addr_equal(&e->address, &server->address))
			tree_error(t, &servers, "%s: already the address of %s", server->exchanger,
				   e->exchanger);
}

/* The records are those of one port. */
static void check_port(struct tree *t, const struct config *c, unsigned probe)
{
	const struct service_conf *first = NULL;
	struct path probes = {NULL, "probes"}, p = {&probes, c->probes[probe].name},
		    name = {&p, "tlsa-name"};

	for (unsigned i = 0; i < c->n_services; i++) {
		const struct service_conf *s = &c->services[i];

		if (s->probe != probe)
			continue;
		if (first && first->port != s->port)
			tree_error(
				t, &name,
				"%s has port %u and %s port %u, and each port has its own TLSA records: write two probes",
				first->name, first->port, s->name, s->port);
		first = first ?: s;
	}
}

static void check_tlsa_name(struct tree *t, const struct config *c, unsigned i)
{
	const struct probe_conf *conf = &c->probes[i];
	struct path probes = {NULL, "probes"}, probe = {&probes, conf->name},
		    name = {&probe, "tlsa-name"};

	if (!conf->tlsa_name[0])
		return;
	if (conf->tls != TLS_DANE)
		tree_warn(t, &name, "ignored: only tls: dane uses it");
	if (conf->cert.n_tlsa)
		tree_error(t, &name, "tlsa and tlsa-name exclude each other");
	if (c->dns.dnssec == DNSSEC_OFF)
		tree_error(t, &name,
			   "needs dns.dnssec prefer or require: unsigned records prove nothing");
	check_port(t, c, i);
}

void check_dns(struct tree *t, struct config *c)
{
	struct path dns = {NULL, "dns"}, min = {&dns, "refresh-min"};
	const char *trouble = NULL;

	if (c->dns.refresh_min_ms > c->dns.refresh_max_ms && tree_is_sound(t, &min))
		tree_error(t, &min, "longer than refresh-max");
	for (unsigned i = 0; i < c->n_services; i++)
		for (unsigned k = 0; k < c->services[i].zone.n_servers; k++)
			check_server(t, c, &c->services[i], &c->services[i].zone.servers[k]);
	for (unsigned i = 0; i < c->n_probes; i++)
		check_tlsa_name(t, c, i);
	if (!config_needs_dns(c) || c->dns.n_anchors || c->dns.dnssec == DNSSEC_OFF)
		return;
	if (access(SYSTEM_ANCHOR, R_OK))
		trouble = SYSTEM_ANCHOR
			" cannot be read, so no signature can be checked: install dns-root-data or give trust-anchors";
	if (trouble && c->dns.dnssec == DNSSEC_REQUIRE)
		tree_error(t, &dns, "%s", trouble);
	else if (trouble)
		tree_warn(t, &dns, "%s", trouble);
}
