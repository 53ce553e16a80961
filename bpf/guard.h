/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which sources may open a connection: the service's prefixes (longest match, one trie for all services), and how many
 * SYNs per second a prefix may send (syn-limit, below). Applied to SYNs only, and only for services that configure it,
 * so open connections are not affected and other segments cost nothing. The prefixes of a service are a numbered set;
 * a new list is written under another number and activated by one store.
 */
#ifndef MXLB_GUARD_H
#define MXLB_GUARD_H

#include "vip_lookup.h"
#include "limit.h"
#include "maps.h"
#include "reject_record.h"
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

/*
 * syn-limit: how many SYNs per second a source prefix (/24, /64) may send to a service.
 *
 *   1. A bucket belongs to one prefix, identified by a tag, until it is full again. A prefix whose two buckets belong
 *      to others is not limited. So a flood from other prefixes never limits this one; at worst it hides a prefix that
 *      should be limited.
 *   2. A SYN above the limit is noted like any other (flow.h, rule 1) but dropped. The same SYN again, a second later
 *      as TCP retransmits it (RFC 6298), has another bucket: of IPv4 one for its address. So an attacker who forges
 *      SYNs from a sender's prefix only delays that sender. To block it, each forged SYN must be sent twice, and there
 *      must be as many of the sender's own address (IPv6: of its prefix) as the limit allows.
 *   3. A source in the service's allow-list is not limited.
 */
enum guard_token { TOKEN_OF_OTHERS = -1, TOKEN_NONE, TOKEN_TAKEN };

/* TOKEN_OF_OTHERS: the bucket belongs to another prefix. */
static __always_inline int guard_take(__u32 key, __u64 tag, __u64 now, __u64 interval)
{
	__u64 *at = bpf_map_lookup_elem(&syn_buckets, &key);
	__u64 word, full;

	if (!at)
		return TOKEN_TAKEN;
	word = READ_ONCE(*at);
	full = word & MXLB_SYN_BUCKET_MASK;
	if (full < now)
		full = now;
	else if (word >> MXLB_SYN_BUCKET_TIME_BITS != tag)
		return TOKEN_OF_OTHERS;
	if (full - now > (SECOND_NS >> MXLB_SYN_BUCKET_UNIT_BITS) - interval)
		return TOKEN_NONE;
	*(volatile __u64 *)at =
		tag << MXLB_SYN_BUCKET_TIME_BITS | ((full + interval) & MXLB_SYN_BUCKET_MASK);
	return TOKEN_TAKEN;
}

/* Rules 1 and 2. again: the SYN is a retransmission. */
static __always_inline int guard_rate(const struct packet *p, __u32 interval_ns, __u32 again)
{
	__u64 prefix = p->family == 6 ? p->source_hi
		       : again	      ? p->source_lo
				      : p->source_lo & bpf_htonl(0xffffff00);
	__u64 hash = mxlb_flow_hash(control.secret, prefix, p->service, again);
	__u64 now = bpf_ktime_get_ns() >> MXLB_SYN_BUCKET_UNIT_BITS,
	      tag = hash >> MXLB_SYN_BUCKET_TIME_BITS;
	__u64 interval = interval_ns >> MXLB_SYN_BUCKET_UNIT_BITS;
	__u32 key = hash % MXLB_BUCKETS;
	int token = guard_take(key, tag, now, interval);

	return token == TOKEN_OF_OTHERS ? guard_take(key ^ 1, tag, now, interval) : token;
}

/* Whether the source address is one of this box, or a VIP. */
static __noinline int guard_is_own(const struct packet *p)
{
	const struct mxlb_front *front = front_current();
	__u64 hi = p->family == 4 ? 0 : p->source_hi;
	__u64 lo = p->family == 4 ? p->source_lo << 32 : p->source_lo;
	const struct mxlb_vip *at;

	if (!front)
		return 0;
	at = &front->vips[mxlb_vip_slot(front->vip_factor, hi, lo) % MXLB_VIP_SLOTS];
	return (at->family & ~MXLB_VIP_OWN) == p->family && *(const __u64 *)&at->address[8] == lo &&
	       *(const __u64 *)&at->address[0] == hi;
}

/* Returns the counter of the reason to drop this SYN, or GO_ON. */
static __noinline int guard_syn(struct packet *p)
{
	const struct mxlb_service *service = bpf_map_lookup_elem(&services, &p->service);
	__u32 set;

	p->allowed = 0;
	if (!service)
		return GO_ON;
	set = READ_ONCE(service->allow_set);
	if (!set)
		return GO_ON;
	p->allowed = guard_allows(p, set);
	if (p->allowed)
		return GO_ON;
	if (!service->allow_observe)
		return MXLB_COUNT_denied;
	count_note(p, MXLB_COUNT_would_deny);
	rejected_note(p, MXLB_COUNT_would_deny);
	return GO_ON;
}

/* Whether this SYN, which has been placed, may be forwarded. guard_syn() was called first if the service configures it. */
static __noinline int guard_admits(struct packet *p)
{
	const struct mxlb_service *service = bpf_map_lookup_elem(&services, &p->service);
	__u32 interval_ns, again = p->result.kind == FLOW_RETRANSMIT;

	if (guard_is_own(p)) {
		p->why = WHY_MARTIAN;
		return 0;
	}

	if (!service)
		return 1;
	interval_ns = READ_ONCE(service->syn_interval_ns);
	if (!interval_ns || p->allowed)
		return 1;
	if (!guard_rate(p, interval_ns, again)) {
		p->why = WHY_SYN_LIMIT;
		return 0;
	}
	p->result.kind = FLOW_SYN; /* its retransmission does not show that the server is dead */
	return 1;
}

#endif
