/* SPDX-License-Identifier: BSD-2-Clause */
#include "ctl/complete.h"

#include <string.h>
#include "ctl/text.h"

#define NAME_SIZE 128
#define HINT_MOST 12

struct names {
	const char *kind; /* for people, and only these; NULL: all, for the shell */
	unsigned n;
};

static void put(struct names *to, const char *kind, const char *name)
{
	if (!to->kind) {
		printf("%s %s\n", kind, name);
		return;
	}
	if (strcmp(kind, to->kind))
		return;
	if (to->n == 0)
		fputs("  There are:\n", stderr);
	if (to->n == HINT_MOST)
		fputs("    ... and more: 'mxlbctl status' has all\n", stderr);
	else if (to->n < HINT_MOST)
		fprintf(stderr, "    %s\n", name);
	to->n++;
}

static void put_tier(struct names *to, const char *service, const json_t *tier)
{
	char backend_name[NAME_SIZE], name[2 * NAME_SIZE + 32];
	const json_t *backend;
	size_t i;

	snprintf(name, sizeof(name), "%s %lld", service, field_number(tier, "preference"));
	put(to, "tier", name);
	json_array_foreach(json_object_get(tier, "backends"), i, backend)
	{
		text_fit(field_text(backend, "name"), NAME_SIZE - 1, backend_name, NAME_SIZE);
		snprintf(name, sizeof(name), "%s/%s", service, backend_name);
		put(to, "backend", name);
	}
}

static void put_all(struct names *to, const struct ctl *ctl)
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
		put(to, "service", name);
		json_array_foreach(json_object_get(service, "tiers"), k, tier)
			put_tier(to, name, tier);
	}
	json_decref(status);
	buf_free(&reply);
}

void complete_names(const struct ctl *ctl)
{
	put_all(&(struct names){.kind = NULL}, ctl);
}

void complete_hint(const struct ctl *ctl, const char *kind)
{
	put_all(&(struct names){.kind = kind}, ctl);
}
