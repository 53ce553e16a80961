/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Chooses the server of a new connection from the ring in force. 0: none, p->why has the reason. */
#ifndef MXLB_RING_H
#define MXLB_RING_H

#include "maps.h"
#include "mxlb/hash.h"

static __always_inline __u32 ring_place(struct packet *p)
{
	const struct mxlb_service *service = bpf_map_lookup_elem(&services, &p->service);
	__u64 slot = mxlb_ring_slot(p->hash);
	const struct mxlb_ring *ring;

	if (!service)
		return 0;
	p->why = READ_ONCE(service->ring);
	p->ring = p->why -
		  MXLB_RING_FIRST; /* words below MXLB_RING_FIRST wrap around and are not found */
	ring = bpf_map_lookup_elem(&rings, &p->ring);
	asm volatile(
		""
		: "+r"(slot)); /* clang knows the bound and would drop the check; Linux 6.1 does not */
	if (!ring || slot >= MXLB_RING_SLOTS)
		return 0;
	return ring->slot[slot];
}

#endif
