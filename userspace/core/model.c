/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds things in the model and answers questions about it. Changes nothing. */
#include "core/model.h"

#include <string.h>

struct backend *model_backend(struct model *m, uint32_t backend_id,
			      struct service **service_or_null)
{
	if (backend_id >= MXLB_MAX_BACKENDS)
		return NULL;
	if (service_or_null)
		*service_or_null = m->by_id[backend_id].service;
	return m->by_id[backend_id].backend;
}

bool model_has_way(const struct backend *b)
{
	const struct nexthop *nh = &b->nexthop;

	return nh->has_mac &&
	       (b->conf.forward != FORWARD_IPIP || (nh->mtu && !addr_is_zero(&nh->source)));
}

static bool may_take_mail(const struct backend *b)
{
	return b->admin == ADMIN_READY && b->weight && model_has_way(b) &&
	       health_effective(&b->health) == VERDICT_UP;
}

bool model_has_other(struct model *m, uint32_t id)
{
	struct service *s = NULL;
	const struct backend *b = model_backend(m, id, &s);

	for (unsigned i = 0; b && i < s->n_backends; i++)
		if (&s->backends[i] != b && may_take_mail(&s->backends[i]))
			return true;
	return false;
}

struct backend *model_find(struct model *m, const char *service, const char *backend)
{
	for (unsigned i = 0; i < m->n_services; i++) {
		struct service *s = &m->services[i];

		for (unsigned j = 0; j < s->n_backends && !strcmp(s->conf.name, service); j++) {
			if (!strcmp(s->backends[j].conf.name, backend))
				return &s->backends[j];
		}
	}
	return NULL;
}
