/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One function per header, reading through a cursor that cannot pass the end of the frame. Calls no helper, so this
 * file also compiles natively.
 */
#ifndef MXLB_PARSE_H
#define MXLB_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include "mxlb/counters.h"
#include "packet.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

struct cursor {
	void *pos;
	void *end;
};

/* Whether an object of this size is completely inside the frame at the cursor. */
static __always_inline int cursor_has(const struct cursor *c, __u32 len)
{
	return c->pos + len <= c->end;
}

static __always_inline __u64 load_u64(const void *at)
{
	const __u32 *words = at;

	return (__u64)words[0] | (__u64)words[1] << 32;
}

/* A MAC address as a number, for comparison. */
static __always_inline __u64 load_mac(const void *at)
{
	__u32 first = *(const __u32 *)at;
	__u16 rest = *(const __u16 *)(at + 4);

	return first | (__u64)rest << 32;
}

/* Whether a client can have this address: not 0/8, 127/8, multicast, 240/4 or broadcast (RFC 6890). */
static __always_inline int ipv4_source_ok(__be32 address)
{
	__u8 first = bpf_ntohl(address) >> 24;

	return first != 0 && first != 127 && first < 224;
}

/* The same for IPv6: not ::/64 (unspecified, loopback, IPv4-mapped) or multicast. */
static __always_inline int ipv6_source_ok(__u64 hi)
{
	return hi != 0 && (hi & 0xff) != 0xff;
}

/* The cursor is behind the Ethernet header and p->frame is set. Returns GO_ON with p filled, or the reason to drop. */
static __always_inline int parse_ipv4(struct cursor *c, struct packet *p)
{
	struct iphdr *ip = c->pos;
	__u32 header, total;

	if (!cursor_has(c, sizeof(*ip)))
		return MXLB_DROP_malformed;
	p->family = 4;
	p->hops = ip->ttl;
	p->source_hi = 0;
	p->source_lo = ip->saddr;
	if (ip->version != 4 || ip->ihl < 5)
		return MXLB_DROP_malformed;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	p->tcp_at = ETH_HLEN + header;
	p->segment = total - header;
	if (total < header || total > p->frame - ETH_HLEN)
		return MXLB_DROP_malformed;
	if (ip->frag_off &
	    bpf_htons(0x3fff)) /* MF or an offset; DF and the reserved bit are allowed */
		return MXLB_DROP_fragment;
	if (!ipv4_source_ok(ip->saddr) || ip->saddr == ip->daddr)
		return MXLB_DROP_martian;
	if (ip->protocol != IPPROTO_TCP)
		return ip->protocol == IPPROTO_ICMP ? MXLB_DROP_icmp : MXLB_DROP_protocol;
	return GO_ON;
}

static __always_inline int parse_ipv6(struct cursor *c, struct packet *p)
{
	struct ipv6hdr *ip = c->pos;
	__u32 payload;

	if (!cursor_has(c, sizeof(*ip)))
		return MXLB_DROP_malformed;
	payload = bpf_ntohs(ip->payload_len);
	p->family = 6;
	p->hops = ip->hop_limit;
	p->source_hi = load_u64(&ip->saddr);
	p->source_lo = load_u64((void *)&ip->saddr + 8);
	if (ip->version != 6 || payload > p->frame - ETH_HLEN - sizeof(*ip))
		return MXLB_DROP_malformed;
	if (!ipv6_source_ok(p->source_hi) || (p->source_hi == load_u64(&ip->daddr) &&
					      p->source_lo == load_u64((void *)&ip->daddr + 8)))
		return MXLB_DROP_martian;
	p->tcp_at = ETH_HLEN + sizeof(*ip);
	p->segment = payload;
	p->next = ip->nexthdr;
	if (p->next == IPPROTO_TCP)
		return GO_ON;
	if (p->next == IPPROTO_FRAGMENT)
		return MXLB_DROP_fragment;
	return p->next == IPPROTO_ICMPV6 ? MXLB_DROP_icmp : MXLB_DROP_protocol;
}

/* Extension headers that are skipped on the way to TCP, and how many at most (RFC 8200 section 4). */
#define EXTENSIONS_MAX 4

static __always_inline int is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING;
}

/* Bits of the flags byte (RFC 9293 section 3.1). ECE and CWR are never used in a decision. */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

/* Rejects no flags at all, SYN with FIN or RST, and FIN, PSH and URG without ACK ("Xmas"). */
static __always_inline int tcp_flags_ok(__u8 flags)
{
	if (!flags || (flags & (TCP_SYN | TCP_FIN)) == (TCP_SYN | TCP_FIN) ||
	    (flags & (TCP_SYN | TCP_RST)) == (TCP_SYN | TCP_RST))
		return 0;
	return (flags & (TCP_FIN | TCP_PSH | TCP_URG | TCP_ACK)) != (TCP_FIN | TCP_PSH | TCP_URG);
}

static __always_inline int tcp_is_syn(__u8 flags)
{
	return (flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

/* Copies the needed fields of a TCP header. Returns GO_ON or the reason to drop. */
static __always_inline int parse_tcp(struct packet *p, const struct tcphdr *tcp)
{
	p->tcp_header = tcp->doff * 4;
	if (p->tcp_header < sizeof(*tcp) || p->tcp_header > p->segment)
		return MXLB_DROP_malformed;
	p->source = tcp->source;
	p->dest = tcp->dest;
	p->seq = tcp->seq;
	p->ack = tcp->ack_seq;
	p->flags = ((const __u8 *)tcp)[13] & 0x3f;
	return GO_ON;
}

#endif
