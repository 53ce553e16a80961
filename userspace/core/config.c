/* SPDX-License-Identifier: BSD-2-Clause */
/* Frees a configuration. conf/ makes and fills it. */
#include <stdlib.h>
#include "core/config.h"

void config_free_service(struct service_conf *s)
{
	free(s->backends);
	free(s->allow);
	free(s->from_file);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->n_services; i++)
		config_free_service(&c->services[i]);
	free(c);
}
