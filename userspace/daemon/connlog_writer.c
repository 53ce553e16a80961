// SPDX-License-Identifier: BSD-2-Clause
/*
 * Scans the whole flow table once per second, a slice at a time, and logs the connections that core/connlog.c derives.
 * The datapath is not involved. Lines above the limit of core/connlog.h are counted, and the counts are logged.
 *
 * The last content of each place is kept, 40 bytes each; pages of places that were never used cost no memory.
 */
#include "daemon/connlog_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "control/render.h"
#include "core/connlog.h"
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

#define SLICES	20
#define SLICE_S (1.0 / SLICES)
#define TELL_MS 10000 /* between two reports of what was not logged */

struct connlog {
	struct daemon *daemon;
	ev_timer look;
	struct connlog_seen *seen;
	uint64_t at;			/* the place where the next slice begins */
	bool wanted[MXLB_MAX_SERVICES]; /* by service id: whether it is configured */
	bool fresh[MXLB_MAX_SERVICES];	/* was not, until now */
	const struct service *services[MXLB_MAX_SERVICES]; /* while a slice is looked at */
	struct now now;
	struct connlog_budget budget;
	uint64_t unlogged[2], told_ms; /* without data, with */
};

static void connlog_say(struct connlog *c, const struct connlog_news *news)
{
	const struct connlog_seen *of = &news->of;
	char client[ADDR_TEXT_SIZE], server[RENDER_SERVER_SIZE], time[RENDER_TIME_SIZE];
	char end[64] = "";

	if (!connlog_may(&c->budget, of->data, c->now.mono_ms)) {
		c->unlogged[of->data]++;
		return;
	}
	if (news->ended)
		snprintf(end, sizeof(end), " seconds=%s%llu.%llu how=%s", of->before ? ">" : "",
			 (unsigned long long)news->lasted_ms / 1000,
			 (unsigned long long)news->lasted_ms % 1000 / 100,
			 connlog_how_name(news->how));
	render_time(c->now.wall_ms, time);
	log_info("event=%s time=%s service=%s client=%s backend=%s%s",
		 news->ended ? "connection_ended" : "connection", time,
		 c->services[of->service_id]->conf.name,
		 addr_port_text(&of->client, of->port, client),
		 render_server(c->daemon->model, of->server_id, server), end);
}

static bool is_reset(struct connlog *c, const struct flow_row *row)
{
	const struct server *b = model_server(c->daemon->model, row->server_id, NULL);

	return b && b->gone &&
	       c->services[row->service_id]->conf.on_unreachable == ON_UNREACHABLE_RESET;
}

static bool looks_at(const struct connlog *c, uint32_t service_id)
{
	return service_id < MXLB_MAX_SERVICES && c->wanted[service_id] && c->services[service_id];
}

static void on_place(void *ctx, uint64_t place, const struct flow_row *row)
{
	struct connlog *c = ctx;
	struct connlog_seen *seen = &c->seen[place];
	struct connlog_news news[CONNLOG_NEWS_MAX];
	unsigned n;

	if (row && !looks_at(c, row->service_id))
		row = NULL;
	if (!row && !seen->server_id)
		return;
	if (seen->server_id && !looks_at(c, seen->service_id)) /* it is not logged any more */
		memset(seen, 0, sizeof(*seen));
	n = connlog_look(seen, row, row && is_reset(c, row), row && c->fresh[row->service_id],
			 c->now.mono_ms, news);
	for (unsigned i = 0; i < n; i++)
		connlog_say(c, &news[i]);
}

static void tell_unlogged(struct connlog *c)
{
	if (!(c->unlogged[0] | c->unlogged[1]) || c->now.mono_ms - c->told_ms < TELL_MS)
		return;
	log_warn(
		"event=connections_unlogged lines=%llu without_data=%llu cause=\"more than %d lines per second\"",
		(unsigned long long)(c->unlogged[0] + c->unlogged[1]),
		(unsigned long long)c->unlogged[0], CONNLOG_LINES_S);
	c->unlogged[0] = c->unlogged[1] = 0;
	c->told_ms = c->now.mono_ms;
}

static void connlog_scan(struct connlog *c, uint64_t n)
{
	struct model *m = c->daemon->model;

	memset(c->services, 0, sizeof(c->services));
	for (unsigned i = 0; i < m->n_services; i++)
		c->services[m->services[i].id] = &m->services[i];
	c->now = clock_now();
	datapath_look(c->daemon->datapath, c->at, n, on_place, c);
	c->at += n;
}

static void on_connlog_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct connlog *c = timer->data;
	uint64_t n = datapath_places(c->daemon->datapath);

	(void)loop;
	(void)events;
	if (c->at >= n) {
		c->at = 0;
		tell_unlogged(c);
	}
	connlog_scan(c, n / SLICES + 1);
}

/* Scans the whole table at once (about 10 ms), so that everything that appears later has begun later. */
static void look_first(struct connlog *c, const bool wanted[MXLB_MAX_SERVICES])
{
	bool any = false;

	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		c->fresh[i] = wanted[i] && !c->wanted[i];
		c->wanted[i] = wanted[i];
		any |= c->fresh[i];
	}
	c->at = 0;
	if (any)
		connlog_scan(c, datapath_places(c->daemon->datapath));
	memset(c->fresh, 0, sizeof(c->fresh));
}

static struct connlog *make(struct daemon *d)
{
	struct connlog *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->seen = calloc(datapath_places(d->datapath), sizeof(*c->seen));
	if (!c->seen) {
		free(c);
		return NULL;
	}
	c->daemon = d;
	ev_timer_init(&c->look, on_connlog_look, 0, SLICE_S);
	c->look.data = c;
	ev_timer_again(d->loop, &c->look);
	return c;
}

void connlog_update(struct daemon *d)
{
	bool wanted[MXLB_MAX_SERVICES] = {false}, any = false;

	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service *s = &d->model->services[i];

		wanted[s->id] = s->conf.log_connections;
		any |= wanted[s->id];
	}
	if (!any) {
		connlog_free(d->connlog);
		d->connlog = NULL;
		return;
	}
	if (!d->connlog)
		d->connlog = make(d);
	if (d->connlog)
		look_first(d->connlog, wanted);
	else
		log_error("event=connections_unlogged error=\"%s\"", strerror(ENOMEM));
}

void connlog_free(struct connlog *c)
{
	if (!c)
		return;
	ev_timer_stop(c->daemon->loop, &c->look);
	free(c->seen);
	free(c);
}
