/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Explains an unknown key: what was probably meant. In this order:
 *
 *   1. a key of HAProxy, keepalived or F5 that has another name here, or no equivalent: the reason;
 *   2. one typing error away from a key of this table;
 *   3. a key of another table: which;
 *   4. the keys of this table.
 */
#include <stdio.h>
#include <string.h>
#include "conf/schema.h"
#include "util/closest.h"
#include "util/log.h"

#define LIST_SIZE 360

#define SERVER_PORT                                                                             \
	"a server listens on its service's port: direct server return cannot translate ports; " \
	"remove it here"
#define IN_PROBE \
	"health checks are configured under probes, and the service names one with probe: NAME"
#define TRANSPARENT "remove it: no address is translated, so servers see the sender's own"
#define NO_TIMEOUTS "remove it: mxlb ends no session, so there is no timeout to set"
#define NO_STICKING "remove it: an SMTP session is one connection, which stays with its server"
#define TIERS_INSTEAD \
	"write the servers under tiers, by preference: tiers: {10: {NAME: {address: ADDRESS}}}"
#define OTHER_TIER \
	"put the server into a tier with a higher number: it gets mail while no lower tier can take any"
#define ADMIN_STATE "use 'mxlbctl maint SERVICE/SERVER' or 'mxlbctl drain SERVICE/SERVER'"
#define IS_ADDRESS  "the key is address"

/* Rule 1. */
static const struct {
	const struct key *table;
	const char *names; /* between blanks */
	const char *why;
} foreign[] = {
	{server_keys, " port ", SERVER_PORT},
	{server_keys, " backup priority-group sorry-server priority preference ", OTHER_TIER},
	{server_keys, " ip host server real_server destination ", IS_ADDRESS},
	{server_keys, " check health monitor inter fastinter rise fall probe SMTP_CHECK ",
	 IN_PROBE},
	{server_keys, " ratio lb-weight ", "the key is weight"},
	{server_keys, " send-proxy send-proxy-v2 proxy-protocol source snat ", TRANSPARENT},
	{server_keys, " disabled state session enabled maintenance drain ", ADMIN_STATE},
	{server_keys, " maxconn connection-limit slowstart ",
	 "remove it: mxlb does not limit a server's connections; syn-limit limits senders"},
	{server_keys, " ssl tls verify sni ca-file ", IN_PROBE},
	{server_keys, " lvs_method mode method ",
	 "the key is forward: l2 (DR, nPath) or ipip (TUN)"},
	{service_keys, " bind vip ip virtual-address destination ",
	 "the keys are address and port"},
	{service_keys, " server servers backend backends pool members real_server nodes ",
	 TIERS_INSTEAD},
	{service_keys, " balance lb-method lvs_sched algorithm scheduler load-balancing-mode ",
	 "remove it: the method is always Maglev, by weight"},
	{service_keys, " persistence persistence_timeout persist stick stick-table cookie ",
	 NO_STICKING},
	{service_keys, " mode protocol ip-protocol ", "remove it: a service is TCP"},
	{service_keys, " timeout idle-timeout ", NO_TIMEOUTS},
	{service_keys, " snat source-address-translation send-proxy source usesrc ", TRANSPARENT},
	{service_keys, " maxconn connection-limit rate-limit ",
	 "the limit here is syn-limit: SYNs a second and source prefix"},
	{service_keys, " monitor check health option smtpchk SMTP_CHECK ", IN_PROBE},
	{service_keys, " lvs_method forward ", "forward is a key of each server"},
	{service_keys, " quorum min-active-members ", "the key is min-up"},
	{service_keys, " acl deny whitelist allowlist ", "the keys are allow and allow-file"},
	{service_keys, " service-down-action ", "the key is on-unreachable"},
	{service_keys, " vlan ", "vlan is a key of the interface"},
	{probe_keys, " inter delay_loop ", "the key is interval"},
	{probe_keys, " fastinter downinter ", "the key is fast-interval"},
	{probe_keys, " connect_timeout ", "the key is connect-timeout"},
	{probe_keys, " retry retries nb_get_retry up-count ", "the keys are fall and rise"},
	{probe_keys, " helo_name domain hello ehlo ", "the key is helo"},
	{probe_keys, " port ", "a probe goes to its service's port; remove it here"},
	{probe_keys, " send expect recv ",
	 "remove it: a probe speaks SMTP up to the stage in depth"},
	{top_keys, " global defaults frontend backend listen virtual_server ltm virtual pool ",
	 "this is a section of another product; the sections here are interfaces, probes and services (see coming-from.md)"},
	{top_keys, " vrrp_instance vrrp ",
	 "mxlb has no VRRP of its own (see coming-from.md, \"A second box\")"},
	{top_keys, " probe service interface ", "the section's name is a plural"},
	{interface_keys, " address ip ", "remove it: the system configures the addresses"},
	{interface_keys, " xdp xdp-mode ", "the key is mode"},
};

static const struct {
	const struct key *table;
	const char *what;
} tables[] = {
	{top_keys, "the top level"}, {interface_keys, "an interface"},
	{datapath_keys, "datapath"}, {control_keys, "control"},
	{probe_keys, "a probe"},     {service_keys, "a service"},
	{server_keys, "a server"},   {decap_keys, "decap"},
};

static const char *foreign_why(const struct key *keys, const char *name)
{
	char word[80];

	if (strlen(name) + 3 > sizeof(word) || strchr(name, ' '))
		return NULL;
	snprintf(word, sizeof(word), " %s ", name);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (foreign[i].table == keys && strstr(foreign[i].names, word))
			return foreign[i].why;
	return NULL;
}

static const char *owner_of(const char *name)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct key *k = tables[i].table; k->name; k++)
			if (!strcmp(k->name, name))
				return tables[i].what;
	return NULL;
}

static const char *list_keys(const struct key *keys, char list[LIST_SIZE])
{
	size_t used = 0;

	for (const struct key *k = keys; k->name && used < LIST_SIZE; k++)
		used += (size_t)snprintf(list + used, LIST_SIZE - used, "%s%s", used ? ", " : "",
					 k->name);
	return list;
}

void foreign_key(struct tree *t, const struct path *p, yaml_node_t *key, const struct key *keys)
{
	struct closest closest = {.typed = p->key};
	const char *why = foreign_why(keys, p->key), *owner = owner_of(p->key);
	char list[LIST_SIZE];

	for (const struct key *k = keys; k->name; k++)
		closest_try(&closest, k->name);
	if (why)
		tree_error_at(t, key, p, "unknown key: %s", why);
	else if (closest.best)
		tree_error_at(t, key, p, "unknown key: did you mean %s?", closest.best);
	else if (owner)
		tree_error_at(t, key, p, "unknown key: it belongs to %s", owner);
	else
		tree_error_at(t, key, p, "unknown key; the keys here are %s",
			      list_keys(keys, list));
}
