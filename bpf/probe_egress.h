/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Puts probes into the tunnel that mail takes. Probes are sent by sockets of this box, so they do not pass the XDP
 * program that encapsulates mail. This filter (tc, clsact, egress) recognises them by their mark and adds the same
 * outer header. Other packets, and probes of servers without a tunnel, are not changed.
 *
 * A tunnel device is not used, because the ipip module may be missing, and 4-in-6 and 6-in-4 would need other devices.
 */
#ifndef MXLB_PROBE_H
#define MXLB_PROBE_H

#include <linux/pkt_cls.h>
#include "checksum.h"
#include "maps.h"
#include "parse.h"

/* A probe's mark is probe_mark | server; the bits outside probe_mask are the server's. */
const volatile __u32 probe_mark = ~0U;
const volatile __u32 probe_mask = ~0U;

#define PROBE_TTL 64

/* DSCP and ECN of the inner packet (RFC 6040 section 4.1, normal mode); negative: it cannot be read. */
static __always_inline int probe_tos(struct __sk_buff *skb)
{
	__u8 start[2];

	if (bpf_skb_load_bytes(skb, ETH_HLEN, start, sizeof(start)))
		return -1;
	return skb->protocol == bpf_htons(ETH_P_IP) ? start[1]
						    : (start[0] & 0xf) << 4 | start[1] >> 4;
}

static __always_inline int probe_put(struct __sk_buff *skb, const void *header, __u32 len,
				     __be16 ethertype)
{
	return bpf_skb_store_bytes(skb, ETH_HLEN, header, len, 0) ||
	       bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_proto), &ethertype,
				   sizeof(ethertype), 0);
}

static __noinline int probe_wrap4(struct __sk_buff *skb, const struct mxlb_backend *b,
				  const __u8 *source, __u8 tos, __u8 protocol)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tos = tos,
		.tot_len = bpf_htons(sizeof(ip) + skb->len - ETH_HLEN),
		.frag_off = bpf_htons(0x4000), /* DF */
		.ttl = PROBE_TTL,
		.protocol = protocol,
	};

	__builtin_memcpy(&ip.saddr, source, sizeof(ip.saddr));
	__builtin_memcpy(&ip.daddr, b->target, sizeof(ip.daddr));
	ip.check = sum_finish(sum_words(&ip, sizeof(ip), 0));
	return bpf_skb_adjust_room(skb, sizeof(ip), BPF_ADJ_ROOM_MAC,
				   BPF_F_ADJ_ROOM_ENCAP_L3_IPV4) ||
	       probe_put(skb, &ip, sizeof(ip), bpf_htons(ETH_P_IP));
}

static __noinline int probe_wrap6(struct __sk_buff *skb, const struct mxlb_backend *b,
				  const __u8 *source, __u8 tos, __u8 protocol)
{
	struct ipv6hdr ip = {
		.version = 6,
		.priority = tos >> 4,
		.flow_lbl = {tos << 4},
		.payload_len = bpf_htons(skb->len - ETH_HLEN),
		.nexthdr = protocol,
		.hop_limit = PROBE_TTL,
	};

	__builtin_memcpy(&ip.saddr, source, sizeof(ip.saddr));
	__builtin_memcpy(&ip.daddr, b->target, sizeof(ip.daddr));
	return bpf_skb_adjust_room(skb, sizeof(ip), BPF_ADJ_ROOM_MAC,
				   BPF_F_ADJ_ROOM_ENCAP_L3_IPV6) ||
	       probe_put(skb, &ip, sizeof(ip), bpf_htons(ETH_P_IPV6));
}

/*
 * A probe that cannot be encapsulated is dropped: without the tunnel it might reach a server that mail in the tunnel
 * does not.
 */
SEC("tc")
int probe(struct __sk_buff *skb)
{
	__u32 id = skb->mark & ~probe_mask;
	const struct mxlb_backend *b;
	union mxlb_way way;
	const __u8 *source;
	__u8 protocol;
	int tos;

	if ((skb->mark & probe_mask) != probe_mark)
		return TC_ACT_UNSPEC;
	b = bpf_map_lookup_elem(&backends, &id);
	if (!b)
		return TC_ACT_UNSPEC;
	way.word = READ_ONCE(b->way.word);
	if (!(way.flags & MXLB_BACKEND_TUNNEL))
		return TC_ACT_UNSPEC;
	tos = probe_tos(skb);
	if (tos < 0)
		return TC_ACT_SHOT;
	source = b->source[!!(way.flags & MXLB_BACKEND_SOURCE_1)];
	protocol = skb->protocol == bpf_htons(ETH_P_IP) ? IPPROTO_IPIP : IPPROTO_IPV6;
	if (b->family == 4 ? probe_wrap4(skb, b, source, tos, protocol)
			   : probe_wrap6(skb, b, source, tos, protocol))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC; /* leaves it to other filters */
}

#endif
