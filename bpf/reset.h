/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Turns a TCP segment into the RST that answers it (RFC 9293 section 3.10.7.1): if it has ACK, seq is its
 * acknowledgement; otherwise seq is 0, and RST+ACK acknowledges all of it. A RST is never answered. Rate limited. The
 * VIP is not an address of this box, so the kernel would not answer.
 */
#ifndef MXLB_RESET_H
#define MXLB_RESET_H

#include "checksum.h"
#include "limit.h"
#include "parse.h"
#include "stats.h"

#define RESET_HOPS 64

/* Builds the TCP header of the RST in p->tcp. */
static __always_inline void reset_tcp(struct packet *p)
{
	struct tcphdr to = {};
	__u32 len = p->segment - p->tcp_header + !!(p->flags & TCP_SYN) + !!(p->flags & TCP_FIN);

	to.source = p->dest;
	to.dest = p->source;
	to.doff = sizeof(to) / 4;
	to.rst = 1;
	if (p->flags & TCP_ACK) {
		to.seq = p->ack;
	} else {
		to.ack = 1;
		to.ack_seq = bpf_htonl(bpf_ntohl(p->seq) + len);
	}
	p->tcp = to;
}

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
}

struct reset4 {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

struct reset6 {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static __always_inline int resize_frame(struct xdp_md *ctx, __u32 len)
{
	int more = (int)len - (int)bpf_xdp_get_buff_len(ctx);

	return more ? bpf_xdp_adjust_tail(ctx, more) : 0;
}

/* Turns the frame into the RST, in place. Not inlined, so that its stack does not burden the fast path. */
static __noinline int reset_write4(struct xdp_md *ctx, const struct tcphdr *rst)
{
	struct reset4 *r;
	__be32 client;
	__u32 sum;

	if (resize_frame(ctx, sizeof(*r)))
		return -1;
	r = (void *)(long)ctx->data;
	if ((void *)(r + 1) > (void *)(long)ctx->data_end)
		return -1;
	swap_macs(&r->eth);
	client = r->ip.saddr;
	r->ip.saddr = r->ip.daddr;
	r->ip.daddr = client;
	r->ip.ihl = 5;
	r->ip.tos = 0;
	r->ip.tot_len = bpf_htons(sizeof(r->ip) + sizeof(r->tcp));
	r->ip.id = 0;
	r->ip.frag_off = bpf_htons(0x4000);
	r->ip.ttl = RESET_HOPS;
	r->ip.protocol = IPPROTO_TCP;
	r->ip.check = 0;
	r->ip.check = sum_finish(sum_words(&r->ip, sizeof(r->ip), 0));
	r->tcp = *rst;
	sum = sum_words(&r->ip.saddr, 8, bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(r->tcp)));
	r->tcp.check = sum_finish(sum_words(&r->tcp, sizeof(r->tcp), sum));
	return 0;
}

static __noinline int reset_write6(struct xdp_md *ctx, const struct tcphdr *rst)
{
	struct in6_addr client;
	struct reset6 *r;
	__u32 sum;

	if (resize_frame(ctx, sizeof(*r)))
		return -1;
	r = (void *)(long)ctx->data;
	if ((void *)(r + 1) > (void *)(long)ctx->data_end)
		return -1;
	swap_macs(&r->eth);
	client = r->ip.saddr;
	r->ip.saddr = r->ip.daddr;
	r->ip.daddr = client;
	r->ip.version = 6;
	r->ip.priority = 0;
	__builtin_memset(r->ip.flow_lbl, 0, sizeof(r->ip.flow_lbl));
	r->ip.payload_len = bpf_htons(sizeof(r->tcp));
	r->ip.nexthdr = IPPROTO_TCP;
	r->ip.hop_limit = RESET_HOPS;
	r->tcp = *rst;
	sum = sum_words(&r->ip.saddr, 32, bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(r->tcp)));
	r->tcp.check = sum_finish(sum_words(&r->tcp, sizeof(r->tcp), sum));
	return 0;
}

/* Answers with RST and counts `counter`. A RST itself, or one reply too many to a source, is not answered. */
static __noinline int reset_answer(struct xdp_md *ctx, struct packet *p, __u32 counter,
				   enum limit_kind kind)
{
	if (p->flags & TCP_RST)
		return FATE(XDP_DROP, counter);
	if (!limit_take(p->source_hi, p->source_lo, kind))
		return FATE_DROP(rate_limited);
	reset_tcp(p);
	if (p->family == 4 ? reset_write4(ctx, &p->tcp) : reset_write6(ctx, &p->tcp))
		return FATE_DROP(error);
	return FATE(XDP_TX, counter);
}

/* Answers a segment of a flow whose server is unreachable. These replies have buckets of their own (limit.h). */
static __always_inline int reset_flow(struct xdp_md *ctx, struct packet *p)
{
	return reset_answer(ctx, p, MXLB_COUNT_unreachable, LIMIT_FLOWS);
}

#endif
