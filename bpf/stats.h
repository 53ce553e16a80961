/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The outcome of a packet. A fate is an XDP action and a counter in one int; finish() counts it. A forwarded packet is
 * counted with its server instead.
 */
#ifndef MXLB_STATS_H
#define MXLB_STATS_H

#include "maps.h"

#define FATE(action, counter)  ((counter) << 8 | (action))
#define FATE_DROP(name)	       FATE(XDP_DROP, MXLB_COUNT_##name)
#define FATE_PASS(name)	       FATE(XDP_PASS, MXLB_COUNT_##name)
#define FATE_ANSWER(name)      FATE(XDP_TX, MXLB_COUNT_##name)
#define FATE_FORWARDED(action) FATE(action, MXLB_COUNT_FATES)

static __always_inline void count_add(__u64 *count)
{
	if (count)
		(*count)++;
}

static __always_inline void count_note(struct packet *p, __u32 counter)
{
	p->counter = p->service * MXLB_COUNT_STRIDE + counter;
	count_add(bpf_map_lookup_elem(&counts, &p->counter));
}

static __always_inline int finish(struct packet *p, int fate)
{
	__u32 counter = (__u32)fate >> 8;

	if (counter < MXLB_COUNT_FATES) {
		count_note(p, counter);
	}
	return fate & 0xff;
}

/* The outcome of most packets, before anything else is known about them. */
static const volatile __u32 key_not_ours = NO_SERVICE * MXLB_COUNT_STRIDE + MXLB_COUNT_not_ours;

static __always_inline int not_ours(void)
{
	count_add(bpf_map_lookup_elem(&counts, (const void *)&key_not_ours));
	return XDP_PASS;
}

/* Counts a forwarded packet. */
static __always_inline void count_traffic(const struct packet *p)
{
	const struct flow_result *r = &p->result;
	struct mxlb_traffic *t;

	t = bpf_map_lookup_elem(&traffic, &p->server);
	if (!t)
		return;
	t->packets++;
	t->bytes += p->frame;
	if (r->kind == FLOW_HIT)
		return;
	t->syn += r->kind == FLOW_SYN;
	t->retransmit += r->kind == FLOW_RETRANSMIT;
	t->miss += r->kind == FLOW_MISS;
	t->promoted += r->kind == FLOW_PROMOTED;
	t->evicted += r->put > 0;
	t->unplaced += r->put < 0;
}

#endif
