// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns what is known about the config's interfaces. They are followed by name: one that is deleted and made
 * again, or renamed away, is another interface with another ifindex, and on_link says so.
 */
#include "datapath/netlink_internal.h"

#include <linux/if.h>
#include <errno.h>
#include <string.h>
#include "util/log.h"

const struct netlink_link *netlink_link(const struct netlink *n, unsigned interface)
{
	return interface < n->n_ports ? &n->ports[interface].link : NULL;
}

int port_by_ifindex(const struct netlink *n, int ifindex)
{
	for (unsigned i = 0; i < n->n_ports && ifindex; i++)
		if (n->ports[i].link.ifindex == ifindex)
			return i;
	return -1;
}

static int port_by_name(const struct netlink *n, const char *name)
{
	for (unsigned i = 0; i < n->n_ports; i++)
		if (!strcmp(n->ports[i].name, name))
			return i;
	return -1;
}

static void port_set(struct netlink *n, struct port *p, const struct netlink_link *now)
{
	struct netlink_link *old = &p->link;
	bool ran = old->ifindex == now->ifindex && old->up && old->carrier;
	uint64_t since = ran ? old->up_since_ms : netlink_now_ms();
	bool same = old->ifindex == now->ifindex && old->up == now->up &&
		    old->carrier == now->carrier && old->mtu == now->mtu &&
		    !memcmp(&old->mac, &now->mac, sizeof(now->mac));

	if (same)
		return;
	*old = *now;
	old->up_since_ms = now->up && now->carrier ? since : 0;
	p->changed = true;
	netlink_soon(n, NETLINK_NOW);
}

static void port_gone(struct netlink *n, int ifindex)
{
	static const struct netlink_link none;
	int i = port_by_ifindex(n, ifindex);

	if (i >= 0)
		port_set(n, &n->ports[i], &none);
}

void port_event(struct netlink *n, const struct nlmsghdr *h)
{
	const struct ifinfomsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[IFLA_MTU + 1];
	struct netlink_link now = {0};
	int i;

	/* A bridge speaks of its ports in messages of family AF_BRIDGE: leaving a bridge is not deletion. */
	if (mnl_nlmsg_get_payload_len(h) < sizeof(*msg) || msg->ifi_family != AF_UNSPEC)
		return;
	nexthop_ask_all(n); /* IPv4 routes die with their link without a word (fib_sync_down_dev) */
	request_attrs(h, sizeof(*msg), tb, IFLA_MTU);
	if (h->nlmsg_type == RTM_DELLINK || !tb[IFLA_IFNAME]) {
		port_gone(n, msg->ifi_index);
		return;
	}
	i = port_by_name(n, mnl_attr_get_str(tb[IFLA_IFNAME]));
	if (port_by_ifindex(n, msg->ifi_index) != i)
		port_gone(n, msg->ifi_index); /* renamed */
	if (i < 0)
		return;
	now.ifindex = msg->ifi_index;
	now.up = msg->ifi_flags & IFF_UP;
	now.carrier = msg->ifi_flags & IFF_LOWER_UP;
	if (tb[IFLA_MTU])
		now.mtu = mnl_attr_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_ADDRESS] && mnl_attr_get_payload_len(tb[IFLA_ADDRESS]) == sizeof(now.mac))
		memcpy(&now.mac, mnl_attr_get_payload(tb[IFLA_ADDRESS]), sizeof(now.mac));
	port_set(n, &n->ports[i], &now);
}

struct seen {
	struct netlink *n;
	int ifindex[MXLB_MAX_PORTS]; /* each port's, as the dump has it */
};

static void port_dumped(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *msg = mnl_nlmsg_get_payload(h);
	struct seen *s = arg;
	int i;

	port_event(s->n, h);
	i = port_by_ifindex(s->n, msg->ifi_index);
	if (i >= 0)
		s->ifindex[i] = msg->ifi_index;
}

int port_dump(struct netlink *n)
{
	union netlink_msg m;
	struct seen s = {.n = n};
	int err;

	request_start(&m, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(&m.h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	err = request_send(n, &m.h, port_dumped, &s);
	for (unsigned i = 0; i < n->n_ports && !err; i++)
		if (n->ports[i].link.ifindex != s.ifindex[i])
			port_gone(n, n->ports[i].link.ifindex);
	return err;
}

void port_settle(struct netlink *n)
{
	for (unsigned i = 0; i < n->n_ports; i++) {
		struct port *p = &n->ports[i];
		struct netlink_link link;

		if (!p->changed)
			continue;
		p->changed = false;
		if (p->prepared != p->link.ifindex) {
			memset(p->old_retrans_ms, 0, sizeof(p->old_retrans_ms));
			neigh_fast_port(n, i);
			announce_rejoin(n, i);
			p->prepared = p->link.ifindex;
		}
		for (uint32_t id = 1; id < n->watches_end; id++)
			if (n->watches[id])
				n->watches[id]->install = n->watches[id]->has_vip;
		link = p->link; /* the callback gets a copy: it may lead to changes */
		if (n->cb.on_link)
			n->cb.on_link(n->cb.ctx, i, &link);
	}
}
