/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds things in the model and answers questions about it. Changes nothing. */
#include "core/model.h"

#include <string.h>

struct server *model_server(struct model *m, uint32_t server_id, struct service **service_or_null)
{
	if (server_id >= MXLB_MAX_SERVERS)
		return NULL;
	if (service_or_null)
		*service_or_null = m->by_id[server_id].service;
	return m->by_id[server_id].server;
}

bool model_has_way(const struct server *b)
{
	const struct nexthop *nh = &b->nexthop;

	return nh->has_mac &&
	       (b->conf.forward != FORWARD_IPIP || (nh->mtu && !addr_is_zero(&nh->source)));
}

bool model_is_kept(const struct server *b)
{
	return b->in_ring && health_effective(&b->health) == VERDICT_DOWN &&
	       !reason_is_certificate(b->health.before_reason);
}

bool model_takes_mail(const struct server *b)
{
	return b->in_ring && (health_effective(&b->health) == VERDICT_UP || model_is_kept(b));
}

static bool may_take_mail(const struct server *b)
{
	return b->admin == ADMIN_READY && b->weight && model_has_way(b) &&
	       health_effective(&b->health) == VERDICT_UP;
}

bool model_has_other(struct model *m, uint32_t id)
{
	struct service *s = NULL;
	const struct server *b = model_server(m, id, &s);

	for (unsigned i = 0; b && i < s->n_servers; i++)
		if (&s->servers[i] != b && may_take_mail(&s->servers[i]))
			return true;
	return false;
}

struct server *model_find(struct model *m, const char *service, const char *server)
{
	for (unsigned i = 0; i < m->n_services; i++) {
		struct service *s = &m->services[i];

		for (unsigned j = 0; j < s->n_servers && !strcmp(s->conf.name, service); j++) {
			if (!strcmp(s->servers[j].conf.name, server))
				return &s->servers[j];
		}
	}
	return NULL;
}
