/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `show flows`: a line for each entry of a service, or of one of its servers. At most FLOWS_MAX lines, which is half
 * of what a reply may hold; the rest is counted.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "control/render.h"
#include "control/request.h"

#define FLOWS_MAX 10000

#define PART	  4096 /* places of the table a turn of the loop */

struct flow_listing { /* between its parts the model may change: ids, no pointers */
	const struct command_env *env;
	struct buf *out;
	char service[CONFIG_NAME_SIZE];
	uint32_t service_id;
	uint32_t server_id; /* 0: all of the service's */
	unsigned long max;
	bool json;
	uint64_t at, shown, left_out;
};

static void add_line(struct flow_listing *l, const struct flow_row *row)
{
	char client[ADDR_TEXT_SIZE], name[RENDER_SERVER_SIZE];

	buf_printf(l->out, "%s %s %u%s\n", addr_port_text(&row->client, row->port, client),
		   render_server(l->env->model, row->server_id, name), row->idle_s,
		   row->closed	 ? " closed"
		   : row->counts ? ""
				 : " old");
}

static void add_json(struct flow_listing *l, const struct flow_row *row)
{
	char client[ADDR_TEXT_SIZE], name[RENDER_SERVER_SIZE];

	if (l->shown)
		buf_append(l->out, ",", 1);
	render_server(l->env->model, row->server_id, name);
	if (render_json(json_pack("{s:s, s:i, s:s, s:s, s:i, s:b, s:b}", "client",
				  addr_text(&row->client, client), "port", row->port, "server",
				  name, "backend", name, "idle_s", row->idle_s, "closed",
				  row->closed, "counts", row->counts),
			l->out))
		l->out->failed = true;
}

static void on_cmd_flows_row(void *ctx, const struct flow_row *row)
{
	struct flow_listing *l = ctx;

	if (row->service_id != l->service_id || (l->server_id && row->server_id != l->server_id))
		return;
	if (l->shown >= l->max) {
		l->left_out++;
		return;
	}
	if (l->json)
		add_json(l, row);
	else
		add_line(l, row);
	l->shown++;
}

static bool list_part(const struct command_env *env, void *ctx, struct buf *out)
{
	struct flow_listing *l = ctx;
	bool more;

	l->env = env;
	l->out = out;
	if (!l->at)
		buf_printf(out,
			   l->json ? "{\"service\":\"%s\",\"flows\":["
				   : "# %s: client server idle_s\n",
			   l->service);
	more = env->cb.each_flow(env->cb.ctx, l->at, PART, on_cmd_flows_row, l);
	l->at += PART;
	if (!more)
		buf_printf(out,
			   l->json ? "],\"shown\":%llu,\"left_out\":%llu}\n"
				   : "# %llu shown, %llu left out\n",
			   (unsigned long long)l->shown, (unsigned long long)l->left_out);
	return more;
}

/* Parses "[max] [json]". False, after an error reply: anything else. */
static bool take_options(struct request *r, struct flow_listing *l)
{
	for (unsigned i = 1; i < r->n_args; i++) {
		const char *word = r->args[i];
		char *end;

		if (!strcmp(word, "json")) {
			l->json = true;
			continue;
		}
		errno = 0;
		l->max = strtoul(word, &end, 10);
		if (!isdigit((unsigned char)*word) || *end || errno) {
			command_error(r, "Expects a number of flows, or 'json'.\n");
			return false;
		}
	}
	if (l->max > FLOWS_MAX)
		l->max = FLOWS_MAX;
	return true;
}

void flowlist_run(struct request *r)
{
	struct flow_listing l = {.max = FLOWS_MAX}, *kept;
	char *name = r->n_args ? r->args[0] : NULL, *slash = name ? strchr(name, '/') : NULL;
	const struct service *s;
	struct server *b;

	if (!name) {
		command_error(r, "Expects a service, or 'service/backend'.\n");
		return;
	}
	if (slash)
		*slash = '\0';
	s = request_service(r, name);
	if (!s || !take_options(r, &l))
		return;
	if (slash) {
		b = model_find(r->env->model, name, slash + 1);
		if (!b) {
			command_error(r, "No such server.\n");
			return;
		}
		l.server_id = b->id;
	}
	l.service_id = s->id;
	strcpy(l.service, s->conf.name);
	kept = malloc(sizeof(*kept));
	if (!kept) {
		r->out->failed = true;
		return;
	}
	*kept = l;
	r->caller->parts = list_part;
	r->caller->parts_ctx = kept;
}
