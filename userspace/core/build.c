/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Builds the model: from a configuration, from what an earlier mxlbd left, from the model before a reload. Decides
 * which state is carried over and which ids are assigned. Later events are applied by change.c.
 *
 *   1. A new model is built beside the old one, then swapped in; after an error the old one is unchanged.
 *   2. A service keeps its state if its name, VIP and port stay; a server if its service, name and address do.
 *      Everything else may change.
 *   3. Ids are assigned round-robin: the next free one after the last, and never one that the previous model used or
 *      an earlier mxlbd left, because flows may still refer to it.
 *   4. The contents of pinned maps are checked like any input: ids and enumerators out of range, and ids claimed
 *      twice, are ignored.
 *   5. Verdicts of an earlier mxlbd hold over a restart. A server that a reload brings back has not been probed
 *      meanwhile, or not at this VIP, so its verdict starts from scratch.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/decide.h"
#include "core/override.h"
#include "core/warning.h"

#define NO_SERVICE_ID UINT32_MAX

struct source { /* sources of state; either may be missing */
	const struct model *old;
	const struct model_adopted *adopted;
	unsigned n_adopted;
};

static bool same_service(const struct service_conf *a, const struct service_conf *b)
{
	return !strcmp(a->name, b->name) && addr_equal(&a->address, &b->address) &&
	       a->port == b->port;
}

static bool same_server_conf(const struct server_conf *a, const struct server_conf *b)
{
	return !strcmp(a->name, b->name) && addr_equal(&a->address, &b->address);
}

static const struct service *old_service(const struct source *src, const struct service_conf *conf)
{
	for (unsigned i = 0; src->old && i < src->old->n_services; i++) {
		if (same_service(&src->old->services[i].conf, conf))
			return &src->old->services[i];
	}
	return NULL;
}

static const struct server *old_server(const struct service *s, const struct server_conf *conf)
{
	for (unsigned i = 0; s && i < s->n_servers; i++) {
		if (same_server_conf(&s->servers[i].conf, conf))
			return &s->servers[i];
	}
	return NULL;
}

static bool service_id_is_free(const struct model *m, uint32_t id)
{
	if (id >= MXLB_MAX_SERVICES)
		return false;
	for (unsigned i = 0; i < m->n_services; i++) {
		if (m->services[i].id == id)
			return false;
	}
	return true;
}

/* Flows and counters may still refer to it. */
static bool service_id_was_used(const struct source *src, uint32_t id)
{
	for (unsigned i = 0; src->old && i < src->old->n_services; i++) {
		if (src->old->services[i].id == id)
			return true;
	}
	for (unsigned i = 0; i < src->n_adopted; i++) {
		if (src->adopted[i].service_id == id)
			return true;
	}
	return false;
}

static void claim_id(struct model *m, struct service *s, struct server *b, uint32_t id)
{
	b->id = id;
	m->by_id[id] = (struct model_slot){s, b};
}

/* Rule 3. 0 where none is free. */
static uint32_t free_id(const struct model *m, const bool *spoken_for)
{
	uint32_t id = m->last_id;

	for (unsigned tries = 1; tries < MXLB_MAX_SERVERS; tries++) {
		id = id % (MXLB_MAX_SERVERS - 1) + 1;
		if (!m->by_id[id].server && !spoken_for[id])
			return id;
	}
	return 0;
}

static bool is_adoptable(const struct model_adopted *a)
{
	return (unsigned)a->verdict <= VERDICT_DOWN && (unsigned)a->reason < REASON_COUNT &&
	       (unsigned)a->admin <= ADMIN_MAINT && (unsigned)a->admin_after <= ADMIN_MAINT &&
	       a->server_id && a->server_id < MXLB_MAX_SERVERS;
}

/* A server that was absent from the configuration for a while has an old record: the latest override counts. */
static void adopt_service(struct service *s, const struct model_adopted *a, struct now now)
{
	if (a->forced_order.since_wall_ms < s->order.since_wall_ms)
		return;
	s->tier.has_active = a->has_active;
	s->tier.active = a->has_active ? a->active : 0;
	s->has_forced = a->has_forced;
	s->forced = a->has_forced ? a->forced : 0;
	s->order = override_adopt(&a->forced_order, now);
}

/* Rule 5. */
static void adopt_verdict(struct service *s, struct server *b, const struct model_adopted *a,
			  struct now now)
{
	if (a->verdict == VERDICT_UNKNOWN)
		return;
	health_adopt(&b->health, a->verdict, a->reason, now.mono_ms);
	b->cause = a->cause.stage ? a->cause : warning_cause_of(a->reason);
	s->tier.served = true;
	b->was_up = a->verdict == VERDICT_UP;
}

static void adopt_server(struct model *m, struct service *s, struct server *b,
			 const struct model_adopted *a, struct now now)
{
	static const struct mac no_mac;

	claim_id(m, s, b, a->server_id);
	b->admin = a->admin;
	b->admin_after = a->admin_after;
	b->order = override_adopt(&a->order, now);
	if (memcmp(&a->mac, &no_mac, sizeof(no_mac))) {
		b->nexthop.mac = a->mac;
		b->nexthop.has_mac = true;
		if (a->interface < m->config->n_interfaces)
			b->nexthop.interface = a->interface;
	}
}

/*
 * As if its last client had connected just now, which is a proof (panic.c, rule 4): by then mxlbd had decided that this
 * box is at fault, and a restart, the operator's first idea then, changes nothing about that. The next clients confirm
 * or refute it.
 */
static void adopt_panic(struct server *b, struct now now)
{
	b->was_up = true;
	b->began_ms = now.mono_ms;
	b->failed_ms = b->opened_ms = now.mono_ms + 1;
}

/* Rule 4. */
static void adopt(struct model *m, struct service *s, const struct source *src, struct now now)
{
	bool is_new = s->id == NO_SERVICE_ID;

	for (unsigned i = 0; i < src->n_adopted; i++) {
		const struct model_adopted *a = &src->adopted[i];

		if (strcmp(a->service, s->conf.name) || !is_adoptable(a))
			continue;
		if (s->id == NO_SERVICE_ID && service_id_is_free(m, a->service_id))
			s->id = a->service_id;
		for (unsigned j = 0; j < s->n_servers; j++) {
			struct server *b = &s->servers[j];

			if (strcmp(a->server, b->conf.name) ||
			    !addr_equal(&a->address, &b->conf.address))
				continue;
			if (b->id || m->by_id[a->server_id].server)
				continue;
			adopt_server(m, s, b, a, now);
			if (!src->old)
				adopt_verdict(s, b, a, now);
			if (!src->old && a->kept && a->verdict == VERDICT_DOWN)
				adopt_panic(b, now);
			tally_begin(&b->tally, health_effective(&b->health), b->admin, now.mono_ms);
			if (is_new)
				adopt_service(s, a, now);
		}
	}
}

/* Interfaces are indices into a list that may have changed, so they are looked up by name. */
static void remap_nexthop(struct nexthop *nh, const struct config *from, const struct config *to,
			  unsigned fallback)
{
	for (unsigned i = 0; i < to->n_interfaces && nh->interface < from->n_interfaces; i++) {
		if (!strcmp(to->interfaces[i].name, from->interfaces[nh->interface].name)) {
			nh->interface = i;
			return;
		}
	}
	*nh = (struct nexthop){.interface = fallback};
}

static void build_server(struct model *m, struct service *s, struct server *b,
			 const struct server_conf *conf, const struct server *was,
			 const struct config *was_config, struct now now)
{
	if (was) {
		*b = *was;
		claim_id(m, s, b, was->id);
		remap_nexthop(&b->nexthop, was_config, m->config, s->conf.interface);
	} else {
		health_init(&b->health, now.mono_ms);
		b->since_wall_ms = now.wall_ms;
		b->nexthop.interface = s->conf.interface;
		tally_begin(&b->tally, VERDICT_UNKNOWN, ADMIN_READY, now.mono_ms);
	}
	b->conf = *conf;
	if (!was || !m->config->from_zone || was->weight == was->conf.weight)
		b->weight = conf->weight; /* else an operator's stays: override.c, rule 3 */
}

static int build_service(struct model *m, struct service *s, const struct service_conf *conf,
			 const struct source *src, struct now now)
{
	const struct service *was = old_service(src, conf);

	*s = (struct service){
		.conf = *conf,
		.probe = m->config->probes[conf->probe],
		.id = was ? was->id : NO_SERVICE_ID,
		.tier = {.started_ms = now.mono_ms},
		.servers = calloc(conf->n_servers + 1, sizeof(*s->servers)),
		.views = calloc(conf->n_servers + 1, sizeof(*s->views)),
		.chosen = calloc(conf->n_servers + 1, sizeof(*s->chosen)),
		.panic = calloc(conf->n_servers + 1, sizeof(*s->panic)),
		.n_servers = conf->n_servers,
	};
	s->conf.servers = NULL;
	tally_service_begin(&s->tally, now.mono_ms);
	if (was) {
		s->tally = was->tally;
		s->tier = was->tier;
		s->has_forced = was->has_forced;
		s->forced = was->forced;
		s->order = was->order;
		if (!was->n_servers) /* tier.c, rule 1 */
			s->tier.started_ms = now.mono_ms;
	}
	if (!s->servers || !s->views || !s->chosen || !s->panic)
		return -ENOMEM;
	for (unsigned i = 0; i < s->n_servers; i++)
		build_server(m, s, &s->servers[i], &conf->servers[i],
			     old_server(was, &conf->servers[i]), src->old ? src->old->config : NULL,
			     now);
	adopt(m, s, src, now);
	return 0;
}

/* Ids that flows may name: the old model's, and those an earlier mxlbd left. */
static void mark_spoken_for(const struct source *src, bool *spoken_for)
{
	for (unsigned id = 0; src->old && id < MXLB_MAX_SERVERS; id++)
		spoken_for[id] = src->old->by_id[id].server || src->old->held[id];
	for (unsigned i = 0; i < src->n_adopted; i++) {
		if (is_adoptable(&src->adopted[i]))
			spoken_for[src->adopted[i].server_id] = true;
	}
}

/* Rule 3, after all ids that are kept have been claimed. */
static int give_ids(struct model *m, const struct source *src)
{
	bool spoken_for[MXLB_MAX_SERVERS] = {false};

	mark_spoken_for(src, spoken_for);
	for (unsigned i = 0; i < m->n_services; i++) {
		struct service *s = &m->services[i];

		for (uint32_t id = 0; s->id == NO_SERVICE_ID && id < MXLB_MAX_SERVICES; id++) {
			if (service_id_is_free(m, id) && !service_id_was_used(src, id))
				s->id = id;
		}
		for (uint32_t id = 0; s->id == NO_SERVICE_ID && id < MXLB_MAX_SERVICES; id++) {
			if (service_id_is_free(m, id)) /* none else is left */
				s->id = id;
		}
		for (unsigned j = 0; j < s->n_servers; j++) {
			if (s->servers[j].id)
				continue;
			m->last_id = free_id(m, spoken_for);
			if (!m->last_id)
				return -ENOSPC;
			claim_id(m, s, &s->servers[j], m->last_id);
		}
	}
	/* the highest that an earlier mxlbd left stands for the last one given */
	for (unsigned i = 0; !src->old && i < src->n_adopted; i++)
		if (is_adoptable(&src->adopted[i]) && src->adopted[i].server_id > m->last_id)
			m->last_id = src->adopted[i].server_id;
	return 0;
}

/* Flows may refer to ids of servers that no longer exist. */
static void mark_held(struct model *m, const struct source *src)
{
	mark_spoken_for(src, m->held);
	for (unsigned id = 0; id < MXLB_MAX_SERVERS; id++)
		m->held[id] = m->held[id] && !m->by_id[id].server;
}

/* Rule 1. */
static int build(const struct config *config, const struct source *src, struct now now,
		 struct model **out)
{
	struct model *m = calloc(1, sizeof(*m));
	int err = -ENOMEM;

	if (!m)
		return -ENOMEM;
	m->config = config;
	m->services = calloc(config->n_services + 1, sizeof(*m->services));
	if (!m->services)
		goto out;
	for (unsigned i = 0; i < config->n_services; i++) {
		err = build_service(m, &m->services[m->n_services++], &config->services[i], src,
				    now);
		if (err)
			goto out;
	}
	if (src->old)
		m->last_id = src->old->last_id;
	err = give_ids(m, src);
	if (!err)
		mark_held(m, src);
out:
	if (err)
		model_free(m);
	else
		*out = m;
	return err;
}

static unsigned count_servers(const struct model *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->n_services; i++)
		n += m->services[i].n_servers;
	return n;
}

static void note_config(struct model *m, const char *who, unsigned added, unsigned removed,
			struct now now)
{
	struct event *e = event_add(&m->events, EVENT_CONFIG, now.wall_ms);

	snprintf(e->user, sizeof(e->user), "%s", who);
	snprintf(e->cause, sizeof(e->cause),
		 "%u services, %u servers in force: %u servers added, %u removed", m->n_services,
		 count_servers(m), added, removed);
}

int model_create(const struct config *config, const struct model_adopted *adopted,
		 unsigned n_adopted, struct now now, struct model **out)
{
	struct source src = {.adopted = adopted, .n_adopted = n_adopted};
	int err = build(config, &src, now, out);

	if (err)
		return err;
	(*out)->events.run = now.wall_ms;
	note_config(*out, "", count_servers(*out), 0, now);
	decide_all(*out, "start", now);
	return 0;
}

static void free_services(struct service *services, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		free(services[i].servers);
		free(services[i].views);
		free(services[i].chosen);
		free(services[i].panic);
	}
	free(services);
}

/* override.c, rule 3: an operator's weight ends with a reload; a changed weight in the file is not an event. */
static void note_weights(struct model *m, const struct model *next, const char *who, struct now now)
{
	for (unsigned id = 1; id < MXLB_MAX_SERVERS; id++) {
		const struct server *old = m->by_id[id].server, *b = next->by_id[id].server;

		if (b && old && old->weight != old->conf.weight && b->weight != old->weight)
			override_note_weight(m, next->by_id[id].service, b, old->weight, b->weight,
					     who, "reload", now);
	}
}

int model_reload(struct model *m, const struct config *config, const struct model_adopted *adopted,
		 unsigned n_adopted, const char *who, struct now now)
{
	struct source src = {.old = m, .adopted = adopted, .n_adopted = n_adopted};
	unsigned kept = 0, before = count_servers(m);
	struct model *next;
	int err = build(config, &src, now, &next);

	if (err)
		return err;
	note_weights(m, next, who, now);
	for (unsigned id = 1; id < MXLB_MAX_SERVERS; id++)
		kept += m->by_id[id].server && next->by_id[id].server;
	free_services(m->services, m->n_services);
	m->config = next->config;
	m->services = next->services;
	m->n_services = next->n_services;
	m->last_id = next->last_id;
	memcpy(m->by_id, next->by_id, sizeof(m->by_id));
	memcpy(m->held, next->held, sizeof(m->held));
	free(next);
	if (!config->from_zone) /* the zone's event has its changes */
		note_config(m, who, count_servers(m) - kept, before - kept, now);
	decide_all(m, config->from_zone ? "zone" : "reload", now);
	return 0;
}

static void take_to_be_up(struct server *b, struct now now)
{
	health_adopt(&b->health, VERDICT_UP, REASON_ok, now.mono_ms);
	b->nexthop.has_mac = true;
	b->nexthop.mtu = 1500;
	b->nexthop.source = b->conf.address; /* any */
}

int model_preview(const struct model *m, const struct config *config,
		  const struct model_adopted *adopted, unsigned n_adopted, struct now now,
		  struct model **out)
{
	struct source src = {.old = m, .adopted = adopted, .n_adopted = n_adopted};
	int err = build(config, &src, now, out);

	if (!err)
		decide_all(*out, "preview", now); /* new servers are not up yet */
	for (unsigned i = 0; !err && i < (*out)->n_services; i++) {
		struct service *s = &(*out)->services[i];

		for (unsigned j = 0; j < s->n_servers; j++)
			if (!old_server(old_service(&src, &s->conf), &s->servers[j].conf))
				take_to_be_up(&s->servers[j], now);
	}
	if (!err)
		decide_all(*out, "preview", now);
	return err;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	free_services(m->services, m->n_services);
	free(m);
}
