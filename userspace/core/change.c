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
#include "core/change.h"

#define PANIC_SLACK_MS	  2000
#define REASONS_TOLD	  3
#define REASONS_WINDOW_MS 60000

static const char *const nexthops[] = {
	[NEXTHOP_UNRESOLVED] = "unresolved",
	[NEXTHOP_RESOLVED] = "resolved",
	[NEXTHOP_FAILED] = "failed",
};

struct event *change_note(struct model *m, enum event_kind kind, const struct service *s,
			  const struct backend *b, struct now now)
{
	struct event *e = event_add(&m->events, kind, now.wall_ms);

	snprintf(e->service, sizeof(e->service), "%s", s->conf.name);
	if (b)
		snprintf(e->backend, sizeof(e->backend), "%s", b->conf.name);
	return e;
}

void change_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
}

static void tier_text(char *to, size_t size, const struct tier_state *t)
{
	if (t->has_active)
		snprintf(to, size, "%u", t->active);
	else
		change_text(to, size, "-");
}

static void note_service(struct model *m, const struct service *s, const struct tier_state *was,
			 const char *cause, struct now now)
{
	const struct tier_state *is = &s->tier;
	struct event *e;

	if (is->state != was->state) {
		e = change_note(m, EVENT_SERVICE_STATE, s, NULL, now);
		change_text(e->from, sizeof(e->from), service_state_name(was->state));
		change_text(e->to, sizeof(e->to), service_state_name(is->state));
		change_text(e->cause, sizeof(e->cause), cause);
	}
	if (is->has_active != was->has_active || (is->has_active && is->active != was->active)) {
		e = change_note(m, EVENT_SERVICE_TIER, s, NULL, now);
		tier_text(e->from, sizeof(e->from), was);
		tier_text(e->to, sizeof(e->to), is);
		change_text(e->cause, sizeof(e->cause), cause);
	}
}

/* Adds to a cause that a forced tier is not active because it has no server up. */
static const char *forced_text(const struct service *s, char *to, size_t size, const char *cause)
{
	if (!s->has_forced || s->tier.state == SERVICE_NOT_READY ||
	    (s->tier.has_active && s->tier.active == s->forced))
		return cause;
	snprintf(to, size, "%.220s; tier %u, forced by %s, has no server up", cause, s->forced,
		 s->order.who);
	return to;
}

static struct tier_view view_of(const struct backend *b)
{
	return (struct tier_view){
		.preference = b->conf.preference,
		.weight = b->weight,
		.verdict = health_effective(&b->health),
		.reason = b->health.before_reason,
		.probed = b->health.settled,
		.admin = b->admin,
		.reachable = model_has_way(b),
	};
}

static void tally(struct service *s, const struct tier_state *was, struct now now)
{
	tally_service(&s->tally, was, &s->tier, now.mono_ms);
	for (unsigned i = 0; i < s->n_backends; i++)
		tally_state(&s->backends[i].tally, s->views[i].verdict, s->backends[i].admin,
			    now.mono_ms);
}

static struct panic_view panic_view_of(const struct backend *b, const struct tier_view *v)
{
	return (struct panic_view){
		.offered = v->weight && v->admin == ADMIN_READY && v->reachable,
		.preference = v->preference,
		.reason = v->reason,
		.began_ms = b->began_ms,
		.failed_ms = b->failed_ms,
		.opened_ms = b->opened_ms,
		.tried_ms = b->tried_ms,
	};
}

/* No server would take mail: decides whether this box is the cause (panic.c). was: the state before this decision. */
static void panic(struct service *s, const struct tier_state *was, struct now now)
{
	uint32_t window_ms =
		s->probe.interval_ms + 2 * s->probe.connect_timeout_ms + PANIC_SLACK_MS;
	enum panic_says says;

	for (unsigned i = 0; i < s->n_backends; i++)
		s->panic[i] = panic_view_of(&s->backends[i], &s->views[i]);
	says = panic_judge(s->panic, s->n_backends, window_ms, now.mono_ms, s->chosen);
	if (says == PANIC_NO)
		return;
	s->tier.state =
		says == PANIC_HOLD && was->state != SERVICE_DOWN ? was->state : SERVICE_PANIC;
	s->tier.has_active = true;
	for (unsigned i = s->n_backends; i-- > 0;)
		if (s->chosen[i])
			s->tier.active = s->backends[i].conf.preference;
	s->ask_again_ms = now.mono_ms + PANIC_AGAIN_MS;
}

void model_clients(struct model *m, uint32_t backend_id, bool opened, bool tried, uint64_t now_ms)
{
	struct backend *b = model_backend(m, backend_id, NULL);

	if (!b)
		return;
	if (opened) {
		b->opened_ms = now_ms;
		b->tried_ms = 0;
	} else if (tried && !b->tried_ms) {
		b->tried_ms = now_ms;
	}
}

bool change_decide(struct model *m, struct service *s, const char *cause, struct now now)
{
	const struct tier_conf conf = {
		.min_up = s->conf.min_up,
		.mode = s->conf.tier_mode,
		.failback = s->conf.failback,
		.failback_hold_ms = s->conf.failback_hold_ms,
		.cold_start_ms = s->probe.timeout_ms,
		.has_forced = s->has_forced,
		.forced = s->forced,
	};
	const struct tier_state was = s->tier;
	char text[EVENT_TEXT_SIZE];
	bool changed;

	for (unsigned i = 0; i < s->n_backends; i++)
		s->views[i] = view_of(&s->backends[i]);
	s->ask_again_ms =
		tier_choose(&s->tier, &conf, s->views, s->n_backends, now.mono_ms, s->chosen);
	if (s->tier.state == SERVICE_DOWN && s->conf.panic == PANIC_MODE_KEEP)
		panic(s, &was, now);
	if (m->blind >> s->conf.interface & 1 && s->tier.state != SERVICE_NOT_READY)
		s->tier.state = SERVICE_BLIND;
	changed = s->tier.state != was.state;
	for (unsigned i = 0; i < s->n_backends; i++) {
		changed = changed || s->backends[i].in_ring != s->chosen[i];
		s->backends[i].in_ring = s->chosen[i];
	}
	note_service(m, s, &was, forced_text(s, text, sizeof(text), cause), now);
	tally(s, &was, now);
	return changed;
}

void model_decide(struct model *m, const char *cause, struct now now)
{
	for (unsigned i = 0; i < m->n_services; i++)
		change_decide(m, &m->services[i], cause, now);
}

/* "refused: connection refused": the reason's name, then the server's words or the reason's text. */
static void cause_of(char *to, size_t size, const struct probe_result *r)
{
	snprintf(to, size, "%s: %s", reason_name(r->reason),
		 *r->text ? r->text : reason_text(r->reason));
}

static bool is_unreachable(const struct backend *b)
{
	return b->health.verdict == VERDICT_DOWN && b->health.reason == REASON_unreachable;
}

void change_verdict_note(struct model *m, const struct service *s, const struct backend *b,
			 enum verdict was, const struct probe_result *r, struct now now)
{
	struct event *e = change_note(m, EVENT_BACKEND_VERDICT, s, b, now);

	change_text(e->from, sizeof(e->from), verdict_name(was));
	change_text(e->to, sizeof(e->to), verdict_name(b->health.verdict));
	change_text(e->reason, sizeof(e->reason), reason_name(r->reason));
	cause_of(e->cause, sizeof(e->cause), r);
}

/* Records for panic.c since when the server has failed. */
static void note_failing(struct backend *b, enum reason r, uint64_t now_ms)
{
	bool up = health_effective(&b->health) == VERDICT_UP;

	if (r == REASON_ok)
		b->began_ms = 0;
	else if (!b->began_ms && reason_verdict(r) != VERDICT_UNKNOWN)
		b->began_ms = now_ms;
	if (up)
		b->failed_ms = 0;
	else if (!b->failed_ms && b->was_up)
		b->failed_ms = now_ms;
	b->was_up = up || b->was_up;
}

/* Applies a result to one server's health. True: its verdict or reason has changed. */
static bool take_result(struct model *m, const struct service *s, struct backend *b,
			const struct probe_result *r, enum blame_act act, struct now now)
{
	const struct health_conf conf = {.fall = s->probe.fall, .rise = s->probe.rise};
	bool changed;

	if (reason_is_client(r->reason)) {
		warning_set(m, s, b, r, now);
		if (act == BLAME_UP)
			return health_show_up(&b->health, r->reason, now.mono_ms);
		return health_take_client(&b->health, &conf, r->reason, r->stage, now.mono_ms);
	}
	changed = act == BLAME_NOW ? health_take_now(&b->health, r->reason, now.mono_ms)
				   : health_take(&b->health, &conf, r->reason, now.mono_ms);
	note_failing(b, r->reason, now.mono_ms);
	if (r->reason == REASON_ok || health_effective(&b->health) != VERDICT_UP)
		warning_end(m, s, b, r->reason == REASON_ok, now);
	return changed;
}

/*
 * A server may fail in another way at each probe, four times a second. Of changes of the reason alone the first three in a
 * minute are events; the others are counted, and the next event has their number.
 */
static bool is_worth_an_event(struct backend *b, enum verdict was, uint64_t now_ms)
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
static void note_muted(struct model *m, struct backend *b)
{
	struct event *e = &m->events.ring[(m->events.next_seq - 1) % EVENT_LOG_SIZE];
	size_t at = strlen(e->cause);

	if (b->reason_told.muted)
		snprintf(e->cause + at, sizeof(e->cause) - at,
			 "; the reason changed %u times before, which was not logged",
			 b->reason_told.muted);
	b->reason_told.muted = 0;
}

bool model_probe_result(struct model *m, uint32_t backend_id, const struct probe_result *r,
			struct now now)
{
	return model_judged(m, backend_id, r, BLAME_ACTS, now);
}

bool model_judged(struct model *m, uint32_t backend_id, const struct probe_result *r,
		  enum blame_act act, struct now now)
{
	struct service *s;
	struct backend *b = model_backend(m, backend_id, &s);
	char text[EVENT_TEXT_SIZE], cause[2 * EVENT_TEXT_SIZE];
	bool restored;
	enum verdict was;

	if (!b || act == BLAME_WAITS)
		return false;
	b->last = *r;
	b->last_wall_ms = now.wall_ms;
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

	cause_of(text, sizeof(text), r);
	if ((!restored || act == BLAME_UP) && is_worth_an_event(b, was, now.mono_ms)) {
		change_verdict_note(m, s, b, was, r, now);
		note_muted(m, b);
	}
	snprintf(cause, sizeof(cause), "%s %s: %s", b->conf.name, verdict_name(b->health.verdict),
		 text);
	change_decide(m, s, cause, now);
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
static bool has_moved(const struct backend *b, const struct nexthop *was)
{
	const struct nexthop *nh = &b->nexthop;

	if (nh->has_mac != was->has_mac || nh->interface != was->interface ||
	    memcmp(&nh->mac, &was->mac, sizeof(was->mac)))
		return true;
	return b->conf.forward == FORWARD_IPIP &&
	       (nh->mtu != was->mtu || !addr_equal(&nh->source, &was->source));
}

static void nexthop_text(char *to, size_t size, const struct backend *b)
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

bool model_nexthop(struct model *m, uint32_t backend_id, const struct nexthop *nh, struct now now)
{
	struct service *s;
	struct backend *b = model_backend(m, backend_id, &s);
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

	e = change_note(m, EVENT_BACKEND_NEXTHOP, s, b, now);
	change_text(e->from, sizeof(e->from), nexthops[was.state]);
	change_text(e->to, sizeof(e->to), nexthops[nh->state]);
	nexthop_text(e->cause, sizeof(e->cause), b);
	snprintf(cause, sizeof(cause), "%s next hop %s: %s", b->conf.name, e->to, e->cause);
	return change_decide(m, s, cause, now) || moved;
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
			changed = change_decide(m, &m->services[i], cause, now) || changed;
	return changed;
}

bool model_gone(struct model *m, uint32_t backend_id)
{
	struct backend *b = model_backend(m, backend_id, NULL);

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
		const char *cause = s->tier.state == SERVICE_NOT_READY
					    ? "the time limit of the first probes has passed"
				    : s->tier.state == SERVICE_PANIC
					    ? "clients cannot connect either"
					    : "failback-hold is over";

		if (s->ask_again_ms && s->ask_again_ms <= now.mono_ms)
			changed = change_decide(m, s, cause, now) || changed;
		changed = order_end(m, s, now) || changed;
	}
	return changed;
}

/* The earlier of two times; 0 means never. */
static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
	return !a_ms || (b_ms && b_ms < a_ms) ? b_ms : a_ms;
}

uint64_t model_next_tick(const struct model *m)
{
	uint64_t next_ms = 0;

	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service *s = &m->services[i];

		next_ms = earlier(next_ms, earlier(s->ask_again_ms, s->order.until_ms));
		for (unsigned j = 0; j < s->n_backends; j++)
			next_ms = earlier(next_ms, s->backends[j].order.until_ms);
	}
	return next_ms;
}
