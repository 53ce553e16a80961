// SPDX-License-Identifier: BSD-2-Clause
/*
 * Routes of VIPs: ha_routes.h. A new metric is added before the old route is removed, so that a router never sees none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

static const char *const states[] = {
	[ROUTE_WITHDRAWN] = "withdrawn",
	[ROUTE_ADVERTISED] = "advertised",
	[ROUTE_DRAINING] = "draining",
};

static const char *route_state_name(enum route_state s)
{
	return (unsigned)s <= ROUTE_DRAINING ? states[s] : "?";
}

static bool takes_connections(const struct service *s)
{
	return s->tier.state != SERVICE_NOT_READY &&
	       (s->tier.state != SERVICE_DOWN || s->conf.withdraw == WITHDRAW_NEVER);
}

/* Services of one VIP share its route: it stays while one of them has a server. */
static bool vip_takes_connections(const struct daemon *d, const struct addr *vip)
{
	for (unsigned i = 0; i < d->model->n_services; i++)
		if (addr_equal(&d->model->services[i].conf.address, vip) &&
		    takes_connections(&d->model->services[i]))
			return true;
	return false;
}

static bool drains(const struct daemon *d)
{
	const struct role_state *r = d->role_state;

	return r && r->role == ROLE_STANDBY && r->source == ROLE_FROM_OPERATOR &&
	       clock_now().mono_ms - r->since_ms < ROUTE_DRAIN_MS;
}

uint64_t viproutes_next_ms(const struct daemon *d)
{
	return drains(d) ? d->role_state->since_ms + ROUTE_DRAIN_MS : 0;
}

static enum route_state ha_routes_wanted(const struct daemon *d, const struct service *s)
{
	if (s->conf.advertise != ADVERTISE_ROUTE || !vip_takes_connections(d, &s->conf.address))
		return ROUTE_WITHDRAWN;
	if (daemon_is_active(d))
		return ROUTE_ADVERTISED;
	return drains(d) ? ROUTE_DRAINING : ROUTE_WITHDRAWN;
}

static uint32_t metric_of(const struct daemon *d, enum route_state state)
{
	return state == ROUTE_DRAINING ? ROUTE_METRIC_DRAINING : d->config->ha.route.metric;
}

static int route_add(struct daemon *d, const struct service *s, uint32_t metric)
{
	return netlink_vip_route_add(d->netlink, &d->config->ha.route, s->conf.interface,
				     &s->conf.address, metric);
}

static int route_del(struct daemon *d, const struct service *s, uint32_t metric, bool *removed)
{
	return netlink_vip_route_del(d->netlink, &d->config->ha.route, &s->conf.address, metric,
				     removed);
}

/*
 * zebra of FRR 8.4 ("ip import-table") takes any removed route of a prefix for the end of all of them. So it is shown the one that
 * stays once more; no other route does, because BIRD might announce the moment in between.
 */
static int route_again(struct daemon *d, const struct service *s, uint32_t metric)
{
	int err;

	if (!netlink_frr_imports(d->netlink, &s->conf.address))
		return 0;
	err = route_del(d, s, metric, NULL);
	return err ?: route_add(d, s, metric);
}

static int ha_routes_route_set(struct daemon *d, const struct service *s, enum route_state is)
{
	int err = is == ROUTE_WITHDRAWN ? 0 : route_add(d, s, metric_of(d, is));
	bool any_removed = false, removed;

	for (enum route_state other = ROUTE_ADVERTISED; other <= ROUTE_DRAINING && !err; other++) {
		if (other == is)
			continue;
		err = route_del(d, s, metric_of(d, other), &removed);
		any_removed |= removed;
	}
	if (err || !any_removed || is == ROUTE_WITHDRAWN)
		return err;
	return route_again(d, s, metric_of(d, is));
}

/* If the interface is down, the kernel has removed the route. That is not an error; it is added again with the link. */
static void ha_routes_complain(struct daemon *d, const struct service *s, int err)
{
	if (err && err != -ENETDOWN && err != -ENODEV && err != d->route_err)
		log_error(
			"event=route service=%s error=\"%s\" advice=\"the VIP is not announced to the routers: "
			"ip route show table %u\"",
			s->conf.name, strerror(-err), d->config->ha.route.table);
	d->route_err = err;
}

static void ha_routes_note(struct daemon *d, const struct service *s, enum route_state from,
			   enum route_state to)
{
	struct event *e = daemon_event(d, EVENT_ROUTE);

	snprintf(e->service, sizeof(e->service), "%s", s->conf.name);
	snprintf(e->from, sizeof(e->from), "%s", route_state_name(from));
	snprintf(e->to, sizeof(e->to), "%s", route_state_name(to));
	if (to == ROUTE_WITHDRAWN)
		snprintf(e->cause, sizeof(e->cause), "%s",
			 daemon_is_active(d) ? service_state_name(s->tier.state) : "standby");
}

void viproutes_update(struct daemon *d)
{
	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service *s = &d->model->services[i];
		enum route_state *was = &d->routes[s->id], is = ha_routes_wanted(d, s);

		if (s->conf.advertise != ADVERTISE_ROUTE && *was == ROUTE_WITHDRAWN)
			continue;
		ha_routes_complain(d, s, ha_routes_route_set(d, s, is));
		if (is != *was)
			ha_routes_note(d, s, *was, is);
		*was = is;
		d->route_states[s->id] = route_state_name(is);
	}
}

static bool wants_any(const struct daemon *d)
{
	for (unsigned i = 0; i < d->model->n_services; i++)
		if (d->model->services[i].conf.advertise == ADVERTISE_ROUTE)
			return true;
	return false;
}

/*
 * Routes of an earlier mxlbd stay until the first verdicts, because mail uses them. Those of services without any are
 * removed.
 */
void viproutes_start(struct daemon *d)
{
	if (d->config->ha.given && !wants_any(d))
		netlink_vip_routes_purge(d->netlink, &d->config->ha.route);
}

static bool still_routed(const struct config *c, const struct addr *vip)
{
	for (unsigned i = 0; i < c->n_services; i++)
		if (c->services[i].advertise == ADVERTISE_ROUTE &&
		    addr_equal(&c->services[i].address, vip))
			return true;
	return false;
}

void viproutes_reload(struct daemon *d, const struct config *was)
{
	for (unsigned i = 0; i < was->n_services; i++) {
		const struct service_conf *s = &was->services[i];

		if (s->advertise != ADVERTISE_ROUTE || still_routed(d->config, &s->address))
			continue;
		netlink_vip_route_del(d->netlink, &was->ha.route, &s->address, was->ha.route.metric,
				      NULL);
		netlink_vip_route_del(d->netlink, &was->ha.route, &s->address,
				      ROUTE_METRIC_DRAINING, NULL);
	}
}

void viproutes_remove(struct daemon *d)
{
	if (d->config->ha.given)
		netlink_vip_routes_purge(d->netlink, &d->config->ha.route);
}
