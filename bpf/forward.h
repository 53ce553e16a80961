/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Sends a packet on to a backend's MAC address. At this layer nothing of the packet changes but the two MAC
 * addresses and, as at any router, the time to live (RFC 1812 section 5.3.1, RFC 8200 section 3).
 */
#ifndef MXLB_FORWARD_H
#define MXLB_FORWARD_H

#include "front.h"
#include "maps.h"
#include "parse.h"
#include "stats.h"

static __always_inline void take_hop4(struct iphdr *ip)
{
	__u32 sum = ip->check + bpf_htons(0x0100);

	/* RFC 1141: the checksum grows by what the word (TTL, protocol) shrinks; a wrong one stays as wrong. */
	ip->check = sum + (sum >= 0xffff);
	ip->ttl--;
}

/* A MAC address, in two stores: from the first six bytes of `mac`. */
static __always_inline void write_mac(void *to, __u64 mac)
{
	*(__u32 *)to = mac;
	*(__u16 *)(to + 4) = mac >> 32;
}

static __always_inline int forward_l2(struct xdp_md *ctx, struct packet *p,
				      const struct mxlb_backend *backend)
{
	union mxlb_way way = {.word = READ_ONCE(backend->way.word)};
	void *frame = (void *)(long)ctx->data, *ip = frame + ETH_HLEN;
	const struct mxlb_front *front;
	__u32 out = way.port % MXLB_MAX_PORTS;

	if (!(way.flags & MXLB_BACKEND_NEXT_HOP))
		return FATE_DROP(no_next_hop);
	if (ip + sizeof(struct ipv6hdr) > (void *)(long)ctx->data_end)
		return FATE_DROP(error); /* it was seen to be longer */
	if (p->family == 4)
		take_hop4(ip);
	else
		((struct ipv6hdr *)ip)->hop_limit--;
	if (out == p->in) { /* it came to this interface's own address */
		write_mac(frame + ETH_ALEN, load_mac(frame));
		write_mac(frame, way.word);
		return FATE_FORWARDED(XDP_TX);
	}
	front = front_current();
	if (!front)
		return FATE_DROP(error);
	write_mac(frame, way.word);
	write_mac(frame + ETH_ALEN, *(const __u64 *)front->exits[out].mac);
	return FATE_FORWARDED((int)bpf_redirect_map(&ports, out, XDP_DROP) & 0xff);
}

#endif
