// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The entry of the kernel program, and the path of a packet to a VIP: parse it, check that it is addressed to this
 * box, find the service, choose the server, forward. VLAN tags and the outer header of a peer's tunnel are removed
 * first. All other packets pass to the kernel unchanged, and as early as possible, because most packets are not for a
 * VIP.
 */
#include "maps.h"
#include "stats.h"
#include "parse.h"
#include "vip_lookup.h"
#include "ring.h"
#include "flow.h"
#include "forward.h"
#include "reset.h"
#include "neighbour.h"
#include "guard.h"
#include "icmp.h"
#include "decap.h"
#include "vlan.h"
#include "probe_egress.h"
#include "fast.h"

static __always_inline int nobody(struct xdp_md *ctx, struct packet *p)
{
	if (p->why == MXLB_RING_NOT_READY)
		return FATE_DROP(not_ready);
	if (p->why == MXLB_RING_DROP)
		return FATE_DROP(no_backend);
	if (p->why == WHY_SYN_LIMIT)
		return FATE_DROP(syn_limit);
	if (p->why == WHY_MARTIAN)
		return FATE_DROP(martian);
	return reset_answer(ctx, p, MXLB_COUNT_no_backend, LIMIT_RESETS);
}

/* Answers a segment of a flow whose server is unreachable with RST, and closes the flow. */
static __noinline int deliver_reset(struct xdp_md *ctx, struct packet *p)
{
	int fate = reset_flow(ctx, p);
	void *line = flow_line(p, p->family);

	if ((fate & 0xff) == XDP_TX && line)
		flow_close(line, p);
	return fate;
}

/* Forwards the packet to p->server, which has been chosen. */
static __always_inline int deliver(struct xdp_md *ctx, struct packet *p, int family)
{
	const struct mxlb_backend *server = bpf_map_lookup_elem(&backends, &p->server);
	int fate;

	if (!server)
		return FATE_DROP(error);
	if ((READ_ONCE(server->way.flags) & MXLB_BACKEND_RESET) &&
	    (p->result.kind == FLOW_HIT || p->result.kind == FLOW_PROMOTED))
		return deliver_reset(ctx, p);
	fate = forward(ctx, p, server, family);
	return fate == FATE_DROP(tunnel_loop)
		       ? reset_answer(ctx, p, MXLB_COUNT_tunnel_loop, LIMIT_RESETS)
		       : fate;
}

/* A valid TCP packet to a service. */
static __always_inline int serve(struct xdp_md *ctx, struct packet *p, __u8 family)
{
	const struct mxlb_service *service = bpf_map_lookup_elem(&services, &p->service);
	void *line;
	int reason;

	if (!service)
		return FATE_DROP(error);
	if (!tcp_flags_ok(p->flags))
		return FATE_DROP(flags);
	if (p->hops <= 1)
		return FATE_DROP(ttl);
	if (guard_asked(service) && tcp_is_syn(p->flags)) {
		reason = guard_syn(p);
		if (reason >= 0)
			return FATE(XDP_DROP, reason);
	}
	p->hash = mxlb_flow_hash(service->seed, family == 4 ? 0 : p->source_hi, p->source_lo,
				 p->source);
	line = flow_line(p, family);
	if (!line)
		return FATE_DROP(error);
	p->server = flow_choose(line, p, family);
	return p->server ? deliver(ctx, p, family) : nobody(ctx, p);
}

/*
 * Reads the TCP header. Behind an IP header without options it is at a constant offset and is read in place; otherwise
 * it is copied, because in a jumbo frame it may be in a buffer that no pointer reaches. Returns GO_ON or the reason to
 * drop.
 */
static __always_inline int find_tcp(struct xdp_md *ctx, const struct cursor *c, struct packet *p,
				    __u8 family)
{
	struct tcphdr *tcp = c->pos + (family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));

	if ((void *)(tcp + 1) > c->end)
		return MXLB_DROP_malformed;
	if (p->tcp_at != ETH_HLEN + (family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr))) {
		if (bpf_xdp_load_bytes(ctx, p->tcp_at, &p->tcp, sizeof(p->tcp)))
			return MXLB_DROP_malformed;
		return parse_tcp(p, &p->tcp);
	}
	return parse_tcp(p, tcp);
}

/*
 * Accepts only frames that arrived on a configured interface and VLAN, are addressed to its MAC address and were not
 * sent by it (a loop). Returns GO_ON or the packet's fate.
 */
static __always_inline int for_us(struct xdp_md *ctx, const struct mxlb_front *front,
				  struct packet *p)
{
	struct cursor c = {(void *)(long)ctx->data, (void *)(long)ctx->data_end};
	const struct mxlb_port *in;

	if (!cursor_has(&c, ETH_HLEN) || !front_port(front, ctx->ingress_ifindex, &in) ||
	    in->vlan != p->vlan)
		return FATE_PASS(not_ours);
	p->in = in->index;
	if (load_mac(c.pos) != load_mac(in->mac))
		return FATE_PASS(not_our_mac);
	return load_mac(c.pos + ETH_ALEN) == load_mac(in->mac) ? FATE_DROP(martian) : GO_ON;
}

/* Skips IPv6 extension headers. Returns GO_ON if TCP follows, or the reason to drop. */
static __noinline int skip_extensions(struct xdp_md *ctx, struct packet *p)
{
	struct extension_head *head = &p->extension;
	__u32 len;
	int i;

	for (i = 0; i < EXTENSIONS_MAX && is_extension(p->next); i++) {
		if (bpf_xdp_load_bytes(ctx, p->tcp_at, head, sizeof(*head)))
			return MXLB_DROP_malformed;
		len = (head->len + 1) * 8;
		if (len > p->segment)
			return MXLB_DROP_malformed;
		if (p->next == IPPROTO_ROUTING && head->left)
			return MXLB_DROP_protocol; /* not yet at its final destination (RFC 5095) */
		p->next = head->next;
		p->tcp_at += len;
		p->segment -= len;
	}
	if (p->next == IPPROTO_TCP)
		return GO_ON;
	return p->next == IPPROTO_FRAGMENT ? MXLB_DROP_fragment : MXLB_DROP_protocol;
}

/* Whether a jumbo frame has some of its headers outside the linear part, where they cannot be read and written. */
static __always_inline int headers_elsewhere(struct xdp_md *ctx, const struct packet *p,
					     __u8 family)
{
	const __u32 len = family == 4 ? sizeof(struct reset4) : sizeof(struct reset6);
	struct cursor c = {(void *)(long)ctx->data, (void *)(long)ctx->data_end};

	return !cursor_has(&c, len) && p->frame >= len;
}

/* Returns GO_ON with *p filled, or the packet's fate. */
static __always_inline int parse(struct xdp_md *ctx, struct packet *p, __u8 family)
{
	struct cursor c;
	int reason;

	p->frame = bpf_xdp_get_buff_len(ctx);
	c.pos = (void *)(long)ctx->data + ETH_HLEN;
	c.end = (void *)(long)ctx->data_end;
	reason = family == 4 ? parse_ipv4(&c, p) : parse_ipv6(&c, p);
	if (family == 6 && reason == MXLB_DROP_protocol)
		reason = skip_extensions(ctx, p);
	if (reason < 0)
		reason = find_tcp(ctx, &c, p, family);
	if (reason < 0)
		return GO_ON;
	return headers_elsewhere(ctx, p, family) ? FATE_PASS(not_ours) : FATE(XDP_DROP, reason);
}

/* A packet to a VIP. */
static __always_inline int vip_packet(struct xdp_md *ctx, struct packet *p,
				      const struct mxlb_vip *vip, __u8 family)
{
	int fate = parse(ctx, p, family);

	if (fate == FATE_DROP(icmp))
		return icmp_packet(ctx, p, vip);
	if (fate >= 0)
		return fate;
	p->service = front_service(vip, p->dest);
	if (p->service == NO_SERVICE)
		return reset_answer(ctx, p, MXLB_COUNT_not_our_port, LIMIT_RESETS);
	return serve(ctx, p, family);
}

/* The end of a packet to a VIP, whose source is known. */
static __always_inline int finish_vip(struct packet *p, int fate)
{
	int action = finish(p, fate);

	if (rejected_is((__u32)fate >> 8))
		rejected_note(p, (__u32)fate >> 8);
	return action;
}

/* Counts ARP or neighbour discovery with the outcome that their handlers returned. */
static __always_inline int finish_fate(int fate)
{
	struct packet *p = packet_new();

	return p ? finish(p, fate) : XDP_DROP;
}

/* Results of packets that are not for a VIP, before they are counted. */
enum { NOT_OURS = -1, MAYBE_TUNNEL = -2 };

/*
 * Returns the action, or one of the values above. These two functions are global, so that the verifier checks each
 * once and not for every path that leads to it.
 */
__noinline int ipv4_packet(struct xdp_md *ctx)
{
	const struct mxlb_front *front = front_current();
	struct cursor c = {(void *)(long)ctx->data + ETH_HLEN, (void *)(long)ctx->data_end};
	struct iphdr *ip = c.pos;
	const struct mxlb_vip *vip;
	struct packet *p;
	int fate;

	if (!front || !cursor_has(&c, sizeof(*ip)))
		return NOT_OURS;
	if (!front_vip4(front, ip->daddr, &vip))
		return is_tunnel(ip->protocol) ? MAYBE_TUNNEL : NOT_OURS;
	asm("" : "+r"(vip)); /* one register, not front and offset */
	p = packet_new();
	if (!p)
		return XDP_DROP;
	fate = for_us(ctx, front, p);
	if (fate >= 0)
		return finish(p, fate);
	fate = vip_packet(ctx, p, vip, 4);
	asm("" : "+r"(p)); /* else the compiler keeps it on the stack, and IPv6 costs 1 ns more */
	return finish_vip(p, fate);
}

__noinline int ipv6_packet(struct xdp_md *ctx)
{
	const struct mxlb_front *front = front_current();
	struct cursor c = {(void *)(long)ctx->data + ETH_HLEN, (void *)(long)ctx->data_end};
	struct ipv6hdr *ip = c.pos;
	const struct mxlb_vip *vip;
	struct packet *p;
	int fate;

	if (!front || !cursor_has(&c, sizeof(*ip)))
		return NOT_OURS;
	if (!front_vip6(front, &ip->daddr, &vip))
		return is_tunnel(ip->nexthdr) ? MAYBE_TUNNEL : NOT_OURS;
	asm("" : "+r"(vip)); /* one register, not front and offset */
	p = packet_new();
	if (!p)
		return XDP_DROP;
	fate = for_us(ctx, front, p);
	if (fate >= 0)
		return finish(p, fate);
	fate = vip_packet(ctx, p, vip, 6);
	asm("" : "+r"(p)); /* else the compiler keeps it on the stack, and IPv6 costs 1 ns more */
	return finish_vip(p, fate);
}

/* Neighbour discovery about a VIP is answered; anything else is treated like other IPv6 packets. */
static __always_inline int ipv6_or_nd(struct xdp_md *ctx, __u16 vlan)
{
	struct ipv6hdr *ip6 = (void *)(long)ctx->data + ETH_HLEN;
	int fate;

	if ((void *)(ip6 + 1) > (void *)(long)ctx->data_end || ip6->nexthdr != IPPROTO_ICMPV6)
		return ipv6_packet(ctx);
	fate = nd_packet(ctx, vlan);
	return fate < 0 ? ipv6_packet(ctx) : finish_fate(fate);
}

/*
 * A tunnelled packet that is not for a VIP itself. It is unpacked if the inner packet is for a VIP or, on a box
 * without VIPs, is TCP for this host (decap.h, rule 5); otherwise it passes to the kernel unchanged.
 */
static __always_inline int tunnel_end(struct xdp_md *ctx)
{
	const struct mxlb_front *front = front_current();
	struct packet *p = packet_new();
	int fate, action;

	if (!p || !front)
		return XDP_DROP;
	fate = FATE_PASS(not_ours);
	if (front->n_peers && for_us(ctx, front, p) < 0)
		fate = decap(ctx, p, front);
	if (fate >= 0)
		return finish(p, fate);
	p->from_tunnel = 1;
	action = p->tunnel.family == 4 ? ipv4_packet(ctx) : ipv6_packet(ctx);
	p->from_tunnel = 0;
	return action < 0 ? finish(p, FATE_PASS(decapsulated)) : action;
}

/* An untagged frame. vlan: the tag that was removed, 0 if there was none. */
static __always_inline int untagged(struct xdp_md *ctx, __be16 type, __u16 vlan)
{
	int action = NOT_OURS;

	if (type == bpf_htons(ETH_P_IP))
		action = ipv4_packet(ctx);
	else if (type == bpf_htons(ETH_P_IPV6))
		action = ipv6_or_nd(ctx, vlan);
	else if (type == bpf_htons(ETH_P_ARP))
		action = finish_fate(arp_packet(ctx, vlan));
	if (action >= 0)
		return action;
	return action == MAYBE_TUNNEL ? tunnel_end(ctx) : not_ours();
}

/* Removes the interface's own tag, and restores it on frames that leave by the same interface or pass to the kernel. */
static __always_inline int tagged(struct xdp_md *ctx)
{
	struct vlan_frame *f = (void *)(long)ctx->data;
	const struct mxlb_front *front = front_current();
	const struct mxlb_port *in;
	struct packet *p = packet_new();
	__be16 tci, type;
	int action;

	if (!p)
		return XDP_DROP;
	if (!front || !front_port(front, ctx->ingress_ifindex, &in) || !in->vlan)
		return not_ours();
	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return finish(p, FATE_DROP(malformed));
	tci = f->tci;
	type = f->type;
	if ((bpf_ntohs(tci) & VLAN_ID) != in->vlan)
		return not_ours();
	p->vlan = in->vlan;
	action = vlan_pop(ctx) ? finish(p, FATE_DROP(error)) : untagged(ctx, type, in->vlan);
	p->vlan = 0;
	if ((action == XDP_TX || action == XDP_PASS) && vlan_push(ctx, tci))
		return XDP_DROP; /* cannot happen: the removed tag left room */
	return action;
}

/*
 * Declared as multi-buffer (frags), so that it can be attached to interfaces with jumbo frames. Packets whose headers
 * are not in the linear part pass.
 */
SEC("xdp.frags")
int mxlb(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	__be16 type;
	int action;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return not_ours();
	type = *(__be16 *)((void *)eth + offsetof(struct ethhdr, h_proto));
	action = fast(ctx, type);
	if (action != SLOW)
		return action;
	return type == bpf_htons(ETH_P_8021Q) ? tagged(ctx) : untagged(ctx, type, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
