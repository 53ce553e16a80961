/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators' overrides: the state and weight of a server, the tier of a service. Each is stored with the operator's
 * name and its duration.
 *
 *   1. A server that leaves maint has not been probed meanwhile, so its verdict starts from scratch.
 *   2. When a temporary override expires, the last permanent setting applies again; for a forced tier, none.
 *   3. States and tiers survive a reload and a restart, and (daemon/kept_overrides.c) a detach and a reboot. Weights do not,
 *      as in HAProxy: the file sets them again. A change of the zone does not read the file, and ends no weight.
 *   4. A temporary override lasts as long as it was given for, whatever steps the wall clock makes. Its expiry is stored
 *      by the wall clock, so that follows each step.
 */
#include <stdio.h>
#include <string.h>
#include "core/override.h"
#include "core/decide.h"
#include "core/model_event.h"

#define CLOCK_STEP_MS 1000 /* smaller steps are not worth a write */

static struct order order_of(const char *who, uint64_t for_ms, struct now now)
{
	struct order o = {.since_wall_ms = now.wall_ms};

	if (for_ms > ORDER_FOR_MAX_MS)
		for_ms = ORDER_FOR_MAX_MS;
	snprintf(o.who, sizeof(o.who), "%s", who);
	if (for_ms) {
		o.until_wall_ms = now.wall_ms + (int64_t)for_ms;
		o.until_ms = now.mono_ms + for_ms;
	}
	return o;
}

struct order override_adopt(const struct order *o, struct now now)
{
	struct order out = *o;

	out.until_ms = 0;
	if (out.since_wall_ms > now.wall_ms) { /* by the clock of that time: as if given now */
		if (out.until_wall_ms > out.since_wall_ms)
			out.until_wall_ms -= out.since_wall_ms - now.wall_ms;
		out.since_wall_ms = now.wall_ms;
	}
	if (out.until_wall_ms > now.wall_ms)
		out.until_ms = now.mono_ms + (uint64_t)(out.until_wall_ms - now.wall_ms);
	else if (out.until_wall_ms)
		out.until_ms = now.mono_ms;
	return out;
}

bool override_follow_clock(struct order *o, struct now now)
{
	int64_t until_wall_ms = now.wall_ms + (int64_t)(o->until_ms - now.mono_ms);
	int64_t off_ms = until_wall_ms - o->until_wall_ms;

	if (!o->until_ms || (off_ms < CLOCK_STEP_MS && off_ms > -CLOCK_STEP_MS))
		return false;
	o->since_wall_ms += off_ms;
	o->until_wall_ms = until_wall_ms;
	return true;
}

bool model_follow_clock(struct model *m, struct now now)
{
	bool stepped = false;

	for (unsigned i = 0; i < m->n_services; i++) {
		struct service *s = &m->services[i];

		stepped |= override_follow_clock(&s->order, now);
		for (unsigned j = 0; j < s->n_servers; j++)
			stepped |= override_follow_clock(&s->servers[j].order, now);
	}
	return stepped;
}

static void order_text(struct event *e, const struct order *o, const char *who)
{
	size_t name = strcspn(who, ",");

	snprintf(e->user, sizeof(e->user), "%.*s", (int)name, who);
	if (o->until_ms)
		snprintf(e->cause, sizeof(e->cause), "for %lld s",
			 (long long)(o->until_wall_ms - o->since_wall_ms) / 1000);
	else if (who[name])
		event_text(e->cause, sizeof(e->cause), "expired");
}

/* Sets the state and adds the event; .order and .admin_after are set by the caller. */
static void set_admin(struct model *m, struct service *s, struct server *b, enum admin_state admin,
		      const char *who, struct now now)
{
	char cause[2 * EVENT_TEXT_SIZE];
	enum admin_state was = b->admin;
	struct event *e;

	b->admin = admin;
	if (was == ADMIN_MAINT && admin != was) { /* rule 1 */
		health_init(&b->health, now.mono_ms);
		decide_forget_results(b);
		b->since_wall_ms = now.wall_ms;
	}
	e = model_event(m, EVENT_BACKEND_ADMIN, s, b, now);
	event_text(e->from, sizeof(e->from), admin_state_name(was));
	event_text(e->to, sizeof(e->to), admin_state_name(admin));
	order_text(e, &b->order, who);
	snprintf(cause, sizeof(cause), "%s set to %s by %s", b->conf.name, e->to, who);
	decide_service(m, s, cause, now);
}

bool model_admin_for(struct model *m, uint32_t server_id, enum admin_state admin, const char *who,
		     uint64_t for_ms, struct now now)
{
	struct service *s;
	struct server *b = model_server(m, server_id, &s);

	if (!b || (b->admin == admin && !for_ms && !b->order.until_ms))
		return false;
	if (!b->order.until_ms)
		b->admin_after = b->admin;
	if (!for_ms)
		b->admin_after = admin;
	b->order = order_of(who, for_ms, now);
	set_admin(m, s, b, admin, who, now);
	return true;
}

bool model_admin(struct model *m, uint32_t server_id, enum admin_state admin, const char *who,
		 struct now now)
{
	return model_admin_for(m, server_id, admin, who, 0, now);
}

void model_admin_restore(struct model *m, uint32_t server_id, enum admin_state admin,
			 enum admin_state after, const struct order *o, struct now now)
{
	struct order is = override_adopt(o, now);
	struct server *b = model_server(m, server_id, NULL);

	if (!b)
		return;
	if (is.until_ms) /* rule 2 */
		model_admin(m, server_id, after, is.who, now);
	if (!is.until_ms || is.until_ms > now.mono_ms)
		model_admin_for(m, server_id, admin, is.who,
				is.until_ms ? is.until_ms - now.mono_ms : 0, now);
	if (b->order.who[0])
		b->order.since_wall_ms = is.since_wall_ms;
}

static struct service *service_by_id(struct model *m, uint32_t id)
{
	for (unsigned i = 0; i < m->n_services; i++)
		if (m->services[i].id == id)
			return &m->services[i];
	return NULL;
}

static bool has_tier(const struct service *s, uint16_t preference)
{
	for (unsigned i = 0; i < s->n_servers; i++)
		if (s->servers[i].conf.preference == preference)
			return true;
	return false;
}

static void forced_name(char *to, size_t size, bool has_forced, uint16_t forced)
{
	if (has_forced)
		snprintf(to, size, "%u", forced);
	else
		event_text(to, size, "auto");
}

static void set_forced(struct model *m, struct service *s, bool has_forced, uint16_t forced,
		       const char *who, struct now now)
{
	struct event *e = model_event(m, EVENT_SERVICE_FORCED, s, NULL, now);
	char cause[2 * EVENT_TEXT_SIZE];

	forced_name(e->from, sizeof(e->from), s->has_forced, s->forced);
	forced_name(e->to, sizeof(e->to), has_forced, forced);
	order_text(e, &s->order, who);
	s->has_forced = has_forced;
	s->forced = forced;
	s->tier.from_scratch = !has_forced;
	snprintf(cause, sizeof(cause), "tier set to %s by %s", e->to, who);
	decide_service(m, s, cause, now);
}

bool model_force(struct model *m, uint32_t service_id, uint16_t preference, const char *who,
		 uint64_t for_ms, struct now now)
{
	struct service *s = service_by_id(m, service_id);

	if (!s || !has_tier(s, preference))
		return false;
	s->order = order_of(who, for_ms, now);
	set_forced(m, s, true, preference, who, now);
	return true;
}

bool model_auto(struct model *m, uint32_t service_id, const char *who, struct now now)
{
	struct service *s = service_by_id(m, service_id);

	if (!s)
		return false;
	s->order = order_of(who, 0, now);
	set_forced(m, s, false, 0, who, now);
	return true;
}

void model_restart_holds(struct model *m, struct now now)
{
	for (unsigned i = 0; i < m->n_services; i++) {
		m->services[i].tier.n_held = 0;
		decide_service(m, &m->services[i], "failback-hold restarts", now);
	}
}

void override_note_weight(struct model *m, const struct service *s, const struct server *b,
			  uint16_t from, uint16_t to, const char *who, const char *cause,
			  struct now now)
{
	struct event *e = model_event(m, EVENT_BACKEND_WEIGHT, s, b, now);

	snprintf(e->from, sizeof(e->from), "%u", from);
	snprintf(e->to, sizeof(e->to), "%u", to);
	event_text(e->user, sizeof(e->user), who);
	event_text(e->cause, sizeof(e->cause), cause);
}

bool model_weight(struct model *m, uint32_t server_id, uint16_t weight, const char *who,
		  struct now now)
{
	struct service *s;
	struct server *b = model_server(m, server_id, &s);
	char cause[2 * EVENT_TEXT_SIZE];

	if (!b || weight > MXLB_MAX_WEIGHT || b->weight == weight)
		return false;
	override_note_weight(m, s, b, b->weight, weight, who, "", now);
	b->weight = weight;
	snprintf(cause, sizeof(cause), "%s given weight %u by %s", b->conf.name, weight, who);
	decide_service(m, s, cause, now);
	return true;
}

/* Rule 2. */
bool override_expire(struct model *m, struct service *s, struct now now)
{
	char who[ORDER_WHO_SIZE + 32];
	bool changed = false;

	for (unsigned i = 0; i < s->n_servers; i++) {
		struct server *b = &s->servers[i];

		if (!b->order.until_ms || b->order.until_ms > now.mono_ms)
			continue;
		snprintf(who, sizeof(who), "%s, whose setting expired", b->order.who);
		b->order = order_of(b->order.who, 0, now);
		set_admin(m, s, b, b->admin_after, who, now);
		changed = true;
	}
	if (s->order.until_ms && s->order.until_ms <= now.mono_ms) {
		snprintf(who, sizeof(who), "%s, whose setting expired", s->order.who);
		model_auto(m, s->id, who, now);
		changed = true;
	}
	return changed;
}
