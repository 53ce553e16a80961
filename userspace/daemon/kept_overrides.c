// SPDX-License-Identifier: BSD-2-Clause
/*
 * The file of operators' overrides, like HAProxy's server-state-file: states of servers, forced tiers and the role of this box,
 * with the operator and the expiry. The pinned records carry them over a restart and an upgrade; the file carries them over a
 * detach and a reboot. Only overrides that are not in the records are taken from it. Weights are not kept (override.c,
 * rule 3).
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "core/override.h"
#include "daemon/daemon.h"
#include "util/log.h"
#include "util/statefile.h"
#include "util/clock.h"

static void kept_add(json_t *list, const struct order *o, json_t *what)
{
	json_object_set_new(what, "who", json_string(o->who));
	json_object_set_new(what, "since", json_integer(o->since_wall_ms));
	json_object_set_new(what, "until", json_integer(o->until_wall_ms));
	json_array_append_new(list, what);
}

static json_t *orders_json(const struct daemon *d)
{
	const struct model *m = d->model;
	const struct role_state *r = d->role_state;
	json_t *list = json_array();

	if (r && r->wanted != ROLE_ORDER_AUTO)
		kept_add(list, &r->order, json_pack("{s:s}", "role", role_order_name(r->wanted)));
	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service *s = &m->services[i];

		if (s->has_forced)
			kept_add(list, &s->order,
				 json_pack("{s:s, s:i}", "service", s->conf.name, "tier",
					   s->forced));
		for (unsigned k = 0; k < s->n_servers; k++) {
			const struct server *b = &s->servers[k];
			char address[ADDR_TEXT_SIZE];

			if (b->admin != ADMIN_READY || b->order.until_wall_ms)
				kept_add(list, &b->order,
					 json_pack("{s:s, s:s, s:s, s:i, s:i}", "service",
						   s->conf.name, "server", b->conf.name, "address",
						   addr_text(&b->conf.address, address), "state",
						   b->admin, "after", b->admin_after));
		}
	}
	return list;
}

void orders_save(struct daemon *d)
{
	char path[STATEFILE_PATH_SIZE];
	json_t *list;
	char *text;
	int err;

	if (!statefile_path("orders", d->file, path))
		return;
	list = orders_json(d);
	text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	if (!text || (d->orders && !strcmp(text, d->orders))) {
		free(text);
		return;
	}
	err = statefile_write(path, text, strlen(text));
	if (err)
		log_warn(
			"event=overrides_not_kept file=%s error=\"%s\" note=\"they would be lost by a reboot\"",
			path, strerror(-err));
	free(d->orders);
	d->orders = text;
}

static int64_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* False: it is malformed. */
static bool read_order(const json_t *o, struct order *out)
{
	const char *who = json_string_value(json_object_get(o, "who"));

	*out = (struct order){.since_wall_ms = number(o, "since"),
			      .until_wall_ms = number(o, "until")};
	snprintf(out->who, sizeof(out->who), "%s", who ?: "");
	return who;
}

/* The remaining time in ms; 0: permanent. False: it has expired. */
static bool time_left(struct order *o, struct now now, uint64_t *for_ms)
{
	*o = override_adopt(o, now);
	*for_ms = o->until_ms ? o->until_ms - now.mono_ms : 0;
	return !o->until_ms || *for_ms;
}

static void restore_server(struct daemon *d, const json_t *o, const struct order *order)
{
	const char *service = json_string_value(json_object_get(o, "service"));
	const char *name = json_string_value(json_object_get(o, "server"));
	const char *address = json_string_value(json_object_get(o, "address"));
	int64_t state = number(o, "state"), after = number(o, "after");
	struct server *b = model_find(d->model, service, name);
	struct addr a;

	if (!b || b->order.who[0] || !address || addr_parse(address, &a) ||
	    !addr_equal(&a, &b->conf.address) || state < ADMIN_READY || state > ADMIN_MAINT ||
	    after < ADMIN_READY || after > ADMIN_MAINT)
		return;
	model_admin_restore(d->model, b->id, (enum admin_state)state, (enum admin_state)after,
			    order, clock_now());
}

static void restore_tier(struct daemon *d, const json_t *o, struct order *order)
{
	const char *service = json_string_value(json_object_get(o, "service"));
	int64_t tier = number(o, "tier");
	uint64_t for_ms;

	if (!time_left(order, clock_now(), &for_ms))
		return;
	for (unsigned i = 0; i < d->model->n_services; i++) {
		struct service *s = &d->model->services[i];

		if (strcmp(s->conf.name, service) || s->has_forced || tier < 0 ||
		    tier > UINT16_MAX ||
		    !model_force(d->model, s->id, (uint16_t)tier, order->who, for_ms, clock_now()))
			continue;
		s->order.since_wall_ms = order->since_wall_ms;
	}
}

static json_t *orders_read(struct daemon *d)
{
	char path[STATEFILE_PATH_SIZE];

	return statefile_path("orders", d->file, path)
		       ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL)
		       : NULL;
}

void orders_restore(struct daemon *d)
{
	json_t *list = orders_read(d), *o;
	size_t i;

	json_array_foreach (list, i, o) {
		struct order order;

		if (!read_order(o, &order) || !json_is_string(json_object_get(o, "service")))
			continue;
		if (json_is_string(json_object_get(o, "server")))
			restore_server(d, o, &order);
		else
			restore_tier(d, o, &order);
	}
	json_decref(list);
}

void orders_restore_role(struct daemon *d, struct role_state *r)
{
	json_t *list = orders_read(d), *o;
	struct now now = clock_now();
	size_t i;

	json_array_foreach (list, i, o) {
		const char *wanted = json_string_value(json_object_get(o, "role"));
		struct order order;
		uint64_t for_ms;

		if (!wanted || !read_order(o, &order) || !time_left(&order, now, &for_ms))
			continue;
		for (int each = ROLE_ORDER_ACTIVE; each <= ROLE_ORDER_STANDBY; each++)
			if (!strcmp(wanted, role_order_name(each)))
				role_order_restore(r, &d->config->ha, each, order.who, for_ms,
						   order.since_wall_ms, now);
	}
	json_decref(list);
}
