// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reads the datapath's counters into the model, and measures once per second: rates of new connections, the maximum of
 * flows, and the loop's idle time.
 */
#include <stdlib.h>
#include <time.h>
#include "daemon/daemon.h"
#include "util/clock.h"

#define FRESH_MS \
	10 /* maximum age of the counters, so that a client that polls in a loop costs no more than this */
#define FEW DATAPATH_BATCH /* up to this many servers are read one by one, more in batches */

static bool any_used(const struct model *m, uint32_t first)
{
	for (uint32_t id = first; id < first + DATAPATH_BATCH; id++)
		if (m->by_id[id].server)
			return true;
	return false;
}

static void read_batches(struct daemon *d)
{
	struct traffic got[DATAPATH_BATCH];

	for (uint32_t first = 0; first < MXLB_MAX_SERVERS; first += DATAPATH_BATCH) {
		if (!any_used(d->model, first) ||
		    datapath_traffic_batch(d->datapath, first, DATAPATH_BATCH, got))
			continue;
		for (uint32_t i = 0; i < DATAPATH_BATCH; i++) {
			struct server *b = d->model->by_id[first + i].server;

			if (!b)
				continue;
			got[i].flows = b->traffic.flows;
			b->traffic = got[i];
		}
	}
}

static void read_traffic(struct daemon *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->model->n_services; i++)
		n += d->model->services[i].n_servers;
	if (n > FEW) {
		read_batches(d);
		return;
	}
	for (unsigned i = 0; i < d->model->n_services; i++)
		for (unsigned j = 0; j < d->model->services[i].n_servers; j++) {
			struct server *b = &d->model->services[i].servers[j];

			datapath_traffic(d->datapath, b->id, &b->traffic);
		}
}

void traffic_refresh(struct daemon *d)
{
	uint64_t now_ms = clock_now().mono_ms;

	if (d->refreshed_ms && now_ms - d->refreshed_ms < FRESH_MS)
		return;
	read_traffic(d);
	table_refresh(d);
	datapath_counts(d->datapath, &d->counts);
	rejected_refresh(d);
	d->refreshed_ms = clock_now().mono_ms;
}

static void measure_idle(struct daemon *d, uint64_t now_ms)
{
	uint64_t cpu_ms = clock_ns_of(CLOCK_PROCESS_CPUTIME_ID) / 1000000;
	uint64_t span_ms = now_ms - d->second.at_ms, busy;

	busy = span_ms ? (cpu_ms - d->second.cpu_ms) * 100 / span_ms : 0;
	d->second.idle_pct = d->second.at_ms && busy < 100 ? 100 - (unsigned)busy
			     : d->second.at_ms		   ? 0
							   : 100;
	d->second.cpu_ms = cpu_ms;
	d->second.at_ms = now_ms;
}

/* The flows are those that were last counted, at most ten seconds ago: counting them all each second would cost a CPU 2 %. */
static void measure_traffic(struct daemon *d)
{
	uint64_t now_ms = clock_now().mono_ms, all_flows = 0, all_fresh = 0;

	read_traffic(d);
	for (unsigned i = 0; i < d->model->n_services; i++) {
		struct service *s = &d->model->services[i];
		uint64_t flows = 0, fresh = 0;

		for (unsigned j = 0; j < s->n_servers; j++) {
			struct server *b = &s->servers[j];

			b->traffic.flows = d->flows[b->id];
			tally_second(&b->tally.rate, b->traffic.flows, b->traffic.new_flows,
				     now_ms);
			flows += b->traffic.flows;
			fresh += b->traffic.new_flows;
		}
		tally_second(&s->tally.rate, flows, fresh, now_ms);
		all_flows += flows;
		all_fresh += fresh;
	}
	tally_second(&d->second.rate, all_flows, all_fresh, now_ms);
	measure_idle(d, now_ms);
}

void traffic_start(struct daemon *d)
{
	d->second.idle_pct = 100;
	measure_traffic(d);
	periodic_start(&d->second.timer, d, measure_traffic, 1);
}
