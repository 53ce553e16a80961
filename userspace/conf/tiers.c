/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A service's tiers and their servers, into one array: by preference, then as in the file.
 */
#include <stdlib.h>
#include <string.h>
#include "conf/schema.h"

#define SERVERS_MAX (MXLB_MAX_SERVERS - 1) /* over all services; index 0 is none */

const struct key server_keys[] = {
	{"address", .offset = offsetof(struct server_conf, address), .convert = value_address,
	 .flags = KEY_REQUIRED},
	{"weight", .offset = offsetof(struct server_conf, weight), .convert = value_integer,
	 .kind = {.max = MXLB_MAX_WEIGHT, .size = sizeof(uint16_t)}, .initial = "1"},
	{"forward", .offset = offsetof(struct server_conf, forward), .convert = value_word,
	 .kind = {.words = (const char *const[]){"l2", "ipip", NULL},
		  .size = sizeof(enum forward_mode)},
	 .initial = "l2"},
	{.name = NULL},
};

struct tier_reader {
	struct reader *r;
	struct service_conf *service;
	uint16_t preference;
};

/* Keeps the order; the array's room is the next power of two. */
static void insert_server(struct reader *r, struct service_conf *s, const struct server_conf *b)
{
	unsigned n = s->n_servers, at = n;
	struct server_conf *room = s->servers;

	if (!(n & (n - 1))) {
		room = realloc(room, (n ? 2 * n : 1) * sizeof(*room));
		if (!room) {
			r->no_memory = true;
			return;
		}
		s->servers = room;
	}
	while (at && room[at - 1].preference > b->preference)
		at--;
	memmove(&room[at + 1], &room[at], (n - at) * sizeof(*room));
	room[at] = *b;
	s->n_servers++;
}

static void read_tier_server(struct path *p, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	struct tier_reader *t = ctx;
	struct server_conf conf;
	bool ok;

	memset(&conf, 0, sizeof(conf));
	conf.preference = t->preference;
	ok = schema_name_ok(t->r, p, key, value_name, conf.name);
	schema_read(t->r, p, value, server_keys, &conf);
	if (t->r->n_servers == SERVERS_MAX)
		tree_error_at(t->r->tree, key, p, "more than %d servers in all", SERVERS_MAX);
	else if (ok)
		insert_server(t->r, t->service, &conf);
	t->r->n_servers += ok && t->r->n_servers < SERVERS_MAX;
}

static void read_tier(struct path *p, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	const struct value_kind preference = {.max = UINT16_MAX, .size = sizeof(uint16_t)};
	struct tier_reader t = *(struct tier_reader *)ctx;
	char why[VALUE_WHY_SIZE];

	if (value_integer(&preference, p->key, &t.preference, why))
		tree_error_at(t.r->tree, key, p, "a tier's key is its preference: %s", why);
	else if (tree_each(t.r->tree, p, value, read_tier_server, &t) && tree_is_empty(value))
		tree_error_at(t.r->tree, key, p, "a tier without servers");
}

void tiers_read(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	struct tier_reader t = {.r = r, .service = object};

	if (!n && !t.service->zone.mx[0])
		tree_error(r->tree, p, "is required");
	if (n && t.service->zone.mx[0])
		tree_error(
			r->tree, p,
			"tiers and mx exclude each other: with mx the tiers are the preferences of the MX records");
	else if (n && tree_each(r->tree, p, n, read_tier, &t) && tree_is_empty(n))
		tree_error(r->tree, p, "a service without tiers");
}
