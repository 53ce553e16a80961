/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Applies events to the model: probe results, next hops, time. (Operators' commands: override.c.) Each function changes
 * the state, then adds the event, then lets the service decide again. Verdicts are health.c's, the choice of servers
 * is tier.c's.
 *
 *   1. The last known MAC address and its interface, and a tunnel's source and MTU, are kept whatever happens to the
 *      neighbour entry or route: forwarding by them is right until a probe fails, and then the verdict decides.
 */
#include <stdio.h>
#include <string.h>
#include "core/decide.h"
#include "core/model_event.h"
#include "core/override.h"
#include "core/warning.h"

#define REASONS_TOLD	  3
#define REASONS_WINDOW_MS 60000

static const char *const nexthops[] = {
	[NEXTHOP_UNRESOLVED] = "unresolved",
	[NEXTHOP_RESOLVED] = "resolved",
	[NEXTHOP_FAILED] = "failed",
};

void model_clients(struct model *m, uint32_t server_id, bool opened, bool tried, uint64_t now_ms)
{
	struct server *b = model_server(m, server_id, NULL);

	if (!b)
		return;
	if (opened) {
		b->opened_ms = now_ms;
		b->tried_ms = b->again_ms = 0;
	} else if (tried && b->tried_ms) {
		b->again_ms = b->again_ms ?: now_ms;
	} else if (tried) {
		b->tried_ms = now_ms;
	}
}

static bool is_unreachable(const struct server *b)
{
	return b->health.verdict == VERDICT_DOWN && b->health.reason == REASON_unreachable;
}

/* Applies a result to one server's health. True: its verdict or reason has changed. */
static bool take_result(struct model *m, const struct service *s, struct server *b,
			const struct probe_result *r, enum blame_act act, struct now now)
{
	const struct health_conf conf = {.fall = s->probe.fall, .rise = s->probe.rise};
	bool changed;

	if (reason_is_client(r->reason)) {
		warning_set(m, s, b, r, now);
		changed = act == BLAME_UP ? health_show_up(&b->health, r->reason, now.mono_ms)
					  : health_take_client(&b->health, &conf, r->reason,
							       warning_passes(b, r), now.mono_ms);
		decide_note_result(b, r->reason, now.mono_ms);
		return changed;
	}
	changed = act == BLAME_NOW ? health_take_now(&b->health, r->reason, now.mono_ms)
				   : health_take(&b->health, &conf, r->reason, now.mono_ms);
	decide_note_result(b, r->reason, now.mono_ms);
	warning_note_cause(b, r);
	if (r->reason == REASON_ok || health_effective(&b->health) != VERDICT_UP)
		warning_end(m, s, b, r->reason == REASON_ok, now);
	return changed;
}

/*
 * A server may fail in another way at each probe, four times a second. Of changes of the reason alone the first three in a
 * minute are events; the others are counted, and the next event has their number.
 */
static bool is_worth_an_event(struct server *b, enum verdict was, uint64_t now_ms)
{
	struct reason_told *t = &b->reason_told;

	if (b->health.verdict != was)
		return true;
	if (!t->n || now_ms - t->since_ms >= REASONS_WINDOW_MS)
		*t = (struct reason_told){.since_ms = now_ms, .muted = t->muted};
	if (t->n < REASONS_TOLD) {
		t->n++;
		return true;
	}
	t->muted++;
	return false;
}

/* Completes the last event. */
static void note_muted(struct model *m, struct server *b)
{
	struct event *e = &m->events.ring[(m->events.next_seq - 1) % EVENT_LOG_SIZE];
	size_t at = strlen(e->cause);

	if (b->reason_told.muted)
		snprintf(e->cause + at, sizeof(e->cause) - at,
			 "; the reason changed %u times before, which was not logged",
			 b->reason_told.muted);
	b->reason_told.muted = 0;
}

bool model_probe_result(struct model *m, uint32_t server_id, const struct probe_result *r,
			struct now now)
{
	return model_judged(m, server_id, r, BLAME_ACTS, now);
}

bool model_judged(struct model *m, uint32_t server_id, const struct probe_result *r,
		  enum blame_act act, struct now now)
{
	struct service *s;
	struct server *b = model_server(m, server_id, &s);
	char text[EVENT_TEXT_SIZE], cause[2 * EVENT_TEXT_SIZE];
	bool restored;
	enum verdict was;

	if (!b || act == BLAME_WAITS)
		return false;
	b->last = *r;
	b->last_wall_ms = now.wall_ms;
	b->last_ms = now.mono_ms;
	model_certificate(m, s, b, now);
	was = b->health.verdict;
	tally_result(&b->tally, r, health_effective(&b->health));
	if (act == BLAME_NOW || r->reason == REASON_ok)
		b->warning.confirmed = act == BLAME_NOW;
	restored = (act == BLAME_WARNS ||
		    (act == BLAME_UP && health_effective(&b->health) != VERDICT_UP)) &&
		   warning_restore(m, s, b, r, now);
	if (!take_result(m, s, b, r, act, now) && !restored)
		return false;
	if (b->health.verdict != was) {
		b->since_wall_ms = now.wall_ms;
		b->tally.became[b->health.verdict]++;
	}
	b->gone = b->gone && is_unreachable(b);

	model_event_cause(text, sizeof(text), r);
	if ((!restored || act == BLAME_UP) && is_worth_an_event(b, was, now.mono_ms)) {
		model_event_verdict(m, s, b, was, r, now);
		note_muted(m, b);
	}
	snprintf(cause, sizeof(cause), "%s %s: %s", b->conf.name, verdict_name(b->health.verdict),
		 text);
	decide_service(m, s, cause, now);
	return true;
}

/* Rule 1. */
static void take_nexthop(struct nexthop *to, const struct nexthop *from)
{
	to->state = from->state;
	to->routed = from->routed;
	if (from->has_mac || !to->has_mac) {
		to->has_mac = from->has_mac;
		to->mac = from->mac;
		to->interface = from->interface;
	}
	if (!addr_is_zero(&from->source))
		to->source = from->source;
	if (from->mtu)
		to->mtu = from->mtu;
}

/* Whether packets to this server would be different than before. */
static bool has_moved(const struct server *b, const struct nexthop *was)
{
	const struct nexthop *nh = &b->nexthop;

	if (nh->has_mac != was->has_mac || nh->interface != was->interface ||
	    memcmp(&nh->mac, &was->mac, sizeof(was->mac)))
		return true;
	return b->conf.forward == FORWARD_IPIP &&
	       (nh->mtu != was->mtu || !addr_equal(&nh->source, &was->source));
}

static void nexthop_text(char *to, size_t size, const struct server *b)
{
	const struct nexthop *nh = &b->nexthop;
	char mac[ADDR_TEXT_SIZE], source[ADDR_TEXT_SIZE];
	const char *known = nh->has_mac ? addr_mac_text(&nh->mac, mac) : "unknown";

	if (b->conf.forward == FORWARD_IPIP)
		snprintf(to, size, "mac %s, source %s, mtu %u", known,
			 addr_is_zero(&nh->source) ? "unknown" : addr_text(&nh->source, source),
			 nh->mtu);
	else
		snprintf(to, size, "mac %s%s", known,
			 nh->routed ? ", a router's: forward: l2 needs a server on the same network"
				    : "");
}

bool model_nexthop(struct model *m, uint32_t server_id, const struct nexthop *nh, struct now now)
{
	struct service *s;
	struct server *b = model_server(m, server_id, &s);
	char cause[2 * EVENT_TEXT_SIZE];
	struct nexthop was;
	bool moved;
	struct event *e;

	if (!b)
		return false;
	was = b->nexthop;
	take_nexthop(&b->nexthop, nh);
	nh = &b->nexthop;
	moved = has_moved(b, &was);
	if (!moved && nh->state == was.state && nh->routed == was.routed)
		return false;

	e = model_event(m, EVENT_BACKEND_NEXTHOP, s, b, now);
	event_text(e->from, sizeof(e->from), nexthops[was.state]);
	event_text(e->to, sizeof(e->to), nexthops[nh->state]);
	nexthop_text(e->cause, sizeof(e->cause), b);
	snprintf(cause, sizeof(cause), "%s next hop %s: %s", b->conf.name, e->to, e->cause);
	return decide_service(m, s, cause, now) || moved;
}

bool model_blind(struct model *m, unsigned interface, bool blind, const char *name, struct now now)
{
	const uint32_t bit = 1u << interface;
	char cause[EVENT_TEXT_SIZE];
	bool changed = false;

	if (!(m->blind & bit) == !blind)
		return false;
	m->blind ^= bit;
	snprintf(cause, sizeof(cause),
		 blind ? "mxlb's program does not see the packets that arrive on %s"
		       : "mxlb's program sees the packets that arrive on %s",
		 name);
	for (unsigned i = 0; i < m->n_services; i++)
		if (m->services[i].conf.interface == interface)
			changed = decide_service(m, &m->services[i], cause, now) || changed;
	return changed;
}

bool model_gone(struct model *m, uint32_t server_id)
{
	struct server *b = model_server(m, server_id, NULL);

	if (!b || b->gone || b->in_ring || !is_unreachable(b)) /* in_ring: panic */
		return false;
	b->gone = true;
	return true;
}

bool model_tick(struct model *m, struct now now)
{
	bool changed = false;

	for (unsigned i = 0; i < m->n_services; i++) {
		struct service *s = &m->services[i];

		if (s->ask_again_ms && s->ask_again_ms <= now.mono_ms)
			changed = decide_service(m, s, NULL, now) || changed;
		changed = override_expire(m, s, now) || changed;
	}
	return changed;
}

/* The earlier of two times; 0 means never. */
static uint64_t change_earlier(uint64_t a_ms, uint64_t b_ms)
{
	return !a_ms || (b_ms && b_ms < a_ms) ? b_ms : a_ms;
}

uint64_t model_next_tick(const struct model *m)
{
	uint64_t next_ms = 0;

	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service *s = &m->services[i];

		next_ms =
			change_earlier(next_ms, change_earlier(s->ask_again_ms, s->order.until_ms));
		for (unsigned j = 0; j < s->n_servers; j++)
			next_ms = change_earlier(next_ms, s->servers[j].order.until_ms);
	}
	return next_ms;
}
