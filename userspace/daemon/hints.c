// SPDX-License-Identifier: BSD-2-Clause
/*
 * Hints from the datapath's counters: a retransmitted SYN means that the first was not answered, a second ago; clients
 * that connect and send nothing are not greeted (core/passive.c). The counters are read every LOOK_MS, or, with many
 * servers or CPUs, so rarely that it takes at most a LOOK_SHARE-th of the time: 4,000 servers on 2 CPUs take 1.2 ms,
 * so every 125 ms. watch.c decides about the consequences.
 */
#include <time.h>
#include "daemon/daemon.h"
#include "util/clock.h"

#define LOOK_MS	   50
#define LOOK_SHARE 100

_Static_assert(MXLB_MAX_SERVERS % DATAPATH_BATCH == 0, "whole batches");

static bool any_there(const struct model *m, uint32_t first)
{
	for (uint32_t id = first; id < first + DATAPATH_BATCH; id++)
		if (m->by_id[id].server)
			return true;
	return false;
}

/* A hint above the limit is found again at the next look. */
static void look_at(struct daemon *d, uint32_t first)
{
	struct traffic sums[DATAPATH_BATCH];

	if (datapath_traffic_batch(d->datapath, first, DATAPATH_BATCH, sums))
		return;
	for (uint32_t i = 0; i < DATAPATH_BATCH; i++) {
		uint64_t *seen = &d->retransmits[first + i];

		if (sums[i].retransmits != *seen && (!d->looked || watch_hint(d, first + i)))
			*seen = sums[i].retransmits;
		if (d->watches[first + i].id)
			watch_clients(d, first + i, &sums[i]);
	}
}

static void on_hints_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;
	double began_s = ((double)clock_thread_cpu_us() / 1e6), next_s;

	(void)events;
	passive_clock_look(&d->quiet, d->look_ms, clock_now().mono_ms);
	for (uint32_t first = 0; first < MXLB_MAX_SERVERS; first += DATAPATH_BATCH)
		if (any_there(d->model, first))
			look_at(d, first);
	d->looked = true;
	next_s = (((double)clock_thread_cpu_us() / 1e6) - began_s) * LOOK_SHARE;
	d->look_ms = next_s > LOOK_MS / 1000.0 ? (uint32_t)(next_s * 1000) : LOOK_MS;
	ev_timer_set(timer, d->look_ms / 1000.0, 0);
	ev_timer_start(loop, timer);
}

void hints_start(struct daemon *d)
{
	ev_timer_init(&d->look, on_hints_look, 0, 0);
	d->look.data = d;
	ev_timer_start(d->loop, &d->look);
}
