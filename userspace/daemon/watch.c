// SPDX-License-Identifier: BSD-2-Clause
/*
 * Probes and next hops of the servers: core/reach.c decides whether a server is unreachable, this file carries it out.
 * Its own rules:
 *
 *   1. An ICMP unreachable about a tunnel is a hint while its server is not down.
 *   2. Whatever happens while our own interface has no carrier, is down, or came up less than 2 s ago is a fault of
 *      this box.
 *   3. A probe that was sent elsewhere, or answered by this box itself, says nothing about the server: a fault of this
 *      box (put_back.c).
 *   4. Clients that connect and send nothing are not greeted (core/passive.c): a hint. The probe's own silence then
 *      counts after the server's usual time, and acts at once, because its clients confirm it.
 *   5. Clients that send far less than usual may be refused: a hint, and the connections that end from then on are
 *      examined, because the probe may be refused too. Hints that follow within SUSPECT_APART_MS cause a probe only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

#define MAINT_MS      250
#define LINK_YOUNG_MS 2000
#define MUTE_MS	      300 /* the prober reports each such silence (WIRE_SLOW_MS) */
#define MUTE_SLACK_MS 100
#define SUSPECT_APART_MS \
	5000 /* examining the connections that end takes a fifth of a CPU meanwhile */

static void watch_take(struct daemon *d, uint32_t id, const struct probe_result *r)
{
	if (model_probe_result(d->model, id, r, clock_now()))
		daemon_changed(d);
}

static bool link_is_ours_to_blame(struct daemon *d, unsigned interface)
{
	const struct netlink_link *link = netlink_link(d->netlink, interface);

	if (!link->ifindex || !link->up || !link->carrier)
		return true;
	return link->up_since_ms && clock_now().mono_ms - link->up_since_ms < LINK_YOUNG_MS;
}

/*
 * Rule 2, by core/blame.c. If the route was removed with the interface, connect() returns EACCES, which is misleading:
 * the text explains.
 */
static void blame_path_to(struct daemon *d, const struct server *b, struct probe_result *r)
{
	unsigned interface = b->nexthop.interface;
	const struct blame_path path = {
		.next_hop_failed = b->nexthop.state == NEXTHOP_FAILED,
		.l2_routed = b->conf.forward == FORWARD_L2 && b->nexthop.routed,
		.tunnel = b->conf.forward == FORWARD_IPIP,
		.link_is_ours = link_is_ours_to_blame(d, interface),
	};

	r->reason = blame_path(r->reason, &path);
	if (r->reason == REASON_not_on_link || r->reason == REASON_tunnel_silent)
		r->text[0] = '\0'; /* the reason says it */
	if (r->reason == REASON_local_carrier)
		snprintf(r->text, sizeof(r->text),
			 "%s is down, has no carrier, or came up just now",
			 d->config->interfaces[interface].name);
}

/* Rule 3; also for a success, which may come from another host. */
static void blame_way(struct watch *w, const struct service *s, const struct server *b,
		      struct probe_result *r)
{
	bool failed = reason_verdict(r->reason) != VERDICT_UP;
	const char *trouble = own_probe_trouble(w->daemon, s, b, failed, w->began_ms);

	if (!trouble || r->reason == REASON_local_carrier)
		return;
	*r = (struct probe_result){.reason = REASON_local_error, .stage = STAGE_CONNECT};
	snprintf(r->text, sizeof(r->text), "%s", trouble);
}

static void set_timer(struct watch *w)
{
	double in_ms = (double)w->when.due_ms - (double)clock_now().mono_ms;

	ev_timer_stop(w->daemon->loop, &w->due);
	ev_timer_set(&w->due, in_ms > 0 ? in_ms / 1000 : 0, 0);
	ev_timer_start(w->daemon->loop, &w->due);
}

static void probe_at(struct watch *w, uint64_t ms)
{
	w->when.due_ms = ms;
	set_timer(w);
}

/*
 * After a probe has ended with any result, or after a report that belongs to no probe. last: its reason; that of a
 * refusal which is held until clients' evidence is there is not yet the model's.
 */
static void probe_next(struct watch *w, const struct service *s, const struct server *b,
		       enum reason last)
{
	uint64_t now_ms = clock_now().mono_ms;
	uint32_t gap_ms = schedule_gap(&b->health, &s->probe, now_ms);
	bool waits = ev_is_active(&w->due);

	w->hinted = schedule_presses(&b->health, last);
	if (w->hinted)
		w->when.due_ms = now_ms;
	else if (waits)
		schedule_renew(&w->when, w->began_ms, gap_ms, now_ms);
	else
		schedule_next(&w->when, gap_ms, b->health.differing, now_ms);
	set_timer(w);
}

static void local_failure(struct watch *w, const char *text)
{
	struct probe_result r = {.reason = REASON_local_error, .stage = STAGE_CONNECT};

	snprintf(r.text, sizeof(r.text), "%s", text);
	watch_take(w->daemon, w->id, &r);
}

struct prober_job watch_job(const struct daemon *d, const struct service *s, const struct server *b)
{
	const struct datapath_conf *conf = &d->config->datapath;
	bool to_vip = s->probe.target == PROBE_TARGET_VIP;
	struct prober_job job = {
		.server_id = b->id,
		.address = to_vip ? s->conf.address : b->conf.address,
		.port = s->conf.port,
		.mark = to_vip ? conf->mark | b->id : 0,
		.conf = &s->probe,
		.routed = b->nexthop.routed,
	};

	if (to_vip)
		job.fallback = b->conf.address;
	return job;
}

static int start_probe(struct watch *w, const struct service *s, const struct server *b)
{
	struct prober_job job = watch_job(w->daemon, s, b);
	struct probe_conf hinted = s->probe;

	if (w->hinted && hinted.connect_timeout_ms > SCHEDULE_HINT_CONNECT_MS) {
		hinted.connect_timeout_ms = SCHEDULE_HINT_CONNECT_MS;
		job.conf = &hinted;
	}
	return prober_start(w->daemon->prober, &job);
}

/* Whether the server is unreachable and this box is not the cause. */
static void gone(struct watch *w)
{
	struct daemon *d = w->daemon;
	const struct server *b = model_server(d->model, w->id, NULL);

	if (!b || b->admin == ADMIN_MAINT || link_is_ours_to_blame(d, b->nexthop.interface) ||
	    !model_gone(d->model, w->id))
		return;
	daemon_changed(d);
	resets_of(d, w->id);
}

/* Carries out what reach.c asks of the next hop and of the flows. */
static unsigned reach(struct watch *w, const struct reach_input *in)
{
	unsigned todo = reach_take(&w->reach, in);
	bool asks = todo & (REACH_DO_ASK | REACH_DO_CONFIRM);

	if (asks && !netlink_reprobe(w->daemon->netlink, w->id))
		reach_take(&w->reach,
			   &(struct reach_input){.event = todo & REACH_DO_ASK ? REACH_ASKED
									      : REACH_CONFIRMED});
	if (todo & REACH_DO_GONE)
		gone(w);
	return todo;
}

static void unreachable(struct watch *w, const struct service *s, const struct server *b)
{
	struct probe_result r = {.reason = REASON_unreachable, .stage = STAGE_CONNECT};

	strcpy(r.text, "the next hop does not answer ARP or neighbour discovery");
	blame_path_to(w->daemon, b, &r);
	blame_way(w, s, b, &r);
	evidence_drop(w);
	prober_cancel(w->daemon->prober, w->id);
	watch_take(w->daemon, w->id, &r);
	reach(w, &(struct reach_input){.event = REACH_TOLD, .reason = r.reason, .gone = b->gone});
	probe_next(w, s, b, r.reason);
}

/* Also reprobes the next hop if the probe was caused by a hint. */
static void watch_begin(struct watch *w, const struct service *s, const struct server *b)
{
	const char *trouble;
	int err;

	w->began_ms = clock_now().mono_ms;
	w->mute_ms = 0;
	w->daemon->hinted += w->hinted;
	trouble = own_probe_trouble(w->daemon, s, b, true, 0); /* rule 3 */
	err = trouble ? 0 : start_probe(w, s, b);
	reach(w, &(struct reach_input){.event = REACH_BEGINS, .hinted = w->hinted});
	if (!trouble && (!err || err == -EBUSY))
		return; /* its result schedules the next one */
	local_failure(w, trouble ?: strerror(-err));
	probe_next(w, s, b, REASON_local_error);
}

static void on_watch_due(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct watch *w = timer->data;
	struct service *s;
	struct server *b = model_server(w->daemon->model, w->id, &s);
	uint64_t now_ms = clock_now().mono_ms;

	(void)loop;
	(void)events;
	if (!b)
		return;
	if (b->admin == ADMIN_MAINT) { /* not probed; checked again soon */
		w->reach.lost = false;
		probe_at(w, now_ms + MAINT_MS);
	} else if (schedule_overdue(&w->when, s->probe.fast_interval_ms, now_ms)) {
		set_timer(w);
	} else if (b->nexthop.state == NEXTHOP_FAILED &&
		   !b->nexthop.has_mac) { /* reach.c, rule 3 */
		w->began_ms = now_ms;
		unreachable(w, s, b);
	} else {
		watch_begin(w, s, b);
	}
}

void on_started(void *ctx, uint32_t server_id)
{
	struct daemon *d = ctx;

	lateness_add(&d->lateness, d->watches[server_id].when.due_ms, clock_now().mono_ms);
}

void on_result(void *ctx, uint32_t server_id, const struct probe_result *result)
{
	struct daemon *d = ctx;
	struct watch *w = &d->watches[server_id];
	struct probe_result r = *result;
	struct service *s;
	struct server *b = model_server(d->model, server_id, &s);

	if (!b || !w->id)
		return;
	w->mute_ms = 0;
	if (r.greeting_ms && r.stage > STAGE_GREETING) {
		w->greeting_ms = passive_greeting_learn(w->greeting_ms, r.greeting_ms);
		w->greeted_ms = d->quiet.ms;
	}
	blame_path_to(d, b, &r);
	blame_way(w, s, b, &r);
	if (!evidence_take(d, w, b, &r))
		watch_take(d, server_id, &r);
	zones_probed(d, s->probe.name);
	reach(w, &(struct reach_input){.event = REACH_ENDS,
				       .raw = result->reason,
				       .reason = r.reason,
				       .routed = b->nexthop.routed,
				       .gone = b->gone});
	probe_next(w, s, b, r.reason);
}

/* Whether a probe of the server of that name, for another service, was greeted since then. */
static bool greets_elsewhere(const struct daemon *d, const struct service *own, const char *name,
			     uint64_t since_ms)
{
	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service *s = &d->model->services[i];

		for (unsigned j = 0; s != own && j < s->n_servers; j++)
			if (!strcmp(s->servers[j].conf.name, name) &&
			    d->watches[s->servers[j].id].greeted_ms > since_ms)
				return true;
	}
	return false;
}

/*
 * Rule 4: the server is silent towards everyone if the probe has received nothing for as long as its clients usually
 * wait for the greeting, and they received nothing either. Not before the first greeting, because its usual time is
 * not known then.
 */
static void judge_mute(struct watch *w, const struct service *s, const struct server *b)
{
	struct daemon *d = w->daemon;
	struct probe_result r = {.reason = REASON_greeting_silent, .stage = STAGE_GREETING};
	const struct passive_quiet quiet = {
		.clients_ms = passive_silence_ms(&w->silence, d->quiet.ms),
		.clients = w->silence.n,
		.probe_ms = d->quiet.ms - w->mute_ms,
		.usual_ms = w->greeting_ms,
		.is_last = !model_has_other(d->model, w->id),
		.greets_elsewhere =
			greets_elsewhere(d, s, b->conf.name, w->mute_ms + MUTE_SLACK_MS),
	};

	if (b->health.before != VERDICT_UP || !w->greeting_ms || !passive_is_silent(&quiet))
		return;
	snprintf(r.text, sizeof(r.text),
		 "no greeting for %llu ms, and none for %llu clients that connected meanwhile",
		 (unsigned long long)quiet.probe_ms, (unsigned long long)quiet.clients);
	prober_cancel(d->prober, w->id);
	evidence_drop(w);
	w->mute_ms = 0;
	reach(w, &(struct reach_input){.event = REACH_ENDS, .raw = r.reason, .reason = r.reason});
	if (model_judged(d->model, w->id, &r, BLAME_NOW, clock_now()))
		daemon_changed(d);
	probe_next(w, s, b, r.reason);
}

void on_mute(void *ctx, uint32_t server_id)
{
	struct daemon *d = ctx;
	struct watch *w = &d->watches[server_id];
	struct service *s;
	const struct server *b = model_server(d->model, server_id, &s);
	uint64_t now_ms = clock_now().mono_ms;

	if (!b || !w->id)
		return;
	/* reported after each MUTE_MS of silence: a longer gap means that something was received in between */
	if (!w->mute_ms || now_ms - w->mute_told_ms > MUTE_MS + MUTE_SLACK_MS)
		w->mute_ms = d->quiet.ms - MUTE_MS;
	w->mute_told_ms = now_ms;
	judge_mute(w, s, b);
}

/* False: too many hints. */
static bool hint(struct watch *w, uint32_t apart_ms)
{
	struct daemon *d = w->daemon;
	const struct server *b = model_server(d->model, w->id, NULL);
	uint64_t now_ms = clock_now().mono_ms;

	if (!b || b->admin == ADMIN_MAINT || !w->began_ms || w->hinted ||
	    !ev_is_active(&w->due)) /* a probe is running */
		return true;
	if (!hint_budget_take(&d->hint_budget, now_ms))
		return false;
	w->hinted = true;
	schedule_hint(&w->when, w->began_ms, apart_ms, now_ms);
	set_timer(w);
	return true;
}

bool watch_hint(struct daemon *d, uint32_t server_id)
{
	struct watch *w = &d->watches[server_id];

	return !w->id || hint(w, SCHEDULE_HINT_MS);
}

void watch_clients(struct daemon *d, uint32_t server_id, const struct traffic *seen)
{
	struct watch *w = &d->watches[server_id];
	const struct server *b = model_server(d->model, server_id, NULL);
	uint64_t now_ms = clock_now().mono_ms, before = w->silence.opened;
	bool known = w->silence.seen, silent;

	model_clients(d->model, server_id, known && seen->promoted != before,
		      known && (seen->new_flows != w->tried || seen->retransmits != w->retried),
		      now_ms);
	w->tried = seen->new_flows;
	w->retried = seen->retransmits;
	passive_silence_look(&w->silence, seen->promoted,
			     seen->packets - seen->new_flows - seen->retransmits - seen->promoted,
			     d->quiet.ms);
	if (known && seen->promoted != before)
		w->opened_ms = now_ms;
	silent = passive_silence_ms(&w->silence, d->quiet.ms) >= passive_hint_limit(w->greeting_ms);
	if (b && b->health.before == VERDICT_UP && silent)
		hint(w, SCHEDULE_SILENCE_MS); /* rule 4 */
	if (passive_pace_look(&w->pace, seen->promoted, seen->bytes, silent, d->quiet.ms) && b &&
	    b->health.before == VERDICT_UP) { /* rule 5 */
		bool examine = now_ms >= w->suspect_again_ms;

		if (examine) {
			w->suspect_again_ms = now_ms + SUSPECT_APART_MS;
			evidence_suspect(d, w);
		}
		hint(w, examine ? SCHEDULE_SILENCE_MS : SCHEDULE_HINT_MS);
	}
}

void on_slow_connect(void *ctx, uint32_t server_id)
{
	struct daemon *d = ctx;
	struct watch *w = &d->watches[server_id];

	if (w->id)
		reach(w, &(struct reach_input){.event = REACH_SLOW});
}

/* Logs why a resolved server cannot be reached: once per cause. */
static void warn(struct watch *w, const struct service *s, const struct server *b)
{
	const struct nexthop *nh = &b->nexthop;
	const char *why = NULL;

	if (nh->state != NEXTHOP_RESOLVED)
		return;
	if (b->conf.forward == FORWARD_L2 && nh->routed)
		why = "it is behind a router; l2 forwarding cannot reach it: use forward: ipip, or "
		      "give this box an address in the server's network";
	else if (!model_has_way(b))
		why = "this box has no source address for a tunnel to it";
	if (why && why != w->warned)
		log_warn("event=server_not_reachable service=%s backend=%s reason=\"%s\"",
			 s->conf.name, b->conf.name, why);
	w->warned = why;
}

/* Rule 1; ignored for a server that is down, because its own probes cause it. */
void on_unreachable(void *ctx, uint32_t server_id)
{
	struct daemon *d = ctx;
	const struct server *b = model_server(d->model, server_id, NULL);

	if (b && b->health.verdict != VERDICT_DOWN)
		watch_hint(d, server_id);
}

/* The first probe waited for its next hop to be resolved. */
static void begin_now(struct watch *w, const struct service *s)
{
	uint64_t now_ms = clock_now().mono_ms, at_ms = w->when.due_ms - s->probe.connect_timeout_ms;

	probe_at(w, at_ms > now_ms ? at_ms : now_ms);
}

void on_nexthop(void *ctx, uint32_t server_id, const struct nexthop *nh)
{
	static const enum reach_event events[] = {[NEXTHOP_RESOLVED] = REACH_RESOLVED,
						  [NEXTHOP_FAILED] = REACH_FAILED,
						  [NEXTHOP_UNRESOLVED] = REACH_UNKNOWN};
	struct daemon *d = ctx;
	struct watch *w = &d->watches[server_id];
	struct reach_input in = {.event = events[nh->state], .has_mac = nh->has_mac};
	struct service *s;
	struct server *b = model_server(d->model, server_id, &s);
	unsigned todo;

	if (!b || !w->id)
		return;
	in.was_failed = b->nexthop.state == NEXTHOP_FAILED;
	if (model_nexthop(d->model, server_id, nh, clock_now()))
		daemon_changed(d);
	warn(w, s, b);
	in.up = b->health.verdict == VERDICT_UP;
	in.probed = w->began_ms;
	todo = reach(w, &in);
	if (todo & REACH_DO_PROBE)
		begin_now(w, s);
	if (todo & REACH_DO_HINT)
		watch_hint(d, server_id);
	if (todo & REACH_DO_UNREACHABLE)
		unreachable(w, s, b);
}

/* The route follows the next hop automatically; -ENETUNREACH means "not known yet". */
static void probe_route(struct watch *w, const struct service *s, const struct server *b)
{
	int err;

	w->tunnel = b->conf.forward == FORWARD_IPIP;
	err = netlink_probe_route(w->daemon->netlink, b->id, &s->conf.address, w->tunnel);
	if (err && err != -ENETUNREACH)
		log_error("event=route_failed backend=%s error=\"%s\"", b->conf.name,
			  strerror(-err));
}

/* place: among the n that start with it. */
static void watch_start(struct daemon *d, const struct service *s, const struct server *b,
			unsigned place, unsigned n)
{
	struct watch *w = &d->watches[b->id];
	int err;

	w->daemon = d;
	w->id = b->id;
	w->hinted = w->judged = false;
	w->reach = (struct reach){0};
	w->refused_ms = w->opened_ms = w->mute_ms = 0;
	w->silence = (struct passive_silence){0};
	w->pace = (struct passive_pace){0};
	w->suspect_again_ms = 0;
	w->greeting_ms = 0;
	w->greeted_ms = 0;
	w->warned = NULL;
	w->began_ms = 0;
	ev_timer_init(&w->due, on_watch_due, 0, 0);
	w->due.data = w;
	err = netlink_watch(d->netlink, b->id, &b->conf.address);
	if (err)
		log_error("event=watch_failed backend=%s error=\"%s\"", b->conf.name,
			  strerror(-err));
	probe_route(w, s, b);
	/* At once if the next hop is known; otherwise when it is, or after the time limit of a connect. */
	schedule_start(&w->when, b->id, place, n, s->probe.interval_ms, clock_now().mono_ms);
	if (!b->nexthop.has_mac)
		w->when.due_ms += s->probe.connect_timeout_ms;
	set_timer(w);
}

/* The waiting probe may be due sooner, because the interval has changed. */
static void watch_renew(struct daemon *d, const struct service *s, const struct server *b)
{
	struct watch *w = &d->watches[b->id];

	if (w->tunnel != (b->conf.forward == FORWARD_IPIP))
		probe_route(w, s, b);
	if (ev_is_active(&w->due) && w->began_ms)
		probe_next(w, s, b, b->last.reason);
}

static unsigned not_watched(const struct daemon *d)
{
	unsigned n = 0;

	for (uint32_t id = 1; id < MXLB_MAX_SERVERS; id++)
		n += d->model->by_id[id].server && !d->watches[id].id;
	return n;
}

static bool has_tunnels(const struct model *m)
{
	for (unsigned i = 0; i < m->n_services; i++)
		for (unsigned j = 0; j < m->services[i].n_servers; j++)
			if (m->services[i].servers[j].conf.forward == FORWARD_IPIP)
				return true;
	return false;
}

void watches_start(struct daemon *d)
{
	unsigned place = 0, n = not_watched(d);

	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service *s = &d->model->services[i];

		for (unsigned j = 0; j < s->n_servers; j++)
			if (d->watches[s->servers[j].id].id)
				watch_renew(d, s, &s->servers[j]);
			else
				watch_start(d, s, &s->servers[j], place++, n);
	}
	netlink_follow_mtu(d->netlink, has_tunnels(d->model));
}

static void watch_stop(struct daemon *d, struct watch *w)
{
	ev_timer_stop(d->loop, &w->due);
	evidence_drop(w);
	prober_cancel(d->prober, w->id);
	netlink_unwatch(d->netlink, w->id);
	w->id = 0;
}

void watches_stop_removed(struct daemon *d)
{
	for (uint32_t id = 1; id < MXLB_MAX_SERVERS; id++) {
		if (!d->watches[id].id || model_server(d->model, id, NULL))
			continue;
		watch_stop(d, &d->watches[id]);
		netlink_probe_route_remove(d->netlink, id);
	}
}

void watches_stop_all(struct daemon *d)
{
	for (uint32_t id = 1; id < MXLB_MAX_SERVERS; id++)
		if (d->watches[id].id)
			watch_stop(d, &d->watches[id]);
}
