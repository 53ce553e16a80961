// SPDX-License-Identifier: BSD-2-Clause
/*
 * Is what steers the packets still what this process wrote? Whoever may open the pins may write the maps. Keeps a copy of the
 * services, backends, keys and the front in force, and a sum of each ring, as they are when a plan is wholly in force. What
 * differs later is somebody else's doing: copies are put back, and a ring or an allow-list is written again by the next apply.
 * Allow-lists are looked at once a minute, because each prefix is a system call. Refuses to judge flows and counters: the program
 * writes those.
 */
#include <stdlib.h>
#include <string.h>
#include "datapath/datapath_internal.h"
#include "util/log.h"

struct region {
	const char *what;
	uint64_t *at, *copy;
	size_t words;
};

_Static_assert(sizeof(struct mxlb_front) % 8 == 0, "whole words");
_Static_assert(sizeof(struct mxlb_ring) % 8 == 0, "whole words");
_Static_assert(offsetof(struct mxlb_control, hash_key) % 8 == 0, "aligned words");

#define WORDS(type, n) ((n) * sizeof(type) / 8)

/* Region i of what is copied; false: no such region. */
static bool region(struct datapath *dp, unsigned i, struct region *out)
{
	struct verified *v = dp->verified;
	const struct region all[] = {
		{"services", (uint64_t *)dp->services, (uint64_t *)v->services,
		 WORDS(struct mxlb_service, MXLB_MAX_SERVICES)},
		{"backends", (uint64_t *)dp->backends, (uint64_t *)v->backends,
		 WORDS(struct mxlb_backend, MXLB_MAX_BACKENDS)},
		{"front", (uint64_t *)&dp->fronts[v->front_index], (uint64_t *)&v->front,
		 WORDS(struct mxlb_front, 1)},
		{"keys", (uint64_t *)dp->control->hash_key, v->keys, WORDS(v->keys, 1)},
	};

	_Static_assert(sizeof(all) / sizeof(all[0]) == VERIFIED_FRONT, "a place each");
	if (i >= VERIFIED_FRONT)
		return false;
	*out = all[i];
	return true;
}

uint64_t verify_sum(const struct mxlb_ring *ring)
{
	const uint64_t *word = (const uint64_t *)ring;
	uint64_t sum = 0;

	for (size_t i = 0; i < WORDS(*ring, 1); i++)
		sum = (sum ^ word[i]) *
		      0x100000001b3ULL; /* FNV-1a's prime; each step can be undone, so no change is lost */
	return sum;
}

void verify_note(struct datapath *dp)
{
	struct region r;

	if (!dp->verified)
		dp->verified = calloc(1, sizeof(*dp->verified));
	if (!dp->verified)
		return;
	dp->verified->front_index = dp->control->front % MXLB_FRONTS;
	for (unsigned i = 0; region(dp, i, &r); i++)
		memcpy(r.copy, r.at, r.words * 8);
	dp->verified->known = true;
}

void verify_forget(struct datapath *dp)
{
	if (dp->verified)
		dp->verified->known = false;
}

void verify_freed(struct datapath *dp, uint32_t backend_id)
{
	if (dp->verified && dp->verified->known)
		dp->verified->backends[backend_id].way.word = 0;
}

/* Word by word, as the program reads. */
static bool put_back(const struct region *r)
{
	bool differs = false;

	for (size_t i = 0; i < r->words; i++) {
		if (r->at[i] == r->copy[i])
			continue;
		__atomic_store_n(&r->at[i], r->copy[i], __ATOMIC_RELEASE);
		differs = true;
	}
	return differs;
}

static void complain(const char *what, uint64_t *said_ms)
{
	if (!log_seldom(said_ms))
		return;
	log_warn("event=maps_changed what=%s cause=\"somebody wrote to the pinned maps\" "
		 "action=\"written anew\"",
		 what);
}

static bool rings_are_sound(struct datapath *dp)
{
	bool sound = true;

	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		uint32_t ring = dp->built[i].word - MXLB_RING_FIRST;

		if (ring >= MXLB_RINGS || !dp->built[i].known ||
		    verify_sum(&dp->rings[ring]) == dp->built[i].sum)
			continue;
		dp->built[i].known = false;
		sound = false;
	}
	return sound;
}

void verify_restore(struct datapath *dp)
{
	struct verified *v = dp->verified;
	struct region r;

	if (!v || !v->known)
		return;
	if (dp->control->front != v->front_index) {
		__atomic_store_n(&dp->control->front, v->front_index, __ATOMIC_RELEASE);
		complain("front", &v->said_ms[VERIFIED_FRONT]);
	}
	for (unsigned i = 0; region(dp, i, &r); i++)
		if (put_back(&r))
			complain(r.what, &v->said_ms[i]);
}

bool datapath_verify(struct datapath *dp)
{
	if (!dp->verified || !dp->verified->known)
		return true;
	verify_restore(dp);
	if (log_seldom(&dp->verified->allow_ms) && !allow_is_sound(dp)) {
		complain("allow", &dp->verified->said_ms[VERIFIED_ALLOW]);
		return false;
	}
	if (rings_are_sound(dp))
		return true;
	complain("ring", &dp->verified->said_ms[VERIFIED_RING]);
	return false;
}
