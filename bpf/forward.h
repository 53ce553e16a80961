/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Forwards a packet to its server: to its MAC address, changing only the two MAC addresses and the time to live; or
 * through a tunnel (tunnel.h).
 */
#ifndef MXLB_FORWARD_H
#define MXLB_FORWARD_H

#include "hop.h"
#include "tunnel.h"

/* Inlined, and the tunnels too: a call costs 5 ns here, and without it no register has to be saved on the stack. */
static __always_inline int forward_l2(struct xdp_md *ctx, struct packet *p, union mxlb_way way)
{
	void *frame = (void *)(long)ctx->data, *ip = frame + ETH_HLEN;

	if (ip + sizeof(struct ipv6hdr) > (void *)(long)ctx->data_end)
		return FATE_DROP(error); /* the parser has checked the length */
	hop_take(ip, p->family);
	write_mac(frame + ETH_ALEN, load_mac(frame));
	return hop_leave(ctx, p, frame, way);
}

static __always_inline int forward(struct xdp_md *ctx, struct packet *p,
				   const struct mxlb_backend *server, int family)
{
	union mxlb_way way = {.word = READ_ONCE(server->way.word)};

	if (!(way.flags & MXLB_BACKEND_NEXT_HOP))
		return FATE_DROP(no_next_hop);
	if ((way.flags & MXLB_BACKEND_TUNNEL) && p->from_tunnel) /* the peer might send it back */
		return FATE_DROP(tunnel_loop);
	if (way.flags & MXLB_BACKEND_TUNNEL)
		return tunnel(ctx, p, server, way, family);
	return forward_l2(ctx, p, way);
}

#endif
