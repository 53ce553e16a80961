/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ICMP to a VIP. Pings are answered here, because a VIP that does not answer pings looks dead. An error about a packet
 * of a server goes to the server that owns the flow, found like its segments (entry, note, ring), so that path MTU
 * discovery works (RFC 1191, RFC 8201). Errors about anything else pass to the kernel; all other ICMP is dropped.
 *
 * The packet that an error quotes is copied with bpf_xdp_load_bytes: errors are rare, and its offset depends on
 * earlier lengths.
 */
#ifndef MXLB_ICMP_H
#define MXLB_ICMP_H

#include "checksum.h"
#include "flow.h"
#include "forward.h"
#include "vip_lookup.h"
#include "limit.h"
#include "reset.h"
#include "stats.h"

#define ICMP4_ECHO_REPLY  0
#define ICMP4_UNREACHABLE 3
#define ICMP4_ECHO	  8
#define ICMP4_TIME	  11
#define ICMP4_PARAMETER	  12
#define ICMP6_LAST_ERROR  4 /* 1 to 4 (RFC 4443 section 2.1) */
#define ICMP6_ECHO	  128
#define ICMP6_ECHO_REPLY  129

struct echo4 {
	struct ethhdr eth;
	struct iphdr ip;
	struct icmp_head icmp;
} __attribute__((packed));

struct echo6 {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct icmp_head icmp;
} __attribute__((packed));

/* One's complement arithmetic: the checksum after a 16-bit word of the message changed (RFC 1624, equation 3). */
static __always_inline __u16 sum_update(__u16 check, __u16 from, __u16 to)
{
	__u16 sum = sum_finish((__u16)~check + (__u16)~from + to);

	return sum ? sum : 0xffff; /* the zero that all receivers accept */
}

static __always_inline int icmp_is_error(int family, __u8 type)
{
	if (family == 4)
		return type == ICMP4_UNREACHABLE || type == ICMP4_TIME || type == ICMP4_PARAMETER;
	return type && type <= ICMP6_LAST_ERROR;
}

/*
 * Turns the request into the reply in place: swapping addresses leaves all checksums unchanged, and the changed type
 * is applied to the ICMP checksum.
 */
static __noinline int echo4_answer(struct xdp_md *ctx)
{
	struct echo4 *f = (void *)(long)ctx->data;
	__be32 client;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end || f->ip.ihl != 5)
		return FATE_DROP(malformed);
	swap_macs(&f->eth);
	client = f->ip.saddr;
	f->ip.saddr = f->ip.daddr;
	f->ip.daddr = client;
	f->ip.ttl = RESET_HOPS;
	f->ip.check = 0;
	f->ip.check = sum_finish(sum_words((void *)f + ETH_HLEN, sizeof(f->ip), 0));
	f->icmp.check = sum_update(f->icmp.check, bpf_htons(ICMP4_ECHO << 8),
				   bpf_htons(ICMP4_ECHO_REPLY << 8));
	f->icmp.type = ICMP4_ECHO_REPLY;
	return FATE_ANSWER(echo_reply);
}

static __noinline int echo6_answer(struct xdp_md *ctx)
{
	struct echo6 *f = (void *)(long)ctx->data;
	struct in6_addr client;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return FATE_DROP(malformed);
	swap_macs(&f->eth);
	client = f->ip.saddr;
	f->ip.saddr = f->ip.daddr;
	f->ip.daddr = client;
	f->ip.hop_limit = RESET_HOPS;
	f->icmp.check = sum_update(f->icmp.check, bpf_htons(ICMP6_ECHO << 8),
				   bpf_htons(ICMP6_ECHO_REPLY << 8));
	f->icmp.type = ICMP6_ECHO_REPLY;
	return FATE_ANSWER(echo_reply);
}

/*
 * Reads the segment that an error quotes and fills *p for the client of its flow: the segment was sent by a server
 * from the VIP, so its destination is the client. Returns -1 if it is not from a VIP.
 */
static __noinline int quoted4(struct xdp_md *ctx, struct packet *p, __be32 vip)
{
	__u32 at = p->tcp_at + sizeof(struct icmp_head);
	struct iphdr *ip = &p->quoted.ip4;

	if (bpf_xdp_load_bytes(ctx, at, ip, sizeof(*ip)) || ip->version != 4 || ip->ihl < 5 ||
	    ip->protocol != IPPROTO_TCP || ip->saddr != vip || (ip->frag_off & bpf_htons(0x1fff)) ||
	    bpf_xdp_load_bytes(ctx, at + ip->ihl * 4, &p->quoted_tcp, sizeof(p->quoted_tcp)))
		return -1;
	p->source_lo = ip->daddr;
	p->source = p->quoted_tcp.dest;
	p->dest = p->quoted_tcp.source;
	return 0;
}

static __noinline int quoted6(struct xdp_md *ctx, struct packet *p, const struct mxlb_vip *vip)
{
	__u32 at = p->tcp_at + sizeof(struct icmp_head);
	struct ipv6hdr *ip = &p->quoted.ip6;

	if (bpf_xdp_load_bytes(ctx, at, ip, sizeof(*ip)) || ip->version != 6 ||
	    ip->nexthdr != IPPROTO_TCP || load_u64(&ip->saddr) != load_u64(&vip->address[0]) ||
	    load_u64((void *)&ip->saddr + 8) != load_u64(&vip->address[8]) ||
	    bpf_xdp_load_bytes(ctx, at + sizeof(*ip), &p->quoted_tcp, sizeof(p->quoted_tcp)))
		return -1;
	p->source_hi = load_u64(&ip->daddr);
	p->source_lo = load_u64((void *)&ip->daddr + 8);
	p->source = p->quoted_tcp.dest;
	p->dest = p->quoted_tcp.source;
	return 0;
}

/* Finds the server that owns the flow: by its entry, else its note, else the ring. Changes nothing. 0: none. */
static __always_inline __u32 flow_owner(struct packet *p, int family)
{
	const struct mxlb_service *service = bpf_map_lookup_elem(&services, &p->service);
	union mxlb_note note;
	void *line;

	if (!service)
		return 0;
	p->hash = mxlb_flow_hash(service->seed, family == 4 ? 0 : p->source_hi, p->source_lo,
				 p->source);
	line = flow_line(p, family);
	if (!line)
		return 0;
	p->seq = 0; /* the quoted number is the server's: it ranks no entries */
	flow_key_set(p, family);
	flow_look(line, family, p);
	if (p->best.entry.backend)
		return p->best.entry.backend;
	note.word = flow_note(line, family, p);
	return note.word ? note.backend : ring_place(p);
}

static __noinline int owner4(struct packet *p)
{
	return flow_owner(p, 4);
}

static __noinline int owner6(struct packet *p)
{
	return flow_owner(p, 6);
}

/* Forwards an error about a segment of *p's flow to its server. */
static __always_inline int relay(struct xdp_md *ctx, struct packet *p, const struct mxlb_vip *vip)
{
	const struct mxlb_backend *server;

	p->service = front_service(vip, p->dest);
	if (p->service == NO_SERVICE)
		return FATE_PASS(icmp_unknown);
	p->server = p->family == 4 ? owner4(p) : owner6(p);
	server = bpf_map_lookup_elem(&backends, &p->server);
	if (!p->server || !server)
		return FATE_PASS(icmp_unknown);
	if (p->hops <= 1)
		return FATE_DROP(ttl);
	p->result.kind = FLOW_HIT;
	return p->family == 4 ? forward(ctx, p, server, 4) : forward(ctx, p, server, 6);
}

/* Handles ICMP to a VIP. The parser has checked the IP header; p->tcp_at is the offset of the ICMP header. */
static __noinline int icmp_packet(struct xdp_md *ctx, struct packet *p, const struct mxlb_vip *vip)
{
	int is_v4 = p->family == 4;

	if (bpf_xdp_load_bytes(ctx, p->tcp_at, &p->icmp, sizeof(p->icmp)))
		return FATE_DROP(malformed);
	if (icmp_is_error(p->family, p->icmp.type)) {
		if (is_v4 ? quoted4(ctx, p, *(__be32 *)&vip->address[12]) : quoted6(ctx, p, vip))
			return FATE_PASS(icmp_unknown);
		return relay(ctx, p, vip);
	}
	if (p->icmp.type != (is_v4 ? ICMP4_ECHO : ICMP6_ECHO) || p->icmp.code)
		return FATE_DROP(icmp);
	if (!limit_take(p->source_hi, p->source_lo, LIMIT_RESETS))
		return FATE_DROP(rate_limited);
	return is_v4 ? echo4_answer(ctx) : echo6_answer(ctx);
}

#endif
