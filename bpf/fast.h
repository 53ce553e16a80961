/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fast path for most packets. A packet that is not for a VIP passes to the kernel. A segment in the middle of a
 * flow goes to the flow's server if all of this is true:
 *
 *   - It arrived as IPv4 or IPv6 without options, extension headers, VLAN tag or outer header.
 *   - It is for the first service of its VIP, and has ACK and none of SYN, FIN and RST.
 *   - The only entry of its tuple is settled, was already used in this epoch, and is near the segment's sequence number.
 *
 * How the server is reached does not matter. At layer 2 through the interface on which the segment arrived, everything
 * stays in registers: no call, no struct packet, one line of the flow table. Through a tunnel or another interface
 * (fast_elsewhere()), struct packet is filled in and forward() called as on the general path; only parsing and the
 * choice of the server are skipped.
 *
 * The fast path has no rules of its own. Every other packet takes the general path (mxlb.bpf.c), which has the rules.
 * Without fast_path all packets do, with the same bytes, counters and entries: test_mutations.c checks that.
 */
#ifndef MXLB_FAST_H
#define MXLB_FAST_H

#include "decap.h"
#include "flow.h"
#include "vip_lookup.h"
#include "hop.h"

const volatile __u8 fast_path = 1;

#define SLOW -1 /* not an action: take the general path */

/*
 * A segment to a VIP, in registers: the address of none of its fields may be taken. Headers are read and written in
 * words as large as they allow.
 */
struct fast {
	void *frame;
	const struct tcphdr *tcp;
	__u64 macs; /* the first eight bytes of the frame: its destination, and a part of its source */
	__u64 hi, lo;  /* of the client's address; hi is 0 for IPv4 */
	__u32 segment; /* bytes of the TCP header and its data */
	__u32 hops;    /* IPv4: the word of TTL, protocol and checksum; IPv6: the hop limit */
	__u32 service;
	__u64 hash;
};

/*
 * Whether the frame arrived untagged on a configured interface, is addressed to its MAC address and was not sent by
 * it. As for_us().
 */
static __always_inline const struct mxlb_port *fast_port(struct xdp_md *ctx,
							 const struct mxlb_front *front,
							 const struct fast *f)
{
	__u32 rest = *(const __u32 *)(f->frame + sizeof(f->macs)); /* of the source */
	const struct mxlb_port *in;
	const void *tag;
	__u64 own;

	if (!front_port(front, ctx->ingress_ifindex, &in))
		return NULL;
	tag = &in->vlan;
	own = *(const __u64 *)tag; /* and .mac, which follows it */
	if (f->macs << 16 != own || (rest == own >> 32 && f->macs >> 48 == (own >> 16 & 0xffff)))
		return NULL;
	return in;
}

/* Whether it is a segment in the middle of a flow. Checked before anything else, because most other segments are SYNs. */
static __always_inline int fast_flags(const struct tcphdr *tcp)
{
	return (((const __u8 *)tcp)[13] & (TCP_ACK | TCP_SYN | TCP_FIN | TCP_RST)) == TCP_ACK;
}

/* The bytes of data, or -1: the header is not complete. */
static __always_inline int fast_data(const struct fast *f)
{
	__u32 header = f->tcp->doff * 4;

	return header < sizeof(*f->tcp) || header > f->segment ? -1 : (int)(f->segment - header);
}

static __always_inline void fast_key(const struct fast *f, int family, struct flow_key *k)
{
	__u64 port = f->tcp->source, service = f->service;

	if (family == 4) {
		k->lo = f->lo | port << 32 | service << 48;
		return;
	}
	k->hi = f->hi;
	k->lo = f->lo;
	k->tail = port | service << 16;
}

/* The slot of the tuple's only entry; MXLB_LINE_PLACES: it has none, or several. */
static __always_inline __u64 fast_place(void *line, int family, const struct flow_key *k)
{
	__u64 place = MXLB_LINE_PLACES;
	int i;

#pragma unroll
	for (i = 0; i < MXLB_LINE_PLACES; i++) {
		if (!key_equal(line_key(line, family, i), family, k))
			continue;
		if (place != MXLB_LINE_PLACES)
			return MXLB_LINE_PLACES;
		place = i;
	}
	return place;
}

/* Whether the line's note belongs to another connection of the tuple: flow.h, rule 3. */
static __always_inline int fast_note_differs(void *line, int family, const struct flow_key *k,
					     __u32 server)
{
	union mxlb_note note = {.word = READ_ONCE(line_note(line, family)->word)};

	return note.word && note.backend != server &&
	       key_equal(line_note_key(line, family), family, k);
}

/*
 * The entry that the segment clearly follows by rules 3, 4 and 6 of flow.h, and its word; or NULL. No server has the
 * number of a free or a busy entry.
 */
static __always_inline union mxlb_entry *fast_entry(__u32 seq, void *line, int family,
						    const struct flow_key *k, union mxlb_entry *is)
{
	const union mxlb_entry mask = {.epoch = 0xffff, .marks = MXLB_MARK_SETTLED};
	union mxlb_entry *entry,
		want = {.epoch = READ_ONCE(control.epoch), .marks = MXLB_MARK_SETTLED};
	__u64 place = fast_place(line, family, k);

	if (place >= MXLB_LINE_PLACES)
		return NULL;
	entry = line_entry(line, place);
	is->word = READ_ONCE(entry->word);
	if (((is->word ^ want.word) & mask.word) ||
	    flow_distance(is->seq, flow_unit(seq)) > FLOW_SAME ||
	    !key_equal(line_key(line, family, place), family, k) ||
	    fast_note_differs(line, family, k, is->backend))
		return NULL;
	return entry;
}

/* Rule 0: where the flow continues after this segment. */
static __always_inline void fast_move(union mxlb_entry *entry, union mxlb_entry is, __u32 behind)
{
	if (is.seq == flow_unit(behind))
		return;
	is.seq = flow_unit(behind);
	*(volatile __u32 *)&entry->seq_marks = is.seq_marks;
}

/* Through a tunnel or another interface: fills in what these need. */
static __noinline int fast_elsewhere(struct xdp_md *ctx, struct packet *p, int family)
{
	const struct mxlb_backend *to = bpf_map_lookup_elem(&backends, &p->server);
	int fate;

	if (!to)
		return XDP_DROP;
	p->frame = bpf_xdp_get_buff_len(ctx);
	p->result.kind = FLOW_HIT;
	p->result.put = 0;
	fate = family == 4 ? forward(ctx, p, to, 4) : forward(ctx, p, to, 6);
	return finish(p, fate);
}

static __always_inline int fast_hand_over(struct xdp_md *ctx, const struct fast *f, int family,
					  __u32 server, __u32 in)
{
	struct packet *p = packet_new();

	if (!p)
		return XDP_DROP;
	p->family = family;
	p->source_hi = f->hi;
	p->source_lo = f->lo;
	p->tcp_at = (void *)f->tcp - f->frame;
	p->segment = f->segment;
	p->hash = f->hash;
	p->service = f->service;
	p->server = server;
	p->in = in;
	return fast_elsewhere(ctx, p, family);
}

/* As hop_take(), write_mac() and count_traffic(). */
static __always_inline void fast_hop(const struct fast *f, int family, __u64 way)
{
	__u32 sum = (f->hops >> 16) + 1; /* RFC 1141, as in hop_take() */
	void *ip = f->frame + ETH_HLEN;

	if (family == 4)
		*(__u32 *)(ip + offsetof(struct iphdr, ttl)) =
			((f->hops & 0xffff) - 1) | (sum + ((sum + 1) >> 16)) << 16;
	else
		((struct ipv6hdr *)ip)->hop_limit = f->hops - 1;
	*(__u64 *)f->frame = (way & ((1ULL << 48) - 1)) | f->macs << 48;
	*(__u32 *)(f->frame + sizeof(f->macs)) = f->macs >> 16;
}

static __always_inline void fast_count(struct xdp_md *ctx, __u32 server)
{
	struct mxlb_traffic *t = bpf_map_lookup_elem(&traffic, &server);

	if (!t)
		return;
	t->packets++;
	t->bytes += bpf_xdp_get_buff_len(ctx);
}

/* data: bytes of the segment behind its header. */
static __always_inline int fast_forward(struct xdp_md *ctx, const struct fast *f, int family,
					void *line, __u32 data, __u32 in)
{
	__u32 seq = bpf_ntohl(f->tcp->seq), server;
	union mxlb_entry is = {.word = 0}, *entry;
	const struct mxlb_backend *to;
	union mxlb_way way;
	struct flow_key k;

	fast_key(f, family, &k);
	entry = fast_entry(seq, line, family, &k, &is);
	if (!entry)
		return SLOW;
	server = is.backend;
	to = bpf_map_lookup_elem(&backends, &server);
	if (!to)
		return SLOW;
	way.word = READ_ONCE(to->way.word);
	if ((way.flags & (MXLB_BACKEND_NEXT_HOP | MXLB_BACKEND_RESET)) != MXLB_BACKEND_NEXT_HOP)
		return SLOW;
	if (data)
		fast_move(entry, is, seq + data);
	if ((way.flags & MXLB_BACKEND_TUNNEL) || way.port % MXLB_MAX_PORTS != in)
		return fast_hand_over(ctx, f, family, server, in);
	fast_hop(f, family, way.word);
	fast_count(ctx, server);
	return XDP_TX;
}

/*
 * A segment to the first service of a VIP, usually its only one: the action, or SLOW. f has all but the service and the
 * hash.
 */
static __always_inline int fast_serve(struct xdp_md *ctx, const struct mxlb_front *front,
				      const struct mxlb_vip *vip, struct fast *f, int family)
{
	const struct mxlb_port *in;
	int data = fast_data(f);
	void *line;
	__u32 at;

	if (data < 0 || !vip->seed || vip->ports[0].port != f->tcp->dest)
		return SLOW;
	in = fast_port(ctx, front, f);
	if (!in)
		return SLOW;
	f->service = vip->ports[0].service;
	f->hash = mxlb_flow_hash(vip->seed, f->hi, f->lo, f->tcp->source);
	at = f->hash & line_mask;
	line = family == 4 ? bpf_map_lookup_elem(&flows4, &at) : bpf_map_lookup_elem(&flows6, &at);
	if (!line)
		return SLOW;
	return fast_forward(ctx, f, family, line, data, in->index);
}

static __always_inline int fast4(struct xdp_md *ctx, void *frame, void *end)
{
	const struct mxlb_front *front = front_current();
	struct iphdr *ip = frame + ETH_HLEN;
	struct fast f = {.frame = frame, .tcp = (void *)(ip + 1)};
	const struct mxlb_vip *vip;

	if (!front || (void *)(f.tcp + 1) > end)
		return SLOW;
	if (!front_vip4(front, ip->daddr, &vip))
		return is_tunnel(ip->protocol) ? SLOW : not_ours();
	f.macs = *(__u64 *)frame;
	f.lo = ip->saddr;
	f.segment = bpf_ntohs(ip->tot_len) - sizeof(*ip); /* wraps around, and is then too long */
	f.hops = *(__u32 *)&ip->ttl;
	if (!fast_flags(f.tcp) || *(__u8 *)ip != 0x45 || f.segment > end - (void *)f.tcp ||
	    (f.hops & 0xff) <= 1 || (f.hops >> 8 & 0xff) != IPPROTO_TCP ||
	    (ip->frag_off & bpf_htons(0x3fff)) || !ipv4_source_ok(ip->saddr) ||
	    ip->saddr == ip->daddr)
		return SLOW;
	return fast_serve(ctx, front, vip, &f, 4);
}

static __always_inline int fast6(struct xdp_md *ctx, void *frame, void *end)
{
	const struct mxlb_front *front = front_current();
	struct ipv6hdr *ip = frame + ETH_HLEN;
	struct fast f = {.frame = frame, .tcp = (void *)(ip + 1)};
	const struct mxlb_vip *vip;

	if (!front || (void *)(f.tcp + 1) > end || ip->nexthdr == IPPROTO_ICMPV6)
		return SLOW;
	if (!front_vip6(front, &ip->daddr, &vip))
		return is_tunnel(ip->nexthdr) ? SLOW : not_ours();
	f.macs = *(__u64 *)frame;
	f.hi = load_u64(&ip->saddr);
	f.lo = load_u64((void *)&ip->saddr + 8);
	f.segment = bpf_ntohs(ip->payload_len);
	f.hops = ip->hop_limit;
	if (!fast_flags(f.tcp) || ip->version != 6 || f.segment > end - (void *)f.tcp ||
	    f.hops <= 1 || ip->nexthdr != IPPROTO_TCP || !ipv6_source_ok(f.hi) ||
	    (f.hi == load_u64(&ip->daddr) && f.lo == load_u64((void *)&ip->daddr + 8)))
		return SLOW;
	return fast_serve(ctx, front, vip, &f, 6);
}

/* Handles a whole frame, or returns SLOW. */
static __always_inline int fast(struct xdp_md *ctx, __be16 type)
{
	void *frame = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (fast_path && type == bpf_htons(ETH_P_IP))
		return fast4(ctx, frame, end);
	if (fast_path && type == bpf_htons(ETH_P_IPV6))
		return fast6(ctx, frame, end);
	return SLOW;
}

#endif
