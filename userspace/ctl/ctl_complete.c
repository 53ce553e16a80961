/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Completions that the daemon knows. Names that no mxlb.yaml can contain are refused: bash expands the words that it
 * completes from, so a compromised daemon could otherwise have the user run commands by the tab key.
 */
#include "ctl/ctl_complete.h"

#include <string.h>
#include "ctl/text.h"

#define HINT_MOST 12

struct names {
	const char *kind; /* for people, and only this kind; NULL: all kinds, for the shell */
	unsigned n;
};

static void ctl_complete_put(struct names *to, const char *kind, const char *name)
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
		fputs("    ... and more: 'mxlbctl status' lists all\n", stderr);
	else if (to->n < HINT_MOST)
		fprintf(stderr, "    %s\n", name);
	to->n++;
}

static void put_tier(struct names *to, const char *service, const json_t *tier)
{
	char name[2 * TEXT_NAME_SIZE + 32];
	const json_t *server;
	size_t i;

	snprintf(name, sizeof(name), "%s %lld", service, field_number(tier, "preference"));
	ctl_complete_put(to, "tier", name);
	json_array_foreach (tier_servers(tier), i, server) {
		if (!text_is_name(field_text(server, "name")))
			continue;
		snprintf(name, sizeof(name), "%s/%s", service, field_text(server, "name"));
		ctl_complete_put(to, "backend", name);
	}
}

static void put_all(struct names *to, const struct ctl *ctl)
{
	const json_t *service, *tier;
	struct buf reply = {0};
	json_t *status = NULL;
	size_t i, k;

	if (!link_try(ctl->socket, "show status", &reply))
		status = json_loadb(reply.data, reply.len, 0, NULL);
	json_array_foreach (json_object_get(status, "services"), i, service) {
		const char *name = field_text(service, "name");

		if (!text_is_name(name))
			continue;
		ctl_complete_put(to, "service", name);
		json_array_foreach (json_object_get(service, "tiers"), k, tier)
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
