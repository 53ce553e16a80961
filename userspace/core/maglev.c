/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maglev consistent hashing with weights: the layout of the ring. Which members it has is decided by tier.c. Source:
 * Eisenbud et al., "Maglev", NSDI 2016, section 3.4: each member visits all slots in an order of its own, offset + i *
 * skip modulo a prime, and takes the next free one in its turn.
 *
 *   1. Offset and skip depend on the name and the key only.
 *   2. Turns are ordered by weight, then by name, so the order in which members are given does not matter.
 *   3. Weights: in each turn a member earns its weight, and a slot costs the heaviest weight. So no member takes two
 *      slots per turn, and shares follow the weights to within a slot or two. The first slot costs half, so that light
 *      members are not late by a whole period.
 *   4. Members of equal weight have the same credit. It is kept once per weight, so that a turn in which none of them
 *      takes a slot costs one addition.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/maglev.h"

struct walker {
	const char *name;
	uint32_t weight;
	uint32_t at, skip; /* the slot to try next, and the step; both below MAGLEV_SLOTS */
	uint16_t id;
};

struct share { /* walkers first to end - 1, all of one weight */
	unsigned first, end;
	uint32_t weight, credit;
};

/* The finaliser of MurmurHash3 (Appleby, public domain): every bit of the input flips half of the output. */
static uint64_t maglev_mix(uint64_t x)
{
	x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
	x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
	return x ^ (x >> 33);
}

/* FNV-1a (Fowler, Noll, Vo; 64 bits) started from the key, then mixed. */
static uint64_t hash_name(const char *name, uint64_t key)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ maglev_mix(key);

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ULL;
	return maglev_mix(h);
}

/* Rule 1. One hash is enough: its remainders by two numbers without a common factor are independent. */
static void walker_init(struct walker *w, const struct maglev_member *m, uint64_t key)
{
	uint64_t h = hash_name(m->name, key);

	w->name = m->name;
	w->weight = m->weight;
	w->id = (uint16_t)m->id;
	w->at = (uint32_t)(h % MAGLEV_SLOTS);
	w->skip = h % (MAGLEV_SLOTS - 1) + 1;
}

/* Rule 2: heaviest first. */
static int walker_order(const void *pa, const void *pb)
{
	const struct walker *a = pa, *b = pb;

	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* Takes the walker's next free slot; there must be one. */
static void take_slot(struct walker *w, uint16_t *slots)
{
	uint32_t at = w->at;

	while (slots[at]) {
		at += w->skip;
		if (at >= MAGLEV_SLOTS)
			at -= MAGLEV_SLOTS;
	}
	slots[at] = w->id;
	w->at = at;
}

/* Rule 4. Returns how many different weights there are; the first share is the heaviest. */
static unsigned share_out(const struct walker *walkers, unsigned n, struct share *shares)
{
	unsigned n_shares = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!n_shares || walkers[i].weight != shares[n_shares - 1].weight)
			shares[n_shares++] = (struct share){
				.first = i,
				.weight = walkers[i].weight,
				.credit = walkers[0].weight / 2, /* rule 3 */
			};
		shares[n_shares - 1].end = i + 1;
	}
	return n_shares;
}

/* Rule 3. */
static void take_turns(struct walker *walkers, struct share *shares, unsigned n_shares,
		       uint16_t *slots)
{
	unsigned left = MAGLEV_SLOTS;

	while (left) {
		for (struct share *s = shares; s < shares + n_shares; s++) {
			s->credit += s->weight;
			if (s->credit < shares[0].weight)
				continue;
			s->credit -= shares[0].weight;
			for (unsigned i = s->first; i < s->end && left; i++, left--)
				take_slot(&walkers[i], slots);
		}
	}
}

int maglev_fill(uint16_t *slots, const struct maglev_member *members, unsigned n, uint64_t key)
{
	struct walker *walkers = calloc(n + 1, sizeof(*walkers));
	struct share *shares = calloc(n + 1, sizeof(*shares));
	unsigned n_walkers = 0;
	int err = -ENOMEM;

	if (!walkers || !shares)
		goto out;
	for (unsigned i = 0; i < n; i++) {
		if (members[i].weight && members[i].id) /* id 0 is the empty slot */
			walker_init(&walkers[n_walkers++], &members[i], key);
	}
	memset(slots, 0, MAGLEV_SLOTS * sizeof(*slots));
	if (n_walkers) {
		qsort(walkers, n_walkers, sizeof(*walkers), walker_order);
		take_turns(walkers, shares, share_out(walkers, n_walkers, shares), slots);
	}
	err = 0;
out:
	free(walkers);
	free(shares);
	return err;
}
