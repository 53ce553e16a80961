/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `explain`: to which server a client's packets go and why, and why not to the others. It reports the contents of the
 * flow table and the ring in force; the reasons against other servers follow the rules of tier.c. First it shows
 * whether the allow-list admits the client, and which limit applies.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/render.h"
#include "control/request.h"
#include "core/diagnosis.h"

#define WHY_SIZE 512

struct question {
	struct model *model;
	const struct service *service;
	struct addr client;
	uint16_t port;
	bool any_port; /* only an address was given: the port, which chooses the server, is not known */
	struct flow_place place;
	struct diagnosis *diagnosis; /* NULL: no memory */
};

struct answer {
	const char *why;    /* "entry" "ring" "reset" "nobody"; "port": the port is not known */
	uint32_t server_id; /* the server of an open connection's segments; 0: none */
};

/* "192.0.2.1:40000" or "[2001:db8::1]:40000"; cut up in place. */
static bool parse_client_port(char *text, struct addr *client, uint16_t *port)
{
	char *colon = strrchr(text, ':'), *end;
	bool bracketed = *text == '[';
	unsigned long number;

	if (!colon || colon == text || !isdigit((unsigned char)colon[1]) ||
	    bracketed != (colon[-1] == ']'))
		return false;
	number = strtoul(colon + 1, &end, 10);
	if (*end || end - colon > 6 || number > UINT16_MAX)
		return false;
	*port = (uint16_t)number;
	colon[bracketed ? -1 : 0] = '\0';
	text += bracketed;
	return bracketed == !!strchr(text, ':') && !addr_parse(text, client);
}

/* The same, or an address alone. */
static bool parse_client(char *text, struct question *q)
{
	q->any_port = !addr_parse(text, &q->client);
	return q->any_port || parse_client_port(text, &q->client, &q->port);
}

/* Whether the allow-list lets the client open a connection. */
static bool is_allowed(const struct question *q)
{
	const struct service_conf *s = &q->service->conf;

	for (unsigned i = 0; i < s->n_allow; i++)
		if (addr_in_prefix(&q->client, &s->allow[i]))
			return true;
	return !s->n_allow;
}

/* "open" "allowed" "denied" "observed": denied, were allow-mode: enforce. */
static const char *access_of(const struct question *q)
{
	const struct service_conf *s = &q->service->conf;

	if (!s->n_allow)
		return "open";
	if (is_allowed(q))
		return "allowed";
	return s->allow_mode == ALLOW_OBSERVE ? "observed" : "denied";
}

static void say_access(const struct question *q, struct buf *out)
{
	const struct service_conf *s = &q->service->conf;
	const char *access = access_of(q);
	char client[ADDR_TEXT_SIZE];
	struct prefix source = {.addr = q->client, .len = addr_is_v4(&q->client) ? 96 + 24 : 64};
	char prefix[ADDR_TEXT_SIZE];

	memset(source.addr.b + source.len / 8, 0, sizeof(source.addr.b) - source.len / 8);
	addr_text(&q->client, client);
	if (!strcmp(access, "denied"))
		buf_printf(
			out,
			"denied: %s matches none of the %u prefixes of allow and allow-file, so its "
			"connections are dropped; add it to allow, then mxlbctl reload\n",
			client, s->n_allow);
	else if (!strcmp(access, "observed"))
		buf_printf(out,
			   "would be denied: %s matches none of the %u prefixes of allow and "
			   "allow-file (allow-mode: observe)\n",
			   client, s->n_allow);
	else
		buf_printf(out, "allowed: %s\n",
			   s->n_allow ? "by allow or allow-file" : "there is no allow-list");
	if (s->syn_limit)
		buf_printf(out, "limit: %u new connections per second for all of %s\n",
			   s->syn_limit, addr_prefix_text(&source, prefix));
}

/* Why another tier than the active one gets no connections. */
static void why_not_tier(const struct service *s, const struct server *b, char why[WHY_SIZE])
{
	const struct tier_state *t = &s->tier;
	unsigned preference = b->conf.preference;

	for (unsigned i = 0; i < t->n_held; i++) {
		if (t->held[i].preference == preference) {
			snprintf(why, WHY_SIZE, "tier %u is active, tier %u waits for failback",
				 t->active, preference);
			return;
		}
	}
	if (s->has_forced && s->forced == t->active)
		snprintf(why, WHY_SIZE, "tier %u is active, forced by %s", t->active, s->order.who);
	else if (preference < t->active)
		snprintf(why, WHY_SIZE,
			 "tier %u is active, tier %u has too few servers up (min-up %u)", t->active,
			 preference, s->conf.min_up);
	else
		snprintf(why, WHY_SIZE, "tier %u is standby, tier %u is active", preference,
			 t->active);
}

static void why_not(const struct service *s, const struct server *b, char why[WHY_SIZE])
{
	if (b->in_ring)
		snprintf(why, WHY_SIZE, "available, but this client hashes to another server");
	else if (b->admin != ADMIN_READY)
		snprintf(why, WHY_SIZE, "set to %s by an operator", admin_state_name(b->admin));
	else if (!b->weight)
		snprintf(why, WHY_SIZE, "its weight is 0");
	else if (!b->nexthop.has_mac)
		snprintf(why, WHY_SIZE, "the MAC address of its next hop is not known");
	else if (!model_has_way(b))
		snprintf(why, WHY_SIZE, "the source or MTU of its tunnel is not known");
	else if (s->tier.state == SERVICE_NOT_READY)
		snprintf(why, WHY_SIZE, "cold start: nothing is served yet");
	else if (health_effective(&b->health) != VERDICT_UP)
		snprintf(why, WHY_SIZE, "%s: %s: %s", verdict_name(b->health.verdict),
			 reason_name(b->health.reason), render_reason(b));
	else
		why_not_tier(s, b, why);
}

/* What to do about it; "": nothing. */
static const char *next_step(const struct question *q, const struct server *b)
{
	for (unsigned i = 0; q->diagnosis && i < q->diagnosis->n; i++) {
		const struct finding *f = &q->diagnosis->list[i];

		if (!strcmp(f->service, q->service->conf.name) && !strcmp(f->server, b->conf.name))
			return f->next;
	}
	return "";
}

static struct answer explain_answer(const struct question *q)
{
	struct server *owner = model_server(q->model, q->place.entry_server, NULL);

	if (owner && owner->gone && q->service->conf.on_unreachable == ON_UNREACHABLE_RESET)
		return (struct answer){"reset", 0};
	if (q->place.entry_server)
		return (struct answer){"entry", q->place.entry_server};
	if (q->place.ring_server)
		return (struct answer){"ring", q->place.ring_server};
	return (struct answer){"nobody", 0};
}

static const char *nobody_means(const struct service *s)
{
	if (s->tier.state == SERVICE_NOT_READY)
		return "dropped (cold start)";
	return s->conf.all_down == ALL_DOWN_DROP ? "dropped (all-down: drop)"
						 : "answered with a reset (all-down: reset)";
}

static void say_ring(const struct question *q, struct buf *out)
{
	char name[RENDER_SERVER_SIZE];

	if (q->place.ring_server)
		buf_printf(out, "%s, by slot %u of the ring",
			   render_server(q->model, q->place.ring_server, name), q->place.slot);
	else
		buf_printf(out, "no server: %s", nobody_means(q->service));
}

static void say_goes_to(const struct question *q, struct buf *out)
{
	const struct flow_place *p = &q->place;
	struct answer a = explain_answer(q);
	char name[RENDER_SERVER_SIZE];

	buf_printf(out, "goes to: ");
	if (!p->entry_server) {
		say_ring(q, out);
		buf_printf(out, "; the flow table has no entry for it\n");
		return;
	}
	render_server(q->model, p->entry_server, name);
	if (a.server_id)
		buf_printf(out, "%s, by its flow table entry", name);
	else
		buf_printf(out, "no server: reset, because %s, which has the flow, is unreachable",
			   name);
	buf_printf(out, "; idle %u s%s%s\n", p->idle_s, p->closed ? ", closed" : "",
		   p->by_miss ? ", without its beginning" : "");
}

/* The client's port chooses among these. */
static void say_any_port(const struct question *q, struct buf *out)
{
	const struct service *s = q->service;
	unsigned n = 0;

	buf_printf(out, "a new connection: ");
	if (!strcmp(access_of(q), "denied")) {
		buf_printf(out, "dropped (denied)\n");
		return;
	}
	for (unsigned i = 0; i < s->n_servers; i++)
		if (s->servers[i].in_ring)
			buf_printf(out, "%s%s", n++ ? ", " : "depending on its port, to one of ",
				   s->servers[i].conf.name);
	if (!n)
		buf_printf(out, "no server: %s", nobody_means(s));
	buf_printf(out, "\n");
}

struct explain_history { /* of the client with this service */
	const struct question *q;
	struct buf *out;
};

static void say_rejected(void *ctx, const struct rejected_row *row)
{
	const struct explain_history *h = ctx;

	if (row->service_id != h->q->service->id || !addr_equal(&row->client, &h->q->client))
		return;
	buf_printf(h->out, "%s: %u packets, the last %llu s ago (%s)\n",
		   row->counter == MXLB_COUNT_would_deny ? "noted" : "turned away", row->packets,
		   (unsigned long long)(row->age_ms / 1000), rejected_why(row->counter));
}

static void say_text(const struct question *q, struct buf *out)
{
	const struct service *s = q->service;
	char client[ADDR_TEXT_SIZE], vip[ADDR_TEXT_SIZE], why[WHY_SIZE];

	buf_printf(out, "# %s to %s, %s\n",
		   q->any_port ? addr_text(&q->client, client)
			       : addr_port_text(&q->client, q->port, client),
		   s->conf.name, addr_port_text(&s->conf.address, s->conf.port, vip));
	say_access(q, out);
	if (q->any_port) {
		say_any_port(q, out);
	} else {
		say_goes_to(q, out);
		buf_printf(out, "a new connection: ");
		if (!strcmp(access_of(q), "denied"))
			buf_printf(out, "dropped (denied)");
		else
			say_ring(q, out);
		buf_printf(out, "\n");
	}
	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *b = &s->servers[i];

		if (q->any_port ? b->in_ring : b->id == q->place.ring_server)
			continue;
		why_not(s, b, why);
		buf_printf(out, "not %s (tier %u): %s\n", b->conf.name, b->conf.preference, why);
		if (*next_step(q, b))
			buf_printf(out, "  -> %s\n", next_step(q, b));
	}
}

static json_t *explain_json_server(const struct question *q, uint32_t id)
{
	char name[RENDER_SERVER_SIZE];

	return id ? json_string(render_server(q->model, id, name)) : json_null();
}

static json_t *json_entry(const struct question *q)
{
	const struct flow_place *p = &q->place;

	if (!p->entry_server)
		return json_null();
	return json_pack("{s:o, s:o, s:i, s:b, s:b}", "server",
			 explain_json_server(q, p->entry_server), "backend",
			 explain_json_server(q, p->entry_server), "idle_s", p->idle_s, "closed",
			 p->closed, "by_miss", p->by_miss);
}

static json_t *json_servers(const struct question *q, const struct service *s)
{
	json_t *list = json_array();
	char why[WHY_SIZE];

	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *b = &s->servers[i];

		why_not(s, b, why);
		list = render_json_append(
			list, json_pack("{s:s, s:i, s:s, s:s, s:b, s:o, s:s}", "name", b->conf.name,
					"preference", b->conf.preference, "verdict",
					verdict_name(b->health.verdict), "admin",
					admin_state_name(b->admin), "in_ring", b->in_ring, "why",
					render_json_text(why), "next", next_step(q, b)));
	}
	return list;
}

static void say_json(const struct question *q, struct buf *out)
{
	struct answer a = q->any_port ? (struct answer){"port", 0} : explain_answer(q);
	char client[ADDR_TEXT_SIZE];
	json_t *fresh = json_pack(
		"{s:o, s:o, s:i}", "server", explain_json_server(q, q->place.ring_server),
		"backend", explain_json_server(q, q->place.ring_server), "slot", q->place.slot);
	json_t *servers = json_servers(q, q->service);
	json_t *json = json_pack(
		"{s:s, s:s, s:o, s:s, s:o, s:s, s:o, s:o, s:O, s:o}", "service",
		q->service->conf.name, "client", addr_text(&q->client, client), "port",
		q->any_port ? json_null() : json_integer(q->port), "access", access_of(q),
		"goes_to", explain_json_server(q, a.server_id), "why", a.why, "entry",
		json_entry(q), "new_connection", fresh, "servers", servers, "backends", servers);

	if (render_json(json, out))
		out->failed = true;
	buf_append(out, "\n", 1);
}

void explain_run(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	struct question q = {.model = r->env->model};
	int rc;

	if (r->n_args < 2 || (r->n_args > 2 && strcmp(r->args[2], "json"))) {
		command_error(r, "usage: explain <service> <client>[:<port>] [json]\n");
		return;
	}
	q.service = request_service(r, r->args[0]);
	if (!q.service)
		return;
	if (!parse_client(r->args[1], &q)) {
		command_error(
			r, "Expects <address>:<port>, an IPv6 address in brackets, or an address "
			   "alone.\n");
		return;
	}
	if (addr_is_v4(&q.client) != addr_is_v4(&q.service->conf.address)) {
		command_error(r, "The service is of the other address family.\n");
		return;
	}
	q.diagnosis = malloc(sizeof(*q.diagnosis));
	if (q.diagnosis)
		diagnose(q.model, &(struct diagnosis_box){0}, q.diagnosis);
	rc = q.any_port ? 0 : cb->explain(cb->ctx, q.service, &q.client, q.port, &q.place);
	if (rc)
		command_error(r, "Cannot tell: %s.\n", strerror(-rc));
	else if (r->n_args > 2)
		say_json(&q, r->out);
	else
		say_text(&q, r->out);
	if (!rc && r->n_args <= 2)
		cb->each_rejected(cb->ctx, say_rejected, &(struct explain_history){&q, r->out});
	free(q.diagnosis);
}
