/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translates the model into what the datapath should contain. Tiers have decided already; datapath/ then needs to know
 * neither verdicts nor tiers.
 *
 *   1. Mode: not ready during a cold start; a ring if any server takes new connections; otherwise as all-down says.
 *   2. Flows of a server are reset while it is down as unreachable, its next hop was asked twice, and on-unreachable
 *      is reset; not while it is unknown, because what this box cannot see is no reason to end a connection.
 *   3. Retransmitted SYNs are placed by the ring again while new connections would be: if the server is down and not
 *      in the ring regardless (fail-open, panic), or in maint.
 */
#include <errno.h>
#include <stdlib.h>
#include "core/model.h"
#include "core/plan.h"

static bool is_member(const struct server *b)
{
	return b->in_ring && b->weight > 0 && model_has_way(b);
}

/* Rule 1. */
static enum plan_mode mode_of(const struct service *s, unsigned n_members)
{
	if (s->tier.state == SERVICE_NOT_READY)
		return PLAN_NOT_READY;
	if (n_members)
		return PLAN_RING;
	return s->conf.all_down == ALL_DOWN_DROP ? PLAN_DROP : PLAN_RESET;
}

static int plan_service(const struct service *s, struct plan_service *out)
{
	*out = (struct plan_service){
		.id = s->id,
		.name = s->conf.name,
		.vip = s->conf.address,
		.port = s->conf.port,
		.interface = s->conf.interface,
		.advertise = s->conf.advertise == ADVERTISE_ARP,
		.allow = s->conf.allow,
		.n_allow = s->conf.n_allow,
		.allow_observe = s->conf.allow_mode == ALLOW_OBSERVE,
		.syn_limit = s->conf.syn_limit,
		.members = calloc(s->n_servers + 1, sizeof(*out->members)),
	};
	if (!out->members)
		return -ENOMEM;
	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *b = &s->servers[i];

		if (is_member(b))
			out->members[out->n_members++] = (struct maglev_member){
				.name = b->conf.name,
				.id = b->id,
				.weight = b->weight,
			};
	}
	out->mode = mode_of(s, out->n_members);
	return 0;
}

static void plan_server(const struct service *s, const struct server *b, struct plan_server *out)
{
	*out = (struct plan_server){
		.id = b->id,
		.interface = b->nexthop.interface,
		.reset_flows =
			b->gone && !b->in_ring && s->conf.on_unreachable == ON_UNREACHABLE_RESET,
		.down = (health_effective(&b->health) == VERDICT_DOWN && !b->in_ring) ||
			b->admin == ADMIN_MAINT,
	};
	if (b->nexthop.has_mac)
		out->mac = b->nexthop.mac;
	if (b->conf.forward == FORWARD_IPIP) {
		out->tunnel = true;
		out->source = b->nexthop.source;
		out->target = b->conf.address;
		out->mtu = addr_is_zero(&out->source) ? 0 : b->nexthop.mtu;
	}
}

static void plan_own(struct plan *out, const struct addr *a)
{
	for (unsigned i = 0; i < out->n_own; i++)
		if (addr_equal(&out->own[i], a))
			return;
	if (!addr_is_zero(a) && out->n_own < PLAN_OWN_MAX)
		out->own[out->n_own++] = *a;
}

int plan_build(const struct model *m, struct plan *out)
{
	unsigned n_servers = 0;

	for (unsigned i = 0; i < m->n_services; i++)
		n_servers += m->services[i].n_servers;
	*out = (struct plan){
		.peers = m->config->decap,
		.n_peers = m->config->n_decap,
		.services = calloc(m->n_services + 1, sizeof(*out->services)),
		.servers = calloc(n_servers + 1, sizeof(*out->servers)),
	};
	if (!out->services || !out->servers)
		goto fail;
	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service *s = &m->services[i];

		if (plan_service(s, &out->services[out->n_services++]))
			goto fail;
		for (unsigned j = 0; j < s->n_servers; j++)
			plan_server(s, &s->servers[j], &out->servers[out->n_servers++]);
		for (unsigned j = 0; j < s->n_servers; j++)
			plan_own(out, &s->servers[j].nexthop.source);
	}
	return 0;
fail:
	plan_free(out);
	return -ENOMEM;
}

void plan_free(struct plan *p)
{
	for (unsigned i = 0; i < p->n_services; i++)
		free(p->services[i].members);
	free(p->services);
	free(p->servers);
	*p = (struct plan){0};
}
