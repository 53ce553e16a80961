/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `show events`: the events from a number on, as lines or as JSON, one object per line. Numbers belong to one run of
 * mxlbd: a client that gives another run has missed all events of this one, and gets them.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "control/render.h"
#include "control/request.h"

/* null for a field that the event does not have. */
static json_t *text_or_null(const char *text)
{
	return render_json_text(*text ? text : NULL);
}

static const char *level_name(const struct event *e)
{
	switch (event_level(e)) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warning";
	default:
		return "info";
	}
}

int render_event(const struct event_log *log, const struct event *e, uint64_t dropped,
		 struct buf *out)
{
	char line[EVENT_LINE_SIZE], time[RENDER_TIME_SIZE];
	json_t *json = json_pack(
		"{s:I, s:I, s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "run", (json_int_t)log->run, "seq",
		(json_int_t)e->seq, "time", render_json_text(render_time(e->time_ms, time)),
		"event", event_kind_name(e->kind), "level", level_name(e), "service",
		text_or_null(e->service), "server", text_or_null(e->server), "backend",
		text_or_null(e->server), "interface", text_or_null(e->interface));
	json_t *more = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "from", text_or_null(e->from), "to",
		text_or_null(e->to), "reason", text_or_null(e->reason), "user",
		text_or_null(e->user), "cause", text_or_null(e->cause), "line",
		json_string(event_line(e, line, sizeof(line))), "dropped", (json_int_t)dropped);

	if (json_object_update(json, more)) {
		json_decref(json);
		json = NULL;
	}
	json_decref(more);
	return render_json(json, out);
}

/* Appends one line for each event from that number on that is still there. */
static void render_events(const struct event_log *log, uint64_t first, bool json, struct buf *out)
{
	uint64_t seq = log->next_seq > EVENT_LOG_SIZE ? log->next_seq - EVENT_LOG_SIZE : 1;
	char line[EVENT_LINE_SIZE], time[RENDER_TIME_SIZE];
	const struct event *e;

	for (seq = seq > first ? seq : first; seq < log->next_seq; seq++) {
		e = event_get(log, seq);
		if (!e)
			continue;
		if (!json)
			buf_printf(out, "%llu %s %s\n", (unsigned long long)seq,
				   render_time(e->time_ms, time) ? time : "-",
				   event_line(e, line, sizeof(line)));
		else if (render_event(log, e, 0, out))
			out->failed = true;
		else
			buf_append(out, "\n", 1);
	}
}

/* False: it is none. */
static bool cmd_events_number(const char *text, uint64_t *out)
{
	char *end = NULL;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && !errno;
}

void eventlist_run(struct request *r)
{
	const struct event_log *log = &r->env->model->events;
	uint64_t first = 0, run = (uint64_t)log->run;
	unsigned n = r->n_args;
	bool json = n && !strcmp(r->args[n - 1], "json");

	n -= json;
	if ((n > 0 && !cmd_events_number(r->args[0], &first)) ||
	    (n > 1 && !cmd_events_number(r->args[1], &run))) {
		command_error(r, "Expects the number of an event.\n");
		return;
	}
	render_events(log, run == (uint64_t)log->run ? first : 0, json, r->out);
}
