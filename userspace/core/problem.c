// SPDX-License-Identifier: BSD-2-Clause
#include "core/problem.h"

#include <stdio.h>
#include <string.h>

static struct problem *problem_row(struct problems *p, const char *name, const char *about)
{
	for (unsigned i = 0; i < p->n; i++)
		if (!strcmp(p->list[i].name, name) && !strcmp(p->list[i].about, about))
			return &p->list[i];
	return NULL;
}

static void add_event(struct event_log *log, int64_t now_wall_ms, const char *from, const char *to,
		      const char *about, const char *text)
{
	struct event *e = event_add(log, EVENT_PROBLEM, now_wall_ms);

	snprintf(e->service, sizeof(e->service), "%s", about);
	snprintf(e->from, sizeof(e->from), "%s", from);
	snprintf(e->to, sizeof(e->to), "%s", to);
	snprintf(e->cause, sizeof(e->cause), "%s", text);
}

void problem_set(struct problems *p, struct event_log *log, int64_t now_wall_ms, const char *name,
		 const char *about, bool critical, const char *text)
{
	struct problem *row = problem_row(p, name, about);

	if (row && !text) {
		add_event(log, now_wall_ms, name, "none", about, "");
		memmove(row, row + 1, (size_t)(&p->list[--p->n] - row) * sizeof(*row));
		return;
	}
	if (!text)
		return;
	if (!row) {
		add_event(log, now_wall_ms, "none", name, about, text);
		if (p->n == PROBLEMS_MAX)
			return;
		row = &p->list[p->n++];
		*row = (struct problem){.name = name, .since_wall_ms = now_wall_ms};
		snprintf(row->about, sizeof(row->about), "%s", about);
	}
	row->critical = critical;
	snprintf(row->text, sizeof(row->text), "%s", text);
}
