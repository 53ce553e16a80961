/* SPDX-License-Identifier: BSD-2-Clause */
/* Children that should exit. The loop is notified when they have, and those that do not are killed. */
#ifndef MXLB_LEAVING_H
#define MXLB_LEAVING_H

#include <ev.h>
#include <sys/queue.h>
#include "probe/spawn.h"

#define LEAVING_WHY_SIZE 112

struct leaver;

struct leaving {
	struct ev_loop *loop;
	TAILQ_HEAD(leavers, leaver) list;
	/* why: leaving_add()'s; how: "exit 0"; next_ms: leaving_add()'s */
	void (*on_gone)(void *ctx, const char *why, const char *how, int next_ms);
	void *ctx;
};

/* Takes the child over: closes its socket pair, kills it after grace_ms. */
void leaving_add(struct leaving *l, struct spawned *c, int grace_ms, const char *why, int next_ms);
/* Ends all of them and waits at most grace_ms, then kills them. Without callbacks. */
void leaving_end(struct leaving *l, int grace_ms);

#endif
