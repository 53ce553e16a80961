// SPDX-License-Identifier: BSD-2-Clause
/*
 * Checks whether a probe would take its intended path. The rules, routes and neighbours of proberoute.c can be removed
 * by anything that may change the network (networkd, VPN clients, `ip rule flush`); then a probe uses the main table
 * and reaches some other host that has the VIP. This detects it, has it restored, and records when, so that no verdict
 * is based on such a probe.
 *
 *   1. The kernel is asked for the route of a packet with the probe's mark to the VIP. Only the one that proberoute.c
 *      has made is right: interface, gateway and, for IPv6, the stand-in's MAC address. Any cause is detected this
 *      way: a missing rule, another rule in front of it, a route, an address.
 *   2. It is asked after an event about one of our rules, routes or neighbours, after changes of addresses or the
 *      local table, before each probe, after each failed one, and every few seconds.
 *   3. What is missing is restored at once. What cannot be (the VIP is an address of this box; another rule comes
 *      first) remains a fault of this box until a later check finds it gone.
 */
#include "net/netlink_internal.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <stdio.h>
#include <string.h>
#include "util/clock.h"
#include "util/log.h"

#define LINK_SETTLES_MS 2000

void probeway_lost(struct netlink *n, struct followed *w, enum own_kind kind)
{
	w->disturbed_ms = clock_ms();
	w->install = w->check = true;
	n->lost[kind]++;
	netlink_soon(n, NETLINK_NOW);
}

void probeway_rule_event(struct netlink *n, const struct nlmsghdr *h)
{
	struct followed *w = nexthop_watch(n, proberoute_rule_id(n, h));

	if (h->nlmsg_type == RTM_DELRULE && w && w->has_vip)
		probeway_lost(n, w, OWN_RULES);
	else if (!w)
		probeway_check_all(n); /* of another program, and may precede ours */
}

void probeway_neigh_event(struct netlink *n, const struct nlmsghdr *h, const struct neigh *e)
{
	struct followed *w = nexthop_watch(n, proberoute_stand_in_id(n, &e->address));
	bool right;

	if (!w || !w->has_vip || addr_is_v4(&w->vip) || e->ifindex != w->ifindex)
		return;
	right = h->nlmsg_type == RTM_NEWNEIGH && e->nud == NUD_PERMANENT && e->has_mac &&
		!memcmp(&e->mac, &w->nh.mac, sizeof(e->mac));
	if (!right)
		probeway_lost(n, w, OWN_NEIGHBOURS);
}

void probeway_check_all(struct netlink *n)
{
	for (uint32_t id = 1; id < n->watches_end; id++)
		if (n->watches[id])
			n->watches[id]->check = n->watches[id]->has_vip;
	netlink_soon(n, NETLINK_DEBOUNCE);
}

static bool stand_in_is_right(struct netlink *n, const struct followed *w, const struct addr *via)
{
	struct neigh e = {.ifindex = w->ifindex, .address = *via};

	return !neigh_get(n, &e) && e.nud == NUD_PERMANENT && e.has_mac &&
	       !memcmp(&e.mac, &w->nh.mac, sizeof(e.mac));
}

/* Rule 1. */
static enum probe_way probeway_ask(struct netlink *n, const struct followed *w, struct route *r)
{
	bool v4 = addr_is_v4(&w->vip);
	struct addr via = v4 ? w->via : proberoute_stand_in(n, w->id);
	int type = nexthop_route(n, &w->vip, n->mark | w->id, r);

	if (type == RTN_LOCAL)
		return PROBE_WAY_VIP_LOCAL;
	if (type < 0 && !nexthop_route_refuses(type))
		return PROBE_WAY_WHOLE; /* it could not be asked */
	if (type != RTN_UNICAST || r->ifindex != w->ifindex || !addr_equal(&r->via, &via))
		return PROBE_WAY_ASTRAY;
	return v4 || stand_in_is_right(n, w, &via) ? PROBE_WAY_WHOLE : PROBE_WAY_ASTRAY;
}

/* Whether there is a path to check; without a next hop none was made. */
static bool has_way(const struct followed *w)
{
	return w->has_vip && w->ifindex && (addr_is_v4(&w->vip) || w->nh.has_mac);
}

void probeway_check(struct netlink *n, struct followed *w)
{
	enum probe_way was = w->way;
	struct route r;

	w->check = false;
	w->way = has_way(w) ? probeway_ask(n, w, &r) : PROBE_WAY_WHOLE;
	if (w->way == PROBE_WAY_ASTRAY) {
		n->lost[OWN_ROUTES] += !w->install && was == PROBE_WAY_WHOLE;
		proberoute_install(n, w);
		w->disturbed_ms = clock_ms();
		w->way = probeway_ask(n, w, &r);
	}
	if (w->way != PROBE_WAY_WHOLE)
		w->disturbed_ms = clock_ms();
	if (w->way != was && w->way == PROBE_WAY_ASTRAY)
		log_error(
			"event=probe_astray backend=%u priority=%u advice=\"another policy rule or "
			"route comes before mxlb's: ip rule shows it; give datapath.priority a "
			"smaller number than its\"",
			w->id, n->priority);
}

/* IPv4 takes any address of the box for its questions, IPv6 one of the interface. */
static bool lacks_address(const struct netlink *n, const struct followed *w)
{
	int port = port_by_ifindex(n, w->ifindex);

	return port >= 0 && !addr_is_v4(&w->via) && !n->ports[port].has_ipv6;
}

enum probe_way netlink_probe_way(struct netlink *n, uint32_t server_id, bool look,
				 uint64_t since_ms)
{
	struct followed *w = nexthop_watch(n, server_id);

	if (!w || !w->has_vip)
		return PROBE_WAY_WHOLE;
	netlink_drain(n); /* what is known there already */
	if (look || w->check)
		probeway_check(n, w);
	if (w->way != PROBE_WAY_WHOLE)
		return w->way;
	if (lacks_address(n, w))
		return PROBE_WAY_NO_ADDRESS;
	return since_ms && w->disturbed_ms >= since_ms ? PROBE_WAY_DISTURBED : PROBE_WAY_WHOLE;
}

/* A removed link takes its routes and neighbours with it: that is no fault to report. */
static bool links_are_settled(const struct netlink *n)
{
	uint64_t now_ms = clock_ms();

	for (unsigned i = 0; i < n->n_ports; i++) {
		const struct netlink_link *link = &n->ports[i].link;

		if (!link->up || !link->carrier ||
		    (link->up_since_ms && now_ms - link->up_since_ms < LINK_SETTLES_MS))
			return false;
	}
	return true;
}

void probeway_report(struct netlink *n)
{
	bool settled = links_are_settled(n);

	for (int kind = 0; kind < OWN_KINDS; kind++) {
		unsigned lost = n->lost[kind];

		n->lost[kind] = 0;
		if (lost && settled && n->cb.on_put_back)
			n->cb.on_put_back(n->cb.ctx, (enum own_kind)kind, lost);
	}
}
