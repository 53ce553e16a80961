/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rate limit of replies per source: a burst of 512, then 200 per second. Each bucket is one word, the time at which it
 * is full again (the generic cell rate algorithm, ITU-T I.371 annex A), by the kernel's clock, so that it works while
 * mxlbd is not running. Two CPUs may both take the last token, which is harmless.
 */
#ifndef MXLB_LIMIT_H
#define MXLB_LIMIT_H

#include "maps.h"
#include "mxlb/hash.h"

#define LIMIT_INTERVAL_NS 5000000ULL
#define LIMIT_BURST	  512

/* Takes a token. One is added every interval_ns, up to as many as fit into slack_ns. */
static __always_inline int limit_bucket(__u64 *full_at, __u64 interval_ns, __u64 slack_ns)
{
	__u64 now = bpf_ktime_get_ns(), at = *full_at > now ? *full_at : now;

	if (at - now > slack_ns)
		return 0;
	*full_at = at + interval_ns;
	return 1;
}

/*
 * ARP and neighbour discovery have buckets of their own: otherwise anyone who can send TCP here could use up the
 * router's tokens, and the VIP would disappear from its neighbour table. So have resets of flows whose server is
 * unreachable and packets too big for a tunnel, so that a flood of SYNs cannot use them up.
 */
enum limit_kind { LIMIT_RESETS, LIMIT_NEIGHBOURS, LIMIT_FLOWS, LIMIT_TOO_BIG, LIMIT_KINDS };

static __noinline int limit_take(__u64 source_hi, __u64 source_lo, enum limit_kind kind)
{
	__u32 key = mxlb_flow_hash(control.secret, source_hi, source_lo, 0) %
			    (MXLB_BUCKETS / LIMIT_KINDS) +
		    kind * (MXLB_BUCKETS / LIMIT_KINDS);
	__u64 *full_at = bpf_map_lookup_elem(&buckets, &key);

	return full_at &&
	       limit_bucket(full_at, LIMIT_INTERVAL_NS, (LIMIT_BURST - 1) * LIMIT_INTERVAL_NS);
}

#endif
