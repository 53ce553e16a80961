/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * 802.1Q tags (IEEE 802.1Q, clause 9.6) are removed, so that everything else sees an ordinary frame, and restored with
 * their original priority. Only 0x8100 and only one tag: a frame with a second tag belongs to another network.
 */
#ifndef MXLB_VLAN_H
#define MXLB_VLAN_H

#include "maps.h"
#include "parse.h"

#define VLAN_LEN 4
#define VLAN_ID	 0x0fff

/* The first bytes of a tagged frame. */
struct vlan_frame {
	__u16 macs[6];
	__be16 tpid, tci; /* ETH_P_8021Q; priority and VLAN */
	__be16 type;
};

/* Moves the MAC addresses over the tag, or back; all are read before one is written. */
static __always_inline void vlan_move(__u32 *from, __u32 *to)
{
	__u32 a = from[0], b = from[1], c = from[2];

	to[0] = a;
	to[1] = b;
	to[2] = c;
}

static __noinline int vlan_pop(struct xdp_md *ctx)
{
	void *frame = (void *)(long)ctx->data;

	if (frame + sizeof(struct vlan_frame) > (void *)(long)ctx->data_end)
		return -1;
	vlan_move(frame, frame + VLAN_LEN);
	return bpf_xdp_adjust_head(ctx, VLAN_LEN) ? -1 : 0;
}

static __noinline int vlan_push(struct xdp_md *ctx, __be16 tci)
{
	struct vlan_frame *f;

	if (bpf_xdp_adjust_head(ctx, -VLAN_LEN))
		return -1;
	f = (void *)(long)ctx->data;
	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return -1;
	vlan_move((void *)f + VLAN_LEN, (void *)f);
	f->tpid = bpf_htons(ETH_P_8021Q);
	f->tci = tci;
	return 0;
}

/* Adds that interface's tag, with priority 0, to a frame that leaves by another interface. 0: no tag. */
static __always_inline int vlan_exit(struct xdp_md *ctx, __u16 vlan)
{
	return vlan ? vlan_push(ctx, bpf_htons(vlan)) : 0;
}

#endif
