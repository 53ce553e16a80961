// SPDX-License-Identifier: BSD-2-Clause
/*
 * Brings what has changed into force: once per turn, before the loop sleeps, the model's new events are logged and its
 * plan is applied, however many events there were. A plan that waits for readers of the old state is applied again.
 */
#include "daemon/daemon.h"
#include "util/clock.h"

#define STOP_APPLY_MS	500
#define FAILED_AGAIN_MS 1000
#define CLOCK_S		1.0

_Static_assert(MXLB_MAX_SERVICES <= 64, "a bit each");

/* One bit per service, by its id. */
static uint64_t ready_services(const struct model *m)
{
	uint64_t ready = 0;

	for (unsigned i = 0; i < m->n_services; i++)
		if (m->services[i].tier.state != SERVICE_NOT_READY)
			ready |= 1ULL << m->services[i].id;
	return ready;
}

void settle_remember(struct daemon *d)
{
	for (unsigned i = 0; i < d->model->n_services; i++)
		for (unsigned j = 0; j < d->model->services[i].n_servers; j++)
			datapath_remember(d->datapath, &d->model->services[i],
					  &d->model->services[i].servers[j]);
	orders_save(d);
}

static void apply_again_in(struct daemon *d, uint64_t ms)
{
	ev_timer_stop(d->loop, &d->settling.again);
	ev_timer_set(&d->settling.again, (double)ms / 1000, 0);
	ev_timer_start(d->loop, &d->settling.again);
}

static void apply(struct daemon *d)
{
	uint64_t again_ms = 0;
	struct plan plan;
	int err = plan_build(d->model, &plan);

	if (!err) {
		settle_remember(d);
		datapath_tunnel_probes(d->datapath, &plan);
		err = datapath_apply(d->datapath, &plan, clock_now().mono_ms, &again_ms);
		plan_free(&plan);
	}
	if (err)
		again_ms = FAILED_AGAIN_MS;
	if (again_ms)
		apply_again_in(d, again_ms);
}

void settle_finish(struct daemon *d)
{
	uint64_t until_ms = clock_now().mono_ms + STOP_APPLY_MS;

	while (!d->detached && (d->settling.changed || ev_is_active(&d->settling.again)) &&
	       clock_now().mono_ms < until_ms)
		ev_run(d->loop, d->settling.changed ? EVRUN_NOWAIT : EVRUN_ONCE);
}

static void set_tick(struct daemon *d)
{
	uint64_t at = model_next_tick(d->model), now = clock_now().mono_ms;

	ev_timer_stop(d->loop, &d->settling.tick);
	if (!at)
		return;
	ev_timer_set(&d->settling.tick, at > now ? (double)(at - now) / 1000 : 0, 0);
	ev_timer_start(d->loop, &d->settling.tick);
}

/* Applies what has changed; runs before the loop sleeps. */
static void settle_settle(struct daemon *d)
{
	uint64_t ready = ready_services(d->model);

	if (d->settling.changed && !d->detached)
		role_update(d);
	notes_log(d);
	if (!d->settling.changed || d->detached)
		return;
	d->settling.changed = false;
	apply(d);
	set_tick(d);
	if (ready & ~d->settling.ready)
		daemon_announce(d);
	d->settling.ready = ready;
}

static void on_settle(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct daemon *d = prepare->data;
	uint64_t turn_ms;

	(void)loop;
	(void)events;
	settle_settle(d);
	turn_ms = d->settling.woken_ms ? clock_now().mono_ms - d->settling.woken_ms : 0;
	if (turn_ms > d->settling.turn_max_ms[0])
		d->settling.turn_max_ms[0] = (uint32_t)turn_ms;
}

/* The loop runs this one first of all that is due: ev_check's priority is the highest. */
static void on_woken(struct ev_loop *loop, ev_check *check, int events)
{
	struct daemon *d = check->data;

	(void)loop;
	(void)events;
	d->settling.woken_ms = clock_now().mono_ms;
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	daemon_changed(timer->data);
}

static void on_settle_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;

	(void)loop;
	(void)events;
	if (model_tick(d->model, clock_now()))
		daemon_changed(d);
	set_tick(d);
}

/* Else the next mxlbd would end overrides early, or late, if a wrong clock was set right. */
static void follow_clock(struct daemon *d)
{
	if (model_follow_clock(d->model, clock_now()))
		daemon_changed(d);
}

void settle_init(struct daemon *d)
{
	struct settling *s = &d->settling;

	ev_init(&s->tick, on_settle_tick);
	ev_init(&s->again, on_again);
	ev_prepare_init(&s->settle, on_settle);
	ev_check_init(&s->woken, on_woken);
	ev_set_priority(&s->woken, EV_MAXPRI);
	s->tick.data = s->again.data = s->settle.data = s->woken.data = d;
}

void settle_start(struct daemon *d)
{
	ev_prepare_start(d->loop, &d->settling.settle);
	ev_check_start(d->loop, &d->settling.woken);
	periodic_start(&d->settling.clock, d, follow_clock, CLOCK_S);
	daemon_changed(d);
}
