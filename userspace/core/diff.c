/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compares a configuration with the running state: settings by a table of keys, servers by name and address, and the
 * rings slot by slot. The effect on the state is computed by build.c and tier.c.
 *
 *   1. A server is the same if its name and address are (build.c, rule 2); a server with a new address gives two
 *      lines.
 *   2. Open connections stay where they are, whatever the ring; only what is not in the flow table moves.
 *   3. A service that stays the same has no line. The keys of probes are compared by conf_compare_probes().
 *   4. The rings are filled with a key of their own: the key determines which slots move, but hardly how many.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/diff.h"
#include "core/maglev.h"
#include "core/plan.h"

static const struct setting {
	const char *name;
	size_t offset, size;
} settings[] = {
#define S(name, member)                                            \
	{                                                          \
		name, offsetof(struct service_conf, member),       \
			sizeof(((struct service_conf *)0)->member) \
	}
	S("interface", interface),   S("advertise", advertise),
	S("min-up", min_up),	     S("tier-mode", tier_mode),
	S("failback", failback),     S("failback-hold", failback_hold_ms),
	S("all-down", all_down),     S("on-unreachable", on_unreachable),
	S("allow-file", allow_file), S("allow-mode", allow_mode),
	S("syn-limit", syn_limit),   S("log-connections", log_connections),
	S("panic", panic),	     S("withdraw", withdraw),
#undef S
};

static const struct service *diff_find_service(const struct model *m,
					       const struct service_conf *conf)
{
	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service_conf *c = &m->services[i].conf;

		if (!strcmp(c->name, conf->name) && addr_equal(&c->address, &conf->address) &&
		    c->port == conf->port)
			return &m->services[i];
	}
	return NULL;
}

/* Rule 1. */
static const struct server *find_server(const struct service *s, const struct server_conf *conf)
{
	for (unsigned i = 0; i < s->n_servers; i++)
		if (!strcmp(s->servers[i].conf.name, conf->name) &&
		    addr_equal(&s->servers[i].conf.address, &conf->address))
			return &s->servers[i];
	return NULL;
}

static bool same_allow(const struct service_conf *a, const struct service_conf *b)
{
	return a->n_allow == b->n_allow &&
	       (!a->n_allow || !memcmp(a->allow, b->allow, a->n_allow * sizeof(*a->allow)));
}

static void compare_settings(const struct service *was, const struct service *is, struct buf *out)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (memcmp((const char *)&was->conf + settings[i].offset,
			   (const char *)&is->conf + settings[i].offset, settings[i].size))
			buf_printf(out, "service %s: %s changes\n", is->conf.name,
				   settings[i].name);
	if (!same_allow(&was->conf, &is->conf))
		buf_printf(out, "service %s: allow changes: %u prefixes, now %u\n", is->conf.name,
			   is->conf.n_allow, was->conf.n_allow);
	if (strcmp(was->probe.name, is->probe.name))
		buf_printf(out, "service %s: probe %s, now %s\n", is->conf.name, is->probe.name,
			   was->probe.name);
}

static void compare_server(const struct service *s, const struct server *was,
			   const struct server *is, struct buf *out)
{
	static const char *const forwards[] = {[FORWARD_L2] = "l2", [FORWARD_IPIP] = "ipip"};
	const struct server_conf *a = &was->conf, *b = &is->conf;

	if (a->preference != b->preference)
		buf_printf(out, "server %s/%s: tier %u, now %u\n", s->conf.name, b->name,
			   b->preference, a->preference);
	if (was->weight != b->weight)
		buf_printf(out, "server %s/%s: weight %u, now %u\n", s->conf.name, b->name,
			   b->weight, was->weight);
	if (a->forward != b->forward)
		buf_printf(out, "server %s/%s: forward %s, now %s\n", s->conf.name, b->name,
			   forwards[b->forward], forwards[a->forward]);
}

static void compare_servers(const struct service *was, const struct service *is, struct buf *out)
{
	char address[ADDR_TEXT_SIZE];

	for (unsigned i = 0; i < was->n_servers; i++) {
		const struct server *b = &was->servers[i];

		if (!find_server(is, &b->conf))
			buf_printf(
				out,
				"server %s/%s (%s): removed; its %llu open connections stay with it\n",
				is->conf.name, b->conf.name, addr_text(&b->conf.address, address),
				(unsigned long long)b->traffic.flows);
	}
	for (unsigned i = 0; i < is->n_servers; i++) {
		const struct server *b = &is->servers[i], *old = find_server(was, &b->conf);

		if (old)
			compare_server(is, old, b, out);
		else
			buf_printf(out, "server %s/%s (%s): added to tier %u, weight %u\n",
				   is->conf.name, b->conf.name,
				   addr_text(&b->conf.address, address), b->conf.preference,
				   b->conf.weight);
	}
}

/* Rule 4. The servers' ids by slot, or what is done instead. */
static int fill(const struct model *m, uint32_t service_id, uint16_t *slots)
{
	struct plan plan;
	int err = plan_build(m, &plan);

	if (err)
		return err;
	for (unsigned i = 0; i < plan.n_services; i++)
		if (plan.services[i].id == service_id)
			err = maglev_fill(slots, plan.services[i].members,
					  plan.services[i].n_members, 0);
	plan_free(&plan);
	return err;
}

static void tier_line(const struct service *was, const struct service *is, struct buf *out)
{
	if (is->tier.has_active && was->tier.has_active && is->tier.active != was->tier.active)
		buf_printf(out, "service %s: tier %u would be active, now %u\n", is->conf.name,
			   is->tier.active, was->tier.active);
	if (is->tier.state != was->tier.state)
		buf_printf(out, "service %s: would be %s, now %s\n", is->conf.name,
			   service_state_name(is->tier.state), service_state_name(was->tier.state));
}

/* Rules 2 and 3. said: there are lines about the service already. */
static int compare_rings(const struct model *m, const struct service *was, const struct model *next,
			 const struct service *is, bool said, struct buf *out)
{
	uint16_t *a = calloc(2 * MAGLEV_SLOTS, sizeof(*a)), *b = a ? a + MAGLEV_SLOTS : NULL;
	unsigned moved = 0;
	int err = a ? fill(m, was->id, a) : -ENOMEM;

	if (!err)
		err = fill(next, is->id, b);
	for (unsigned i = 0; i < MAGLEV_SLOTS && !err; i++)
		moved += a[i] != b[i];
	if (!err && (moved || said))
		buf_printf(out,
			   "service %s: %.1f %% of new connections would go to another server\n",
			   is->conf.name, 100.0 * moved / MAGLEV_SLOTS);
	free(a);
	return err;
}

static int compare_models(const struct model *m, const struct model *next, struct buf *out)
{
	char vip[ADDR_TEXT_SIZE];
	size_t before;
	int err = 0;

	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service_conf *c = &m->services[i].conf;

		if (!diff_find_service(next, c))
			buf_printf(
				out,
				"service %s (%s, port %u): removed; its VIP is no longer answered\n",
				c->name, addr_text(&c->address, vip), c->port);
	}
	for (unsigned i = 0; i < next->n_services && !err; i++) {
		const struct service *is = &next->services[i],
				     *was = diff_find_service(m, &is->conf);

		if (!was) {
			buf_printf(out, "service %s (%s, port %u): added, %u servers\n",
				   is->conf.name, addr_text(&is->conf.address, vip), is->conf.port,
				   is->n_servers);
			continue;
		}
		before = out->len;
		compare_settings(was, is, out);
		compare_servers(was, is, out);
		tier_line(was, is, out);
		err = compare_rings(m, was, next, is, out->len > before, out);
	}
	return err;
}

int compare_config(const struct model *m, const struct config *config,
		   const struct model_adopted *adopted, unsigned n_adopted, struct now now,
		   struct buf *out)
{
	struct model *next;
	int err = model_preview(m, config, adopted, n_adopted, now, &next);

	if (err)
		return err;
	err = compare_models(m, next, out);
	model_free(next);
	return err;
}
