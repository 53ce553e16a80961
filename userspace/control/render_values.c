/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formats times, names and texts for all documents. Text that is not UTF-8 is escaped; times outside the calendar are
 * null.
 */
#include "control/render.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "util/log.h"

static const char *const counter_names[] = {
#define X(name, text) #name,
	MXLB_DROPS(X) MXLB_PASSES(X) MXLB_ANSWERS(X) MXLB_NOTES(X)
#undef X
};

const char *render_counter(unsigned i)
{
	return i < MXLB_COUNT_COUNT ? counter_names[i] : "?";
}

const char *render_time(int64_t wall_ms, char text[RENDER_TIME_SIZE])
{
	time_t s = wall_ms / 1000;
	struct tm tm;
	size_t len;

	if (wall_ms < 0 || s > RENDER_TIME_MAX_S || !gmtime_r(&s, &tm))
		return NULL;
	len = strftime(text, RENDER_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, RENDER_TIME_SIZE - len, ".%03dZ", (int)(wall_ms % 1000));
	return text;
}

json_t *render_json_text(const char *text)
{
	char quoted[1024];
	json_t *json;

	if (!text)
		return json_null();
	json = json_string(text);
	return json ? json : json_string(log_quote(text, strlen(text), quoted, sizeof(quoted)));
}

char *render_server(struct model *m, uint32_t id, char text[RENDER_SERVER_SIZE])
{
	const struct server *b = model_server(m, id, NULL);

	if (b)
		snprintf(text, RENDER_SERVER_SIZE, "%s", b->conf.name);
	else
		snprintf(text, RENDER_SERVER_SIZE, "#%u", id);
	return text;
}

json_t *render_json_time(int64_t wall_ms)
{
	char text[RENDER_TIME_SIZE];

	return render_json_text(wall_ms ? render_time(wall_ms, text) : NULL);
}

json_t *render_json_append(json_t *array, json_t *item)
{
	if (!json_array_append_new(array, item))
		return array;
	json_decref(array);
	return NULL;
}

static int append_json(const char *text, size_t len, void *buf)
{
	struct buf *out = buf;

	buf_append(out, text, len);
	return out->failed ? -1 : 0;
}

int render_json(json_t *json, struct buf *out)
{
	int rc = json && !json_dump_callback(json, append_json, out, JSON_COMPACT) ? 0 : -ENOMEM;

	json_decref(json);
	return rc;
}

static json_t *last_json(const struct notify_state *s)
{
	if (!s->last_seq)
		return json_null();
	return json_pack("{s:I, s:o, s:b, s:o}", "seq", (json_int_t)s->last_seq, "at",
			 render_json_time(s->last_wall_ms), "failed", s->last_failed, "result",
			 render_json_text(s->last));
}

json_t *render_notify(const struct notify_state *s)
{
	if (!s || !*s->command)
		return json_null();
	return json_pack("{s:o, s:I, s:I, s:I, s:o}", "command", render_json_text(s->command), "ok",
			 (json_int_t)s->ok, "failed", (json_int_t)s->failed, "dropped",
			 (json_int_t)s->dropped, "last", last_json(s));
}

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
