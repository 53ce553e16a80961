/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The far end of a peer's tunnel (RFC 2003, RFC 2473, RFC 4213): removes one outer header, so that the inner packet is
 * treated as if it had arrived without a tunnel. Packets that do not meet all rules pass to the kernel, which may have
 * tunnels too.
 *
 *   1. It comes from a configured peer, to this box's MAC address, without options, extension headers or
 *      fragmentation.
 *   2. The inner packet is complete, by its own lengths and the outer ones.
 *   3. The inner packet can have come through routers. A hop count of 255 cannot, because the peer decrements it;
 *      otherwise neighbour discovery and everything that trusts the link by that count (RFC 4861 section 7.1, RFC
 *      5082) could be forged through the tunnel. It is not for a multicast or broadcast address, and not from an
 *      address that is valid on one link only (RFC 4007 section 9).
 *   4. Congestion that routers marked on the outer header is copied to the inner one (RFC 6040 section 4.2).
 *   5. It is for a VIP of this box and is then forwarded by the same rules as without a tunnel. A box without VIPs is
 *      a mail server that unpacks for itself: only TCP and ICMP errors to one of its own addresses are accepted,
 *      nothing that it would forward. Otherwise anyone who forges a peer's address could reach whatever trusts this
 *      interface.
 */
#ifndef MXLB_DECAP_H
#define MXLB_DECAP_H

#include "vip_lookup.h"
#include "icmp.h"
#include "parse.h"
#include "stats.h"

#define HOPS_OF_THE_LINK 255

#define ECN_MASK	 3
#define ECN_ECT1	 1
#define ECN_ECT0	 2
#define ECN_CE		 3

static __always_inline int is_tunnel(__u8 protocol)
{
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

/*
 * Whether the inner headers are in the linear part, behind an outer header of constant length; including the TCP
 * header, if the packet is that long.
 */
static __always_inline int inner_is_linear(const struct cursor *c, const struct packet *p,
					   __u32 outer, __u8 family)
{
	__u32 ip = outer + (family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));

	if (family == 4)
		return cursor_has(c, outer + sizeof(struct iphdr) + sizeof(struct tcphdr)) ||
		       (p->frame < ETH_HLEN + ip + sizeof(struct tcphdr) &&
			cursor_has(c, outer + sizeof(struct iphdr)));
	return cursor_has(c, outer + sizeof(struct ipv6hdr) + sizeof(struct tcphdr)) ||
	       (p->frame < ETH_HLEN + ip + sizeof(struct tcphdr) &&
		cursor_has(c, outer + sizeof(struct ipv6hdr)));
}

static __always_inline int outer4(const struct cursor *c, struct packet *p)
{
	const struct iphdr *ip = c->pos;
	__u32 total;

	if (!cursor_has(c, sizeof(*ip)) || ip->version != 4 || ip->ihl != 5 ||
	    (ip->frag_off & bpf_htons(0x3fff)) || !is_tunnel(ip->protocol))
		return -1;
	total = bpf_ntohs(ip->tot_len);
	if (total < sizeof(*ip) || total > p->frame - ETH_HLEN)
		return -1;
	p->tunnel.hi = 0;
	p->tunnel.lo = (__u64)ip->saddr << 32 | bpf_htonl(0xffff); /* ::ffff:a.b.c.d */
	p->tunnel.at = ETH_HLEN + sizeof(*ip);
	p->tunnel.room = total - sizeof(*ip);
	p->tunnel.family = ip->protocol == IPPROTO_IPIP ? 4 : 6;
	p->tunnel.ecn = ip->tos & ECN_MASK;
	return inner_is_linear(c, p, sizeof(*ip), p->tunnel.family) ? 0 : -1;
}

/* The traffic class begins in the first byte and ends in the second; its lowest bits are ECN. */
static __always_inline __u8 ecn6(const struct ipv6hdr *ip)
{
	return ((const __u8 *)ip)[1] >> 4 & ECN_MASK;
}

static __always_inline int outer6(const struct cursor *c, struct packet *p)
{
	const struct ipv6hdr *ip = c->pos;
	__u32 payload;

	if (!cursor_has(c, sizeof(*ip)) || ip->version != 6 || !is_tunnel(ip->nexthdr))
		return -1;
	payload = bpf_ntohs(ip->payload_len);
	if (payload > p->frame - ETH_HLEN - sizeof(*ip))
		return -1;
	p->tunnel.hi = load_u64(&ip->saddr);
	p->tunnel.lo = load_u64((void *)&ip->saddr + 8);
	if (!ipv6_source_ok(p->tunnel.hi)) /* IPv4-mapped means an IPv4 peer */
		return -1;
	p->tunnel.at = ETH_HLEN + sizeof(*ip);
	p->tunnel.room = payload;
	p->tunnel.family = ip->nexthdr == IPPROTO_IPIP ? 4 : 6;
	p->tunnel.ecn = ecn6(ip);
	return inner_is_linear(c, p, sizeof(*ip), p->tunnel.family) ? 0 : -1;
}

/* Parses the outer header: rule 1 without the peer. Returns 0 with p->tunnel filled, or -1. */
static __noinline int decap_outer(struct xdp_md *ctx, struct packet *p)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct cursor c = {eth + 1, (void *)(long)ctx->data_end};

	if ((void *)(eth + 1) > c.end)
		return -1;
	p->frame = bpf_xdp_get_buff_len(ctx);
	return eth->h_proto == bpf_htons(ETH_P_IP) ? outer4(&c, p) : outer6(&c, p);
}

/* Unused entries are all zero. */
static __noinline int is_peer(const struct mxlb_front *front, const struct packet *p)
{
	__u64 hi = p->tunnel.hi, lo = p->tunnel.lo;
	int i;

	if (!(hi | lo))
		return 0;
#pragma unroll
	for (i = 0; i < MXLB_MAX_PEERS; i++) {
		const __u64 *peer = (const __u64 *)front->peers[i];

		if (peer[0] == hi && peer[1] == lo)
			return 1;
	}
	return 0;
}

static __always_inline int inner4(struct xdp_md *ctx, struct packet *p)
{
	const struct iphdr *ip = &p->quoted.ip4;
	__u32 total;

	if (bpf_xdp_load_bytes(ctx, p->tunnel.at, &p->quoted.ip4, sizeof(*ip)))
		return -1;
	total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl < 5 || ip->ihl * 4 > total || total > p->tunnel.room)
		return -1;
	return ip->ttl == HOPS_OF_THE_LINK || bpf_ntohl(ip->daddr) >> 24 >= 224 ? -1 : 0;
}

/* fe80::/10 or ff00::/8. */
static __always_inline int of_one_link(const struct in6_addr *address)
{
	__u16 head = bpf_ntohs(address->s6_addr16[0]);

	return (head & 0xffc0) == 0xfe80 || head >= 0xff00;
}

static __always_inline int inner6(struct xdp_md *ctx, struct packet *p)
{
	const struct ipv6hdr *ip = &p->quoted.ip6;

	if (bpf_xdp_load_bytes(ctx, p->tunnel.at, &p->quoted.ip6, sizeof(*ip)))
		return -1;
	if (ip->version != 6 || bpf_ntohs(ip->payload_len) + sizeof(*ip) > p->tunnel.room)
		return -1;
	return ip->hop_limit == HOPS_OF_THE_LINK || of_one_link(&ip->saddr) ||
			       of_one_link(&ip->daddr)
		       ? -1
		       : 0;
}

/* RFC 6040, figure 4: the ECN field of the inner packet from now on; -1: it must be dropped. */
static __always_inline int ecn_merged(__u8 outer, __u8 inner)
{
	if (outer == ECN_CE)
		return inner ? ECN_CE : -1;
	return outer == ECN_ECT1 && inner == ECN_ECT0 ? ECN_ECT1 : inner;
}

/* Rule 5, on a box without VIPs: whether the kernel would deliver the packet locally. p->quoted has its header. */
static __noinline int stays_here(struct xdp_md *ctx, const struct packet *p)
{
	struct bpf_fib_lookup to = {.ifindex = ctx->ingress_ifindex};
	long found;

	if (p->tunnel.family == 4) {
		to.family = 2; /* AF_INET */
		to.ipv4_src = p->quoted.ip4.saddr;
		to.ipv4_dst = p->quoted.ip4.daddr;
	} else {
		to.family = 10; /* AF_INET6 */
		__builtin_memcpy(to.ipv6_src, &p->quoted.ip6.saddr, 16);
		__builtin_memcpy(to.ipv6_dst, &p->quoted.ip6.daddr, 16);
	}
	found = bpf_fib_lookup(ctx, &to, sizeof(to), 0);
	return found == BPF_FIB_LKUP_RET_NOT_FWDED || found == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* TCP, or an ICMP error; no fragment. */
static __noinline int is_mail(struct xdp_md *ctx, struct packet *p)
{
	__u32 at = p->tunnel.at;
	__u8 next;

	if (p->tunnel.family == 4) {
		if (p->quoted.ip4.frag_off & bpf_htons(0x3fff))
			return 0;
		at += p->quoted.ip4.ihl * 4;
		next = p->quoted.ip4.protocol;
	} else {
		at += sizeof(struct ipv6hdr);
		next = p->quoted.ip6.nexthdr;
	}
	if (next == IPPROTO_TCP)
		return 1;
	if (next != (p->tunnel.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) ||
	    bpf_xdp_load_bytes(ctx, at, &p->icmp, sizeof(p->icmp)))
		return 0;
	return icmp_is_error(p->tunnel.family, p->icmp.type);
}

/* Rule 5. p->quoted has the inner header. */
static __noinline int decap_wanted(struct xdp_md *ctx, struct packet *p,
				   const struct mxlb_front *front)
{
	const struct mxlb_vip *vip;

	if (p->tunnel.family == 4 ? front_vip4(front, p->quoted.ip4.daddr, &vip)
				  : front_vip6(front, &p->quoted.ip6.daddr, &vip))
		return 1;
	return !front->vip_factor && is_mail(ctx, p) && stays_here(ctx, p);
}

/*
 * Checks the inner packet, rules 2 to 4. Returns its new ECN field (p->quoted has the header as it came), or -1: not
 * ours.
 */
static __noinline int decap_inner(struct xdp_md *ctx, struct packet *p)
{
	if (p->tunnel.family == 4 ? inner4(ctx, p) : inner6(ctx, p))
		return -1;
	return p->tunnel.family == 4 ? p->quoted.ip4.tos & ECN_MASK : ecn6(&p->quoted.ip6);
}

/* Moves the MAC addresses in front of the inner packet and cuts off the outer header. */
static __noinline int decap_strip(struct xdp_md *ctx, const struct packet *p)
{
	const __u32 outer = p->tunnel.at == ETH_HLEN + sizeof(struct iphdr)
				    ? sizeof(struct iphdr)
				    : sizeof(struct ipv6hdr);
	__u32 *from = (void *)(long)ctx->data, *to = (void *)from + outer;

	if ((void *)to + ETH_HLEN > (void *)(long)ctx->data_end)
		return -1;
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	*(__be16 *)&to[3] = p->tunnel.family == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	return bpf_xdp_adjust_head(ctx, outer);
}

static __noinline int ecn_write(struct xdp_md *ctx, const struct packet *p)
{
	void *at = (void *)(long)ctx->data + ETH_HLEN;
	__u16 *word = at,
	      old; /* IPv4: version, header length, TOS; IPv6: version, traffic class, flow */
	struct iphdr *ip = at;

	if (at + sizeof(*ip) > (void *)(long)ctx->data_end)
		return -1;
	old = *word;
	if (p->tunnel.family == 4) {
		*word = (old & ~bpf_htons(ECN_MASK)) | bpf_htons(p->tunnel.ecn);
		ip->check = sum_update(ip->check, old, *word);
	} else {
		*word = (old & ~bpf_htons(ECN_MASK << 4)) | bpf_htons(p->tunnel.ecn << 4);
	}
	return 0;
}

/*
 * A packet for this box's MAC address. Returns GO_ON if the outer header was removed (p->tunnel.family is the inner
 * family), or the packet's fate.
 */
static __noinline int decap(struct xdp_md *ctx, struct packet *p, const struct mxlb_front *front)
{
	int inner, ecn;

	if (decap_outer(ctx, p) || !is_peer(front, p))
		return FATE_PASS(not_ours);
	inner = decap_inner(ctx, p);
	if (inner < 0 || !decap_wanted(ctx, p, front))
		return FATE_PASS(not_ours);
	ecn = ecn_merged(p->tunnel.ecn, inner);
	if (ecn < 0)
		return FATE_DROP(congestion);
	p->tunnel.ecn = ecn;
	if (decap_strip(ctx, p) || (ecn != inner && ecn_write(ctx, p)))
		return FATE_DROP(error);
	return GO_ON;
}

#endif
