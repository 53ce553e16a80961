/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Look-ups by interface, by VIP and by port. */
#ifndef MXLB_FRONT_H
#define MXLB_FRONT_H

#include "maps.h"
#include "mxlb/hash.h"
#include "parse.h"

static __always_inline const struct mxlb_front *front_current(void)
{
	return bpf_map_lookup_elem(&fronts, &control.front);
}

/* Finds a configured interface. */
static __always_inline int front_port(const struct mxlb_front *f, __u32 ifindex,
				      const struct mxlb_port **out)
{
	*out = &f->ports[mxlb_port_slot(f->port_factor, ifindex) % MXLB_PORT_SLOTS];
	return (*out)->ifindex == ifindex;
}

/* Finds a VIP. hi and lo: the halves of the address as on the wire; an IPv4 address is the upper half of lo alone. */
static __always_inline int front_vip(const struct mxlb_front *f, __u8 family, __u64 hi, __u64 lo,
				     const struct mxlb_vip **out)
{
	const struct mxlb_vip *vip =
		&f->vips[mxlb_vip_slot(f->vip_factor, hi, lo) % MXLB_VIP_SLOTS];

	*out = vip;
	return vip->family == family && *(const __u64 *)&vip->address[8] == lo &&
	       (family == 4 || *(const __u64 *)&vip->address[0] == hi);
}

static __always_inline int front_vip4(const struct mxlb_front *f, __be32 address,
				      const struct mxlb_vip **out)
{
	return front_vip(f, 4, 0, (__u64)address << 32, out);
}

static __always_inline int front_vip6(const struct mxlb_front *f, const void *address,
				      const struct mxlb_vip **out)
{
	return front_vip(f, 6, load_u64(address), load_u64(address + 8), out);
}

/* The service on that port, or NO_SERVICE. */
static __always_inline __u32 front_service(const struct mxlb_vip *vip, __be16 port)
{
	int i;

#pragma unroll
	for (i = 0; i < MXLB_MAX_VIP_PORTS; i++) {
		if (port && vip->ports[i].port == port)
			return vip->ports[i].service;
	}
	return NO_SERVICE;
}

#endif
