/* SPDX-License-Identifier: BSD-2-Clause */
/* Frees and copies a configuration. conf/ makes and fills it. */
#include <stdlib.h>
#include <string.h>
#include "core/config.h"

void config_free_service(struct service_conf *s)
{
	free(s->servers);
	free(s->allow);
	free(s->from_file);
	free(s->zone.within);
	free(s->zone.servers);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->n_services; i++)
		config_free_service(&c->services[i]);
	free(c);
}

/* *list: n items of that size; it becomes a copy. False: no memory, and it is NULL. */
static bool copy_list(void *list, unsigned n, size_t size)
{
	void *from, *to = malloc(n * size + 1);

	memcpy(&from, list, sizeof(from));
	if (to && n)
		memcpy(to, from, n * size);
	memcpy(list, &to, sizeof(to));
	return to;
}

struct config *config_copy(const struct config *c)
{
	struct config *copy = malloc(sizeof(*copy));
	bool ok = copy;

	if (!copy)
		return NULL;
	*copy = *c;
	for (unsigned i = 0; i < copy->n_services; i++) {
		struct service_conf *s = &copy->services[i];

		ok &= copy_list(&s->servers, s->n_servers, sizeof(*s->servers));
		ok &= copy_list(&s->allow, s->n_allow, sizeof(*s->allow));
		ok &= copy_list(&s->from_file, s->n_from_file, sizeof(*s->from_file));
		ok &= copy_list(&s->zone.within, s->zone.n_within, sizeof(*s->zone.within));
		ok &= copy_list(&s->zone.servers, s->zone.n_servers, sizeof(*s->zone.servers));
	}
	if (ok)
		return copy;
	config_free(copy);
	return NULL;
}

enum tls_policy config_policy(const struct probe_conf *p)
{
	return p->tls == TLS_DANE && p->tlsa_name[0] && !p->cert.n_tlsa ? TLS_ENCRYPTION_ONLY
									: p->tls;
}

bool config_needs_dns(const struct config *c)
{
	for (unsigned i = 0; i < c->n_services; i++)
		if (c->services[i].zone.mx[0])
			return true;
	for (unsigned i = 0; i < c->n_probes; i++)
		if (c->probes[i].tlsa_name[0])
			return true;
	return false;
}
