/* SPDX-License-Identifier: BSD-2-Clause */
/* Counts what health.c and tier.c decided. Stores no number twice: sums are computed by their readers. */
#include <string.h>
#include "core/tally.h"

const uint32_t tally_bounds_ms[TALLY_BOUNDS] = TALLY_BOUNDS_MS;

static const char *const stages[TALLY_STAGES] = {
	[TALLY_CONNECT] = "connect",
	[TALLY_GREETING] = "greeting",
	[TALLY_TLS] = "tls",
	[TALLY_TOTAL] = "total",
};

const char *tally_stage_name(enum tally_stage s)
{
	return (unsigned)s < TALLY_STAGES ? stages[s] : "?";
}

/* 0 ms: the stage was not reached. */
static void observe(struct histogram *h, uint32_t ms)
{
	unsigned i = 0;

	if (!ms)
		return;
	while (i < TALLY_BOUNDS && ms > tally_bounds_ms[i])
		i++;
	h->bucket[i]++;
	h->n++;
	h->sum_ms += ms;
}

static void set_down(struct downtime *d, bool down, uint64_t now_ms)
{
	if (down == (d->since_ms != 0))
		return;
	if (d->since_ms)
		d->past_ms += now_ms - d->since_ms;
	d->since_ms = down ? now_ms : 0;
}

uint64_t tally_age_ms(uint64_t then_ms, uint64_t now_ms)
{
	return now_ms > then_ms ? now_ms - then_ms : 0;
}

uint64_t downtime_ms(const struct downtime *d, uint64_t now_ms)
{
	return d->past_ms + (d->since_ms ? tally_age_ms(d->since_ms, now_ms) : 0);
}

void tally_begin(struct server_tally *t, enum verdict effective, enum admin_state admin,
		 uint64_t now_ms)
{
	*t = (struct server_tally){.verdict = effective, .admin = admin, .changed_ms = now_ms};
}

void tally_result(struct server_tally *t, const struct probe_result *r, enum verdict before)
{
	enum verdict said = reason_verdict(r->reason);

	t->results[said]++;
	t->failed_up += before == VERDICT_UP && said != VERDICT_UP && said != VERDICT_UNKNOWN;
	observe(&t->stage[TALLY_CONNECT], r->connect_ms);
	observe(&t->stage[TALLY_GREETING], r->greeting_ms);
	observe(&t->stage[TALLY_TLS], r->tls_ms);
	observe(&t->stage[TALLY_TOTAL], r->total_ms);
}

void tally_state(struct server_tally *t, enum verdict effective, enum admin_state admin,
		 uint64_t now_ms)
{
	if (effective != t->verdict || admin != t->admin)
		t->changed_ms = now_ms;
	t->rises += effective != t->verdict && effective == VERDICT_UP;
	t->falls += effective != t->verdict && effective == VERDICT_DOWN;
	t->verdict = effective;
	t->admin = admin;
	set_down(&t->down, effective == VERDICT_DOWN || admin == ADMIN_MAINT, now_ms);
}

uint64_t tally_failed(const struct server_tally *t)
{
	return t->results[VERDICT_DRAINING] + t->results[VERDICT_DOWN];
}

void tally_service_begin(struct service_tally *t, uint64_t now_ms)
{
	*t = (struct service_tally){.changed_ms = now_ms};
}

void tally_service(struct service_tally *t, const struct tier_state *was,
		   const struct tier_state *is, uint64_t now_ms)
{
	if (is->state != was->state) {
		t->became[is->state]++;
		t->changed_ms = now_ms;
	}
	t->tier_switches += is->has_active && (!was->has_active || is->active != was->active);
	set_down(&t->down, is->state == SERVICE_DOWN || is->state == SERVICE_BLIND, now_ms);
}

void tally_second(struct tally_rate *r, uint64_t flows, uint64_t new_flows, uint64_t now_ms)
{
	uint64_t fresh = r->at_ms && new_flows > r->total ? new_flows - r->total : 0;
	uint64_t span_ms = tally_age_ms(r->at_ms, now_ms), rate;

	if (r->at_ms && !span_ms)
		return;
	rate = r->at_ms ? fresh * 1000 / span_ms : 0;
	r->now = rate < UINT32_MAX ? (uint32_t)rate : UINT32_MAX;
	r->max = r->now > r->max ? r->now : r->max;
	r->flows_max = flows > r->flows_max ? flows : r->flows_max;
	if (fresh)
		r->last_ms = now_ms;
	r->total = new_flows;
	r->at_ms = now_ms;
}
