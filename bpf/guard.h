/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Who may open a connection: the service's source prefixes (longest match in one trie for all), and how many SYNs a second
 * a prefix may send. Looked at for SYNs only, and only where a service asks for it: what is open stays open, and other
 * segments pay nothing. A service's prefixes are one set under a number; a new list is written under another number and put
 * into force by one store.
 */
#ifndef MXLB_GUARD_H
#define MXLB_GUARD_H

#include "limit.h"
#include "maps.h"
#include "stats.h"

#define SECOND_NS 1000000000ULL

static __always_inline int guard_asked(const struct mxlb_service *service)
{
	return service->allow_set || service->syn_interval_ns;
}

static __always_inline int guard_allows(struct packet *p, __u32 set)
{
	__u64 *halves = (__u64 *)p->allow.address;

	p->allow.prefixlen = MXLB_ALLOW_LEN;
	p->allow.set = set;
	halves[0] = p->source_hi;
	/* IPv4 as ::ffff:a.b.c.d */
	halves[1] = p->family == 4 ? p->source_lo << 32 | bpf_htonl(0xffff) : p->source_lo;
	return bpf_map_lookup_elem(&allow, &p->allow) != 0;
}

/* One token of the source's /24 or /64 at this service; a second's worth at once. */
static __always_inline int guard_rate(const struct packet *p, __u32 interval_ns)
{
	__u64 prefix = p->family == 4 ? p->source_lo & bpf_htonl(0xffffff00) : p->source_hi;
	__u32 key = mxlb_flow_hash(control.secret, 0, prefix ^ (__u64)p->service << 48, 0) %
		    MXLB_BUCKETS;
	__u64 *full_at = bpf_map_lookup_elem(&syn_buckets, &key);

	return full_at && limit_bucket(full_at, interval_ns, SECOND_NS - interval_ns);
}

/* The counter of the reason to drop this SYN, or -1: it may pass. */
static __noinline int guard_syn(struct packet *p)
{
	const struct mxlb_service *service = bpf_map_lookup_elem(&services, &p->service);
	__u32 set;

	if (!service)
		return -1;
	set = READ_ONCE(service->allow_set);
	if (set && !guard_allows(p, set)) {
		if (!service->allow_observe)
			return MXLB_COUNT_denied;
		count_note(p, MXLB_COUNT_would_deny);
	}
	if (service->syn_interval_ns && !guard_rate(p, service->syn_interval_ns))
		return MXLB_COUNT_syn_limit;
	return -1;
}

#endif
