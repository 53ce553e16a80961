// SPDX-License-Identifier: BSD-2-Clause
/*
 * The rules, tables and link-local neighbours through which a marked socket reaches a VIP on one particular server:
 *
 *	rule	fwmark mark|id, lookup table+id, at the configured priority
 *	table	VIP via the server's next hop; after it "prohibit VIP", so that a probe whose route was removed
 *		with its link fails here (EACCES) instead of reaching another host that has the VIP
 *	tunnel	the VIP's route has the MTU that fits into it; the outer header is added by probetunnel.c
 *	IPv6	the next hop is fe80::6d78:6c62:<mark|id>, permanent, with the server's MAC address
 *
 * All of them have PROBE_PROTOCOL and the configured numbers; anything that has only one of these is not ours and
 * stays.
 */
#include "net/netlink_internal.h"

#include <linux/fib_rules.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>
#include "util/buf.h"
#include "util/log.h"

#define IPV6_MIN_MTU 1280 /* RFC 8200 section 5 */

static const uint8_t link_local[12] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 'm', 'x', 'l', 'b'};

uint32_t proberoute_id(const struct netlink *n, uint32_t table)
{
	return table > n->table && table - n->table < MXLB_MAX_SERVERS ? table - n->table : 0;
}

struct addr proberoute_stand_in(const struct netlink *n, uint32_t id)
{
	uint32_t mark = htonl(n->mark | id);
	struct addr a;

	memcpy(a.b, link_local, sizeof(link_local));
	memcpy(a.b + sizeof(link_local), &mark, sizeof(mark));
	return a;
}

static uint8_t family_of(const struct addr *a)
{
	return addr_is_v4(a) ? AF_INET : AF_INET6;
}

static int rule_send(struct netlink *n, uint16_t type, uint16_t flags, uint8_t family, uint32_t id)
{
	union netlink_msg m;
	struct fib_rule_hdr *rule = request_start(&m, type, flags, sizeof(*rule));

	rule->family = family;
	rule->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(&m.h, FRA_PRIORITY, n->priority);
	mnl_attr_put_u32(&m.h, FRA_FWMARK, n->mark | id);
	mnl_attr_put_u32(&m.h, FRA_FWMASK, UINT32_MAX);
	mnl_attr_put_u32(&m.h, FRA_TABLE, n->table + id);
	mnl_attr_put_u8(&m.h, FRA_PROTOCOL, PROBE_PROTOCOL);
	return request_send(n, &m.h, NULL, NULL);
}

static void proberoute_route_start(struct netlink *n, union netlink_msg *m, uint8_t type,
				   const struct followed *w)
{
	struct rtmsg *msg =
		request_start(m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*msg));

	msg->rtm_family = family_of(&w->vip);
	msg->rtm_dst_len = addr_is_v4(&w->vip) ? 32 : 128;
	msg->rtm_protocol = PROBE_PROTOCOL;
	msg->rtm_type = type;
	request_put_addr(m, RTA_DST, &w->vip);
	mnl_attr_put_u32(&m->h, RTA_TABLE, n->table + w->id);
}

static int route_forbid(struct netlink *n, const struct followed *w)
{
	union netlink_msg m;

	proberoute_route_start(n, &m, RTN_PROHIBIT, w);
	mnl_attr_put_u32(&m.h, RTA_PRIORITY, UINT32_MAX);
	return request_send(n, &m.h, NULL, NULL);
}

/* The MTU of the probe's packets; 0: the interface's. */
static uint32_t route_mtu(const struct followed *w)
{
	uint32_t outer = addr_is_v4(&w->address) ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);

	if (!w->tunnel || w->nh.mtu <= outer)
		return 0;
	return addr_is_v4(&w->vip) || w->nh.mtu - outer > IPV6_MIN_MTU ? w->nh.mtu - outer
								       : IPV6_MIN_MTU;
}

static void route_put_mtu(union netlink_msg *m, uint32_t mtu)
{
	struct nlattr *metrics = mnl_attr_nest_start(&m->h, RTA_METRICS);

	mnl_attr_put_u32(&m->h, RTAX_MTU, mtu);
	mnl_attr_nest_end(&m->h, metrics);
}

static int proberoute_route_set(struct netlink *n, const struct followed *w, const struct addr *via)
{
	union netlink_msg m;
	struct rtmsg *msg;
	struct {
		uint16_t family; /* struct rtvia, whose end is open */
		uint8_t addr[16];
	} v6 = {.family = AF_INET6};

	proberoute_route_start(n, &m, RTN_UNICAST, w);
	msg = mnl_nlmsg_get_payload(&m.h);
	msg->rtm_flags = RTNH_F_ONLINK; /* known to be on-link, from the kernel */
	mnl_attr_put_u32(&m.h, RTA_OIF, w->ifindex);
	if (addr_is_v4(&w->vip) == addr_is_v4(via)) {
		request_put_addr(&m, RTA_GATEWAY, via);
	} else { /* IPv4 by an IPv6 next hop, Linux 5.2 */
		addr_to_bytes(via, v6.addr);
		mnl_attr_put(&m.h, RTA_VIA, sizeof(v6), &v6);
	}
	if (route_mtu(w))
		route_put_mtu(&m, route_mtu(w));
	return request_send(n, &m.h, NULL, NULL);
}

int proberoute_install(struct netlink *n, struct followed *w)
{
	struct neigh e = {
		.ifindex = w->ifindex, .address = proberoute_stand_in(n, w->id), .mac = w->nh.mac};
	bool v4 = addr_is_v4(&w->vip);
	const char *what = "prohibit";
	char why[192];
	int err;

	w->install = false;
	if (!w->ifindex || (!v4 && !w->nh.has_mac))
		return -ENETUNREACH;
	err = route_forbid(n, w);
	if (!err && !v4) {
		what = "neighbour";
		err = neigh_set_permanent(n, &e);
	}
	if (!err) {
		what = "route";
		err = proberoute_route_set(n, w, v4 ? &w->via : &e.address);
	}
	if (!err) { /* last, because the rule without the route would send the probe elsewhere */
		what = "rule";
		err = rule_send(n, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family_of(&w->vip),
				w->id);
		err = err == -EEXIST ? 0 : err;
	}
	if (err && !w->install_failed)
		log_warn("event=probe_route_failed what=%s backend=%u %s", what, w->id,
			 request_error(n, err, why, sizeof(why)));
	w->install = w->install_failed = err; /* retried by the next tick */
	return err;
}

/* A clean-up: what to look for, and copies of what was found. */
struct purge {
	const struct netlink *n;
	uint32_t id;		 /* 0: all */
	const struct addr *keep; /* routes to this one stay */
	struct buf found;
};

static bool purge_wants(const struct purge *p, uint32_t id)
{
	return id && id < MXLB_MAX_SERVERS && (!p->id || p->id == id);
}

/* The id in one of our marks, or 0. */
static uint32_t mark_id(const struct netlink *n, uint32_t mark)
{
	uint32_t id = mark & ~n->mark_mask;

	return (mark & n->mark_mask) == n->mark && id < MXLB_MAX_SERVERS ? id : 0;
}

uint32_t proberoute_rule_id(const struct netlink *n, const struct nlmsghdr *h)
{
	const struct nlattr *tb[FRA_PROTOCOL + 1];

	request_attrs(h, sizeof(struct fib_rule_hdr), tb, FRA_PROTOCOL);
	if (!tb[FRA_PROTOCOL] || !tb[FRA_PRIORITY] || !tb[FRA_FWMARK] || !tb[FRA_TABLE] ||
	    mnl_attr_get_u8(tb[FRA_PROTOCOL]) != PROBE_PROTOCOL ||
	    mnl_attr_get_u32(tb[FRA_PRIORITY]) != n->priority)
		return 0;
	return mark_id(n, mnl_attr_get_u32(tb[FRA_FWMARK]));
}

uint32_t proberoute_stand_in_id(const struct netlink *n, const struct addr *a)
{
	uint32_t mark;

	if (memcmp(a->b, link_local, sizeof(link_local)))
		return 0;
	memcpy(&mark, a->b + sizeof(link_local), sizeof(mark));
	return mark_id(n, ntohl(mark));
}

static bool rule_is_ours(const struct purge *p, const struct nlmsghdr *h)
{
	return purge_wants(p, proberoute_rule_id(p->n, h));
}

static bool route_is_ours(const struct purge *p, const struct nlmsghdr *h)
{
	const struct rtmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[RTA_TABLE + 1];
	struct addr dst;

	request_attrs(h, sizeof(*msg), tb, RTA_TABLE);
	if (msg->rtm_protocol != PROBE_PROTOCOL || !tb[RTA_TABLE] ||
	    !purge_wants(p, proberoute_id(p->n, mnl_attr_get_u32(tb[RTA_TABLE]))))
		return false;
	return !p->keep || !request_get_addr(tb[RTA_DST], &dst) || !addr_equal(&dst, p->keep);
}

static bool neighbour_is_ours(const struct purge *p, const struct nlmsghdr *h)
{
	struct neigh e;

	return neigh_parse(h, &e) && purge_wants(p, proberoute_stand_in_id(p->n, &e.address));
}

/* In the order of removal: as long as the rule exists, the probe needs its route. */
static const struct kind {
	const char *name;
	uint16_t get, new, del;
	uint8_t family;
	size_t header;
	bool (*is_ours)(const struct purge *p, const struct nlmsghdr *h);
} kinds[] = {
	{"rules", RTM_GETRULE, RTM_NEWRULE, RTM_DELRULE, AF_INET, sizeof(struct fib_rule_hdr),
	 rule_is_ours},
	{"rules", RTM_GETRULE, RTM_NEWRULE, RTM_DELRULE, AF_INET6, sizeof(struct fib_rule_hdr),
	 rule_is_ours},
	{"routes", RTM_GETROUTE, RTM_NEWROUTE, RTM_DELROUTE, AF_INET, sizeof(struct rtmsg),
	 route_is_ours},
	{"routes", RTM_GETROUTE, RTM_NEWROUTE, RTM_DELROUTE, AF_INET6, sizeof(struct rtmsg),
	 route_is_ours},
	{"neighbours", RTM_GETNEIGH, RTM_NEWNEIGH, RTM_DELNEIGH, AF_INET6, sizeof(struct ndmsg),
	 neighbour_is_ours},
};

struct collector {
	struct purge *purge;
	const struct kind *kind;
};

static void proberoute_collect(const struct nlmsghdr *h, void *arg)
{
	struct collector *c = arg;

	if (h->nlmsg_type == c->kind->new &&mnl_nlmsg_get_payload_len(h) >= c->kind->header &&
	    c->kind->is_ours(c->purge, h))
		buf_append(&c->purge->found, h, NLMSG_ALIGN(h->nlmsg_len));
}

/* The kernel accepts its own description as the description of what to delete, as `ip ... flush` uses it. */
static int delete_found(struct netlink *n, const struct kind *k, struct buf *found)
{
	struct nlmsghdr *h = (struct nlmsghdr *)found->data;
	int left = found->len, err = found->failed ? -ENOMEM : 0;

	for (; !err && mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		h->nlmsg_type = k->del;
		h->nlmsg_flags = NLM_F_REQUEST;
		h->nlmsg_pid = 0;
		err = request_send(n, h, NULL, NULL);
		if (err == -ENOENT || err == -ESRCH || err == -ENODEV)
			err = 0; /* already removed, or found twice */
	}
	return err;
}

static int purge_kind(struct netlink *n, const struct kind *k, struct purge *p)
{
	struct collector c = {.purge = p, .kind = k};
	union netlink_msg m;
	uint8_t *header = request_start(&m, k->get, NLM_F_DUMP, k->header);
	char why[192];
	int err;

	header[0] = k->family; /* the first byte in each of the three headers */
	if (k->get == RTM_GETROUTE) {
		struct rtmsg *msg = (struct rtmsg *)header;

		msg->rtm_protocol = PROBE_PROTOCOL; /* filtered by the kernel, Linux 4.20 */
		if (p->id)
			mnl_attr_put_u32(&m.h, RTA_TABLE, n->table + p->id);
	}
	err = request_send(n, &m.h, proberoute_collect, &c);
	if (err == -ENOENT || err == -EOPNOTSUPP || err == -EAFNOSUPPORT)
		err = 0; /* no such table yet, or no such family */
	if (!err)
		err = delete_found(n, k, &p->found);
	buf_free(&p->found);
	p->found = (struct buf){0};
	if (err)
		log_warn("event=probe_route_failed what=remove_%s %s", k->name,
			 request_error(n, err, why, sizeof(why)));
	return err;
}

static int purge(struct netlink *n, struct purge p, const char *only)
{
	int err = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!only || !strcmp(kinds[i].name, only)) {
			int one = purge_kind(n, &kinds[i], &p);

			err = err ?: one;
		}
	return err;
}

int netlink_probe_route(struct netlink *n, uint32_t server_id, const struct addr *vip, bool tunnel)
{
	struct followed *w = nexthop_watch(n, server_id);
	int err = 0;

	if (!w)
		return -ENOENT;
	if (!w->has_vip || !addr_equal(&w->vip, vip)) /* an earlier config's */
		err = purge(n, (struct purge){.n = n, .id = server_id, .keep = vip}, "routes");
	w->has_vip = true;
	w->vip = *vip;
	w->tunnel = tunnel;
	return err ?: proberoute_install(n, w);
}

int netlink_probe_route_remove(struct netlink *n, uint32_t server_id)
{
	struct followed *w = nexthop_watch(n, server_id);

	if (!server_id || server_id >= MXLB_MAX_SERVERS)
		return -EINVAL;
	if (w)
		w->has_vip = w->install = false;
	return purge(n, (struct purge){.n = n, .id = server_id}, NULL);
}

int netlink_detach_all(struct netlink *n)
{
	for (uint32_t id = 1; id < n->watches_end; id++)
		if (n->watches[id])
			n->watches[id]->has_vip = n->watches[id]->install = false;
	neigh_restore_ports(n);
	return purge(n, (struct purge){.n = n}, NULL);
}
