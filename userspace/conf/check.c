/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules that involve several values of a configuration. Values that were refused by themselves are not judged again.
 * If a default does not fit a configured value, the default is adjusted.
 */
#include <stdio.h>
#include <string.h>
#include "conf/bundle.h"
#include "conf/file.h"
#include "conf/schema.h"

static const struct path services_path = {NULL, "services"}, probes_path = {NULL, "probes"};

/* A time that must not exceed another: a default is reduced to it, a configured one is an error. */
static void check_longest(struct tree *t, const struct path *probe, const char *name, uint32_t *ms,
			  const char *limit_name, uint32_t limit_ms)
{
	struct path p = {probe, name}, limit = {probe, limit_name};

	if (*ms <= limit_ms || !tree_is_sound(t, &limit) || !tree_is_sound(t, &p))
		return;
	if (tree_get(t, &p))
		tree_error(t, &p, "longer than %s", limit_name);
	else
		*ms = limit_ms;
}

static bool wants_bundle(const struct probe_conf *c)
{
	return c->tls == TLS_CERTIFICATE_VALIDATION || c->tls == TLS_DOMAIN_VALIDATION;
}

/* Only the policies that need a bundle have one, and they always do. */
static void check_bundle(struct tree *t, const struct path *probe, struct probe_conf *c)
{
	struct path ca_file = {probe, "ca-file"}, tls = {probe, "tls"};
	const char *system = bundle_of_system();
	char why[VALUE_WHY_SIZE];
	bool exposed = false;

	if (!wants_bundle(c)) {
		memset(c->ca_file, 0,
		       sizeof(c->ca_file)); /* settings are compared by their bytes */
		return;
	}
	if (!tree_is_sound(t, &ca_file))
		return;
	if (!c->ca_file[0] && !system)
		tree_error(t, &tls, "the system has no CA bundle: write a ca-file");
	if (!c->ca_file[0] && system)
		strcpy(c->ca_file, system);
	if (c->ca_file[0] && bundle_check(c->ca_file, &exposed, why)) {
		if (t->use_copies && bundle_has_copy(c->ca_file))
			tree_warn(t, &ca_file, "%s: %s; its last good copy is used", c->ca_file,
				  why);
		else
			tree_error(t, &ca_file, "%s: %s", c->ca_file, why);
	}
	if (exposed)
		tree_warn(t, &ca_file, FILE_EXPOSED);
}

static bool has_anchor_record(const struct cert_conf *c)
{
	for (unsigned i = 0; i < c->n_tlsa; i++)
		if (c->tlsa[i].usage == TLSA_USAGE_TA)
			return true;
	return false;
}

static void check_policy(struct tree *t, const struct path *probe, struct probe_conf *c)
{
	struct path tls = {probe, "tls"}, domain = {probe, "tls-domain"}, tlsa = {probe, "tlsa"};
	struct path name = {probe, "tls-certificate-name"};
	bool by_domain = c->tls == TLS_DOMAIN_VALIDATION ||
			 (c->tls == TLS_DANE && !c->tlsa_name[0] && has_anchor_record(&c->cert));

	if (!tree_is_sound(t, &tls))
		return;
	if (by_domain && !c->cert.domain[0] && tree_is_sound(t, &domain))
		tree_error(t, &tls, "%s needs tls-domain",
			   c->tls == TLS_DANE ? "dane with a record of usage 2"
					      : "domain-validation");
	if (c->cert.domain[0] && !by_domain && !(c->tls == TLS_DANE && c->tlsa_name[0]))
		tree_warn(t, &domain, "ignored: only domain-validation and usage 2 of dane use it");
	if (c->tls == TLS_DANE && !c->cert.n_tlsa && !c->tlsa_name[0] && tree_is_sound(t, &tlsa) &&
	    tree_is_sound(t, &(struct path){probe, "tlsa-name"}))
		tree_error(t, &tls, "dane needs tlsa or tlsa-name");
	if (c->cert.n_tlsa && c->tls != TLS_DANE)
		tree_warn(t, &tlsa, "ignored: only tls: dane uses it");
	if (c->cert.name[0] && c->tls == TLS_NONE)
		tree_error(t, &name, "needs tls: encryption-only or more");
	check_bundle(t, probe, c);
}

static void check_probe(struct tree *t, struct probe_conf *c)
{
	struct path probe = {&probes_path, c->name}, depth = {&probe, "depth"},
		    tls = {&probe, "tls"};

	check_longest(t, &probe, "fast-interval", &c->fast_interval_ms, "interval", c->interval_ms);
	check_longest(t, &probe, "connect-timeout", &c->connect_timeout_ms, "timeout",
		      c->timeout_ms);
	if (c->depth == DEPTH_STARTTLS && c->tls == TLS_NONE && tree_is_sound(t, &tls))
		tree_error(t, &depth, "starttls needs tls: encryption-only");
	if (c->depth < DEPTH_STARTTLS && c->tls != TLS_NONE)
		tree_warn(t, &tls, "never reached: depth ends before STARTTLS");
	check_policy(t, &probe, c);
}

/* Two services: not the same VIP and port, and the same `advertise` for one VIP. */
static void check_pair(struct tree *t, const struct service_conf *a, const struct service_conf *b)
{
	struct path pa = {&services_path, a->name}, pb = {&services_path, b->name};
	struct path port_a = {&pa, "port"}, port_b = {&pb, "port"}, address = {&pb, "address"};
	struct path interface = {&pb, "interface"}, advertise = {&pb, "advertise"};
	char text[ADDR_TEXT_SIZE];

	addr_text(&b->address, text);
	if (a->port == b->port && tree_is_sound(t, &port_a) && tree_is_sound(t, &port_b))
		tree_error(t, &address, "%s port %u is already used by service %s", text, b->port,
			   a->name);
	if (a->interface != b->interface && tree_is_sound(t, &interface))
		tree_error(t, &interface, "%s has the same address on another interface", a->name);
	if (a->advertise != b->advertise && tree_is_sound(t, &advertise))
		tree_error(t, &advertise,
			   "service %s uses the same address with a different advertise setting",
			   a->name);
}

static void check_vips(struct tree *t, const struct config *c)
{
	for (unsigned i = 0; i < c->n_services; i++) {
		const struct service_conf *s = &c->services[i], *first = NULL;
		struct path service = {&services_path, s->name}, address = {&service, "address"};
		unsigned same = 0;

		for (unsigned j = 0; j < i && !addr_is_zero(&s->address); j++) {
			if (!addr_equal(&s->address, &c->services[j].address))
				continue;
			same++;
			if (!first || c->services[j].port == s->port)
				first = &c->services[j];
		}
		if (first)
			check_pair(t, first, s);
		if (same == MXLB_MAX_VIP_PORTS)
			tree_error(t, &address, "more than %d services on one address",
				   MXLB_MAX_VIP_PORTS);
	}
}

static void server_error(struct tree *t, const struct service_conf *s, const struct server_conf *b,
			 const char *key, const char *what, const char *who)
{
	char preference[8];
	struct path service = {&services_path, s->name}, tiers = {&service, "tiers"};
	struct path tier = {&tiers, preference}, server = {&tier, b->name}, value = {&server, key};

	snprintf(preference, sizeof(preference), "%u", b->preference);
	tree_error(t, key ? &value : &server, "%s%s", what, who);
}

static void check_tier_server(struct tree *t, const struct config *c, const struct service_conf *s,
			      const struct server_conf *b)
{
	bool known = !addr_is_zero(&b->address);
	char preference[8];

	for (unsigned i = 0; i < c->n_services && known; i++) {
		if (addr_equal(&c->services[i].address, &b->address)) {
			server_error(t, s, b, "address", "this is the VIP of service ",
				     c->services[i].name);
			break;
		}
	}
	for (const struct server_conf *e = s->servers; e < b && known; e++) {
		if (addr_equal(&e->address, &b->address)) {
			server_error(t, s, b, "address", "already the address of ", e->name);
			break;
		}
	}
	for (const struct server_conf *e = s->servers; e < b; e++) {
		if (!strcmp(e->name, b->name)) {
			snprintf(preference, sizeof(preference), "%u", e->preference);
			server_error(t, s, b, NULL, "duplicate name: already used in tier ",
				     preference);
			break;
		}
	}
}

static void check_tiers(struct tree *t, const struct service_conf *s)
{
	struct path service = {&services_path, s->name}, tiers = {&service, "tiers"};
	struct path min_up = {&service, "min-up"}, failback = {&service, "failback"};
	unsigned weights = 0;

	for (unsigned i = 0, n; i < s->n_servers; i += n) {
		uint16_t preference = s->servers[i].preference;

		for (n = 0; i + n < s->n_servers; n++) {
			if (s->servers[i + n].preference != preference)
				break;
			weights += s->servers[i + n].weight;
		}
		if (s->min_up > n)
			tree_warn(t, &min_up,
				  "tier %u has %u: it is used only if no tier has enough",
				  preference, n);
	}
	if (s->failback == FAILBACK_MANUAL && s->tier_mode == TIER_MODE_ADD)
		tree_error(t, &failback,
			   "manual needs tier-mode: switch: with add a better tier joins at once");
	if (s->n_servers && !weights)
		tree_error(t, &tiers, "every weight is 0: no server would take mail");
}

#define LEASE_SHORT_MS 3000 /* below it a slow reload could end the lease */

static void check_withdraw(struct tree *t, const struct service_conf *s)
{
	struct path service = {&services_path, s->name}, withdraw = {&service, "withdraw"};
	struct path advertise = {&service, "advertise"};

	if (s->advertise != ADVERTISE_ROUTE && s->withdraw != WITHDRAW_DOWN &&
	    tree_is_sound(t, &advertise))
		tree_error(t, &withdraw, "needs advertise: route");
}

/* "raw:" and the key itself: all of its digits, or two boxes would not have the same. */
static void check_hash_key(struct tree *t, const char *key)
{
	struct path datapath = {NULL, "datapath"}, p = {&datapath, "hash-key"};

	if (!strncmp(key, "raw:", 4) &&
	    (strlen(key) != 36 || strspn(key + 4, "0123456789abcdefABCDEF") != 32 ||
	     strspn(key + 4, "0") >= 16))
		tree_error(t, &p,
			   "raw: needs 32 hexadecimal digits, as mxlbctl config prints them");
}

static void check_ha(struct tree *t, const struct config *c)
{
	struct path ha = {NULL, "ha"}, role = {&ha, "role"}, lease = {&ha, "lease"};
	bool answered = false;

	for (unsigned i = 0; i < c->n_services; i++) {
		answered |= c->services[i].advertise != ADVERTISE_NONE;
		check_withdraw(t, &c->services[i]);
	}
	if (c->ha.role == HA_ROLE_KEEPALIVED && c->n_services && !answered)
		tree_error(t, &role,
			   "keepalived has nothing to decide: every service has advertise: none");
	if (c->ha.role == HA_ROLE_KEEPALIVED && c->ha.lease_ms && c->ha.lease_ms < LEASE_SHORT_MS &&
	    tree_is_sound(t, &lease))
		tree_warn(t, &lease, "below 3s a busy box may lose its VIPs during a reload");
	if (c->ha.given && !c->datapath.hash_key[0])
		tree_warn(
			t, &ha,
			"without datapath.hash-key two boxes choose different servers for a client: set the same key on both");
}

void check_config(struct tree *t, struct config *c)
{
	check_hash_key(t, c->datapath.hash_key);
	check_ha(t, c);
	for (unsigned i = 0; i < c->n_probes; i++)
		check_probe(t, &c->probes[i]);
	check_dns(t, c);
	check_vips(t, c);
	for (unsigned i = 0; i < c->n_services; i++) {
		const struct service_conf *s = &c->services[i];

		for (unsigned j = 0; j < s->n_servers; j++)
			check_tier_server(t, c, s, &s->servers[j]);
		check_tiers(t, s);
	}
}
