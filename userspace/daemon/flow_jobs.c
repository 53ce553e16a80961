// SPDX-License-Identifier: BSD-2-Clause
/* Periodic work on the flow table: steps its epoch, counts flows, sweeps. (Resets: reset_rounds.c.) */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

#define EPOCH_S	   1.0
#define SWEEP_S	   10.0
#define COUNTED_MS 1000	 /* how old a count of the flows may be before there is another */
#define PART	   16384 /* places of the flow table at a time: half a millisecond */
#define AT_ONCE_MS 10	 /* on request: enough for a table of the default size */
#define LATER_MS   3
#define PAUSE_S	   0.002

/* One slice: the whole table is counted first, then entries are swept. */
static void survey_step(struct daemon *d)
{
	struct survey *s = &d->survey;
	bool more;

	if (s->stage == SURVEY_COUNT) {
		more = datapath_count(d->datapath, s->at, PART, s->counts, s->empty);
		if (!more) {
			memcpy(d->flows, s->counts, sizeof(d->flows));
			memcpy(d->empty, s->empty, sizeof(d->empty));
			d->flows_ms = clock_now().mono_ms;
		}
	} else {
		more = datapath_sweep_free(d->datapath, s->at, PART);
		if (!more)
			datapath_sweep_end(d->datapath);
	}
	s->at += PART;
	if (more)
		return;
	s->at = 0;
	if (s->stage == SURVEY_COUNT &&
	    datapath_sweep_decide(d->datapath, s->counts, d->model->held))
		s->stage = SURVEY_FREE;
	else
		s->stage = SURVEY_NONE;
}

/* Works for this long at most; the rest is done in later turns. */
static void flow_jobs_survey(struct daemon *d, uint64_t most_ms)
{
	uint64_t until_ms = clock_now().mono_ms + most_ms;

	while (d->survey.stage != SURVEY_NONE && clock_now().mono_ms < until_ms)
		survey_step(d);
	ev_timer_stop(d->loop, &d->survey.more);
	if (d->survey.stage == SURVEY_NONE)
		return;
	ev_timer_set(&d->survey.more, PAUSE_S, 0);
	ev_timer_start(d->loop, &d->survey.more);
}

static void on_more(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	flow_jobs_survey(timer->data, LATER_MS);
}

static void begin_survey(struct daemon *d)
{
	if (d->survey.stage != SURVEY_NONE)
		return;
	d->survey.stage = SURVEY_COUNT;
	memset(d->survey.counts, 0, sizeof(d->survey.counts));
	memset(d->survey.empty, 0, sizeof(d->survey.empty));
	datapath_sweep_start(d->datapath);
}

static void flow_jobs_count(struct daemon *d)
{
	uint64_t now_ms = clock_now().mono_ms;

	if (d->flows_ms && now_ms - d->flows_ms < COUNTED_MS)
		return;
	begin_survey(d);
	flow_jobs_survey(d, AT_ONCE_MS);
}

void table_refresh(struct daemon *d)
{
	flow_jobs_count(d);
	for (unsigned i = 0; i < d->model->n_services; i++)
		for (unsigned j = 0; j < d->model->services[i].n_servers; j++) {
			struct server *b = &d->model->services[i].servers[j];

			b->traffic.flows = d->flows[b->id];
			b->traffic.empty = d->empty[b->id];
		}
}

static void step_epoch(struct daemon *d)
{
	datapath_step_epoch(d->datapath);
	datapath_set_pulse(d->datapath, clock_now().wall_ms);
}

static void sweep(struct daemon *d)
{
	begin_survey(d);
	flow_jobs_survey(d, LATER_MS);
	d->settling.turn_max_ms[1] = d->settling.turn_max_ms[0];
	d->settling.turn_max_ms[0] = 0;
}

void table_start(struct daemon *d)
{
	periodic_start(&d->epoch, d, step_epoch, EPOCH_S);
	periodic_start(&d->sweep, d, sweep, SWEEP_S);
	ev_timer_init(&d->survey.more, on_more, 0, 0);
	d->survey.more.data = d;
}
