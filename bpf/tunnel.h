/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * forward: ipip. The packet, with its time to live decremented, becomes the payload of an IPv4 or IPv6 packet from
 * this box to the server (RFC 2003, RFC 2473, RFC 4213).
 *
 *   - The outer header has the DSCP and, in RFC 6040's normal mode, the ECN field of the inner one.
 *   - An outer IPv4 header forbids fragmentation (RFC 2003 section 3.1), so its ID has no meaning (RFC 6864). The flow
 *     label of an outer IPv6 header is derived from the flow, so that routers spread flows over their paths (RFC
 *     6438).
 *   - A packet that does not fit is answered from the VIP with an ICMP error that gives the size that fits; even
 *     without DF, because XDP cannot fragment.
 *   - IPv6 packets of at most 1280 bytes are never answered with that error, because no sender can be asked for less
 *     (RFC 8200 section 5): in an IPv4 tunnel routers may fragment them; in an IPv6 tunnel they are sent as they are,
 *     into a link that is too narrow for IPv6 with a tunnel.
 *
 * The ICMP error quotes the packet as it arrived: in IPv4 as much as fits into 576 bytes (RFC 1812 section 4.3.2.3),
 * in IPv6 into 1280 (RFC 4443 section 3.2). It is copied with bpf_xdp_load_bytes and summed piece by piece, because it
 * may be in several buffers.
 */
#ifndef MXLB_TUNNEL_H
#define MXLB_TUNNEL_H

#include "checksum.h"
#include "hop.h"
#include "limit.h"
#include "reset.h"

#define TUNNEL_HOPS	   64
#define IPV6_MIN_MTU	   1280
#define ICMP4_UNREACH	   3
#define ICMP4_FRAG_NEEDED  4
#define ICMP6_TOO_BIG	   2
#define IPV4_DONT_FRAGMENT 0x4000

struct too_big4 {
	struct ethhdr eth;
	struct iphdr ip;
	struct icmp_head icmp;
	struct iphdr quote;
} __attribute__((packed));

struct too_big6 {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct icmp_head icmp;
	struct ipv6hdr quote;
} __attribute__((packed));

#define TOO_BIG4_HEAD (sizeof(struct iphdr) + sizeof(struct icmp_head))
#define TOO_BIG6_HEAD (sizeof(struct ipv6hdr) + sizeof(struct icmp_head))
#define QUOTE4_MAX    (576 - TOO_BIG4_HEAD)
#define QUOTE6_MAX    (IPV6_MIN_MTU - TOO_BIG6_HEAD)

/* The length of the packet without the Ethernet header. */
static __always_inline __u32 packet_len(const struct packet *p)
{
	return p->tcp_at - ETH_HLEN + p->segment;
}

/* Cuts the packet to p->quote.len bytes and stores their sum in p->quote.sum. */
static __noinline int quote_cut(struct xdp_md *ctx, struct packet *p)
{
	__u32 at = ETH_HLEN, left = p->quote.len, n, last;
	__u32 i;

	if (resize_frame(ctx, ETH_HLEN + left))
		return -1;
	p->quote.sum = 0;
	for (i = 0; i < QUOTE6_MAX / QUOTE_PIECE + 1; i++) {
		n = left < QUOTE_PIECE ? left : QUOTE_PIECE;
		last = n - 1;
		asm volatile("" : "+r"(last)); /* Linux 6.1 learns nothing from n != 0 */
		if (last >= QUOTE_PIECE)
			break;
		__builtin_memset(p->quote.piece, 0, QUOTE_PIECE);
		if (bpf_xdp_load_bytes(ctx, at, p->quote.piece, last + 1))
			return -1;
		p->quote.sum =
			bpf_csum_diff(0, 0, p->quote.piece, QUOTE_PIECE, (__u32)p->quote.sum);
		at += n;
		left -= n;
	}
	/* Before Linux 6.13 the helper's sum has 32 bits, and additions could overflow. */
	p->quote.sum = (p->quote.sum & 0xffff) + (p->quote.sum >> 16);
	return 0;
}

/* The new headers end where the packet begins and overwrite its Ethernet header except for the MAC addresses. */
static __always_inline int too_big4_write(struct xdp_md *ctx, struct packet *p, __u32 mtu)
{
	struct too_big4 *f;
	__u64 to, from;

	if (bpf_xdp_adjust_head(ctx, -(int)TOO_BIG4_HEAD))
		return -1;
	f = (void *)(long)ctx->data;
	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return -1;
	from = load_mac((void *)f + TOO_BIG4_HEAD);
	to = load_mac((void *)f + TOO_BIG4_HEAD + ETH_ALEN);
	write_mac(f->eth.h_dest, to);
	write_mac(f->eth.h_source, from);
	f->eth.h_proto = bpf_htons(ETH_P_IP);
	f->ip.version = 4;
	f->ip.ihl = 5;
	f->ip.tos = 0;
	f->ip.tot_len = bpf_htons(TOO_BIG4_HEAD + p->quote.len);
	f->ip.id = 0;
	f->ip.frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
	f->ip.ttl = TUNNEL_HOPS;
	f->ip.protocol = IPPROTO_ICMP;
	f->ip.check = 0;
	f->ip.saddr = f->quote.daddr;
	f->ip.daddr = f->quote.saddr;
	f->ip.check = sum_finish(sum_words(&f->ip, sizeof(f->ip), 0));
	f->icmp.type = ICMP4_UNREACH;
	f->icmp.code = ICMP4_FRAG_NEEDED;
	f->icmp.check = 0;
	f->icmp.rest = bpf_htonl(mtu); /* the lower half (RFC 1191 section 4) */
	f->icmp.check = sum_finish(sum_words(&f->icmp, sizeof(f->icmp), p->quote.sum));
	return 0;
}

static __always_inline int too_big6_write(struct xdp_md *ctx, struct packet *p, __u32 mtu)
{
	struct too_big6 *f;
	__u64 to, from;
	__u32 sum;

	if (bpf_xdp_adjust_head(ctx, -(int)TOO_BIG6_HEAD))
		return -1;
	f = (void *)(long)ctx->data;
	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return -1;
	from = load_mac((void *)f + TOO_BIG6_HEAD);
	to = load_mac((void *)f + TOO_BIG6_HEAD + ETH_ALEN);
	write_mac(f->eth.h_dest, to);
	write_mac(f->eth.h_source, from);
	f->eth.h_proto = bpf_htons(ETH_P_IPV6);
	*(__be32 *)((void *)f + ETH_HLEN) = bpf_htonl(6 << 28);
	f->ip.payload_len = bpf_htons(sizeof(f->icmp) + p->quote.len);
	f->ip.nexthdr = IPPROTO_ICMPV6;
	f->ip.hop_limit = TUNNEL_HOPS;
	f->ip.saddr = f->quote.daddr;
	f->ip.daddr = f->quote.saddr;
	f->icmp.type = ICMP6_TOO_BIG;
	f->icmp.code = 0;
	f->icmp.check = 0;
	f->icmp.rest = bpf_htonl(mtu);
	sum = sum_words(&f->ip.saddr, 32,
			bpf_htons(IPPROTO_ICMPV6) + f->ip.payload_len + p->quote.sum);
	f->icmp.check = sum_finish(sum_words(&f->icmp, sizeof(f->icmp), sum));
	return 0;
}

/* Whether the packet is a relayed ICMP message, by its IP header; if it cannot be read, it is taken for one. */
static __always_inline int is_icmp(struct xdp_md *ctx, struct packet *p)
{
	__u32 at = ETH_HLEN + (p->family == 4 ? offsetof(struct iphdr, protocol)
					      : offsetof(struct ipv6hdr, nexthdr));

	return bpf_xdp_load_bytes(ctx, at, p->quote.piece, 1) ||
	       *(__u8 *)p->quote.piece == (p->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/*
 * Answers a packet that is too large for the tunnel. mtu: the size that fits. Global, so that the verifier checks it
 * once and not for every path that leads here.
 */
__noinline int too_big(struct xdp_md *ctx, struct packet *p, __u32 mtu)
{
	__u32 len, most;
	int err;

	if (!p)
		return FATE_DROP(error);
	len = packet_len(p);
	most = p->family == 4 ? QUOTE4_MAX : QUOTE6_MAX;
	if (is_icmp(ctx,
		    p)) /* errors are not answered (RFC 1122 section 3.2.2, RFC 4443 section 2.4) */
		return FATE_DROP(too_big);
	if (!limit_take(p->source_hi, p->source_lo, LIMIT_TOO_BIG))
		return FATE_DROP(rate_limited);
	p->quote.len = len < most ? len : most;
	if (quote_cut(ctx, p))
		return FATE_DROP(error);
	if (p->family == 4)
		err = too_big4_write(ctx, p, mtu);
	else
		err = too_big6_write(ctx, p, mtu < IPV6_MIN_MTU ? IPV6_MIN_MTU : mtu);
	return err ? FATE_DROP(error) : FATE_ANSWER(too_big);
}

/* DSCP and ECN of the inner header. */
static __always_inline __u8 inner_tos(const void *ip, int inner)
{
	return inner == 4 ? ((const struct iphdr *)ip)->tos : bpf_ntohl(*(const __be32 *)ip) >> 20;
}

/* Adds 32-bit words and folds the sum at the end; byte order does not matter (RFC 1071). */
static __always_inline void outer4_write(void *at, const void *source, const void *target,
					 __u32 fragments, __u32 tos, __u32 len, __u8 protocol)
{
	__be32 *w = at;
	__u64 sum;

	w[0] = bpf_htonl(0x45 << 24 | tos << 16 | len);
	w[1] = fragments;
	w[3] = *(const __be32 *)source;
	w[4] = *(const __be32 *)target;
	sum = (__u64)w[0] + w[1] + w[3] + w[4] + bpf_htonl(TUNNEL_HOPS << 24 | protocol << 16);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	w[2] = bpf_htonl(TUNNEL_HOPS << 24 | protocol << 16 | bpf_ntohs(sum_finish(sum)));
}

static __always_inline void outer6_write(void *at, const void *source, const void *target,
					 __u32 label, __u32 tos, __u32 len, __u8 protocol)
{
	__be32 *w = at;
	int i;

	w[0] = bpf_htonl(6 << 28 | tos << 20) | (label & bpf_htonl(0xfffff));
	w[1] = bpf_htonl(len << 16 | protocol << 8 | TUNNEL_HOPS);
#pragma unroll
	for (i = 0; i < 4; i++) {
		w[2 + i] = ((const __be32 *)source)[i];
		w[6 + i] = ((const __be32 *)target)[i];
	}
}

/* The families are constants, which gives one piece of code per pair with constant offsets. */
static __always_inline int tunnel_wrap(struct xdp_md *ctx, struct packet *p,
				       const struct mxlb_backend *server, union mxlb_way way,
				       int inner, int outer)
{
	const __u32 head = outer == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	const __u8 protocol = inner == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	__u32 len = packet_len(p), mtu = READ_ONCE(server->mtu);
	const void *source;
	void *frame, *ip;

	if (inner == 6 && outer == 4)
		p->fragments = bpf_htonl(IPV4_DONT_FRAGMENT);
	if (len + head > mtu) {
		if (inner == 4 || len > IPV6_MIN_MTU)
			return too_big(ctx, p, mtu - head);
		if (outer == 4)
			p->fragments = bpf_htonl(bpf_get_prandom_u32() << 16);
	}
	if (bpf_xdp_adjust_head(ctx, -(int)head))
		return FATE_DROP(error);
	frame = (void *)(long)ctx->data;
	ip = frame + ETH_HLEN + head;
	if (ip + (inner == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) >
	    (void *)(long)ctx->data_end)
		return FATE_DROP(error); /* the parser has checked the length */
	source = server->source[way.flags / MXLB_BACKEND_SOURCE_1 % 2];
	write_mac(frame + ETH_ALEN, load_mac(frame + head)); /* room for the outer header */
	hop_take(ip, inner);
	*(__be16 *)(frame + 2 * ETH_ALEN) = bpf_htons(outer == 4 ? ETH_P_IP : ETH_P_IPV6);
	if (outer == 4)
		outer4_write(frame + ETH_HLEN, source, server->target,
			     inner == 4 ? bpf_htonl(IPV4_DONT_FRAGMENT) : p->fragments,
			     inner_tos(ip, inner), len + head, protocol);
	else
		outer6_write(frame + ETH_HLEN, source, server->target, p->hash >> 32,
			     inner_tos(ip, inner), len, protocol);
	return hop_leave(ctx, p, frame, way);
}

/* Sends the packet through the tunnel of `way`. */
static __always_inline int tunnel(struct xdp_md *ctx, struct packet *p,
				  const struct mxlb_backend *server, union mxlb_way way, int family)
{
	return server->family == 4 ? tunnel_wrap(ctx, p, server, way, family, 4)
				   : tunnel_wrap(ctx, p, server, way, family, 6);
}

#endif
