/* SPDX-License-Identifier: BSD-2-Clause */
/* Adds events about services and servers to the model's log. */
#include "core/model_event.h"

#include <stdio.h>

struct event *model_event(struct model *m, enum event_kind kind, const struct service *s,
			  const struct server *b, struct now now)
{
	struct event *e = event_add(&m->events, kind, now.wall_ms);

	snprintf(e->service, sizeof(e->service), "%s", s->conf.name);
	if (b)
		snprintf(e->server, sizeof(e->server), "%s", b->conf.name);
	return e;
}

void event_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
}

void model_event_cause(char *to, size_t size, const struct probe_result *r)
{
	snprintf(to, size, "%s: %s", reason_name(r->reason),
		 *r->text ? r->text : reason_text(r->reason));
}

void model_event_verdict(struct model *m, const struct service *s, const struct server *b,
			 enum verdict was, const struct probe_result *r, struct now now)
{
	struct event *e = model_event(m, EVENT_BACKEND_VERDICT, s, b, now);

	event_text(e->from, sizeof(e->from), verdict_name(was));
	event_text(e->to, sizeof(e->to), verdict_name(b->health.verdict));
	event_text(e->reason, sizeof(e->reason), reason_name(r->reason));
	model_event_cause(e->cause, sizeof(e->cause), r);
}
