/* SPDX-License-Identifier: BSD-2-Clause */
#include "ctl/complete.h"

#include "ctl/text.h"

#define NAME_SIZE 128

static void print_tier(const char *service, const json_t *tier)
{
	const json_t *backend;
	char name[NAME_SIZE];
	size_t i;

	printf("tier %s %lld\n", service, field_number(tier, "preference"));
	json_array_foreach(json_object_get(tier, "backends"), i, backend)
		printf("backend %s/%s\n", service,
		       text_fit(field_text(backend, "name"), sizeof(name) - 1, name, sizeof(name)));
}

void complete_names(const struct ctl *ctl)
{
	const json_t *service, *tier;
	struct buf reply = {0};
	json_t *status = NULL;
	char name[NAME_SIZE];
	size_t i, k;

	if (!link_try(ctl->socket, "show status", &reply))
		status = json_loadb(reply.data, reply.len, 0, NULL);
	json_array_foreach(json_object_get(status, "services"), i, service)
	{
		text_fit(field_text(service, "name"), sizeof(name) - 1, name, sizeof(name));
		printf("service %s\n", name);
		json_array_foreach(json_object_get(service, "tiers"), k, tier)
			print_tier(name, tier);
	}
	json_decref(status);
	buf_free(&reply);
}
