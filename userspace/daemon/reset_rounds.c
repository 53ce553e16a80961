// SPDX-License-Identifier: BSD-2-Clause
/*
 * Resets the idle flows of an unreachable server: a SYN from the VIP draws an ACK from the client, which the datapath
 * answers with a RST (RFC 5961). A round visits all flows of all servers that are due (core/resets.h), BATCH at a
 * time, and reads each again before its SYN is sent. There are ROUNDS rounds, because a SYN or its answer may be lost;
 * flows that are still open then are counted and logged: those clients no longer exist, or never did.
 */
#include <string.h>
#include "control/render.h"
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

#define ROUNDS	 3
#define AGAIN_MS 5000
#define BATCH	 100
#define BATCH_S	 0.02
#define FULL_MS	 200 /* until the next try, if every remaining prefix has reached its limit */

struct gather {
	struct daemon *daemon;
	uint64_t now_ms;
};

static const struct server *lost(struct daemon *d, uint32_t id, struct service **service)
{
	struct service *s;
	struct server *b = model_server(d->model, id, &s);

	if (!b || !b->gone || s->conf.on_unreachable != ON_UNREACHABLE_RESET)
		return NULL;
	*service = s;
	return b;
}

static bool is_due(const struct reset_rounds *r, uint64_t now_ms)
{
	return r->left && r->at_ms <= now_ms;
}

static void gather(void *ctx, uint64_t place, const struct flow_row *row)
{
	struct gather *g = ctx;
	struct reset_rounds *r = row ? &g->daemon->rounds[row->server_id] : NULL;

	if (!r || !is_due(r, g->now_ms) || row->closed)
		return;
	if (row->data && row->counts)
		r->open++;
	else if (!row->data)
		r->silent++;
	if (r->left > 1 && row->data && row->counts)
		resets_add(&g->daemon->resets_list, place, row->idle_s);
}

static void resets_in(struct daemon *d, double s)
{
	ev_timer_stop(d->loop, &d->resets);
	ev_timer_set(&d->resets, s, 0);
	ev_timer_start(d->loop, &d->resets);
}

/* Counts what is left after the last round. */
static void rounds_tell(struct daemon *d, uint32_t id, const struct reset_rounds *r)
{
	char name[RENDER_SERVER_SIZE];

	log_info("event=resets_ended backend=%s packets=%llu unanswered=%llu without_data=%llu",
		 render_server(d->model, id, name), (unsigned long long)r->sent,
		 (unsigned long long)r->open, (unsigned long long)r->silent);
}

static void begin_round(struct daemon *d, uint32_t id)
{
	struct reset_rounds *r = &d->rounds[id];
	char name[RENDER_SERVER_SIZE];

	if (r->left == 1) {
		rounds_tell(d, id, r);
		r->left = 0;
		return;
	}
	if (r->open && !r->in_round)
		log_info("event=resets backend=%s flows=%llu without_data=%llu",
			 render_server(d->model, id, name), (unsigned long long)r->open,
			 (unsigned long long)r->silent);
	r->in_round = true;
}

static void end_round(struct reset_rounds *r, uint64_t now_ms)
{
	if (!r->in_round)
		return;
	r->in_round = false;
	r->left--;
	r->at_ms = now_ms + AGAIN_MS;
}

/*
 * Collects the flows of all servers that are due in one list; those of a server that becomes unreachable a moment
 * later are added in order.
 */
static void gather_due(struct daemon *d)
{
	struct gather g = {.daemon = d, .now_ms = clock_now().mono_ms};
	struct service *s;
	bool any = false;

	for (uint32_t id = 0; id < MXLB_MAX_SERVERS; id++) {
		struct reset_rounds *r = &d->rounds[id];

		if (r->left && !lost(d, id, &s)) /* the server is back */
			*r = (struct reset_rounds){0};
		r->open = r->silent = 0;
		any = any || is_due(r, g.now_ms);
	}
	if (!any)
		return;
	resets_begin(&d->resets_list);
	datapath_look(d->datapath, 0, datapath_places(d->datapath), gather, &g);
	resets_ready(&d->resets_list);
	for (uint32_t id = 0; id < MXLB_MAX_SERVERS; id++)
		if (is_due(&d->rounds[id], g.now_ms))
			begin_round(d, id);
}

struct one {
	struct daemon *daemon;
	uint64_t second;
	bool put_off;
};

/* Reads the flow again: a client that was reset meanwhile has closed it. */
static void reset_one(void *ctx, uint64_t place, const struct flow_row *row)
{
	struct one *one = ctx;
	struct daemon *d = one->daemon;
	struct service *s;

	if (!row || row->closed || !row->counts || !row->data || !lost(d, row->server_id, &s) ||
	    s->id != row->service_id)
		return;
	if (!resets_may(&d->resets_list, place, &row->client, one->second)) {
		one->put_off = true;
		return;
	}
	d->rounds[row->server_id].sent++;
	forge_syn(d->forge, &s->conf.address, s->conf.port, &row->client, row->port);
}

/* True: nothing could be sent, although flows are left. */
static bool send_batch(struct daemon *d)
{
	struct one one = {.daemon = d, .second = clock_now().mono_ms / 1000};
	unsigned put_off = 0, n;
	uint64_t place;

	for (n = 0; n < BATCH && resets_next(&d->resets_list, &place); n++) {
		one.put_off = false;
		datapath_look(d->datapath, place, 1, reset_one, &one);
		put_off += one.put_off;
	}
	return n && put_off == n;
}

/* When the list is empty, the next round is due some seconds later. */
static void on_resets(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;
	uint64_t now_ms = clock_now().mono_ms, next_ms = 0;
	bool full;

	(void)loop;
	(void)events;
	if (!resets_left(&d->resets_list) || d->resets_new)
		gather_due(d);
	d->resets_new = false;
	full = send_batch(d);
	if (resets_left(&d->resets_list)) {
		resets_in(d, full ? FULL_MS / 1000.0 : BATCH_S);
		return;
	}
	for (uint32_t id = 0; id < MXLB_MAX_SERVERS; id++) {
		struct reset_rounds *r = &d->rounds[id];

		end_round(r, now_ms);
		if (r->left && (!next_ms || r->at_ms < next_ms))
			next_ms = r->at_ms;
	}
	if (next_ms)
		resets_in(d, next_ms > now_ms ? (double)(next_ms - now_ms) / 1000 : 0);
}

void resets_of(struct daemon *d, uint32_t server_id)
{
	if (!d->forge)
		return;
	d->rounds[server_id] =
		(struct reset_rounds){.at_ms = clock_now().mono_ms, .left = ROUNDS + 1};
	d->resets_new = true;
	resets_in(d, 0);
}

int resets_start(struct daemon *d)
{
	int err = forge_new(&d->forge);

	if (err)
		log_warn(
			"event=no_idle_resets error=\"%s\" advice=\"run mxlbd with CAP_NET_RAW; without it idle sessions of an "
			"unreachable server end by their own timeout\"",
			strerror(-err));
	ev_timer_init(&d->resets, on_resets, 0, 0);
	d->resets.data = d;
	return resets_init(&d->resets_list, datapath_places(d->datapath));
}

void resets_stop(struct daemon *d)
{
	forge_free(d->forge);
	resets_free(&d->resets_list);
}
