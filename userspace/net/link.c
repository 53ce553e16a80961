// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tracks the configured interfaces. One is found by its name, or an alternative name (ip link property), and then
 * followed by its ifindex until it is deleted. A renamed interface (udev, an administrator) is the same one, and
 * on_link reports its present name. A recreated one is another, with another ifindex. If mail arrives with a tag, the
 * program is on the interface and IP on the VLAN device above, which is found by its tag, whatever its name. The
 * slaves of all bonds are kept, because a slave may be reported before its bond.
 */
#include "net/netlink_internal.h"

#include <linux/if.h>
#include <linux/if_ether.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "util/clock.h"
#include "util/log.h"

const struct netlink_link *netlink_link(const struct netlink *n, unsigned interface)
{
	return interface < n->n_ports ? &n->ports[interface].link : NULL;
}

int netlink_ip_device(const struct netlink *n, unsigned interface)
{
	return interface < n->n_ports ? port_ip(&n->ports[interface])->ifindex : 0;
}

unsigned netlink_slaves(const struct netlink *n, unsigned interface, int out[MXLB_MAX_SLAVES])
{
	unsigned k = 0;

	for (unsigned i = 0; i < SLAVES_MAX && k < MXLB_MAX_SLAVES; i++)
		if (n->slaves[i].ifindex &&
		    n->slaves[i].master == n->ports[interface].below.ifindex)
			out[k++] = n->slaves[i].ifindex;
	return k;
}

const struct netlink_link *port_ip(const struct port *p)
{
	return p->vlan ? &p->tagged : &p->below;
}

int port_by_ifindex(const struct netlink *n, int ifindex)
{
	for (unsigned i = 0; i < n->n_ports && ifindex; i++)
		if (port_ip(&n->ports[i])->ifindex == ifindex)
			return i;
	return -1;
}

/* The port's state is that of its interface; if mail arrives with a tag, it is up only together with the VLAN device. */
static void port_merge(struct port *p)
{
	const struct netlink_link *ip = port_ip(p), was = p->link;
	bool ran;

	p->link = p->below;
	p->link.up = p->below.up && ip->up;
	p->link.carrier = p->below.carrier && ip->carrier;
	ran = was.ifindex == p->link.ifindex && was.up && was.carrier;
	p->link.up_since_ms = 0;
	if (p->link.up && p->link.carrier)
		p->link.up_since_ms = ran ? was.up_since_ms : clock_ms();
}

/* Applies a message about `now` to one of a port's two devices. */
static void device_event(struct netlink *n, struct port *p, struct netlink_link *device, bool is_it,
			 const struct netlink_link *now)
{
	static const struct netlink_link none;

	if (!is_it && device->ifindex != now->ifindex)
		return;
	if (!is_it)
		now = &none;
	if (device->ifindex == now->ifindex && device->up == now->up &&
	    device->carrier == now->carrier && device->mtu == now->mtu &&
	    !memcmp(&device->mac, &now->mac, sizeof(now->mac)) &&
	    !strcmp(device->renamed, now->renamed))
		return;
	if (device == &p->below && !now->ifindex)
		n->resync = true; /* another one may already have its name */
	/* Its VLAN device may have been reported before. */
	if (p->vlan && device == &p->below && now->ifindex && device->ifindex != now->ifindex)
		n->resync = true;
	*device = *now;
	port_merge(p);
	p->changed = true;
	netlink_soon(n, NETLINK_NOW);
}

/* The tag of a VLAN device whose parent is in *below; 0: it is none. */
static uint16_t vlan_parse(const struct nlattr **tb, int *below)
{
	const struct nlattr *info[IFLA_INFO_DATA + 1], *data[IFLA_VLAN_PROTOCOL + 1];

	/* IFLA_LINK_NETNSID: the parent is in another namespace, and its number another interface's here */
	if (!tb[IFLA_LINKINFO] || !tb[IFLA_LINK] || tb[IFLA_LINK_NETNSID])
		return 0;
	request_nested(tb[IFLA_LINKINFO], info, IFLA_INFO_DATA);
	if (!info[IFLA_INFO_KIND] || !info[IFLA_INFO_DATA] ||
	    strcmp(mnl_attr_get_str(info[IFLA_INFO_KIND]), "vlan"))
		return 0;
	request_nested(info[IFLA_INFO_DATA], data, IFLA_VLAN_PROTOCOL);
	if (!data[IFLA_VLAN_ID] ||
	    (data[IFLA_VLAN_PROTOCOL] &&
	     mnl_attr_get_u16(data[IFLA_VLAN_PROTOCOL]) != htons(ETH_P_8021Q)))
		return 0;
	*below = mnl_attr_get_u32(tb[IFLA_LINK]);
	return mnl_attr_get_u16(data[IFLA_VLAN_ID]);
}

/* The bond that this device is a slave of; 0: none. */
static int bond_of(const struct nlattr **tb)
{
	const struct nlattr *info[IFLA_INFO_SLAVE_KIND + 1];

	if (!tb[IFLA_MASTER] || !tb[IFLA_LINKINFO])
		return 0;
	request_nested(tb[IFLA_LINKINFO], info, IFLA_INFO_SLAVE_KIND);
	if (!info[IFLA_INFO_SLAVE_KIND] ||
	    strcmp(mnl_attr_get_str(info[IFLA_INFO_SLAVE_KIND]), "bond"))
		return 0;
	return mnl_attr_get_u32(tb[IFLA_MASTER]);
}

/* master 0: it is not a slave of a bond, or was deleted. */
static void slave_event(struct netlink *n, int ifindex, int master)
{
	struct slave *at = NULL;

	for (unsigned i = 0; i < SLAVES_MAX; i++) {
		if (n->slaves[i].ifindex == ifindex) {
			at = &n->slaves[i];
			break;
		}
		if (!n->slaves[i].ifindex && !at)
			at = &n->slaves[i];
	}
	if (!at || (at->ifindex ? at->master : 0) == master)
		return;
	for (unsigned i = 0; i < n->n_ports; i++) {
		struct port *p = &n->ports[i];

		if (p->below.ifindex &&
		    (p->below.ifindex == master || p->below.ifindex == at->master))
			p->changed = true;
	}
	*at = (struct slave){master ? ifindex : 0, master};
	netlink_soon(n, NETLINK_NOW);
}

static bool names_it(const struct nlattr *name, const char *wanted)
{
	return mnl_attr_get_payload_len(name) && !strcmp(mnl_attr_get_str(name), wanted);
}

/* Whether this is one of the interface's names. */
static bool has_name(const struct nlattr **tb, const char *wanted)
{
	const struct nlattr *a;

	if (names_it(tb[IFLA_IFNAME], wanted))
		return true;
	if (!tb[IFLA_PROP_LIST])
		return false;
	mnl_attr_for_each_nested(a, tb[IFLA_PROP_LIST])
	{
		if (mnl_attr_get_type(a) == IFLA_ALT_IFNAME && names_it(a, wanted))
			return true;
	}
	return false;
}

/* Whether a message about `now` is about the port's own interface. Stores its present name if that has changed. */
static bool is_below(const struct port *p, const struct nlattr **tb, struct netlink_link *now)
{
	bool named = has_name(tb, p->name), followed = p->below.ifindex == now->ifindex;

	now->renamed[0] = '\0';
	if (followed && !named)
		snprintf(now->renamed, sizeof(now->renamed), "%s",
			 mnl_attr_get_str(tb[IFLA_IFNAME]));
	return followed || (named && !p->below.ifindex);
}

void port_event(struct netlink *n, const struct nlmsghdr *h)
{
	const struct ifinfomsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[IFLA_PROP_LIST + 1];
	struct netlink_link now = {0};
	int below = 0;
	uint16_t vlan;
	bool here;

	/* A bridge reports its ports in messages of family AF_BRIDGE: leaving a bridge is not deletion. */
	if (mnl_nlmsg_get_payload_len(h) < sizeof(*msg) || msg->ifi_family != AF_UNSPEC)
		return;
	nexthop_ask_all(
		n); /* IPv4 routes are removed with their link without a message (fib_sync_down_dev) */
	request_attrs(h, sizeof(*msg), tb, IFLA_PROP_LIST);
	here = h->nlmsg_type != RTM_DELLINK && tb[IFLA_IFNAME];
	now.ifindex = msg->ifi_index;
	now.up = msg->ifi_flags & IFF_UP;
	now.carrier = msg->ifi_flags & IFF_LOWER_UP;
	if (tb[IFLA_MTU])
		now.mtu = mnl_attr_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_ADDRESS] && mnl_attr_get_payload_len(tb[IFLA_ADDRESS]) == sizeof(now.mac))
		memcpy(&now.mac, mnl_attr_get_payload(tb[IFLA_ADDRESS]), sizeof(now.mac));
	vlan = vlan_parse(tb, &below);
	slave_event(n, now.ifindex, here ? bond_of(tb) : 0);
	for (unsigned i = 0; i < n->n_ports; i++) {
		struct port *p = &n->ports[i];

		device_event(n, p, &p->below, here && is_below(p, tb, &now), &now);
		now.renamed[0] = '\0';
		device_event(n, p, &p->tagged,
			     here && vlan && vlan == p->vlan && below == p->below.ifindex, &now);
	}
}

struct seen {
	struct netlink *n;
	bool below[MXLB_MAX_PORTS], tagged[MXLB_MAX_PORTS]; /* in the dump */
	bool slaves[SLAVES_MAX];
};

static void port_dumped(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *msg = mnl_nlmsg_get_payload(h);
	struct seen *s = arg;

	port_event(s->n, h);
	for (unsigned i = 0; i < s->n->n_ports; i++) {
		s->below[i] |= s->n->ports[i].below.ifindex == msg->ifi_index;
		s->tagged[i] |= s->n->ports[i].tagged.ifindex == msg->ifi_index;
	}
	for (unsigned i = 0; i < SLAVES_MAX; i++)
		s->slaves[i] |= s->n->slaves[i].ifindex == msg->ifi_index;
}

int port_dump(struct netlink *n)
{
	union netlink_msg m;
	struct seen s = {.n = n};
	int err;

	request_start(&m, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(&m.h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	err = request_send(n, &m.h, port_dumped, &s);
	for (unsigned i = 0; i < n->n_ports && !err; i++) {
		struct port *p = &n->ports[i];

		if (!s.tagged[i])
			device_event(n, p, &p->tagged, false, &p->tagged);
		if (!s.below[i])
			device_event(n, p, &p->below, false, &p->below);
	}
	for (unsigned i = 0; i < SLAVES_MAX && !err; i++)
		if (n->slaves[i].ifindex && !s.slaves[i])
			slave_event(n, n->slaves[i].ifindex, 0);
	return err;
}

static void address_dumped(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *msg = mnl_nlmsg_get_payload(h);
	struct netlink *n = arg;
	int port;

	if (h->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(h) < sizeof(*msg))
		return;
	port = port_by_ifindex(n, (int)msg->ifa_index);
	if (port >= 0)
		n->ports[port].has_ipv6 = true;
}

void port_addresses(struct netlink *n)
{
	union netlink_msg m;
	struct ifaddrmsg *ask = request_start(&m, RTM_GETADDR, NLM_F_DUMP, sizeof(*ask));

	ask->ifa_family = AF_INET6;
	for (unsigned i = 0; i < n->n_ports; i++)
		n->ports[i].has_ipv6 = false;
	if (request_send(n, &m.h, address_dumped, n))
		n->addresses_changed = true; /* retried with the next tick */
}

static void vlan_check(struct port *p)
{
	bool missing = p->vlan && p->below.ifindex && !p->tagged.ifindex;

	if (missing && !p->no_vlan)
		log_warn(
			"event=no_vlan_device interface=%s vlan=%u advice=\"ip link add link %s name "
			"%s.%u type vlan id %u, give it this box's address and set it up; until then "
			"no server behind it is found\"",
			p->name, p->vlan, p->name, p->name, p->vlan, p->vlan);
	p->no_vlan = missing;
}

void port_settle(struct netlink *n)
{
	for (unsigned i = 0; i < n->n_ports; i++) {
		struct port *p = &n->ports[i];
		struct netlink_link link;

		vlan_check(p);
		if (!p->changed)
			continue;
		p->changed = false;
		if (p->prepared != port_ip(p)->ifindex) {
			memset(p->old_retrans_ms, 0, sizeof(p->old_retrans_ms));
			neigh_fast_port(n, i);
			announce_rejoin(n, i);
			p->prepared = port_ip(p)->ifindex;
		}
		for (uint32_t id = 1; id < n->watches_end; id++)
			if (n->watches[id])
				n->watches[id]->install = n->watches[id]->has_vip;
		link = p->link; /* the callback gets a copy, because it may cause changes */
		if (n->cb.on_link)
			n->cb.on_link(n->cb.ctx, i, &link);
	}
}
