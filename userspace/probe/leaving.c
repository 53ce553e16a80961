/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns a child from the closing of its socket pair until it is reaped. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include "probe/leaving.h"

struct leaver {
	TAILQ_ENTRY(leaver) link;
	struct leaving *all;
	struct spawned proc;
	struct ev_io ended;
	struct ev_timer deadline;
	char why[LEAVING_WHY_SIZE];
	int next_ms;
};

static void leaving_reap(struct leaver *v, char *how, size_t size)
{
	ev_io_stop(v->all->loop, &v->ended);
	ev_timer_stop(v->all->loop, &v->deadline);
	TAILQ_REMOVE(&v->all->list, v, link);
	spawn_reap(&v->proc, how, size);
}

static void on_leaving_ended(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct leaver *v = w->data;
	char how[32];

	(void)loop, (void)revents;
	leaving_reap(v, how, sizeof(how));
	v->all->on_gone(v->all->ctx, v->why, how, v->next_ms);
	free(v);
}

static void on_leaving_deadline(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct leaver *v = w->data;

	(void)loop, (void)revents;
	spawn_kill(&v->proc);
}

void leaving_add(struct leaving *l, struct spawned *c, int grace_ms, const char *why, int next_ms)
{
	struct leaver *v = calloc(1, sizeof(*v));
	char how[32];

	spawn_leave(c);
	if (!v) { /* no memory: then it has no grace */
		spawn_kill(c);
		spawn_reap(c, how, sizeof(how));
		l->on_gone(l->ctx, why, how, next_ms);
		return;
	}
	v->all = l;
	v->proc = *c;
	v->next_ms = next_ms;
	snprintf(v->why, sizeof(v->why), "%s", why);
	ev_io_init(&v->ended, on_leaving_ended, c->pidfd, EV_READ);
	ev_timer_init(&v->deadline, on_leaving_deadline, grace_ms / 1000.0, 0);
	v->ended.data = v->deadline.data = v;
	ev_io_start(l->loop, &v->ended);
	if (grace_ms)
		ev_timer_start(l->loop, &v->deadline);
	else
		spawn_kill(c);
	TAILQ_INSERT_TAIL(&l->list, v, link);
}

void leaving_end(struct leaving *l, int grace_ms)
{
	struct leaver *v;
	char how[32];

	while ((v = TAILQ_FIRST(&l->list))) {
		struct pollfd ended = {.fd = v->proc.pidfd, .events = POLLIN};

		if (poll(&ended, 1, grace_ms) != 1)
			spawn_kill(&v->proc);
		leaving_reap(v, how, sizeof(how));
		free(v);
	}
}
