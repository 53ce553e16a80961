/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lets a service decide which servers take new connections, from the verdicts, the operators' settings and the next
 * hops of all its servers, and adds the events about its state and its tier. The choice itself is tier.c's.
 */
#include "core/decide.h"

#include <stdio.h>
#include "core/model_event.h"

#define PANIC_SLACK_MS 2000

static void tier_text(char *to, size_t size, const struct tier_state *t)
{
	if (t->has_active)
		snprintf(to, size, "%u", t->active);
	else
		event_text(to, size, "-");
}

static void note_service(struct model *m, const struct service *s, const struct tier_state *was,
			 const char *cause, struct now now)
{
	const struct tier_state *is = &s->tier;
	struct event *e;

	if (is->state != was->state) {
		e = model_event(m, EVENT_SERVICE_STATE, s, NULL, now);
		event_text(e->from, sizeof(e->from), service_state_name(was->state));
		event_text(e->to, sizeof(e->to), service_state_name(is->state));
		event_text(e->cause, sizeof(e->cause), cause);
	}
	if (is->has_active != was->has_active || (is->has_active && is->active != was->active)) {
		e = model_event(m, EVENT_SERVICE_TIER, s, NULL, now);
		tier_text(e->from, sizeof(e->from), was);
		tier_text(e->to, sizeof(e->to), is);
		event_text(e->cause, sizeof(e->cause), cause);
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

/* Why the service decided again though nothing happened. asked: panic.c had asked for it. */
static const char *time_text(const struct service *s, const struct tier_state *was, bool asked)
{
	if (asked)
		return s->tier.state == SERVICE_PANIC && was->state != SERVICE_PANIC
			       ? "clients can connect"
			       : "clients cannot connect either";
	return was->state == SERVICE_NOT_READY ? "the time limit of the first probes has passed"
					       : "failback-hold is over";
}

static struct tier_view view_of(const struct server *b)
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
	for (unsigned i = 0; i < s->n_servers; i++)
		tally_state(&s->servers[i].tally, s->views[i].verdict, s->servers[i].admin,
			    now.mono_ms);
}

/*
 * A result that was not up does not show a failing server: it was reached if it refused the probe, and what clients
 * experienced before then is no evidence about what comes after.
 */
void decide_note_result(struct server *b, enum reason r, uint64_t now_ms)
{
	bool up = health_effective(&b->health) == VERDICT_UP;

	if (reason_is_connect(r)) {
		b->began_ms = b->began_ms ?: now_ms;
	} else if (reason_verdict(r) != VERDICT_UNKNOWN || reason_is_client(r)) {
		b->began_ms = b->tried_ms = b->again_ms = 0;
		b->reached_ms = now_ms;
	}
	if (up)
		b->failed_ms = 0;
	else if (!b->failed_ms && b->was_up)
		b->failed_ms = now_ms;
	b->was_up = up || b->was_up;
}

void decide_forget_results(struct server *b)
{
	b->began_ms = b->failed_ms = b->reached_ms = b->tried_ms = b->again_ms = 0;
	b->was_up = false;
}

static struct panic_view panic_view_of(const struct server *b, const struct tier_view *v)
{
	return (struct panic_view){
		.offered = v->weight && v->admin == ADMIN_READY && v->reachable,
		.preference = v->preference,
		.reason = v->reason,
		.began_ms = b->began_ms,
		.failed_ms = b->failed_ms,
		.reached_ms = b->reached_ms,
		.opened_ms = b->opened_ms,
		.tried_ms = b->tried_ms,
		.again_ms = b->again_ms,
	};
}

/* No server would take mail: decides whether this box is the cause (panic.c). was: the state before this decision. */
static void panic(struct service *s, const struct tier_state *was, struct now now)
{
	uint32_t window_ms =
		s->probe.interval_ms + 2 * s->probe.connect_timeout_ms + PANIC_SLACK_MS;
	enum panic_says says;

	for (unsigned i = 0; i < s->n_servers; i++)
		s->panic[i] = panic_view_of(&s->servers[i], &s->views[i]);
	says = panic_judge(s->panic, s->n_servers, window_ms, now.mono_ms, s->chosen);
	if (says == PANIC_NO)
		return;
	s->tier.state =
		says == PANIC_HOLD && was->state != SERVICE_DOWN ? was->state : SERVICE_PANIC;
	s->tier.has_active = true;
	for (unsigned i = s->n_servers; i-- > 0;)
		if (s->chosen[i])
			s->tier.active = s->servers[i].conf.preference;
	s->ask_again_ms = now.mono_ms + PANIC_AGAIN_MS;
	s->panic_asks = true;
}

bool decide_service(struct model *m, struct service *s, const char *cause, struct now now)
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
	const bool asked = s->panic_asks;
	char text[EVENT_TEXT_SIZE];
	bool changed;

	s->panic_asks = false;
	for (unsigned i = 0; i < s->n_servers; i++)
		s->views[i] = view_of(&s->servers[i]);
	s->ask_again_ms =
		tier_choose(&s->tier, &conf, s->views, s->n_servers, now.mono_ms, s->chosen);
	if (s->tier.state == SERVICE_DOWN && s->conf.panic == PANIC_MODE_KEEP)
		panic(s, &was, now);
	if (m->blind >> s->conf.interface & 1 && s->tier.state != SERVICE_NOT_READY)
		s->tier.state = SERVICE_BLIND;
	changed = s->tier.state != was.state;
	for (unsigned i = 0; i < s->n_servers; i++) {
		changed = changed || s->servers[i].in_ring != s->chosen[i];
		s->servers[i].in_ring = s->chosen[i];
	}
	cause = cause ?: time_text(s, &was, asked);
	note_service(m, s, &was, forced_text(s, text, sizeof(text), cause), now);
	tally(s, &was, now);
	return changed;
}

void decide_all(struct model *m, const char *cause, struct now now)
{
	for (unsigned i = 0; i < m->n_services; i++)
		decide_service(m, &m->services[i], cause, now);
}
