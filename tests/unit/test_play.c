/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays the model at random: servers die, refuse, refuse the probe alone and return; this box fails to reach any of
 * them; operators and restarts interfere; scanners send SYNs. Whatever happened before,
 *
 *   1. while this box is at fault, and afterwards, if all servers take mail, some server stays in the ring;
 *   2. servers that are all dead leave the ring, even if this box is at fault, too;
 *   3. a dead server leaves the ring if another one is up;
 *   4. a server that takes mail is up, unless this box is at fault.
 *
 * PLAYS and SEED (environment) play more, and others.
 */
#include "core/schedule.h"
#include "model_fixture.h"

#define LOOK_MS	   50
#define LENGTH_MS  60000
#define SETTLED_MS 12000 /* longer than any decision takes at these intervals */
#define DEAD_MS	   45000 /* after a proof */
#define MAX	   4

enum truth { TAKES, TAKES_BUT_REFUSES_THE_PROBE, DEAD, REFUSES, TRUTHS };
enum fault { NO_FAULT, DROPS, RESETS, FAULTS };

struct actor {
	enum truth truth;
	uint64_t since_ms, due_ms, ends_ms; /* .ends_ms 0: no probe is running */
	enum reason result;
	bool hinted;
	bool fit; /* it was up when a fault began, and nobody has touched it since */
};

struct play {
	unsigned long seed;
	uint64_t random, ms, change_ms, hit_ms, fault_ms, order_ms; /* .hit_ms: a fault began */
	enum fault fault;
	unsigned n;
	struct config *config;
	struct model *model;
	struct actor actors[MAX];
};

/* xorshift64 (Marsaglia 2003). */
static unsigned any_of(struct play *p, unsigned n)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return (unsigned)(p->random >> 20) % n;
}

static bool takes(const struct actor *a)
{
	return a->truth == TAKES || a->truth == TAKES_BUT_REFUSES_THE_PROBE;
}

static struct server *of(struct play *p, unsigned i)
{
	return model_server(p->model, i + 1, NULL);
}

static void resolve_all(struct play *p)
{
	for (unsigned i = 0; i < p->n; i++)
		resolve(p->model, i + 1, p->ms);
}

static void begin(struct play *p, unsigned long seed)
{
	struct server_conf servers[MAX];
	struct probe_conf *probe;

	*p = (struct play){.seed = seed,
			   .random = (seed + 1) * 0x9e3779b97f4a7c15ULL,
			   .ms = 1000,
			   .change_ms = 8000,
			   .order_ms = 1000};
	p->n = 1 + any_of(p, MAX);
	for (unsigned i = 0; i < p->n; i++) {
		char name[] = {(char)('a' + i), '\0'};

		servers[i] = server(name, (uint8_t)(i + 1), i < 2 ? 10 : 20);
		p->actors[i] = (struct actor){.truth = any_of(p, DEAD), .since_ms = p->ms};
		p->actors[i].due_ms = p->ms + any_of(p, 300);
	}
	p->config = make_config(servers, p->n);
	probe = &p->config->probes[0];
	probe->interval_ms = 1000;
	probe->fast_interval_ms = 250;
	probe->connect_timeout_ms = 1000;
	probe->timeout_ms = 4000;
	probe->fall = 2;
	p->model = create(p->config, p->ms);
	resolve_all(p);
}

static void end(struct play *p)
{
	model_free(p->model);
	free_config(p->config);
}

/* As datapath_remember() and datapath_adopted(). */
static void restart(struct play *p)
{
	struct model_adopted left[MAX];

	for (unsigned i = 0; i < p->n; i++) {
		const struct server *b = of(p, i);

		left[i] = adopted(b->conf.name, (uint8_t)(i + 1), b->id,
				  health_effective(&b->health), b->health.before_reason);
		left[i].cause = b->cause;
		left[i].admin = left[i].admin_after = b->admin;
		left[i].kept = b->in_ring && left[i].verdict == VERDICT_DOWN;
		p->actors[i].ends_ms = 0;
		p->actors[i].due_ms = p->ms + any_of(p, 300);
	}
	model_free(p->model);
	assert_int_equal(model_create(p->config, left, p->n, at(p->ms), &p->model), 0);
	resolve_all(p);
	p->order_ms = p->ms;
}

static void order(struct play *p)
{
	unsigned i = any_of(p, p->n);

	model_admin(p->model, i + 1, of(p, i)->admin == ADMIN_READY ? ADMIN_MAINT : ADMIN_READY,
		    "root", at(p->ms));
	p->actors[i].fit = false;
	p->order_ms = p->ms;
}

static void set_fault(struct play *p, enum fault fault)
{
	for (unsigned i = 0; fault && i < p->n; i++) {
		const struct server *b = of(p, i);

		p->actors[i].fit |= b->in_ring && health_effective(&b->health) == VERDICT_UP;
	}
	p->hit_ms = fault ? p->ms : p->hit_ms;
	p->fault = fault;
	p->fault_ms = p->ms;
}

static void set_truth(struct play *p, unsigned i, enum truth truth)
{
	p->actors[i].truth = truth;
	p->actors[i].fit = false;
	p->actors[i].since_ms = p->ms;
}

static void change(struct play *p)
{
	unsigned what = any_of(p, 10);
	enum truth all = any_of(p, TRUTHS);

	if (p->ms < p->change_ms)
		return;
	p->change_ms = p->ms + 1000 + any_of(p, 14000);
	if (what < 3)
		set_truth(p, any_of(p, p->n), all);
	for (unsigned i = 0; i < p->n && what >= 3 && what < 6; i++)
		set_truth(p, i, all);
	if (what == 6 || what == 7)
		set_fault(p, p->fault ? NO_FAULT : 1 + any_of(p, FAULTS - 1));
	if (what == 8)
		order(p);
	if (what == 9)
		restart(p);
}

static void begin_probe(struct play *p, struct actor *a)
{
	bool dropped = p->fault == DROPS || (!p->fault && a->truth == DEAD);

	a->ends_ms = p->ms + LOOK_MS;
	a->result = REASON_ok;
	if (dropped || a->truth == DEAD) {
		a->result = REASON_connect_timeout;
		a->ends_ms = p->ms + (a->hinted ? SCHEDULE_HINT_CONNECT_MS : 1000);
	} else if (p->fault == RESETS || a->truth == REFUSES) {
		a->result = REASON_refused;
	} else if (a->truth == TAKES_BUT_REFUSES_THE_PROBE) {
		a->result = REASON_source_refused;
	}
}

static void end_probe(struct play *p, unsigned i)
{
	struct probe_result r = {.reason = p->actors[i].result, .stage = STAGE_CONNECT};
	struct actor *a = &p->actors[i];
	const struct server *b;

	if (r.reason == REASON_source_refused) {
		r.stage = STAGE_GREETING;
		r.smtp_code = 554;
	}
	model_probe_result(p->model, i + 1, &r, at(p->ms));
	b = of(p, i);
	a->ends_ms = 0;
	a->hinted = schedule_presses(&b->health, r.reason);
	a->due_ms = p->ms;
	if (!a->hinted)
		a->due_ms += schedule_gap(&b->health, &p->config->probes[0], p->ms);
}

static void probe(struct play *p, unsigned i)
{
	struct actor *a = &p->actors[i];

	if (of(p, i)->admin == ADMIN_MAINT) {
		a->ends_ms = 0;
		a->due_ms = p->ms + 250;
	} else if (a->ends_ms && a->ends_ms <= p->ms) {
		end_probe(p, i);
	} else if (!a->ends_ms && a->due_ms <= p->ms) {
		begin_probe(p, a);
	}
}

/* 16 connections a second to the servers of the ring, and now and then a scanner's SYN. */
static void connect_clients(struct play *p)
{
	bool opened[MAX] = {false}, tried[MAX] = {false};
	unsigned ring[MAX], n = 0, i;

	for (i = 0; i < p->n; i++)
		if (of(p, i)->in_ring)
			ring[n++] = i;
	if (n && any_of(p, 10) < 8) {
		i = ring[any_of(p, n)];
		tried[i] = true;
		opened[i] = takes(&p->actors[i]);
	}
	if (n && any_of(p, 100) < 2)
		tried[ring[any_of(p, n)]] = true;
	for (i = 0; i < p->n; i++)
		model_clients(p->model, i + 1, opened[i], tried[i], p->ms);
}

static void must_hold(const struct play *p, bool holds, const char *what)
{
	if (!holds)
		fail_msg("SEED=%lu PLAYS=1, after %llu ms: %s", p->seed, (unsigned long long)p->ms,
			 what);
}

static bool is_past(const struct play *p, uint64_t since_ms, uint64_t ms)
{
	return p->ms - since_ms > ms;
}

/* Rules 3 and 4. */
static void check_server(struct play *p, unsigned i)
{
	const struct actor *a = &p->actors[i];
	const struct server *b = of(p, i);
	bool up = health_effective(&b->health) == VERDICT_UP;

	if (p->fault || !is_past(p, p->fault_ms, SETTLED_MS) || b->admin != ADMIN_READY ||
	    !is_past(p, a->since_ms, SETTLED_MS) || !is_past(p, p->order_ms, SETTLED_MS))
		return;
	must_hold(p, up || !takes(a), "a server that takes mail is up");
	must_hold(p, takes(a) || !b->in_ring || !model_has_other(p->model, b->id),
		  "a dead server leaves the ring if another one is up");
}

/* Rules 1 and 2. */
static void check(struct play *p)
{
	bool all_take = true, none_takes = true, any_fit = false, any_in_ring = false;
	uint64_t since_ms = p->fault && p->fault_ms > p->order_ms ? p->fault_ms : p->order_ms,
		 changed_ms = 0;

	for (unsigned i = 0; i < p->n; i++) {
		const struct actor *a = &p->actors[i];

		check_server(p, i);
		all_take &= takes(a);
		none_takes &= !takes(a);
		any_fit |= a->fit;
		any_in_ring |= of(p, i)->in_ring;
		changed_ms = a->since_ms > changed_ms ? a->since_ms : changed_ms;
	}
	if (all_take && any_fit && changed_ms + SETTLED_MS < p->hit_ms)
		must_hold(p, any_in_ring, "a fault of this box leaves the ring");
	since_ms = changed_ms > since_ms ? changed_ms : since_ms;
	if (none_takes && is_past(p, since_ms, DEAD_MS))
		must_hold(p, !any_in_ring, "dead servers leave the ring");
}

static void play(unsigned long seed)
{
	struct play p;
	uint64_t due_ms;

	begin(&p, seed);
	while (p.ms < LENGTH_MS) {
		p.ms += LOOK_MS;
		change(&p);
		for (unsigned i = 0; i < p.n; i++)
			probe(&p, i);
		connect_clients(&p);
		due_ms = model_next_tick(p.model);
		if (due_ms && due_ms <= p.ms)
			model_tick(p.model, at(p.ms));
		check(&p);
	}
	end(&p);
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	return getenv(name) ? strtoul(getenv(name), NULL, 10) : otherwise;
}

static void whatever_happens_the_promises_hold(void **state)
{
	unsigned long seed = number("SEED", 1), n = number("PLAYS", 5000);

	(void)state;
	for (unsigned long i = 0; i < n; i++)
		play(seed + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_happens_the_promises_hold),
	};

	return cmocka_run_group_tests_name("play", tests, NULL, NULL);
}
