// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unsolicited announcements of VIPs and of this box's own addresses: gratuitous ARP (RFC 5227 section 3: a request;
 * and a reply, for switches and hosts that learn from replies only), unsolicited neighbour advertisements (RFC 4861
 * section 7.2.6), and membership of an IPv6 VIP's solicited-node group, without which no solicitation arrives here.
 * Requests are answered by the kernel program.
 */
#include "net/netlink_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netconf.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "util/arp.h"
#include "util/log.h"

struct na_frame {
	struct ether_header eth;
	struct ip6_hdr ip6;
	struct nd_neighbor_advert na;
	struct nd_opt_hdr opt; /* target link-layer address */
	struct mac mac;
} __attribute__((packed));

static void na_fill(struct na_frame *f, const struct mac *mac, const struct addr *vip, bool router)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	static const uint8_t all_nodes_mac[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
	const size_t payload = sizeof(*f) - offsetof(struct na_frame, na);

	memset(f, 0, sizeof(*f));
	memcpy(f->eth.ether_dhost, all_nodes_mac, ETH_ALEN);
	memcpy(f->eth.ether_shost, mac, ETH_ALEN);
	f->eth.ether_type = htons(ETHERTYPE_IPV6);
	f->ip6.ip6_flow = htonl(6U << 28);
	f->ip6.ip6_plen = htons(payload);
	f->ip6.ip6_nxt = IPPROTO_ICMPV6;
	f->ip6.ip6_hlim = 255; /* anything less is ignored: RFC 4861 7.1.2 */
	memcpy(&f->ip6.ip6_src, vip->b, 16);
	memcpy(&f->ip6.ip6_dst, all_nodes, 16);
	f->na.nd_na_type = ND_NEIGHBOR_ADVERT;
	f->na.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE | (router ? ND_NA_FLAG_ROUTER : 0);
	memcpy(&f->na.nd_na_target, vip->b, 16);
	f->opt.nd_opt_type = ND_OPT_TARGET_LINKADDR;
	f->opt.nd_opt_len = 1;
	f->mac = *mac;
	f->na.nd_na_cksum = icmp6_checksum(&f->ip6);
}

static void take_forwarding(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NETCONFA_FORWARDING + 1];

	if (h->nlmsg_type != RTM_NEWNETCONF)
		return;
	request_attrs(h, sizeof(struct netconfmsg), tb, NETCONFA_FORWARDING);
	if (tb[NETCONFA_FORWARDING] &&
	    mnl_attr_get_payload_len(tb[NETCONFA_FORWARDING]) == sizeof(uint32_t))
		*(bool *)arg = mnl_attr_get_u32(tb[NETCONFA_FORWARDING]);
}

/*
 * The router flag, as the kernel sets it for this interface: a host that receives another value stops using it as a
 * router (RFC 4861 7.2.5). Not from /proc/sys, which is hidden by the unit (ProcSubset=pid).
 */
static bool is_router(struct netlink *n, int ifindex)
{
	union netlink_msg m;
	struct netconfmsg *ask = request_start(&m, RTM_GETNETCONF, 0, sizeof(*ask));
	bool forwards = false;

	ask->ncm_family = AF_INET6;
	mnl_attr_put_u32(&m.h, NETCONFA_IFINDEX, ifindex);
	return !request_send(n, &m.h, take_forwarding, &forwards) && forwards;
}

static int frame_send(int fd, int ifindex, const void *frame, size_t len)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = ifindex};

	while (sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Logs a failure once, not for each VIP and announcement, because the cause is the same for all. */
static void announce_outcome(struct port *p, int err)
{
	if (err && err != p->announce_err)
		log_warn(
			"event=announce_failed interface=%s error=\"%s\" advice=\"%s\"", p->name,
			strerror(-err),
			err == -EPERM
				? "give mxlbd CAP_NET_RAW; until then routers learn late that a VIP has moved"
				: "routers learn that a VIP has moved only when they next resolve it");
	p->announce_err = err;
}

/*
 * One socket for all announcements, because closing one waits for every CPU (tens of ms). Protocol 0: it receives
 * nothing.
 */
static int packet_socket(struct netlink *n)
{
	if (n->packet_socket < 0)
		n->packet_socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return n->packet_socket < 0 ? -errno : n->packet_socket;
}

/* Sends frames of this size on an interface. 0 or -errno. */
static int frames_send(struct netlink *n, unsigned interface, const void *frames, size_t len,
		       unsigned count)
{
	int fd = packet_socket(n), err = fd < 0 ? fd : 0;

	for (unsigned i = 0; i < count && !err; i++)
		err = frame_send(fd, port_ip(&n->ports[interface])->ifindex,
				 (const char *)frames + i * len, len);
	announce_outcome(&n->ports[interface], err);
	return err;
}

static bool is_there(const struct netlink *n, unsigned interface)
{
	return interface < n->n_ports && port_ip(&n->ports[interface])->ifindex;
}

int netlink_announce(struct netlink *n, unsigned interface, const struct addr *vip)
{
	const struct netlink_link *link = netlink_link(n, interface);
	struct arp_frame arp[2];
	struct na_frame na;
	uint8_t v4[16];

	if (!is_there(n, interface))
		return -ENODEV;
	if (addr_to_bytes(vip, v4) == 4) {
		arp_fill(&arp[0], ARPOP_REQUEST, &link->mac, v4, v4);
		arp_fill(&arp[1], ARPOP_REPLY, &link->mac, v4, v4);
		return frames_send(n, interface, arp, sizeof(arp[0]), 2);
	}
	na_fill(&na, &link->mac, vip, is_router(n, port_ip(&n->ports[interface])->ifindex));
	return frames_send(n, interface, &na, sizeof(na), 1);
}

int netlink_ask_owner(struct netlink *n, unsigned interface, const struct addr *vip)
{
	const struct netlink_link *link = netlink_link(n, interface);
	static const uint8_t nobody[4];
	struct arp_frame arp;
	uint8_t v4[16];

	if (addr_to_bytes(vip, v4) != 4)
		return -EAFNOSUPPORT;
	if (!is_there(n, interface))
		return -ENODEV;
	arp_fill(&arp, ARPOP_REQUEST, &link->mac, nobody, v4);
	return frames_send(n, interface, &arp, sizeof(arp), 1);
}

static struct ipv6_mreq solicited(const struct netlink *n, const struct group *g)
{
	struct ipv6_mreq r = {.ipv6mr_interface = port_ip(&n->ports[g->interface])->ifindex};

	memcpy(&r.ipv6mr_multiaddr, "\xff\x02\0\0\0\0\0\0\0\0\0\1\xff", 13);
	memcpy(r.ipv6mr_multiaddr.s6_addr + 13, g->vip.b + 13, 3);
	return r;
}

static int group_join(struct netlink *n, const struct group *g)
{
	struct ipv6_mreq r = solicited(n, g);
	int err = 0;

	if (!r.ipv6mr_interface)
		return 0; /* announce_rejoin() joins when the interface appears */
	if (setsockopt(n->group_socket, IPPROTO_IPV6, IPV6_JOIN_GROUP, &r, sizeof(r)) &&
	    errno != EADDRINUSE) /* another VIP with the same last three bytes */
		err = -errno;
	if (err)
		log_warn("event=multicast_join_failed interface=%s error=\"%s\"",
			 n->ports[g->interface].name, strerror(-err));
	return err;
}

static struct group *group_find(struct netlink *n, unsigned interface, const struct addr *vip)
{
	for (unsigned i = 0; i < n->n_groups; i++)
		if (n->groups[i].interface == interface && addr_equal(&n->groups[i].vip, vip))
			return &n->groups[i];
	return NULL;
}

int netlink_join_solicited(struct netlink *n, unsigned interface, const struct addr *vip)
{
	struct group g = {.interface = interface, .vip = *vip};
	int err;

	if (interface >= n->n_ports || addr_is_v4(vip))
		return -EINVAL;
	if (group_find(n, interface, vip))
		return 0;
	if (n->n_groups == MXLB_MAX_SERVICES)
		return -ENOSPC;
	if (n->group_socket < 0)
		n->group_socket = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->group_socket < 0)
		return -errno;
	err = group_join(n, &g);
	if (!err)
		n->groups[n->n_groups++] = g;
	return err;
}

int netlink_leave_solicited(struct netlink *n, unsigned interface, const struct addr *vip)
{
	struct group *g = group_find(n, interface, vip);
	struct ipv6_mreq left, other;

	if (!g)
		return -ENOENT;
	left = solicited(n, g);
	*g = n->groups[--n->n_groups];
	for (unsigned i = 0; i < n->n_groups; i++) {
		other = solicited(n, &n->groups[i]);
		if (!memcmp(&other, &left, sizeof(other)))
			return 0; /* another VIP needs it */
	}
	if (left.ipv6mr_interface &&
	    setsockopt(n->group_socket, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &left, sizeof(left)))
		return -errno;
	return 0;
}

void announce_rejoin(struct netlink *n, unsigned port)
{
	for (unsigned i = 0; i < n->n_groups; i++)
		if (n->groups[i].interface == port)
			group_join(n, &n->groups[i]);
}

struct joined { /* which groups of n->groups a dump has shown */
	const struct netlink *n;
	bool seen[MXLB_MAX_SERVICES];
};

static void take_group(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[IFA_MULTICAST + 1];
	struct joined *j = arg;
	struct addr group;

	if (h->nlmsg_type != RTM_GETMULTICAST || mnl_nlmsg_get_payload_len(h) < sizeof(*msg))
		return;
	request_attrs(h, sizeof(*msg), tb, IFA_MULTICAST);
	if (!request_get_addr(tb[IFA_MULTICAST], &group))
		return;
	for (unsigned i = 0; i < j->n->n_groups; i++) {
		struct ipv6_mreq r = solicited(j->n, &j->n->groups[i]);

		j->seen[i] |= r.ipv6mr_interface == msg->ifa_index &&
			      !memcmp(&r.ipv6mr_multiaddr, group.b, 16);
	}
}

/* The socket still counts as a member although the interface has forgotten it, so it leaves first. */
void announce_keep_groups(struct netlink *n)
{
	struct joined j = {.n = n};
	union netlink_msg m;
	struct ifaddrmsg *ask = request_start(&m, RTM_GETMULTICAST, NLM_F_DUMP, sizeof(*ask));

	ask->ifa_family = AF_INET6;
	if (!n->n_groups || request_send(n, &m.h, take_group, &j))
		return;
	for (unsigned i = 0; i < n->n_groups; i++) {
		struct ipv6_mreq r = solicited(n, &n->groups[i]);

		if (j.seen[i] || !r.ipv6mr_interface)
			continue;
		setsockopt(n->group_socket, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &r, sizeof(r));
		if (!setsockopt(n->group_socket, IPPROTO_IPV6, IPV6_JOIN_GROUP, &r, sizeof(r)))
			n->lost[OWN_GROUPS]++;
	}
}
