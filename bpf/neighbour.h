/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ARP (RFC 826) and IPv6 neighbour discovery (RFC 4861) for the VIPs that this box advertises. VIPs are not addresses
 * of this box, so the kernel would not answer. Everything that is not about such a VIP passes to the kernel.
 */
#ifndef MXLB_NEIGHBOUR_H
#define MXLB_NEIGHBOUR_H

#include "checksum.h"
#include "vip_lookup.h"
#include "limit.h"
#include "reset.h"
#include "stats.h"

#define ARP_ETHERNET 1
#define ARP_REQUEST  1
#define ARP_REPLY    2

/*
 * Counts every ARP or neighbour discovery frame of a configured network, valid or not, like the kernel's packet socket
 * with which it is compared. False: it belongs to none of the configured networks.
 */
static __always_inline int sight(const struct mxlb_front *front, struct xdp_md *ctx, __u16 vlan,
				 const struct mxlb_port **port)
{
	__u32 key;

	if (!front_port(front, ctx->ingress_ifindex, port) || (*port)->vlan != vlan)
		return 0;
	key = (*port)->index;
	count_add(bpf_map_lookup_elem(&sights, &key));
	return 1;
}

/* Whether ARP and neighbour discovery for this VIP are answered on this port. */
static __always_inline int advertises(const struct mxlb_vip *vip, const struct mxlb_port *port)
{
	return vip->advertise == port->index + 1;
}

struct arp_ipv4 {
	__be16 hardware, protocol;
	__u8 hardware_len, protocol_len;
	__be16 operation;
	__u8 sha[ETH_ALEN];
	__be32 spa;
	__u8 tha[ETH_ALEN];
	__be32 tpa;
} __attribute__((packed));

static const volatile __u32 key_role;

/* Whether this box is the active one and answers for its VIPs. Not on the fast path, so it may read a clock. */
static __always_inline int role_answers(void)
{
	const __u64 *word = bpf_map_lookup_elem(&role, (const void *)&key_role);
	__u64 until = word ? READ_ONCE(*word) : 0;

	return !until || (until != 1 && bpf_ktime_get_ns() < until);
}

/* vlan: the tag of the frame, 0 if untagged. */
static __noinline int arp_packet(struct xdp_md *ctx, __u16 vlan)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct arp_ipv4 *arp = (void *)(eth + 1);
	const struct mxlb_front *front = front_current();
	const struct mxlb_port *port;
	const struct mxlb_vip *vip;
	__be32 asker;

	if (!front || !sight(front, ctx, vlan, &port))
		return FATE_PASS(not_ours);
	if ((void *)(arp + 1) > (void *)(long)ctx->data_end ||
	    arp->hardware != bpf_htons(ARP_ETHERNET) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_len != ETH_ALEN || arp->protocol_len != 4)
		return FATE_PASS(not_ours);
	if (!role_answers())
		return FATE_PASS(not_ours);
	if (load_mac(eth->h_source) == load_mac(port->mac))
		return FATE_PASS(not_ours); /* ours, on a bond's passive slave */
	if (front_vip4(front, arp->spa, &vip) && advertises(vip, port))
		return FATE_PASS(vip_conflict);
	if (!front_vip4(front, arp->tpa, &vip) || !advertises(vip, port) ||
	    arp->operation != bpf_htons(ARP_REQUEST))
		return FATE_PASS(not_ours);
	if (!limit_take(0, arp->spa, LIMIT_NEIGHBOURS))
		return FATE_DROP(rate_limited);

	__builtin_memcpy(eth->h_dest, arp->sha, ETH_ALEN);
	__builtin_memcpy(eth->h_source, port->mac, ETH_ALEN);
	asker = arp->spa;
	arp->operation = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp->tha, arp->sha, ETH_ALEN);
	arp->spa = arp->tpa;
	arp->tpa = asker;
	__builtin_memcpy(arp->sha, port->mac, ETH_ALEN);
	return FATE_ANSWER(arp_reply);
}

#define NEIGHBOUR_SOLICITATION	135
#define NEIGHBOUR_ADVERTISEMENT 136
#define ND_HOP_LIMIT		255 /* RFC 4861 section 7.1: otherwise it came from another link */
#define ND_SOLICITED		0x40000000
#define ND_OVERRIDE		0x20000000
#define ND_TARGET_LINK_ADDRESS	2

struct nd_message {
	__u8 type, code;
	__be16 check;
	__be32 flags;
	struct in6_addr target;
} __attribute__((packed));

struct nd_advert {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct nd_message nd;
	__u8 option, option_len;
	__u8 mac[ETH_ALEN];
} __attribute__((packed));

#define ND_ADVERT_LEN (sizeof(struct nd_advert) - sizeof(struct ethhdr) - sizeof(struct ipv6hdr))

/* Turns the solicitation into the advertisement, in place. */
static __noinline int nd_write(struct xdp_md *ctx, const struct mxlb_port *port)
{
	struct nd_advert *a;
	int solicited;
	__u32 sum;

	if (resize_frame(ctx, sizeof(*a)))
		return -1;
	a = (void *)(long)ctx->data;
	if ((void *)(a + 1) > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(a->eth.h_dest, a->eth.h_source, ETH_ALEN);
	__builtin_memcpy(a->eth.h_source, port->mac, ETH_ALEN);
	solicited = load_u64(&a->ip.saddr) || load_u64((void *)&a->ip.saddr + 8);
	a->ip.daddr = a->ip.saddr;
	if (!solicited) { /* asked from ::, so all nodes get the answer (7.2.4) */
		a->ip.daddr.s6_addr32[0] = bpf_htonl(0xff020000);
		a->ip.daddr.s6_addr32[3] = bpf_htonl(1);
	}
	a->ip.saddr = a->nd.target;
	a->ip.payload_len = bpf_htons(ND_ADVERT_LEN);
	a->ip.hop_limit = ND_HOP_LIMIT;
	a->nd.type = NEIGHBOUR_ADVERTISEMENT;
	a->nd.flags = bpf_htonl(ND_OVERRIDE | (solicited ? ND_SOLICITED : 0));
	a->option = ND_TARGET_LINK_ADDRESS;
	a->option_len = 1; /* in units of 8 bytes */
	__builtin_memcpy(a->mac, port->mac, ETH_ALEN);
	a->nd.check = 0;
	sum = sum_words(&a->ip.saddr, 32, bpf_htons(IPPROTO_ICMPV6) + bpf_htons(ND_ADVERT_LEN));
	a->nd.check = sum_finish(sum_words(&a->nd, ND_ADVERT_LEN, sum));
	return 0;
}

/* Handles a neighbour solicitation for one of the VIPs. Returns the packet's outcome, or -1 if it is something else. */
static __noinline int nd_packet(struct xdp_md *ctx, __u16 vlan)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct ipv6hdr *ip = (void *)(eth + 1);
	struct nd_message *nd = (void *)(ip + 1);
	const struct mxlb_front *front = front_current();
	const struct mxlb_port *port;
	const struct mxlb_vip *vip;

	if (!front || (void *)&nd->code > (void *)(long)ctx->data_end ||
	    (nd->type != NEIGHBOUR_SOLICITATION && nd->type != NEIGHBOUR_ADVERTISEMENT) ||
	    !sight(front, ctx, vlan, &port))
		return -1;
	if ((void *)(nd + 1) > (void *)(long)ctx->data_end || ip->hop_limit != ND_HOP_LIMIT ||
	    nd->type != NEIGHBOUR_SOLICITATION || nd->code)
		return -1;
	if (!front_vip6(front, &nd->target, &vip) || !advertises(vip, port) || !role_answers())
		return -1;
	if (!limit_take(load_u64(&ip->saddr), load_u64((void *)&ip->saddr + 8), LIMIT_NEIGHBOURS))
		return FATE_DROP(rate_limited);
	if (nd_write(ctx, port))
		return FATE_DROP(error);
	return FATE_ANSWER(neighbour_advert);
}

#endif
