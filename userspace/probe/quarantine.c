/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Children for servers that are known to be expensive (core/cost.c): their number, one probe at a time for each, so
 * that even there no server delays another, and the lowest CPU priority. They are started when needed.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include "probe/prober_internal.h"
#include "util/log.h"

#define NICE	       10
#define TIMES_MORE     10   /* CPU limit here, as a multiple of a normal probe's ... */
#define CPU_MAX_MS     2000 /* ... or this */
#define APART_START_MS 10000

static void on_dispatch(struct ev_loop *loop, struct ev_prepare *w, int revents)
{
	(void)loop, (void)revents;
	quarantine_turn(w->data);
}

void quarantine_init(struct prober *p)
{
	for (struct helper *h = p->apart; h < p->apart + QUARANTINE_CHILDREN; h++)
		helper_init(h, p);
	ev_prepare_init(&p->dispatch, on_dispatch);
	p->dispatch.data = p;
}

bool quarantine_owns(const struct helper *h)
{
	return h >= h->prober->apart && h < h->prober->apart + QUARANTINE_CHILDREN;
}

uint32_t quarantine_cpu_ms(const struct prober *p)
{
	return p->cpu_ms * TIMES_MORE < CPU_MAX_MS ? p->cpu_ms * TIMES_MORE : CPU_MAX_MS;
}

bool quarantine_is_idle(const struct prober *p)
{
	unsigned idle = 0;
	const struct run *r;

	for (const struct helper *h = p->apart; h < p->apart + QUARANTINE_CHILDREN; h++)
		idle += !h->stale && TAILQ_EMPTY(&h->sent);
	TAILQ_FOREACH (r, &p->apart_queued, link)
		if (!idle--)
			return false;
	return idle;
}

/* A child that can take a probe now; NULL: none, or not yet. */
static struct helper *idle_child(struct prober *p, struct helper **absent)
{
	*absent = NULL;
	for (struct helper *h = p->apart; h < p->apart + QUARANTINE_CHILDREN; h++) {
		if (h->proc.fd < 0)
			*absent = h;
		else if (h->ready && !h->stale && TAILQ_EMPTY(&h->sent))
			return h;
	}
	return NULL;
}

static bool any_starts(const struct prober *p)
{
	for (const struct helper *h = p->apart; h < p->apart + QUARANTINE_CHILDREN; h++)
		if (h->proc.fd >= 0 && !h->ready)
			return true;
	return false;
}

/* Those that have old CA files and are done. */
static void end_stale(struct prober *p)
{
	for (struct helper *h = p->apart; h < p->apart + QUARANTINE_CHILDREN; h++)
		if (h->stale && h->proc.fd >= 0 && TAILQ_EMPTY(&h->sent)) {
			h->stale = false;
			helper_leave(h, "its CA files are out of date", 0, -1);
		}
}

void quarantine_turn(struct prober *p)
{
	struct helper *h, *absent;
	struct run *r;

	end_stale(p);
	while ((r = TAILQ_FIRST(&p->apart_queued))) {
		int err = 0;

		h = idle_child(p, &absent);
		if (h && run_send(p, r, &p->apart_queued, h))
			return; /* prober_on_readable() is about to learn of its end */
		if (h)
			continue;
		if (!absent || any_starts(p))
			return;
		err = helper_start(absent);
		if (err)
			run_finish_local_error(p, r, strerror(-err));
		else if (setpriority(PRIO_PROCESS, (id_t)absent->proc.pid, NICE))
			log_warn("event=probe_child_not_niced error=\"%s\"", strerror(errno));
	}
}

void quarantine_failed(struct helper *h, const char *why, int grace_ms)
{
	h->stale = false;
	helper_leave(h, why, grace_ms, -1);
	helper_drop_runs(h, why, false);
	quarantine_turn(h->prober);
}

void quarantine_renew(struct prober *p)
{
	for (struct helper *h = p->apart; h < p->apart + QUARANTINE_CHILDREN; h++)
		h->stale = h->proc.fd >= 0;
	quarantine_turn(p);
}

void quarantine_sweep(struct prober *p)
{
	struct run *r;

	for (struct helper *h = p->apart; h < p->apart + QUARANTINE_CHILDREN; h++) {
		if (h->proc.fd < 0)
			continue;
		if (run_first_overdue(p, &h->sent))
			quarantine_failed(h, "missed a deadline", 0);
		else if (!h->ready && p->stall.now_ms - h->born_ms >= APART_START_MS)
			quarantine_failed(h, "did not start", 0);
	}
	while ((r = run_first_overdue(p, &p->apart_queued)))
		run_finish_local_error(p, r, "no quarantine child was idle in time");
}
