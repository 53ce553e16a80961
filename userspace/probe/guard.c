/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guard against endless computations: a child that is in one cannot charge the cost to a server. Its pulse shows for which server it
 * works, and the kernel how much CPU time it has had. This decides when to kill it. Wall time does not count, because
 * a machine that gives the child no CPU is not the server's fault.
 */
#include <stdio.h>
#include "probe/prober_internal.h"

#define GUARD_MS 20

/* The CPU time of its present step, in us; *id: the server's id on the wire. */
static uint64_t stuck_us(struct helper *h, uint32_t *id)
{
	uint64_t step, cpu_us;

	if (h->proc.fd < 0 || !h->ready)
		return 0;
	step = atomic_load_explicit(&h->proc.pulse->step, memory_order_relaxed);
	*id = (uint32_t)step;
	if (!step || !spawn_cpu_us(&h->proc, &cpu_us)) {
		h->step = 0;
		return 0;
	}
	if (step != h->step) {
		h->step = step;
		h->step_cpu_us = cpu_us;
		return 0;
	}
	return cpu_us - h->step_cpu_us;
}

/* The run that it is working on, if it is one of its own. */
static struct run *culprit(const struct helper *h, uint32_t wire_id)
{
	uint32_t id = wire_id & ID_SERVER;
	struct run *r = id < RUNS ? h->prober->runs[id] : NULL;

	return r && r->helper == h && (wire_id & ~ID_FALLBACK) == r->req.id ? r : NULL;
}

static void guard_watch(struct helper *h, uint32_t limit_ms)
{
	struct prober *p = h->prober;
	char why[LEAVING_WHY_SIZE];
	struct run *r;
	uint32_t id;
	uint64_t us = stuck_us(h, &id);

	if (us <= limit_ms * 1000ULL)
		return;
	snprintf(why, sizeof(why), "computed for one server for more than %u ms", limit_ms);
	r = culprit(h, id);
	h->ready = false; /* it gets nothing more */
	if (r)
		run_finish_expensive(p, r, (uint32_t)(us / 1000));
	if (h == p->child)
		helpers_replace_stuck(p, why);
	else
		helper_failed(h, why, 0);
}

static void on_guard(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct prober *p = w->data;

	(void)loop, (void)revents;
	guard_watch(p->child, p->cpu_ms);
	if (p->old)
		guard_watch(p->old, p->cpu_ms);
	for (struct helper *h = p->apart; h < p->apart + QUARANTINE_CHILDREN; h++)
		guard_watch(h, quarantine_cpu_ms(p));
}

void guard_start(struct prober *p)
{
	ev_timer_init(&p->guard, on_guard, 0, GUARD_MS / 1000.0);
	p->guard.data = p;
	ev_timer_again(p->loop, &p->guard);
}
