/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what operators may say about a server, in HAProxy's words. Decides nothing: the model takes the state and
 * notes who gave it, the daemon brings it into force.
 */
#include <string.h>
#include <time.h>
#include "control/request.h"

static struct now now(void)
{
	struct timespec mono, wall;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct now){.mono_ms = mono.tv_sec * 1000ULL + mono.tv_nsec / 1000000,
			    .wall_ms = wall.tv_sec * 1000LL + wall.tv_nsec / 1000000};
}

static bool has_service(const struct model *m, const char *name)
{
	for (unsigned i = 0; i < m->n_services; i++)
		if (!strcmp(m->services[i].conf.name, name))
			return true;
	return false;
}

struct backend *request_server(struct request *r)
{
	struct model *m = r->env->model;
	char *service = r->n_args ? r->args[0] : NULL,
	     *slash = service ? strchr(service, '/') : NULL;
	struct backend *b;

	if (!slash || slash == service || !slash[1]) {
		buf_printf(r->out, "Require 'backend/server'.\n");
		return NULL;
	}
	*slash = '\0';
	b = model_find(m, service, slash + 1);
	if (!b)
		buf_printf(r->out, "%s\n",
			   has_service(m, service) ? "No such server." : "No such backend.");
	return b;
}

static void set_state(struct request *r, const struct backend *b, enum admin_state state)
{
	const struct control_callbacks *cb = &r->env->cb;

	if (model_admin(r->env->model, b->id, state, r->caller->who, now()))
		cb->changed(cb->ctx);
}

void admin_set_server(struct request *r)
{
	struct backend *b = request_server(r);

	if (!b)
		return;
	if (r->n_args < 2 || strcmp(r->args[1], "state")) {
		buf_printf(r->out, "usage: set server <backend>/<server> state\n");
		return;
	}
	for (int state = ADMIN_READY; r->n_args > 2 && state <= ADMIN_MAINT; state++) {
		if (!strcmp(r->args[2], admin_state_name(state))) {
			set_state(r, b, state);
			return;
		}
	}
	buf_printf(r->out, "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n");
}

void admin_enable_server(struct request *r)
{
	struct backend *b = request_server(r);

	if (b)
		set_state(r, b, ADMIN_READY);
}

void admin_disable_server(struct request *r)
{
	struct backend *b = request_server(r);

	if (b)
		set_state(r, b, ADMIN_MAINT);
}
