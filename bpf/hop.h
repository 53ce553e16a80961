/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What every hop does to a packet: decrement the time to live (RFC 1812 section 5.3.1, RFC 8200 section 3), set the
 * MAC addresses, send the frame and count it.
 */
#ifndef MXLB_HOP_H
#define MXLB_HOP_H

#include "vip_lookup.h"
#include "maps.h"
#include "parse.h"
#include "stats.h"
#include "vlan.h"

static __always_inline void hop_take(void *ip, int family)
{
	struct iphdr *ip4 = ip;
	__u32 sum;

	if (family == 6) {
		((struct ipv6hdr *)ip)->hop_limit--;
		return;
	}
	/* RFC 1141: the checksum grows by the decrease of the word (TTL, protocol); a wrong checksum stays wrong. */
	sum = ip4->check + bpf_htons(0x0100);
	ip4->check = sum + (sum >= 0xffff);
	ip4->ttl--;
}

/* Writes a MAC address in two stores, from the first six bytes of `mac`. */
static __always_inline void write_mac(void *to, __u64 mac)
{
	*(__u32 *)to = mac;
	*(__u16 *)(to + 4) = mac >> 32;
}

/* Sends by another interface than the frame came in. Not inlined, because this is not the fast path. */
static __noinline int hop_redirect(struct xdp_md *ctx, struct packet *p, __u32 out)
{
	void *frame = (void *)(long)ctx->data;
	const struct mxlb_front *front = front_current();
	int action;

	if (!front || frame + ETH_HLEN > (void *)(long)ctx->data_end)
		return FATE_DROP(error);
	write_mac(frame + ETH_ALEN, *(const __u64 *)front->exits[out % MXLB_MAX_PORTS].mac);
	if (vlan_exit(ctx, front->exits[out % MXLB_MAX_PORTS].vlan))
		return FATE_DROP(error);
	action = (int)bpf_redirect_map(&ports, out, XDP_DROP) & 0xff;
	if (action != XDP_REDIRECT) /* the interface has been deleted */
		return FATE_DROP(error);
	count_traffic(p);
	return FATE_FORWARDED(XDP_REDIRECT);
}

/* Sends and counts a frame that is complete except for its destination; its source is the address at which it arrived. */
static __always_inline int hop_leave(struct xdp_md *ctx, struct packet *p, void *frame,
				     union mxlb_way way)
{
	write_mac(frame, way.word);
	if (way.port % MXLB_MAX_PORTS != p->in)
		return hop_redirect(ctx, p, way.port % MXLB_MAX_PORTS);
	count_traffic(p);
	return FATE_FORWARDED(XDP_TX);
}

#endif
