// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lookups by their time, and their answers into the configuration in force. Decisions: core/zone.c and core/tlsaset.c.
 *
 *   1. There is a state for each service with `mx` and for each probe with `tlsa-name`. A reload keeps those whose name
 *      in DNS stays.
 *   2. What comes into force is a copy of the configuration with other servers, applied as by a reload.
 *   3. A service whose zone was never answered, or whose first answer is held back, keeps the servers it had before the
 *      reload, also over a restart; or it has none and is not ready.
 *   4. Without such services and probes nothing of this exists: no timer, no child, no library.
 *   5. At a boot the interfaces may have no addresses yet, and then everything is outside `within`. When their addresses
 *      change, a set in force that gives more servers than before is applied again. It takes none away: a lost address
 *      is no change of the zone, and its network still counts (zone_box.c). An address that this box had gives none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "core/zone_finding.h"
#include "daemon/zones_parts.h"
#include "util/log.h"
#include "util/process.h"
#include "zone/zone_store.h"

static void zones_free_entry(struct zone_entry *e)
{
	if (!e)
		return;
	lookup_cancel(e->round);
	if (!e->zone.has_set)
		store_forget_servers(e->service);
	free(e);
}

static void free_tlsa(struct tlsa_entry *e)
{
	if (e && e->asked)
		e->orphan = true;
	else
		free(e);
}

static bool is_kept(const void *entry, void *const *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == entry)
			return true;
	return false;
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events);

static bool wants_tlsa(const struct config *c)
{
	for (unsigned i = 0; i < c->n_probes; i++)
		if (c->probes[i].tlsa_name[0])
			return true;
	return false;
}

/* The file was read again. A lookup under way was begun with the settings of the old one. */
static void look_up_all_again(struct daemon *d)
{
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		struct zone_entry *e = d->zones->entries[i];

		if (!e)
			continue;
		lookup_cancel(e->round);
		e->round = NULL;
		e->zone.due_ms = 0;
	}
	for (unsigned i = 0; i < CONFIG_MAX_PROBES; i++)
		if (d->zones->tlsa[i])
			d->zones->tlsa[i]->set.due_ms = 0;
}

static bool make_zones(struct daemon *d)
{
	struct zones *z = calloc(1, sizeof(*z));

	if (!z || resolver_new(d->loop, &z->resolver)) {
		free(z);
		return false;
	}
	ev_timer_init(&z->tick, on_tick, 0, 0);
	z->tick.data = d;
	d->zones = z;
	return true;
}

/* Rule 3, and over a restart. The entry's map has these servers, so that the first answer is compared with them. */
static void keep_unanswered(struct daemon *d)
{
	for (unsigned i = 0; i < d->config->n_services; i++) {
		const struct service_conf *s = &d->config->services[i];
		struct zone_entry *e = d->zones->entries[i];

		if (!e || e->zone.has_set)
			continue;
		memset(&e->map, 0, sizeof(e->map));
		while (e->map.n < s->n_servers && e->map.n < ZONE_MAX_SERVERS) {
			e->map.servers[e->map.n] = s->servers[e->map.n];
			e->map.n++;
		}
		if (e->map.n)
			store_servers(e->service, e->mx, &s->address, &e->map);
	}
}

void zones_commit(struct daemon *d, struct zones_draft *draft, zones_replace_fn *replace)
{
	bool needed = config_needs_dns(d->config);

	zones_log_left_out(draft);
	if (!d->zones && needed && !make_zones(d))
		log_error("event=zone_failed error=\"no memory\" note=\"reload to try again\"");
	if (!d->zones) {
		zones_drop(draft);
		return;
	}
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++)
		if (!is_kept(d->zones->entries[i], (void *const *)draft->entries,
			     MXLB_MAX_SERVICES))
			zones_free_entry(d->zones->entries[i]);
	for (unsigned i = 0; i < CONFIG_MAX_PROBES; i++)
		if (!is_kept(d->zones->tlsa[i], (void *const *)draft->tlsa, CONFIG_MAX_PROBES))
			free_tlsa(d->zones->tlsa[i]);
	d->zones->replace = replace;
	memcpy(d->zones->entries, draft->entries, sizeof(draft->entries));
	memcpy(d->zones->tlsa, draft->tlsa, sizeof(draft->tlsa));
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++)
		if (draft->maps[i])
			d->zones->entries[i]->map = *draft->maps[i];
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++)
		if (draft->sets[i])
			d->zones->entries[i]->zone.in_force = *draft->sets[i]; /* with names */
	memset(draft->new_entry, 0, sizeof(draft->new_entry));
	memset(draft->new_tlsa, 0, sizeof(draft->new_tlsa));
	zones_drop(draft);
	keep_unanswered(d);
	if (!d->config->from_zone)
		look_up_all_again(d);
	resolver_set(d->zones->resolver, &d->config->dns, wants_tlsa(d->config));
	if (d->model)
		zones_schedule(d);
}

/* ---- into force ---- */

static const struct service *service_of(const struct daemon *d, const char *name)
{
	for (unsigned i = 0; i < d->model->n_services; i++)
		if (!strcmp(d->model->services[i].conf.name, name))
			return &d->model->services[i];
	return NULL;
}

uint32_t zones_chance(void)
{
	uint32_t r = 0;

	return getrandom(&r, sizeof(r), GRND_NONBLOCK) == sizeof(r) ? r : 0;
}

static unsigned find_takers(const struct daemon *d, const char *name,
			    struct server_conf takers[ZONE_MAX_SERVERS])
{
	const struct service *s = service_of(d, name);
	unsigned n = 0;

	for (unsigned i = 0; s && i < s->n_servers && n < ZONE_MAX_SERVERS; i++)
		if (model_takes_mail(&s->servers[i]))
			takers[n++] = s->servers[i].conf;
	return n;
}

static unsigned count_unknown(const struct daemon *d, const char *name)
{
	const struct service *s = service_of(d, name);
	unsigned n = 0;

	for (unsigned i = 0; s && i < s->n_servers; i++)
		n += s->servers[i].health.verdict == VERDICT_UNKNOWN &&
		     s->servers[i].admin != ADMIN_MAINT; /* is not probed */
	return n;
}

/* What is wrong with an exchanger of the zone; "": nothing. */
static const char *trouble_of(const struct zone_entry *e, unsigned i, struct event *ev)
{
	const char *unmapped = e->map.unmapped[i];

	if (e->zone.in_force.list[i].absent.lookups)
		return "";
	if (*unmapped)
		snprintf(ev->reason, sizeof(ev->reason), "unmapped");
	else if (e->zone.in_force.list[i].alias && !*ev->reason)
		snprintf(ev->reason, sizeof(ev->reason), "alias");
	return *unmapped			? unmapped
	       : e->zone.in_force.list[i].alias ? "is an alias (RFC 2181 section 10.3)"
						: "";
}

static void tell_zone(struct daemon *d, const struct zone_entry *e, enum zone_state was,
		      bool remind, const char *who)
{
	struct event *ev = daemon_event(d, EVENT_ZONE);
	char next[FINDING_NEXT_SIZE];
	const char *trouble;
	size_t at;

	snprintf(ev->service, sizeof(ev->service), "%s", e->service);
	snprintf(ev->from, sizeof(ev->from), "%s", zone_state_name(was));
	snprintf(ev->to, sizeof(ev->to), "%s", zone_state_name(e->zone.state));
	snprintf(ev->user, sizeof(ev->user), "%s", who);
	zone_next_step(&e->zone, e->service, next);
	at = (size_t)snprintf(ev->cause, sizeof(ev->cause), "%.*s%s%s", zone_cause_len(e->zone.why),
			      e->zone.why, *next ? "; " : "", next);
	for (unsigned i = 0; i < e->zone.in_force.n && at < sizeof(ev->cause); i++) {
		trouble = trouble_of(e, i, ev);
		if (*trouble)
			at += (size_t)snprintf(ev->cause + at, sizeof(ev->cause) - at, "%s%s %s",
					       at ? "; " : "", e->zone.in_force.list[i].name,
					       trouble);
	}
	if (remind)
		snprintf(ev->reason, sizeof(ev->reason), ZONE_REMINDER);
}

/* Logged when that is new. */
static void note_applied(struct daemon *d, int err)
{
	int was = d->zones->unapplied;

	d->zones->unapplied = err;
	if (err && err != was)
		log_error("event=zone_not_applied error=\"%s\" note=\"tried again%s%s\"",
			  strerror(-err), *process_remedy(err) ? "; " : "", process_remedy(err));
	else if (!err && was)
		log_info("event=zone_applied note=\"after an error\"");
}

/* Rule 2. */
void zones_bring_into_force(struct daemon *d, const char *who)
{
	struct config *next = config_copy(d->config);
	int err = -ENOMEM;

	if (next) {
		next->from_zone = true;
		err = d->zones->replace(d, who, next);
	}
	note_applied(d, err);
	daemon_changed(d);
	if (err)
		config_free(next);
}

/* -errno: .box is missing. */
static int make_view(struct daemon *d, const struct zone_entry *e, struct zone_view *v,
		     struct zone_box **box, struct server_conf *takers)
{
	const struct config *c = d->config;
	int err = zone_box_make(c, &d->zones->seen, box);
	unsigned i = 0;

	while (d->zones->entries[i] != e) /* by config.services */
		i++;
	*v = (struct zone_view){.service = &c->services[i],
				.dns = &c->dns,
				.box = *box,
				.takers = takers,
				.n_takers = find_takers(d, e->service, takers),
				.n_unknown = count_unknown(d, e->service),
				.room = zones_room_for(c, i),
				.now_ms = clock_now().mono_ms,
				.wall_ms = clock_now().wall_ms,
				.random = zones_chance()};
	return err;
}

/* One of zone.c's decisions. a NULL: without an answer; who NULL: not an operator's. -EAGAIN: nothing is applied; 0 or -errno. */
static int zones_decide(struct daemon *d, struct zone_entry *e, const struct zone_answer *a,
			const char *who)
{
	struct server_conf takers[ZONE_MAX_SERVERS];
	enum zone_state was = e->zone.state;
	struct zone_view v;
	struct zone_box *box;
	unsigned act;
	int err = make_view(d, e, &v, &box, takers);

	if (err && who) /* told to the operator; nothing is tried again */
		return err;
	if (err && (!a || a->mx == DNS_OK)) { /* others are judged without it */
		note_applied(d, err);
		if (e->zone.again_ms)
			e->zone.again_ms = clock_now().mono_ms + d->config->dns.refresh_min_ms;
		return err;
	}
	act = who ? zone_accept(&e->zone, &v, &e->map)
	      : a ? zone_answered(&e->zone, a, &v, &e->map)
		  : zone_consider(&e->zone, &v, &e->map);
	zone_box_free(box);
	if (act & ZONE_TELL)
		tell_zone(d, e, was, act & ZONE_REMIND, who ?: "");
	if (e->zone.has_set && e->zone.state == ZONE_CURRENT)
		store_zone(e->service, e->mx, &e->zone);
	if (act & ZONE_APPLY)
		zones_bring_into_force(d, who ?: "zone");
	return act & ZONE_APPLY ? 0 : -EAGAIN;
}

static void on_looked_up(void *ctx, const struct zone_answer *a)
{
	struct zone_entry *e = ctx;
	struct daemon *d = e->daemon;

	e->round = NULL;
	e->zone.due_ms =
		clock_now().mono_ms + d->config->dns.refresh_min_ms; /* if it cannot be judged */
	zones_decide(d, e, a, NULL);
	zones_schedule(d);
}

/* ---- time ---- */

static void zones_look_up(struct daemon *d, unsigned i)
{
	struct zone_entry *e = d->zones->entries[i];

	if (lookup_start(d->zones->resolver, &d->config->services[i], d->config->dns.dnssec,
			 on_looked_up, e, &e->round))
		e->zone.due_ms = clock_now().mono_ms + d->config->dns.refresh_min_ms;
}

static void earlier(uint64_t *first, uint64_t at)
{
	if (at < *first)
		*first = at;
}

/* Rule 5. Also if it cannot be known now: to apply it then fails too, and is tried again. */
static bool has_more_now(const struct daemon *d, unsigned i)
{
	const struct zone_entry *e = d->zones->entries[i];
	struct zone_set *set = malloc(sizeof(*set));
	struct zone_map *map = malloc(sizeof(*map));
	struct zone_box *box = NULL;
	bool has = true;

	if (set && map && !zone_box_make(d->config, &d->zones->seen, &box)) {
		*set = e->zone.in_force;
		zone_box_add_lost(box, &d->zones->seen);
		zone_servers(set, &d->config->services[i], box, zones_room_for(d->config, i), map);
		has = map->n > e->map.n && zone_has_servers(map, &e->map);
	}
	free(set);
	free(map);
	zone_box_free(box);
	return has;
}

/* When the timer is due; looks up what is due now. */
void zones_schedule(struct daemon *d)
{
	uint64_t now = clock_now().mono_ms, first = now + d->config->dns.refresh_max_ms;

	for (unsigned i = 0; i < d->config->n_services; i++) {
		struct zone_entry *e = d->zones->entries[i];

		if (e && !e->round && e->zone.due_ms <= now)
			zones_look_up(d, i);
		if (e && !e->round)
			earlier(&first, e->zone.due_ms);
		if (e && e->zone.again_ms)
			earlier(&first, e->zone.again_ms);
	}
	for (unsigned i = 0; i < d->config->n_probes; i++) {
		struct tlsa_entry *e = d->zones->tlsa[i];

		if (e && !e->asked && e->set.due_ms <= now)
			zones_look_up_tlsa(d, e);
		if (e && !e->asked)
			earlier(&first, e->set.due_ms);
	}
	if (d->zones->unapplied)
		earlier(&first, now + d->config->dns.refresh_min_ms);
	if (d->zones->look)
		first = now;
	ev_timer_stop(d->loop, &d->zones->tick);
	ev_timer_set(&d->zones->tick, first > now ? (double)(first - now) / 1000.0 : 0, 0);
	ev_timer_start(d->loop, &d->zones->tick);
}

static bool wants_another_look(struct daemon *d)
{
	bool more = false;

	for (unsigned i = 0; d->zones->look && i < d->config->n_services && !more; i++)
		more = d->zones->entries[i] && d->zones->entries[i]->zone.has_set &&
		       has_more_now(d, i);
	d->zones->look = false;
	return more;
}

void zones_addresses_changed(struct daemon *d)
{
	if (!d->zones)
		return;
	d->zones->look = true;
	zones_schedule(d);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;
	uint64_t now = clock_now().mono_ms;
	bool more = wants_another_look(d);

	(void)loop, (void)events;
	if (d->zones->unapplied || more)
		zones_bring_into_force(d, "zone");
	for (unsigned i = 0; i < d->config->n_services; i++) {
		struct zone_entry *e = d->zones->entries[i];

		if (e && e->zone.again_ms && e->zone.again_ms <= now)
			zones_decide(d, e, NULL, NULL);
	}
	zones_schedule(d);
}

void zones_start(struct daemon *d)
{
	if (!d->zones)
		return;
	d->zones->look = true; /* no address was reported until now */
	zones_schedule(d);
}

void zones_stop(struct daemon *d)
{
	if (!d->zones)
		return;
	ev_timer_stop(d->loop, &d->zones->tick);
	resolver_free(d->zones->resolver);
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		if (d->zones->entries[i])
			lookup_free(d->zones->entries[i]->round);
		free(d->zones->entries[i]);
	}
	for (unsigned i = 0; i < CONFIG_MAX_PROBES; i++)
		free(d->zones->tlsa[i]);
	free(d->zones);
}

/* ---- for clients ---- */

const struct zone_report *zones_report(struct daemon *d)
{
	struct zones *z = d->zones;

	if (!z || !config_needs_dns(d->config))
		return NULL;
	memset(&z->report, 0, sizeof(z->report));
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		z->report.zones[i] = z->entries[i] ? &z->entries[i]->zone : NULL;
		z->report.maps[i] = z->entries[i] ? &z->entries[i]->map : NULL;
	}
	for (unsigned i = 0; i < CONFIG_MAX_PROBES; i++) {
		z->report.tlsasets[i] = z->tlsa[i] ? &z->tlsa[i]->set : NULL;
		z->report.tlsa_unmatched[i] = z->tlsa[i] && z->tlsa[i]->unmatched;
	}
	z->report.unapplied = z->unapplied;
	return &z->report;
}

static struct zone_entry *entry_named(struct daemon *d, const char *service)
{
	for (unsigned i = 0; d->zones && i < MXLB_MAX_SERVICES; i++)
		if (d->zones->entries[i] && !strcmp(d->zones->entries[i]->service, service))
			return d->zones->entries[i];
	return NULL;
}

int zones_read(struct daemon *d, const char *service)
{
	for (unsigned i = 0; d->zones && i < d->config->n_services; i++) {
		struct zone_entry *e = d->zones->entries[i];
		struct tlsa_entry *t = d->zones->tlsa[d->config->services[i].probe];

		if (strcmp(d->config->services[i].name, service) || (!e && !t))
			continue;
		if (e)
			e->zone.due_ms = 0;
		if (t) /* its probe's records, too */
			t->set.due_ms = 0;
		zones_schedule(d);
		return 0;
	}
	return -ENOENT;
}

int zones_accept(struct daemon *d, const char *service, const char *who)
{
	struct zone_entry *e = entry_named(d, service);
	int err;

	if (!e)
		return -ENOENT;
	err = zones_decide(d, e, NULL, who);
	if (!err)
		zones_schedule(d);
	return err;
}

void zones_held(struct daemon *d, const char *service, struct buf *out)
{
	struct zone_set *set = malloc(sizeof(*set));
	struct zone_map *map = malloc(sizeof(*map));
	const struct zone_entry *e = entry_named(d, service);
	struct config *next = NULL;
	struct zone_box *box = NULL;

	if (!set || !map || !e || !zone_held(&e->zone, set))
		goto out;
	next = config_copy(d->config);
	if (zone_box_make(d->config, &d->zones->seen, &box))
		goto out;
	for (unsigned i = 0; next && i < next->n_services; i++) {
		if (strcmp(next->services[i].name, service))
			continue;
		next->from_zone = true;
		zone_servers(set, &next->services[i], box, zones_room_for(next, i), map);
		if (zone_may_have(&next->services[i], map) &&
		    !zones_set_servers(&next->services[i], map->servers, map->n))
			daemon_compare(d, next, out);
	}
out:
	config_free(next);
	zone_box_free(box);
	free(set);
	free(map);
}
