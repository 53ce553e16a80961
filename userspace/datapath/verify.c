// SPDX-License-Identifier: BSD-2-Clause
/*
 * Checks that the maps that steer packets still contain what this process wrote, because anyone who can open the pins
 * can write to them. It keeps a copy of the services, servers, keys and the front in force, and a checksum of each
 * ring, as of the last complete plan. Differences are foreign writes: copies are restored, and a ring or an allow-list
 * is written again by the next apply. Allow-lists are checked once per minute, because each prefix costs a system
 * call. Flows and counters are not checked, because the program writes them.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "datapath/datapath_internal.h"
#include "util/clock.h"
#include "util/log.h"

struct region {
	const char *what;
	uint64_t *at, *copy;
	size_t words;
};

_Static_assert(sizeof(struct mxlb_front) % 8 == 0, "whole words");
_Static_assert(sizeof(struct mxlb_ring) % 8 == 0, "whole words");
_Static_assert(offsetof(struct mxlb_control, hash_key) % 8 == 0, "aligned words");

#define BUCKET_AHEAD_NS 10000000000ULL

#define WORDS(type, n)	((n) * sizeof(type) / 8)

/* Region i of what is copied; false: no such region. */
static bool region(struct datapath *dp, unsigned i, struct region *out)
{
	struct verified *v = dp->verified;
	const struct region all[] = {
		{"services", (uint64_t *)dp->services, (uint64_t *)v->services,
		 WORDS(struct mxlb_service, MXLB_MAX_SERVICES)},
		{"backends", (uint64_t *)dp->backends, (uint64_t *)v->backends,
		 WORDS(struct mxlb_backend, MXLB_MAX_SERVERS)},
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

void verify_freed(struct datapath *dp, uint32_t server_id)
{
	if (dp->verified && dp->verified->known)
		dp->verified->backends[server_id].way.word = 0;
}

/* Word by word, as the program reads. */
static bool verify_put_back(const struct region *r)
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

/* Each time is counted, and logged unless the same was a moment ago. kind: VERIFIED_*, or the region's number. */
static void verify_complain(struct datapath *dp, const char *what, unsigned kind)
{
	dp->maps_changed++;
	if (!log_seldom(&dp->verified->said_ms[kind]))
		return;
	log_warn("event=maps_changed what=%s cause=\"another process wrote to the pinned maps\" "
		 "action=\"restored\"",
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
		verify_complain(dp, "front", VERIFIED_FRONT);
	}
	for (unsigned i = 0; region(dp, i, &r); i++)
		if (verify_put_back(&r))
			verify_complain(dp, r.what, i);
}

/* Empties a bucket that will be full again later than any burst explains. unit_bits: of its time, in ns. */
static bool bucket_put_back(__u64 *bucket, uint64_t mask, unsigned unit_bits, uint64_t now_ns)
{
	uint64_t was = __atomic_load_n(bucket, __ATOMIC_RELAXED);

	if ((was & mask) << unit_bits <= now_ns + BUCKET_AHEAD_NS)
		return false;
	__atomic_store_n(bucket, 0, __ATOMIC_RELAXED);
	return true;
}

static bool buckets_put_back(struct datapath *dp)
{
	uint64_t now_ns = clock_ns();
	bool differs = false;

	for (unsigned i = 0; i < MXLB_BUCKETS; i++) {
		differs |= bucket_put_back(&dp->buckets[i], ~0ULL, 0, now_ns);
		differs |= bucket_put_back(&dp->syn_buckets[i], MXLB_SYN_BUCKET_MASK,
					   MXLB_SYN_BUCKET_UNIT_BITS, now_ns);
	}
	return differs;
}

/* What needs no plan to be in force. */
static void restore_others(struct datapath *dp)
{
	if (dp->role_set)
		datapath_set_role(dp, dp->role_word);
	if (dp->foreign_role)
		verify_complain(dp, "role", VERIFIED_ROLE);
	dp->foreign_role = false;
	if (buckets_put_back(dp))
		verify_complain(dp, "buckets", VERIFIED_BUCKETS);
	if (dp->foreign_flows)
		verify_complain(dp, "flows", VERIFIED_FLOWS);
	dp->foreign_flows = 0;
}

bool datapath_verify(struct datapath *dp)
{
	if (!dp->verified || !dp->verified->known)
		return true;
	verify_restore(dp);
	restore_others(dp);
	if (log_seldom(&dp->verified->allow_ms) && !allow_is_sound(dp)) {
		verify_complain(dp, "allow", VERIFIED_ALLOW);
		return false;
	}
	if (rings_are_sound(dp))
		return true;
	verify_complain(dp, "ring", VERIFIED_RING);
	return false;
}

uint64_t datapath_maps_changed(const struct datapath *dp)
{
	return dp->maps_changed;
}
