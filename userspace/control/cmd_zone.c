/* SPDX-License-Identifier: BSD-2-Clause */
/* `show zone` and `zone S read|accept`: what comes from DNS. core/zone.c decides, the daemon applies. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include "control/render.h"
#include "control/request.h"
#include "util/process.h"

static json_t *addresses(const struct zone_exchanger *e)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_SIZE];

	for (unsigned k = 0; k < e->n; k++)
		json_array_append_new(list, json_string(addr_text(&e->addresses[k].addr, text)));
	return list;
}

/* Does mail go to one of its addresses? */
static bool is_used(const struct zone_map *map, const struct zone_exchanger *e,
		    const struct zone_server_conf *fixed)
{
	for (unsigned i = 0; i < map->n; i++) {
		const struct addr *a = &map->servers[i].address;

		if (fixed && addr_equal(a, &fixed->address))
			return true;
		for (unsigned k = 0; k < e->n; k++)
			if (addr_equal(a, &e->addresses[k].addr))
				return true;
	}
	return false;
}

static json_t *exchanger(const struct zone *z, const struct zone_conf *conf,
			 const struct zone_map *map, const struct zone_exchanger *e,
			 const char *unmapped)
{
	const struct zone_exchanger *in_zone = zone_find(&z->answer, e->name);
	const struct zone_server_conf *fixed = zone_server_conf(conf, e->name);
	char text[ADDR_TEXT_SIZE];

	return json_pack("{s:b, s:o, s:o, s:i, s:o, s:o, s:b, s:s, s:o}", "used",
			 is_used(map, e, fixed), "configured",
			 fixed && !addr_is_zero(&fixed->address)
				 ? json_string(addr_text(&fixed->address, text))
				 : json_null(),
			 "name", render_json_text(e->name), "preference", e->preference,
			 "zone_preference",
			 in_zone ? json_integer(in_zone->preference) : json_null(), "addresses",
			 addresses(e), "alias", e->alias, "lookup", dns_result_name(e->result),
			 "unmapped", *unmapped ? render_json_text(unmapped) : json_null());
}

/* Those in force, and those of the zone that are not. */
static json_t *exchangers(const struct zone *z, const struct zone_conf *conf,
			  const struct zone_map *map)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < z->in_force.n; i++)
		json_array_append_new(
			list, exchanger(z, conf, map, &z->in_force.list[i], map->unmapped[i]));
	for (unsigned i = 0; z->has_answer && i < z->answer.n; i++)
		if (!zone_find(&z->in_force, z->answer.list[i].name))
			json_array_append_new(list, exchanger(z, conf, map, &z->answer.list[i],
							      "not in force yet"));
	return list;
}

static json_t *time_or_null(int64_t wall_ms)
{
	return wall_ms ? render_json_time(wall_ms) : json_null();
}

/* null: the probe has no tlsa-name. */
static json_t *render_tlsa(const struct model *m, const struct control_info *info, unsigned probe)
{
	const struct probe_conf *p = &m->config->probes[probe];
	const struct tlsaset *t = info->zones ? info->zones->tlsasets[probe] : NULL;

	if (!t)
		return json_null();
	return json_pack("{s:s, s:o, s:s, s:o, s:i, s:b, s:o, s:s}", "probe", p->name, "name",
			 render_json_text(p->tlsa_name), "state", tlsaset_state_name(t->state),
			 "why", render_json_text(t->why), "records", t->n, "unmatched",
			 info->zones->tlsa_unmatched[probe], "answered",
			 time_or_null(t->set_wall_ms), "exchange_online",
			 tlsaset_exchange_online(t));
}

json_t *render_zone(const struct model *m, const struct control_info *info, unsigned service)
{
	const struct service_conf *s = &m->config->services[service];
	const struct zone *z = info->zones ? info->zones->zones[service] : NULL;
	uint64_t lookups = 0;

	if (!z)
		return json_null();
	for (unsigned r = 0; r < DNS_RESULTS; r++)
		lookups += z->lookups[r];
	return json_pack("{s:o, s:I, s:s, s:o, s:b, s:o, s:o, s:o, s:s, s:o, s:o}", "mx",
			 render_json_text(s->zone.mx), "lookups", (json_int_t)lookups, "state",
			 zone_state_name(z->state), "why",
			 render_json_text(z->state == ZONE_CURRENT ? "" : z->why), "differs",
			 zone_differs(z) || info->zones->unapplied, "secure",
			 z->has_answer ? json_boolean(z->secure) : json_null(), "answered",
			 time_or_null(z->answer_wall_ms), "in_force_at",
			 time_or_null(z->set_wall_ms), "exchange_online", zone_exchange_online(z),
			 "exchangers", exchangers(z, &s->zone, info->zones->maps[service]), "tlsa",
			 render_tlsa(m, info, s->probe));
}

static json_t *lines(const struct buf *text)
{
	json_t *list = json_array();
	const char *line = text->data;

	for (size_t len; line && *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		json_array_append_new(list, json_stringn(line, len));
	}
	return list;
}

/* A service with tiers may have its probe's keys from DNS. null: it has nothing from there. */
static json_t *show_one(const struct model *m, const struct control_info *info, unsigned service)
{
	unsigned probe = m->config->services[service].probe;
	const struct tlsaset *t = info->zones ? info->zones->tlsasets[probe] : NULL;
	json_t *zone = render_zone(m, info, service);
	uint64_t lookups = 0;

	if (!json_is_null(zone) || !t)
		return zone;
	json_decref(zone);
	for (unsigned r = 0; r < DNS_RESULTS; r++)
		lookups += t->lookups[r];
	return json_pack("{s:n, s:I, s:b, s:o}", "mx", "lookups", (json_int_t)lookups, "differs",
			 t->state == TLSASET_KEPT, "tlsa", render_tlsa(m, info, probe));
}

void zone_show(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	const struct model *m = r->env->model;
	struct control_info info = request_info(r);
	json_t *all = json_object();

	if (r->n_args && !request_service(r, r->args[0])) {
		json_decref(all);
		return;
	}
	for (unsigned i = 0; i < m->config->n_services; i++) {
		const char *name = m->config->services[i].name;
		json_t *zone = show_one(m, &info, i);
		struct buf held = {0};

		if (json_is_object(zone)) {
			cb->zone_held(cb->ctx, name, &held);
			json_object_set_new(zone, "held", lines(&held));
		}
		if (!r->n_args || !strcmp(name, r->args[0]))
			json_object_set(all, name, zone);
		json_decref(zone);
		buf_free(&held);
	}
	if (render_json(all, r->out))
		r->out->failed = true;
	buf_append(r->out, "\n", 1);
}

static void tell_accepted(struct request *r)
{
	struct control_info info = request_info(r);
	const struct config *c = r->env->model->config;

	for (unsigned i = 0; info.zones && i < c->n_services; i++)
		if (!strcmp(c->services[i].name, r->args[0]) && info.zones->zones[i])
			buf_printf(r->out, "Accepted%s: %s\n",
				   info.zones->unapplied ? ", but not applied yet (see the log)"
							 : "",
				   *info.zones->zones[i]->why ? info.zones->zones[i]->why
							      : "no server changes");
}

void zone_set(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	bool read = r->n_args == 2 && !strcmp(r->args[1], "read");
	int err;

	if (!read && (r->n_args != 2 || strcmp(r->args[1], "accept"))) {
		command_error(r, "'zone' expects a service, and 'read' or 'accept'.\n");
		return;
	}
	if (!request_service(r, r->args[0]))
		return;
	err = read ? cb->zone_read(cb->ctx, r->args[0])
		   : cb->zone_accept(cb->ctx, r->args[0], r->caller->who);
	if (err == -ENOENT)
		command_error(r, "Service %s has nothing from DNS: no mx and no tlsa-name.\n",
			      r->args[0]);
	else if (err && err != -EAGAIN)
		command_error(r, "The zone of service %s cannot be accepted now: %s%s%s.\n",
			      r->args[0], strerror(-err), *process_remedy(err) ? "; " : "",
			      process_remedy(err));
	else if (err)
		command_error(r,
			      "Nothing that gives a server is held back of the zone of service %s; "
			      "see mxlbctl zone.\n",
			      r->args[0]);
	else if (!read)
		tell_accepted(r);
}
