// SPDX-License-Identifier: BSD-2-Clause
/*
 * The routes from which BIRD or FRR learn that this box takes a VIP's mail (`advertise: route`): "VIP/32 dev INTERFACE
 * scope link" in a table that no rule of the box uses, so its own routing does not change. They have ha.route's
 * protocol; routes with another protocol in that table stay. The kernel removes a route with its interface; the daemon
 * adds it again.
 */
#include "net/netlink_internal.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include "util/buf.h"
#include "util/log.h"

static void viproute_route_start(union netlink_msg *m, uint16_t type, uint16_t flags,
				 const struct ha_route_conf *conf, const struct addr *vip,
				 uint32_t metric)
{
	struct rtmsg *msg = request_start(m, type, flags, sizeof(*msg));

	msg->rtm_family = addr_is_v4(vip) ? AF_INET : AF_INET6;
	msg->rtm_dst_len = addr_is_v4(vip) ? 32 : 128;
	msg->rtm_table = (uint8_t)conf->table;
	msg->rtm_protocol = (uint8_t)conf->protocol;
	msg->rtm_scope = addr_is_v4(vip) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	msg->rtm_type = RTN_UNICAST;
	request_put_addr(m, RTA_DST, vip);
	mnl_attr_put_u32(&m->h, RTA_PRIORITY, metric);
}

int netlink_vip_route_add(struct netlink *n, const struct ha_route_conf *conf, unsigned interface,
			  const struct addr *vip, uint32_t metric)
{
	union netlink_msg m;
	int ifindex, err;

	if (interface >= n->n_ports)
		return -EINVAL;
	ifindex = port_ip(&n->ports[interface])->ifindex;
	if (!ifindex)
		return -ENODEV;
	viproute_route_start(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, conf, vip, metric);
	mnl_attr_put_u32(&m.h, RTA_OIF, (uint32_t)ifindex);
	err = request_send(n, &m.h, NULL, NULL);
	return err == -EEXIST ? 0 : err;
}

int netlink_vip_route_del(struct netlink *n, const struct ha_route_conf *conf,
			  const struct addr *vip, uint32_t metric, bool *removed)
{
	union netlink_msg m;
	int err;

	viproute_route_start(&m, RTM_DELROUTE, 0, conf, vip, metric);
	err = request_send(n, &m.h, NULL, NULL);
	if (removed)
		*removed = !err;
	return err == -ESRCH || err == -ENOENT ? 0 : err;
}

static void find_zebra(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *msg = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_type == RTM_NEWROUTE && mnl_nlmsg_get_payload_len(h) >= sizeof(*msg))
		*(bool *)arg = msg->rtm_protocol == RTPROT_ZEBRA;
}

bool netlink_frr_imports(struct netlink *n, const struct addr *vip)
{
	union netlink_msg m;
	struct rtmsg *msg = request_start(&m, RTM_GETROUTE, 0, sizeof(*msg));
	bool zebra = false;

	msg->rtm_family = addr_is_v4(vip) ? AF_INET : AF_INET6;
	msg->rtm_dst_len = addr_is_v4(vip) ? 32 : 128;
	msg->rtm_flags = RTM_F_FIB_MATCH;
	request_put_addr(&m, RTA_DST, vip);
	return !request_send(n, &m.h, find_zebra, &zebra) && zebra;
}

/* A clean-up: routes of this table and protocol. */
struct viproute_found {
	const struct ha_route_conf *conf;
	struct buf routes;
};

static void viproute_collect(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[RTA_TABLE + 1];
	struct viproute_found *f = arg;

	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof(*msg))
		return;
	request_attrs(h, sizeof(*msg), tb, RTA_TABLE);
	if (msg->rtm_protocol == f->conf->protocol && tb[RTA_TABLE] &&
	    mnl_attr_get_u32(tb[RTA_TABLE]) == f->conf->table)
		buf_append(&f->routes, h, NLMSG_ALIGN(h->nlmsg_len));
}

static int remove_all(struct netlink *n, struct viproute_found *f)
{
	struct nlmsghdr *h = (struct nlmsghdr *)f->routes.data;
	int left = (int)f->routes.len, err = f->routes.failed ? -ENOMEM : 0;

	for (; !err && mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		h->nlmsg_type = RTM_DELROUTE;
		h->nlmsg_flags = NLM_F_REQUEST;
		h->nlmsg_pid = 0;
		err = request_send(n, h, NULL, NULL);
		if (err == -ESRCH || err == -ENOENT)
			err = 0;
	}
	return err;
}

int netlink_vip_routes_purge(struct netlink *n, const struct ha_route_conf *conf)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	int err = 0;

	for (size_t i = 0; i < sizeof(families); i++) {
		struct viproute_found f = {.conf = conf};
		union netlink_msg m;
		struct rtmsg *msg = request_start(&m, RTM_GETROUTE, NLM_F_DUMP, sizeof(*msg));
		int one;

		msg->rtm_family = families[i];
		msg->rtm_protocol =
			(uint8_t)conf->protocol; /* filtered by the kernel, Linux 4.20 */
		mnl_attr_put_u32(&m.h, RTA_TABLE, conf->table);
		one = request_send(n, &m.h, viproute_collect, &f);
		if (one == -ENOENT || one == -EAFNOSUPPORT || one == -EOPNOTSUPP)
			one = 0; /* no such table yet, or no such family */
		else if (!one)
			one = remove_all(n, &f);
		buf_free(&f.routes);
		err = err ? err : one;
	}
	return err;
}
