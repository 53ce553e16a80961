// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/periodic.h"
#include "daemon/daemon.h"

static void on_period(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct periodic *p = timer->data;

	(void)loop;
	(void)events;
	if (!p->daemon->detached)
		p->run(p->daemon);
}

void periodic_start(struct periodic *p, struct daemon *d, void (*run)(struct daemon *d), double s)
{
	p->daemon = d;
	p->run = run;
	ev_timer_init(&p->timer, on_period, s, s);
	p->timer.data = p;
	ev_timer_start(d->loop, &p->timer);
}
