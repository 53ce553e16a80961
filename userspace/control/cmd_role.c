/* SPDX-License-Identifier: BSD-2-Clause */
/* `show role` and `set role`: this box among several. core/role.c decides, the daemon applies. */
#include <jansson.h>
#include <string.h>
#include "control/request.h"
#include "control/render.h"

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
