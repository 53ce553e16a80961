/* SPDX-License-Identifier: BSD-2-Clause */
/* `show role` and `set role`: this box among several. core/role.c decides, the daemon applies. */
#include <jansson.h>
#include <string.h>
#include "control/request.h"
#include "control/render.h"

static json_t *order_json(const struct role_state *r)
{
	if (r->wanted == ROLE_ORDER_AUTO)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o}", "role", role_order_name(r->wanted), "who",
			 render_json_text(r->order.who), "since",
			 render_json_time(r->order.since_wall_ms), "until",
			 render_json_time(r->order.until_wall_ms));
}

/* The faults that count now, the largest first. */
static json_t *faults_json(const struct role_state *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < ROLE_FAULTS; i++)
		if (r->penalties[i].on)
			list = render_json_append(list, json_pack("{s:s, s:i}", "fault",
								  role_fault_name(i), "points",
								  role_fault_points(i)));
	return list;
}

/* Of the services that have one. */
static json_t *routes_json(const struct model *m, const struct control_info *info)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service *s = &m->services[i];

		if (s->conf.advertise != ADVERTISE_ROUTE || !info->route_states)
			continue;
		list = render_json_append(list, json_pack("{s:s, s:s?}", "service", s->conf.name,
							  "state", info->route_states[s->id]));
	}
	return list;
}

json_t *render_role(const struct model *m, const struct control_info *info)
{
	const struct role_state *r = info->role;
	const struct ha_conf *ha = info->ha;
	bool follows = ha && ha->role == HA_ROLE_KEEPALIVED;

	if (!r || !ha || !ha->given)
		return json_null();
	return json_pack("{s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:s?, s:o}", "name",
			 render_json_text(ha->name), "role", role_name(r->role), "since",
			 render_json_time(r->since_wall_ms), "source", role_source_name(r->source),
			 "order", order_json(r), "lease_left_ms",
			 follows && ha->lease_ms
				 ? json_integer((json_int_t)info->role_lease_left_ms)
				 : json_null(),
			 "priority", follows ? json_integer(r->priority) : json_null(), "faults",
			 faults_json(r), "keepalived_lost", follows && r->lost, "instance",
			 follows && r->instance[0] ? render_json_text(r->instance) : json_null(),
			 "digest", info->box_digest, "routes", routes_json(m, info));
}

void role_show(struct request *r)
{
	struct control_info info = request_info(r);

	if (render_json(render_role(r->env->model, &info), r->out))
		r->out->failed = true;
	buf_append(r->out, "\n", 1);
}

void role_set(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	struct control_info info = request_info(r);
	uint64_t for_ms = 0;
	bool force = r->n_args > 1 && !strcmp(r->args[1], "force");
	int wanted;

	for (wanted = ROLE_ORDER_AUTO; wanted <= ROLE_ORDER_STANDBY; wanted++)
		if (r->n_args && !strcmp(r->args[0], role_order_name(wanted)))
			break;
	if (wanted > ROLE_ORDER_STANDBY)
		buf_printf(r->out, "Expects 'active', 'standby' or 'auto'.\n");
	else if (!info.ha || !info.ha->given)
		buf_printf(
			r->out,
			"There is no 'ha' section in the configuration: this box is alone, and active.\n");
	else if (wanted == ROLE_ORDER_STANDBY && info.ha->role != HA_ROLE_KEEPALIVED && !force)
		buf_printf(
			r->out,
			"This box decides its role itself, so it does not know whether another one takes over; "
			"use --force if one does.\n");
	else if (request_for(r, 1 + force, &for_ms))
		cb->role(cb->ctx, wanted, r->caller->who, for_ms);
}
