/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the tests of the model: the service of the README, events, and their consequences as text. Also an
 * allocator that fails on demand: a .c file compiled in after "#define calloc failing_calloc" uses it.
 */
#ifndef MODEL_FIXTURE_H
#define MODEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/model.h"
#include "core/plan.h"

static unsigned fail_at; /* the allocation that fails, counted from 1; 0: none */
static unsigned allocated;

static inline void *failing_calloc(size_t n, size_t size)
{
	return ++allocated == fail_at ? NULL : calloc(n, size);
}

static inline struct now at(uint64_t mono_ms)
{
	return (struct now){.mono_ms = mono_ms, .wall_ms = 1700000000000 + (int64_t)mono_ms};
}

/* Nothing is adopted. */
static inline int fixture_reload(struct model *m, const struct config *c, struct now now)
{
	return model_reload(m, c, NULL, 0, "", now);
}

static inline struct addr address(uint8_t last)
{
	return (struct addr){{[10] = 0xff, [11] = 0xff, 192, 0, 2, last}};
}

static inline struct server_conf server(const char *name, uint8_t last, uint16_t preference)
{
	struct server_conf b = {.address = address(last), .preference = preference, .weight = 1};

	snprintf(b.name, sizeof(b.name), "%s", name);
	return b;
}

/* One service with `n` servers; the caller may change it before use. free_config() frees it. */
static inline struct config *make_config(const struct server_conf *servers, unsigned n)
{
	struct config *c = calloc(1, sizeof(*c));
	struct service_conf *s;

	assert_non_null(c);
	strcpy(c->interfaces[0].name, "eth0");
	c->n_interfaces = c->n_probes = c->n_services = 1;
	c->probes[0] = (struct probe_conf){.interval_ms = 10000,
					   .fast_interval_ms = 2000,
					   .timeout_ms = 8000,
					   .fall = 3,
					   .rise = 2};
	s = &c->services[0];
	*s = (struct service_conf){.name = "hybrid-mail",
				   .address = address(25),
				   .port = 25,
				   .min_up = 1,
				   .failback_hold_ms = 30000,
				   .n_servers = n};
	s->servers = calloc(n + 1, sizeof(*s->servers));
	assert_non_null(s->servers);
	memcpy(s->servers, servers, n * sizeof(*servers));
	return c;
}

static inline void free_config(struct config *c)
{
	for (unsigned i = 0; i < c->n_services; i++)
		free(c->services[i].servers);
	free(c);
}

static inline struct config *oxford(void)
{
	const struct server_conf servers[] = {
		server("oxford-a", 11, 10), server("oxford-b", 12, 10), server("nuneaton", 13, 20)};

	return make_config(servers, 3);
}

/* hybrid-mail at port 25, and the same at port 587 as "relay". */
static inline struct config *two_services(void)
{
	struct config *c = oxford(), *d = oxford();

	c->services[1] = d->services[0];
	strcpy(c->services[1].name, "relay");
	c->services[1].port = 587;
	c->n_services = 2;
	free(d);
	return c;
}

static inline struct model *create(const struct config *c, uint64_t now_ms)
{
	struct model *m = NULL;

	assert_int_equal(model_create(c, NULL, 0, at(now_ms), &m), 0);
	return m;
}

static inline bool result(struct model *m, uint32_t id, enum reason r, uint64_t now_ms)
{
	struct probe_result p = {.reason = r, .stage = STAGE_GREETING};

	snprintf(p.text, sizeof(p.text), "words");
	return model_probe_result(m, id, &p, at(now_ms));
}

static inline bool resolve(struct model *m, uint32_t id, uint64_t now_ms)
{
	struct nexthop nh = {
		.state = NEXTHOP_RESOLVED, .has_mac = true, .mac = {{2, 0, 0, 0, 0, (uint8_t)id}}};

	return model_nexthop(m, id, &nh, at(now_ms));
}

/* Oxford after the cold start, with all next hops resolved and all servers up. */
static inline struct model *running(const struct config *c)
{
	struct model *m = create(c, 1000);

	for (uint32_t id = 1; id <= c->services[0].n_servers; id++)
		resolve(m, id, 1001);
	for (uint32_t id = 1; id <= c->services[0].n_servers; id++)
		result(m, id, REASON_ok, 1100);
	assert_int_equal(m->services[0].tier.state, SERVICE_UP);
	return m;
}

/* The first service's ring: "oxford-a oxford-b", or "not-ready", "reset", "drop". */
static inline const char *ring(const struct model *m)
{
	static const char *const modes[] = {"not-ready", "", "reset", "drop"};
	static char text[256];
	struct plan p;

	assert_int_equal(plan_build(m, &p), 0);
	snprintf(text, sizeof(text), "%s", modes[p.services[0].mode]);
	assert_int_equal(p.services[0].n_members > 0, p.services[0].mode == PLAN_RING);
	for (unsigned i = 0; i < p.services[0].n_members; i++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "",
			 p.services[0].members[i].name);
	}
	plan_free(&p);
	return text;
}

/* Compares the events from `seq` on, one per line, with the lines given. */
static inline void check_events(const struct model *m, uint64_t seq, const char *want)
{
	char got[8192] = "", line[EVENT_TEXT_SIZE * 3];
	const struct event *e;

	for (; (e = event_get(&m->events, seq)); seq++) {
		size_t len = strlen(got);

		snprintf(got + len, sizeof(got) - len, "%s\n", event_line(e, line, sizeof(line)));
	}
	assert_string_equal(got, want);
}

/* What the plan says of it. */
static inline struct plan_server planned(const struct model *m, uint32_t id)
{
	struct plan_server b = {0};
	struct plan p;

	assert_int_equal(plan_build(m, &p), 0);
	for (unsigned i = 0; i < p.n_servers; i++) {
		if (p.servers[i].id == id)
			b = p.servers[i];
	}
	plan_free(&p);
	assert_int_equal(b.id, id);
	return b;
}

static inline struct model_adopted adopted(const char *name, uint8_t last, uint32_t id,
					   enum verdict v, enum reason r)
{
	struct model_adopted a = {.service = "hybrid-mail",
				  .address = address(last),
				  .service_id = 9,
				  .server_id = id,
				  .verdict = v,
				  .reason = r,
				  .mac = {{2, 0, 0, 0, 1, last}}};

	snprintf(a.server, sizeof(a.server), "%s", name);
	return a;
}

/* A copy of everything that a model points to, for a later comparison. */
struct snapshot {
	struct model model;
	struct service service;
	struct server servers[3];
};

static inline struct snapshot *snapshot_take(const struct model *m)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	assert_int_equal(m->services[0].n_servers, 3);
	memcpy(&s->model, m, sizeof(s->model));
	memcpy(&s->service, m->services, sizeof(s->service));
	memcpy(s->servers, m->services[0].servers, sizeof(s->servers));
	return s;
}

static inline void check_same(struct snapshot *before, const struct model *m)
{
	struct snapshot *after = snapshot_take(m);

	assert_memory_equal(before, after, sizeof(*before));
	free(before);
	free(after);
}

#endif
