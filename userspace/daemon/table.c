// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the daemon does with the flow table: steps its epoch, counts, sweeps, and tells the idle clients of a gone
 * backend. Resets of idle flows go out BATCH at a time, and twice more, some seconds later, to those that are left, for
 * a SYN or its answer may be lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "util/log.h"

#define EPOCH_S	   1.0
#define SWEEP_S	   10.0
#define COUNTED_MS 1000	 /* how old a count of the flows may be before there is another */
#define PART	   16384 /* places of the flow table at a time: half a millisecond */
#define AT_ONCE_MS 10	 /* for who asks: a table of the default size is done by then */
#define LATER_MS   3
#define PAUSE_S	   0.002
#define AGAIN_MS   5000
#define ROUNDS	   3 /* who does not answer has no such connection */

#define BATCH	   100
#define BATCH_S	   0.02
#define IDLE_MAX   65536 /* told in one round; the rest in the next */

struct idle_flow {
	struct addr vip, client;
	uint16_t vip_port, client_port;
	uint32_t backend_id;
};

/* One part of the survey: the table is counted whole, then freed of what is swept. */
static void survey_step(struct daemon *d)
{
	struct survey *s = &d->survey;
	bool more;

	if (s->stage == SURVEY_COUNT) {
		more = datapath_count(d->datapath, s->at, PART, s->counts);
		if (!more) {
			memcpy(d->flows, s->counts, sizeof(d->flows));
			d->flows_ms = daemon_now().mono_ms;
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

/* For so long at most; what is left is done in later turns. */
static void survey(struct daemon *d, uint64_t most_ms)
{
	uint64_t until_ms = daemon_now().mono_ms + most_ms;

	while (d->survey.stage != SURVEY_NONE && daemon_now().mono_ms < until_ms)
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
	survey(timer->data, LATER_MS);
}

static void begin_survey(struct daemon *d)
{
	if (d->survey.stage != SURVEY_NONE)
		return;
	d->survey.stage = SURVEY_COUNT;
	memset(d->survey.counts, 0, sizeof(d->survey.counts));
	datapath_sweep_start(d->datapath);
}

static void count(struct daemon *d)
{
	uint64_t now_ms = daemon_now().mono_ms;

	if (d->flows_ms && now_ms - d->flows_ms < COUNTED_MS)
		return;
	begin_survey(d);
	survey(d, AT_ONCE_MS);
}

void table_refresh(struct daemon *d)
{
	count(d);
	for (unsigned i = 0; i < d->model->n_services; i++)
		for (unsigned j = 0; j < d->model->services[i].n_backends; j++) {
			struct backend *b = &d->model->services[i].backends[j];

			b->traffic.flows = d->flows[b->id];
		}
}

static void on_epoch(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;

	(void)loop;
	(void)events;
	datapath_step_epoch(d->datapath);
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;

	(void)loop;
	(void)events;
	begin_survey(d);
	survey(d, LATER_MS);
	datapath_keep_probes_tunnelled(d->datapath);
	d->turn_max_ms[1] = d->turn_max_ms[0];
	d->turn_max_ms[0] = 0;
}

struct gather {
	struct daemon *daemon;
	uint64_t now_ms;
	unsigned left_out;
};

static const struct backend *lost(struct daemon *d, uint32_t id)
{
	struct service *s;
	struct backend *b = model_backend(d->model, id, &s);

	return b && b->gone && s->conf.on_unreachable == ON_UNREACHABLE_RESET ? b : NULL;
}

static bool is_due(const struct reset_rounds *r, uint64_t now_ms)
{
	return r->left && r->at_ms <= now_ms;
}

static void gather_idle(void *ctx, const struct flow_row *row)
{
	struct gather *g = ctx;
	struct daemon *d = g->daemon;
	struct service *s;
	struct backend *b = model_backend(d->model, row->backend_id, &s);

	if (!b || !row->counts || s->id != row->service_id || !lost(d, b->id) ||
	    !is_due(&d->rounds[b->id], g->now_ms))
		return;
	if (d->n_idle == IDLE_MAX) {
		g->left_out++;
		return;
	}
	d->idle[d->n_idle++] =
		(struct idle_flow){s->conf.address, row->client, s->conf.port, row->port, b->id};
}

static void resets_in(struct daemon *d, double s)
{
	ev_timer_stop(d->loop, &d->resets);
	ev_timer_set(&d->resets, s, 0);
	ev_timer_start(d->loop, &d->resets);
}

/* Each backend has its own rounds: one that is lost a moment later does not make the first one's clients wait or hear
 * more. A server that is back is not lost any more. */
static void gather_due(struct daemon *d)
{
	struct gather g = {.daemon = d, .now_ms = daemon_now().mono_ms};
	bool any = false;

	for (uint32_t id = 0; id < MXLB_MAX_BACKENDS; id++) {
		if (d->rounds[id].left && !lost(d, id))
			d->rounds[id].left = 0;
		any = any || is_due(&d->rounds[id], g.now_ms);
	}
	if (!any)
		return;
	datapath_each_flow(d->datapath, 0, datapath_places(d->datapath), gather_idle, &g);
	if (d->n_idle)
		log_info("event=resets flows=%u left_out=%u", d->n_idle, g.left_out);
	for (uint32_t id = 0; id < MXLB_MAX_BACKENDS; id++)
		if (is_due(&d->rounds[id], g.now_ms))
			d->rounds[id] =
				(struct reset_rounds){g.now_ms + AGAIN_MS, d->rounds[id].left - 1};
}

/* Sends a batch; when all are told, looks when the next round is due. */
static void on_resets(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;
	uint64_t now_ms = daemon_now().mono_ms, next_ms = 0;

	(void)loop;
	(void)events;
	if (!d->n_idle)
		gather_due(d);
	for (unsigned i = 0; i < BATCH && d->n_idle; i++) {
		const struct idle_flow *f = &d->idle[--d->n_idle];

		if (lost(d, f->backend_id))
			forge_syn(d->forge, &f->vip, f->vip_port, &f->client, f->client_port);
	}
	if (d->n_idle) {
		resets_in(d, BATCH_S);
		return;
	}
	for (uint32_t id = 0; id < MXLB_MAX_BACKENDS; id++)
		if (d->rounds[id].left && (!next_ms || d->rounds[id].at_ms < next_ms))
			next_ms = d->rounds[id].at_ms;
	if (next_ms)
		resets_in(d, next_ms > now_ms ? (double)(next_ms - now_ms) / 1000 : 0);
}

void table_reset_idle(struct daemon *d, uint32_t backend_id)
{
	if (!d->forge)
		return;
	d->rounds[backend_id] = (struct reset_rounds){daemon_now().mono_ms, ROUNDS};
	resets_in(d, 0);
}

static void timer_start(ev_timer *timer, struct daemon *d,
			void (*cb)(struct ev_loop *, ev_timer *, int), double s)
{
	ev_timer_init(timer, cb, s, s);
	timer->data = d;
	if (s > 0)
		ev_timer_start(d->loop, timer);
}

int table_start(struct daemon *d)
{
	int err = forge_new(&d->forge);

	if (err)
		log_warn(
			"event=no_idle_resets error=\"%s\" advice=\"idle sessions of a server that is gone will wait for "
			"their own timeout; run mxlbd with CAP_NET_RAW\"",
			strerror(-err));
	d->idle = calloc(IDLE_MAX, sizeof(*d->idle));
	if (!d->idle)
		return -ENOMEM;
	timer_start(&d->epoch, d, on_epoch, EPOCH_S);
	timer_start(&d->sweep, d, on_sweep, SWEEP_S);
	timer_start(&d->resets, d, on_resets, 0);
	timer_start(&d->survey.more, d, on_more, 0);
	return 0;
}

void table_stop(struct daemon *d)
{
	forge_free(d->forge);
	free(d->idle);
}
