/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Remembers which clients were turned away, and why: a table of MXLB_REJECTED slots that mxlbd lists. A client has one
 * slot for each service and reason. Another client takes a slot over once it has been idle for a second, so that a
 * flood from forged addresses writes to each slot at most once a second.
 *
 * Two CPUs may fill one slot at a time: the reader checks that the client belongs there (mxlb_rejected_slot).
 */
#ifndef MXLB_REJECTED_H
#define MXLB_REJECTED_H

#include "maps.h"
#include "mxlb/hash.h"

#define REJECTED_KEEP_NS 1000000000ULL

static __noinline int rejected_note(struct packet *p, __u32 counter)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct mxlb_rejected *at;

	p->counter =
		mxlb_rejected_slot(control.secret, p->source_hi, p->source_lo, p->service, counter);
	at = bpf_map_lookup_elem(&rejected, &p->counter);
	if (!at)
		return 0;
	if (at->lo != p->source_lo || at->hi != p->source_hi || at->service != p->service ||
	    at->counter != counter) {
		if (now - at->last_ns < REJECTED_KEEP_NS)
			return 0;
		at->hi = p->source_hi;
		at->lo = p->source_lo;
		at->service = p->service;
		at->counter = counter;
		at->family = p->family;
		at->packets = 0;
	}
	at->packets++;
	at->last_ns = now;
	return 0;
}

/* Is this reason to drop one that the sender should know of? */
static __always_inline int rejected_is(__u32 counter)
{
	return counter < MXLB_DROP_COUNT && (MXLB_REJECTED_REASONS >> counter & 1);
}

#endif
