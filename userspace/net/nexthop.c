// SPDX-License-Identifier: BSD-2-Clause
/*
 * The next hop of each watched server: route, then neighbour, from the kernel.
 *
 *   1. The next hop is the gateway of the route to the server's address, or the address itself. It counts only behind
 *      a declared interface (or its VLAN device, if it has a tag), because the datapath is on no other.
 *   2. The state follows the kernel's: an entry with a usable MAC is RESOLVED, NUD_FAILED is FAILED, anything else is
 *      UNRESOLVED; but FAILED lasts until something resolves, so that retries do not flap.
 *   3. The last MAC address stays known in every state, as long as the next hop is behind the same interface.
 *   4. No other traffic to the servers leaves this box, so entries are refreshed every few seconds as if it did
 *      (NTF_USE), failed ones every second. Never permanent entries: NTF_USE would remove their NUD_PERMANENT
 *      (__neigh_update, Linux 5.16 and later). Only next hops are touched, never remote addresses.
 *   5. A reprobe ends in one report: at the entry's next REACHABLE or FAILED, or as FAILED at its deadline.
 *   6. A tunnel's MTU is that of the route, or of an exception that a router's ICMP made; but never below what the
 *      inner family guarantees, because such an error is forged or useless. Its source is the one that the kernel
 *      would choose.
 *   7. A server without a tunnel is on the link where it was found. If the route to it later leads to a gateway or an
 *      undeclared interface, this box's routing has changed (a VPN client, a policy rule), not the server's location:
 *      the next hop stays.
 */
#include "net/netlink_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "util/clock.h"
#include "util/log.h"

#define NUD_STATIC    (NUD_PERMANENT | NUD_NOARP)
#define NUD_USABLE    (NUD_STATIC | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)
#define REFRESH_TICKS 4 /* below delay_first_probe_time (5 s), so that used entries stay fresh */
#define REPROBE_DEADLINE_MS \
	8000 /* longer than a probe and a resolution with the default of 1 s, 3 times each */

struct followed *nexthop_watch(const struct netlink *n, uint32_t server_id)
{
	return server_id < MXLB_MAX_SERVERS ? n->watches[server_id] : NULL;
}

int netlink_watch(struct netlink *n, uint32_t server_id, const struct addr *address)
{
	struct followed *w = nexthop_watch(n, server_id);

	if (!n->loop || !server_id || server_id >= MXLB_MAX_SERVERS)
		return -EINVAL;
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		n->watches[server_id] = w;
		if (n->watches_end <= server_id)
			n->watches_end = server_id + 1;
	}
	if (!addr_equal(&w->address, address))
		*w = (struct followed){.id = server_id,
				       .address = *address,
				       .has_vip = w->has_vip,
				       .vip = w->vip,
				       .tunnel = w->tunnel};
	w->ask = w->report = true;
	netlink_soon(n, NETLINK_NOW);
	return 0;
}

void netlink_unwatch(struct netlink *n, uint32_t server_id)
{
	if (!nexthop_watch(n, server_id))
		return;
	free(n->watches[server_id]);
	n->watches[server_id] = NULL;
	while (n->watches_end && !n->watches[n->watches_end - 1])
		n->watches_end--;
}

/* Rules 2, 3 and 5. */
static void entry_seen(struct followed *w, const struct neigh *e)
{
	struct nexthop *nh = &w->nh;

	if (e->nud & NUD_USABLE && e->has_mac) {
		nh->state = NEXTHOP_RESOLVED;
		nh->has_mac = true;
		nh->mac = e->mac;
	} else if (e->nud & NUD_FAILED) {
		nh->state = NEXTHOP_FAILED;
	} else if (nh->state == NEXTHOP_RESOLVED) {
		nh->state = NEXTHOP_UNRESOLVED;
	}
	if (!w->reprobe_deadline_ms)
		return;
	if (e->nud & (NUD_REACHABLE | NUD_STATIC | NUD_FAILED)) {
		w->reprobe_deadline_ms = 0;
		w->report = true;
	} else if (!(e->nud & (NUD_PROBE | NUD_INCOMPLETE))) {
		/* Deleted, or a stray ARP replaced the MAC and stopped the probe (STALE): once more. */
		w->probe = true;
	}
}

void nexthop_neigh_event(struct netlink *n, const struct nlmsghdr *h)
{
	struct neigh e;

	if (!neigh_parse(h, &e))
		return;
	probeway_neigh_event(n, h, &e);
	for (uint32_t id = 1; id < n->watches_end; id++) {
		struct followed *w = n->watches[id];

		if (!w || w->ifindex != e.ifindex || !addr_equal(&w->via, &e.address))
			continue;
		entry_seen(w, &e);
		netlink_soon(n, NETLINK_NOW);
	}
}

void nexthop_ask_all(struct netlink *n)
{
	for (uint32_t id = 1; id < n->watches_end; id++)
		if (n->watches[id])
			n->watches[id]->ask = true;
	netlink_soon(n, NETLINK_DEBOUNCE);
}

static bool prefix_covers(const struct addr *prefix, unsigned len, const struct addr *a)
{
	unsigned bytes = len / 8, bits = len % 8;

	if (addr_is_v4(prefix) != addr_is_v4(a) || memcmp(prefix->b, a->b, bytes))
		return false;
	return !bits || !((prefix->b[bytes] ^ a->b[bytes]) >> (8 - bits));
}

/* Asks again only for servers whose address the route covers, because a full BGP table may be loaded here. */
void nexthop_route_event(struct netlink *n, const struct nlmsghdr *h)
{
	const struct rtmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[RTA_TABLE + 1];
	struct addr dst = {{0}};
	unsigned len;
	uint32_t own, table;
	bool v4;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*msg) || msg->rtm_flags & RTM_F_CLONED ||
	    (msg->rtm_family != AF_INET && msg->rtm_family != AF_INET6))
		return;
	v4 = msg->rtm_family == AF_INET;
	len = msg->rtm_dst_len + (v4 ? 96 : 0);
	request_attrs(h, sizeof(*msg), tb, RTA_TABLE);
	if (!request_get_addr(tb[RTA_DST], &dst) && v4)
		addr_from_bytes("\0\0\0\0", 4, &dst); /* the default route has no RTA_DST */
	table = tb[RTA_TABLE] ? mnl_attr_get_u32(tb[RTA_TABLE]) : msg->rtm_table;
	own = proberoute_id(n, table);
	if (table == RT_TABLE_LOCAL)
		probeway_check_all(n); /* a VIP may be local now */
	for (uint32_t id = 1; id < n->watches_end; id++) {
		struct followed *w = n->watches[id];

		if (!w)
			continue;
		if (own == id && h->nlmsg_type == RTM_DELROUTE && w->has_vip &&
		    addr_equal(&dst, &w->vip))
			probeway_lost(n, w, OWN_ROUTES);
		else if (!own && prefix_covers(&dst, len, &w->address))
			w->ask = true;
		else
			continue;
		netlink_soon(n, NETLINK_DEBOUNCE);
	}
}

void nexthop_ask(struct netlink *n, const struct addr *to)
{
	for (uint32_t id = 1; id < n->watches_end; id++)
		if (n->watches[id] && addr_equal(&n->watches[id]->address, to))
			n->watches[id]->ask = true;
}

void nexthop_tell_unreachable(struct netlink *n, const struct addr *to)
{
	for (uint32_t id = 1; id < n->watches_end && n->cb.on_unreachable; id++)
		if (n->watches[id] && addr_equal(&n->watches[id]->address, to))
			n->cb.on_unreachable(n->cb.ctx, id);
}

static uint32_t metric_mtu(const struct nlattr *metrics)
{
	const struct nlattr *tb[RTAX_MTU + 1];

	if (!metrics)
		return 0;
	request_nested(metrics, tb, RTAX_MTU);
	return tb[RTAX_MTU] ? mnl_attr_get_u32(tb[RTAX_MTU]) : 0;
}

static void route_got(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[RTA_VIA + 1];
	struct route *r = arg;

	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof(*msg))
		return;
	r->type = msg->rtm_type;
	request_attrs(h, sizeof(*msg), tb, RTA_VIA);
	if (tb[RTA_OIF])
		r->ifindex = mnl_attr_get_u32(tb[RTA_OIF]);
	request_get_addr(tb[RTA_PREFSRC], &r->source);
	r->mtu = metric_mtu(tb[RTA_METRICS]);
	r->routed = request_get_addr(tb[RTA_GATEWAY], &r->via);
	if (tb[RTA_VIA] && mnl_attr_get_payload_len(tb[RTA_VIA]) == sizeof(struct rtvia) + 16) {
		addr_from_bytes((const char *)mnl_attr_get_payload(tb[RTA_VIA]) +
					sizeof(struct rtvia),
				16, &r->via);
		r->routed = true;
	}
}

int nexthop_route(struct netlink *n, const struct addr *to, uint32_t mark, struct route *out)
{
	union netlink_msg m;
	struct rtmsg *msg = request_start(&m, RTM_GETROUTE, 0, sizeof(*msg));
	int err;

	*out = (struct route){.via = *to};
	msg->rtm_family = addr_is_v4(to) ? AF_INET : AF_INET6;
	msg->rtm_dst_len = addr_is_v4(to) ? 32 : 128;
	request_put_addr(&m, RTA_DST, to);
	if (mark)
		mnl_attr_put_u32(&m.h, RTA_MARK, mark);
	err = request_send(n, &m.h, route_got, out);
	return err ?: out->type;
}

bool nexthop_route_refuses(int err)
{
	return err == -ENETUNREACH || err == -EHOSTUNREACH || err == -EINVAL || err == -EACCES;
}

int netlink_is_local(struct netlink *n, const struct addr *a, bool *local)
{
	struct route r;
	int type = nexthop_route(n, a, 0, &r);

	if (type < 0 && !nexthop_route_refuses(type))
		return type;
	*local = type == RTN_LOCAL;
	return 0;
}

/* Logs why a server has no next hop, once per cause. */
static void nexthop_trouble(struct followed *w, const char *why)
{
	char text[ADDR_TEXT_SIZE];

	if (why && w->trouble != why)
		log_warn("event=no_next_hop backend=%u address=%s reason=\"%s\"", w->id,
			 addr_text(&w->address, text), why);
	w->trouble = why;
}

/*
 * Rule 6: IPv6 carries 1280 bytes everywhere (RFC 8200 section 5); of IPv4, Linux believes no less than 552
 * (net.ipv4.route.min_pmtu). Each with the outer header.
 */
static uint32_t least_mtu(const struct followed *w)
{
	bool inner_v4 = !w->has_vip || addr_is_v4(&w->vip);

	return addr_is_v4(&w->address) ? (inner_v4 ? 552 : 1280) + 20 : 1280 + (inner_v4 ? 0 : 40);
}

/* Rule 6. */
static void take_tunnel(struct followed *w, const struct route *r, const struct netlink_link *link)
{
	uint32_t mtu = r->mtu && r->mtu < link->mtu ? r->mtu : link->mtu, least = least_mtu(w);

	if (mtu < least)
		mtu = link->mtu < least ? link->mtu : least;
	w->nh.mtu = mtu < UINT16_MAX ? mtu : UINT16_MAX;
	w->nh.source = r->source;
	w->nh.routed = r->routed;
}

static const char *undeclared(const struct netlink *n, int ifindex)
{
	for (unsigned i = 0; i < n->n_ports; i++)
		if (n->ports[i].below.ifindex == ifindex)
			return "behind the interface itself, not behind the VLAN device of its tag";
	return "behind an interface that is not declared";
}

/* Rule 7. */
static bool is_detour(const struct netlink *n, const struct followed *w, const struct route *r)
{
	bool on_link = w->has_vip && !w->tunnel && w->nh.has_mac && !w->nh.routed &&
		       port_by_ifindex(n, w->ifindex) >= 0;

	return on_link && (r->routed || port_by_ifindex(n, r->ifindex) < 0);
}

/* Rule 1: false when there is no next hop that the datapath could use. */
static bool take_route(struct netlink *n, struct followed *w, int type, const struct route *r)
{
	int port = type == RTN_UNICAST ? port_by_ifindex(n, r->ifindex) : -1;

	if (type == RTN_UNICAST && is_detour(n, w, r)) {
		nexthop_trouble(w,
				"the route to it now leads elsewhere (ip rule, ip route get); mail "
				"goes on to where it was found");
		return true;
	}
	if (port < 0) {
		w->ifindex = 0;
		w->nh.state = NEXTHOP_UNRESOLVED;
		if (type == RTN_UNICAST || type == RTN_LOCAL)
			w->nh.has_mac = false; /* elsewhere; without a route it may return */
		nexthop_trouble(w, type == RTN_UNICAST ? undeclared(n, r->ifindex)
				   : type == RTN_LOCAL ? "an address of this box"
						       : "no route");
		return false;
	}
	if (w->ifindex != r->ifindex || !addr_equal(&w->via, &r->via)) {
		w->nh.state = NEXTHOP_UNRESOLVED;
		w->nh.has_mac = w->nh.has_mac && w->nh.interface == (unsigned)port;
		w->nh.interface = port;
		w->ifindex = r->ifindex;
		w->via = r->via;
		w->install = w->check = w->has_vip;
	}
	take_tunnel(w, r, port_ip(&n->ports[port]));
	nexthop_trouble(w, NULL);
	return true;
}

static int nexthop_ask_one(struct netlink *n, struct followed *w)
{
	struct neigh e;
	struct route r;
	int type = nexthop_route(n, &w->address, 0, &r);
	int err;

	if (type < 0 && !nexthop_route_refuses(type))
		return type;
	if (!take_route(n, w, type, &r))
		return 0;
	e = (struct neigh){.ifindex = w->ifindex, .address = w->via};
	err = neigh_get(n, &e);
	if (err)
		return err;
	entry_seen(w, &e);
	return e.nud & NUD_STATIC ? 0 : neigh_use(n, &e);
}

/* Rule 5. An entry with a MAC address is probed by unicast, any other is resolved again. */
static int probe(struct netlink *n, struct followed *w)
{
	struct neigh e = {.ifindex = w->ifindex, .address = w->via};
	int err = neigh_get(n, &e);

	if (err)
		return err;
	if (e.nud & NUD_STATIC) {
		entry_seen(w, &e); /* permanent: counts as confirmed */
		return 0;
	}
	if (e.nud & NUD_USABLE && e.has_mac)
		err = neigh_probe(n, &e);
	if (!(e.nud & NUD_USABLE) || err == -ENOENT)
		err = neigh_use(n, &e);
	return err;
}

int netlink_reprobe(struct netlink *n, uint32_t server_id)
{
	struct followed *w = nexthop_watch(n, server_id);
	int err;

	if (!w)
		return -ENOENT;
	if (!w->ifindex)
		return -ENETUNREACH;
	if (w->reprobe_deadline_ms)
		return 0; /* one is in progress: its result serves both */
	netlink_drain(n); /* later reports are the result, earlier ones are not */
	w->reprobe_deadline_ms = clock_ms() + REPROBE_DEADLINE_MS;
	err = probe(n, w);
	if (err)
		w->reprobe_deadline_ms = 0;
	netlink_soon(n, NETLINK_NOW);
	return err;
}

void nexthop_tick(struct netlink *n)
{
	uint64_t now = clock_ms();

	n->ticks++;
	for (uint32_t id = 1; id < n->watches_end; id++) {
		struct followed *w = n->watches[id];

		if (!w)
			continue;
		if (w->nh.state != NEXTHOP_RESOLVED || (id + n->ticks) % REFRESH_TICKS == 0)
			w->ask = true;
		w->check |= (id + n->ticks) % REFRESH_TICKS == 0;
		if (w->reprobe_deadline_ms && now >= w->reprobe_deadline_ms) {
			w->reprobe_deadline_ms = 0;
			w->nh.state = NEXTHOP_FAILED;
			w->report = true;
		}
	}
}

static bool nexthop_equal(const struct nexthop *a, const struct nexthop *b)
{
	return a->state == b->state && a->has_mac == b->has_mac && a->interface == b->interface &&
	       a->routed == b->routed && a->mtu == b->mtu && addr_equal(&a->source, &b->source) &&
	       (!a->has_mac || !memcmp(&a->mac, &b->mac, sizeof(a->mac)));
}

static void log_failure(struct netlink *n, const struct followed *w, const char *what, int err)
{
	char why[192];

	log_debug("event=netlink_failed what=%s backend=%u %s", what, w->id,
		  request_error(n, err, why, sizeof(why)));
}

static void settle_one(struct netlink *n, struct followed *w)
{
	int err;

	if (w->ask) {
		w->ask = false;
		err = nexthop_ask_one(n, w);
		if (err)
			log_failure(n, w, "ask", err);
		w->answered |= !err;
	}
	if (w->probe) {
		w->probe = false;
		err = w->reprobe_deadline_ms && w->ifindex ? probe(n, w) : 0;
		if (err)
			log_failure(n, w, "reprobe", err);
	}
}

void nexthop_settle(struct netlink *n)
{
	for (uint32_t id = 1; id < n->watches_end; id++) {
		struct followed *w = n->watches[id];
		struct nexthop nh;

		if (!w)
			continue;
		settle_one(n, w);
		nh = w->nh;
		if (w->has_vip && (w->install || memcmp(&nh.mac, &w->told.mac, sizeof(nh.mac)) ||
				   (w->tunnel && nh.mtu != w->told.mtu)))
			proberoute_install(n, w);
		if (w->check)
			probeway_check(n, w);
		if (!w->answered || (w->told_once && !w->report && nexthop_equal(&nh, &w->told)))
			continue;
		w->told = nh;
		w->told_once = true;
		w->report = false;
		if (n->cb.on_nexthop)
			n->cb.on_nexthop(n->cb.ctx, id, &nh); /* may end or replace w */
	}
	probeway_report(n);
}
