/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A timer wakes the loop four times a second; a turn that comes a second later than that was a stall. The check runs
 * before every other watcher of its turn, so that those see the stall before they judge a deadline.
 */
#include <time.h>
#include "probe/stall.h"
#include "util/clock.h"

#define TICK_MS	 250
#define STALL_MS (TICK_MS + 1000)
#define LONG_MS	 20 /* a turn that computes for longer has kept others waiting */

static void on_check(struct ev_loop *loop, struct ev_check *w, int revents)
{
	struct stall *s = w->data;
	uint64_t now = clock_ms(), gap = now - s->now_ms, cpu_us = clock_thread_cpu_us(),
		 busy = (cpu_us - s->cpu_us) / 1000;

	(void)loop, (void)revents;
	if (busy > gap)
		busy = gap;
	s->served_ms += busy >= LONG_MS ? gap - busy : gap;
	if (gap - busy > STALL_MS) {
		s->count++;
		gap = TICK_MS;
	}
	s->now_ms = now;
	s->cpu_us = cpu_us;
	s->awake_ms += gap;
}

static void on_stall_tick(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	(void)loop, (void)w, (void)revents; /* to have woken is all */
}

void stall_start(struct stall *s, struct ev_loop *loop)
{
	*s = (struct stall){.loop = loop, .now_ms = clock_ms(), .cpu_us = clock_thread_cpu_us()};
	s->awake_ms = s->served_ms = s->now_ms;
	ev_check_init(&s->check, on_check);
	ev_set_priority(&s->check, EV_MAXPRI);
	s->check.data = s;
	ev_check_start(loop, &s->check);
	ev_timer_init(&s->tick, on_stall_tick, 0, TICK_MS / 1000.0);
	ev_timer_again(loop, &s->tick);
}

void stall_stop(struct stall *s)
{
	ev_check_stop(s->loop, &s->check);
	ev_timer_stop(s->loop, &s->tick);
}

enum reason stall_excuse(enum reason r)
{
	switch (r) {
	case REASON_connect_timeout:
	case REASON_greeting_silent:
	case REASON_timeout:
	case REASON_closed_early:
		return REASON_local_stall;
	default:
		return r;
	}
}
