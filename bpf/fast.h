/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fast path for most packets. A packet that is not for a VIP passes to the kernel. A segment in the middle of a
 * flow goes to the flow's server if it is IPv4 or IPv6 without options, extension headers, tag or tunnel; it has ACK
 * and none of SYN, FIN and RST; and the only entry of its tuple is settled, was used in this epoch, and is near the
 * segment's sequence number. If the server is reached at layer 2 through the interface on which the packet arrived,
 * everything stays in registers: no call, no struct packet, one line of the flow table.
 *
 * It has no rules of its own. Every other packet takes the general path (mxlb.bpf.c), which has the rules; without
 * fast_path all packets do, with the same bytes, counters and entries: test_mutations.c checks that.
 */
#ifndef MXLB_FAST_H
#define MXLB_FAST_H

#include "decap.h"
#include "flow.h"
#include "vip_lookup.h"
#include "hop.h"

const volatile __u8 fast_path = 1;

#define SLOW -1 /* not an action: take the general path */

/* A segment to a VIP. */
struct fast {
	void *frame, *ip;
	const struct tcphdr *tcp;
	__u64 hi, lo;  /* of the client's address; hi is 0 for IPv4 */
	__u32 segment; /* bytes of the TCP header and its data */
	__u32 service;
	__u64 hash;
};

/*
 * Whether the frame arrived untagged on a configured interface, is addressed to its MAC address and was not sent by
 * it. As for_us().
 */
static __always_inline const struct mxlb_port *fast_port(struct xdp_md *ctx,
							 const struct mxlb_front *front,
							 const void *frame)
{
	const struct mxlb_port *in;

	if (!front_port(front, ctx->ingress_ifindex, &in) || in->vlan ||
	    load_mac(frame) != load_mac(in->mac) || load_mac(frame + ETH_ALEN) == load_mac(in->mac))
		return NULL;
	return in;
}

/* Whether it is a segment in the middle of a flow, with a complete header. */
static __always_inline int fast_segment(const struct fast *f)
{
	__u8 flags = ((const __u8 *)f->tcp)[13];
	__u32 header = f->tcp->doff * 4;

	return (flags & (TCP_ACK | TCP_SYN | TCP_FIN | TCP_RST)) == TCP_ACK &&
	       header >= sizeof(*f->tcp) && header <= f->segment;
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
					     __u32 backend)
{
	union mxlb_note note = {.word = READ_ONCE(line_note(line, family)->word)};

	return note.word && note.backend != backend &&
	       key_equal(line_note_key(line, family), family, k);
}

/* The entry that the segment clearly follows by rules 3, 4 and 6 of flow.h, and its word; or NULL. */
static __always_inline union mxlb_entry *fast_entry(const struct fast *f, void *line, int family,
						    const struct flow_key *k, union mxlb_entry *is)
{
	__u64 place = fast_place(line, family, k);
	union mxlb_entry *entry;

	if (place >= MXLB_LINE_PLACES)
		return NULL;
	entry = line_entry(line, place);
	is->word = READ_ONCE(entry->word);
	if (is->epoch != READ_ONCE(control.epoch) || !(is->marks & MXLB_MARK_SETTLED) ||
	    !is->backend || is->backend == MXLB_ENTRY_BUSY ||
	    flow_distance(is->seq, flow_unit(bpf_ntohl(f->tcp->seq))) > FLOW_SAME ||
	    !key_equal(line_key(line, family, place), family, k) ||
	    fast_note_differs(line, family, k, is->backend))
		return NULL;
	return entry;
}

/* Rule 0: where the flow continues after this segment. */
static __always_inline void fast_move(const struct fast *f, union mxlb_entry *entry,
				      union mxlb_entry is)
{
	__u32 data = f->segment - f->tcp->doff * 4;
	__u32 behind = flow_unit(bpf_ntohl(f->tcp->seq) + data);

	if (!data || is.seq == behind)
		return;
	is.seq = behind;
	*(volatile __u32 *)&entry->seq_marks = is.seq_marks;
}

/* Through a tunnel or another interface: fills in what these need. */
static __noinline int fast_elsewhere(struct xdp_md *ctx, struct packet *p, int family)
{
	const struct mxlb_backend *to = bpf_map_lookup_elem(&backends, &p->backend);
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
					  __u32 backend, __u32 in)
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
	p->backend = backend;
	p->in = in;
	return fast_elsewhere(ctx, p, family);
}

static __always_inline int fast_forward(struct xdp_md *ctx, const struct fast *f, int family,
					void *line, const struct flow_key *k, __u32 in)
{
	union mxlb_entry is = {.word = 0}, *entry = fast_entry(f, line, family, k, &is);
	const struct mxlb_backend *to;
	struct mxlb_traffic *t;
	union mxlb_way way;
	__u32 backend;

	if (!entry)
		return SLOW;
	backend = is.backend;
	to = bpf_map_lookup_elem(&backends, &backend);
	if (!to)
		return SLOW;
	way.word = READ_ONCE(to->way.word);
	if ((way.flags & (MXLB_BACKEND_NEXT_HOP | MXLB_BACKEND_RESET)) != MXLB_BACKEND_NEXT_HOP)
		return SLOW;
	fast_move(f, entry, is);
	if ((way.flags & MXLB_BACKEND_TUNNEL) || way.port % MXLB_MAX_PORTS != in)
		return fast_hand_over(ctx, f, family, backend, in);
	hop_take(f->ip, family);
	write_mac(f->frame + ETH_ALEN, load_mac(f->frame));
	write_mac(f->frame, way.word);
	t = bpf_map_lookup_elem(&traffic, &backend);
	if (t) {
		t->packets++;
		t->bytes += bpf_xdp_get_buff_len(ctx);
	}
	return XDP_TX;
}

/* A segment to a VIP: the action, or SLOW. */
static __always_inline int fast_serve(struct xdp_md *ctx, const struct mxlb_front *front,
				      const struct mxlb_vip *vip, struct fast *f, int family)
{
	const struct mxlb_port *in = fast_port(ctx, front, f->frame);
	const struct mxlb_service *service;
	struct flow_key k;
	void *line;
	__u32 at;

	if (!in)
		return SLOW;
	f->service = front_service(vip, f->tcp->dest);
	service = bpf_map_lookup_elem(&services, &f->service);
	if (!service)
		return SLOW;
	f->hash = mxlb_flow_hash(service->seed, f->hi, f->lo, f->tcp->source);
	at = f->hash & line_mask;
	line = family == 4 ? bpf_map_lookup_elem(&flows4, &at) : bpf_map_lookup_elem(&flows6, &at);
	if (!line)
		return SLOW;
	fast_key(f, family, &k);
	return fast_forward(ctx, f, family, line, &k, in->index);
}

static __always_inline int fast4(struct xdp_md *ctx, void *frame, void *end)
{
	const struct mxlb_front *front = front_current();
	struct iphdr *ip = frame + ETH_HLEN;
	struct fast f = {.frame = frame, .ip = ip, .tcp = (void *)(ip + 1)};
	const struct mxlb_vip *vip;

	if (!front || (void *)(f.tcp + 1) > end)
		return SLOW;
	if (!front_vip4(front, ip->daddr, &vip))
		return is_tunnel(ip->protocol) ? SLOW : not_ours();
	f.lo = ip->saddr;
	f.segment = bpf_ntohs(ip->tot_len) - sizeof(*ip); /* wraps around, and is then too long */
	if (!fast_segment(&f) || *(__u8 *)ip != 0x45 || f.segment > end - (void *)f.tcp ||
	    ip->ttl <= 1 || ip->protocol != IPPROTO_TCP || (ip->frag_off & bpf_htons(0x3fff)) ||
	    !ipv4_source_ok(ip->saddr) || ip->saddr == ip->daddr)
		return SLOW;
	return fast_serve(ctx, front, vip, &f, 4);
}

static __always_inline int fast6(struct xdp_md *ctx, void *frame, void *end)
{
	const struct mxlb_front *front = front_current();
	struct ipv6hdr *ip = frame + ETH_HLEN;
	struct fast f = {.frame = frame, .ip = ip, .tcp = (void *)(ip + 1)};
	const struct mxlb_vip *vip;

	if (!front || (void *)(f.tcp + 1) > end || ip->nexthdr == IPPROTO_ICMPV6)
		return SLOW;
	if (!front_vip6(front, &ip->daddr, &vip))
		return is_tunnel(ip->nexthdr) ? SLOW : not_ours();
	f.hi = load_u64(&ip->saddr);
	f.lo = load_u64((void *)&ip->saddr + 8);
	f.segment = bpf_ntohs(ip->payload_len);
	if (!fast_segment(&f) || ip->version != 6 || f.segment > end - (void *)f.tcp ||
	    ip->hop_limit <= 1 || ip->nexthdr != IPPROTO_TCP || !ipv6_source_ok(f.hi) ||
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
