// SPDX-License-Identifier: BSD-2-Clause
/*
 * Makes the maps equal to a plan, in an order that is sound at every moment:
 *
 *   1. next hops with their tunnels, so that every server that a ring names can be reached;
 *   2. allow-lists, then rings: built aside, then activated by one store;
 *   3. the front: filled aside, then activated by one store; a new VIP appears when its ring is there;
 *   4. whatever the plan no longer contains is cleared; a server only when no flow refers to it (flow_table.c).
 *
 * A copy is written again only GRACE_MS after it went out of use.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/maglev.h"
#include "datapath/datapath_internal.h"
#include "util/log.h"

_Static_assert(MAGLEV_SLOTS == MXLB_RING_SLOTS, "one ring size");
_Static_assert(sizeof(((struct mxlb_record *)0)->service) == CONFIG_NAME_SIZE, "one name size");

#define WAY_TUNNEL     (MXLB_BACKEND_TUNNEL | MXLB_BACKEND_SOURCE_1)
/* IPv4's minimum (RFC 791 section 3.2) plus the longer outer header: a smaller MTU cannot be used */
#define TUNNEL_MTU_MIN (68 + 40)

struct tunnel_want { /* as the map has it */
	__u8 source[16], target[16], family;
};

static void tunnel_want(const struct plan_server *b, struct tunnel_want *out)
{
	memset(out, 0, sizeof(*out));
	addr_to_bytes(&b->source, out->source);
	out->family = addr_to_bytes(&b->target, out->target) == 4 ? 4 : 6;
}

static bool tunnel_is_whole(const struct plan_server *b)
{
	return b->mtu >= TUNNEL_MTU_MIN && !addr_is_zero(&b->source) &&
	       addr_is_v4(&b->source) == addr_is_v4(&b->target);
}

static bool target_equals(const struct mxlb_backend *at, const struct tunnel_want *want)
{
	return at->family == want->family &&
	       !memcmp(at->target, want->target, sizeof(want->target));
}

/* An earlier mxlbd's tunnel stays in use until this one knows the route. */
static bool tunnel_is_adopted(const struct datapath *dp, const struct plan_server *b,
			      const struct tunnel_want *want)
{
	const struct mxlb_backend *at = &dp->backends[b->id];

	return dp->adopted && !dp->tunnels[b->id].known && (at->way.flags & MXLB_BACKEND_TUNNEL) &&
	       target_equals(at, want);
}

/*
 * The tunnel of a next hop. Fields that a reader may be using are not written: the target while the next hop, or one
 * replaced less than GRACE_MS ago, has a tunnel; the source copy that it selects. Changes *way to what may be stored
 * now.
 */
static void tunnel_write(struct datapath *dp, const struct plan_server *b, uint64_t now_ms,
			 union mxlb_way *way, uint64_t *again_ms)
{
	struct mxlb_backend *at = &dp->backends[b->id];
	const union mxlb_way was = at->way;
	const unsigned source = !!(was.flags & MXLB_BACKEND_SOURCE_1);
	const bool open = was.flags & MXLB_BACKEND_TUNNEL;
	struct tunnel_want want;

	tunnel_want(b, &want);
	if (!tunnel_is_whole(b) || !(way->flags & MXLB_BACKEND_NEXT_HOP)) {
		if (!tunnel_is_adopted(dp, b, &want))
			way->flags &= ~MXLB_BACKEND_NEXT_HOP;
		way->flags |= was.flags & WAY_TUNNEL;
		return;
	}
	dp->tunnels[b->id].known = true;
	if (open && !target_equals(at, &want)) {
		way->flags &= ~MXLB_BACKEND_NEXT_HOP;
		again_in(again_ms, GRACE_MS);
		return;
	}
	if (open)
		__atomic_store_n(&at->mtu, b->mtu, __ATOMIC_RELAXED);
	if (open && !memcmp(at->source[source], want.source, sizeof(want.source))) {
		way->flags |= was.flags & WAY_TUNNEL;
		return;
	}
	if (now_ms < dp->tunnels[b->id].free_ms) { /* what was in force stays so */
		memcpy(way->mac, was.mac, sizeof(way->mac));
		way->port = was.port;
		way->flags &= ~MXLB_BACKEND_NEXT_HOP;
		way->flags |= was.flags & (WAY_TUNNEL | MXLB_BACKEND_NEXT_HOP);
		again_in(again_ms, dp->tunnels[b->id].free_ms - now_ms);
		return;
	}
	memcpy(at->source[!source], want.source, sizeof(want.source));
	if (!open) {
		memcpy(at->target, want.target, sizeof(want.target));
		at->family = want.family;
		at->mtu = b->mtu;
	}
	way->flags |= MXLB_BACKEND_TUNNEL | (source ? 0 : MXLB_BACKEND_SOURCE_1);
}

static void way_store(struct datapath *dp, uint32_t id, union mxlb_way way, uint64_t now_ms)
{
	const union mxlb_way was = dp->backends[id].way;

	if (was.word == way.word)
		return;
	__atomic_store_n(&dp->backends[id].way.word, way.word, __ATOMIC_RELEASE);
	if ((was.flags & MXLB_BACKEND_TUNNEL) && ((was.flags ^ way.flags) & WAY_TUNNEL))
		dp->tunnels[id].free_ms = now_ms + GRACE_MS;
}

static void servers_write(struct datapath *dp, const struct plan *plan, uint64_t now_ms,
			  uint64_t *again_ms)
{
	static const struct mac unknown;

	for (unsigned i = 0; i < plan->n_servers; i++) {
		const struct plan_server *b = &plan->servers[i];
		union mxlb_way way = {.port = (__u8)b->interface};

		dp->removed[b->id] = false; /* at once: a sweep may come first */
		memcpy(way.mac, b->mac.b, sizeof(way.mac));
		if (memcmp(&b->mac, &unknown, sizeof(unknown)))
			way.flags |= MXLB_BACKEND_NEXT_HOP;
		if (b->down)
			way.flags |= MXLB_BACKEND_DOWN;
		if (b->reset_flows)
			way.flags |= MXLB_BACKEND_RESET;
		if (b->tunnel)
			tunnel_write(dp, b, now_ms, &way, again_ms);
		way_store(dp, b->id, way, now_ms);
	}
}

static uint64_t text_hash(const char *text, uint64_t key)
{
	for (; *text; text++)
		key = mxlb_mix(key ^ (uint8_t)*text);
	return key;
}

static bool built_equals(const struct ring_built *built, const struct plan_service *s)
{
	if (!built->known || built->n != s->n_members)
		return false;
	for (unsigned i = 0; i < s->n_members; i++)
		if (built->members[i].id != s->members[i].id ||
		    built->members[i].weight != s->members[i].weight)
			return false;
	return true;
}

static int built_set(struct ring_built *built, const struct plan_service *s)
{
	void *members = realloc(built->members, (s->n_members + 1) * sizeof(*built->members));

	if (!members)
		return -ENOMEM;
	built->members = members;
	for (unsigned i = 0; i < s->n_members; i++) {
		built->members[i].id = s->members[i].id;
		built->members[i].weight = s->members[i].weight;
	}
	built->n = s->n_members;
	built->known = true;
	return 0;
}

static void ring_switch(struct datapath *dp, uint32_t service, uint32_t word, uint64_t now_ms)
{
	uint32_t old = dp->built[service].word;

	if (dp->services[service].ring != word)
		__atomic_store_n(&dp->services[service].ring, word, __ATOMIC_RELEASE);
	if (old == word)
		return;
	dp->built[service].word = word;
	if (old >= MXLB_RING_FIRST && old - MXLB_RING_FIRST < MXLB_RINGS) {
		dp->ring_used[old - MXLB_RING_FIRST] = false;
		dp->ring_free_ms[old - MXLB_RING_FIRST] = now_ms + GRACE_MS;
	}
}

/* A copy that no packet can be reading; -1: none yet. */
static int ring_spare(const struct datapath *dp, uint64_t now_ms)
{
	for (int i = 0; i < MXLB_RINGS; i++)
		if (!dp->ring_used[i] && dp->ring_free_ms[i] <= now_ms)
			return i;
	return -1;
}

/* Builds and publishes a service's ring. 0 or -errno. */
static int ring_publish(struct datapath *dp, const struct plan_service *s, uint64_t now_ms,
			uint64_t *again_ms)
{
	struct ring_built *built = &dp->built[s->id];
	int err, ring;

	if (built->word >= MXLB_RING_FIRST && built_equals(built, s)) {
		ring_switch(dp, s->id, built->word, now_ms);
		return 0;
	}
	ring = ring_spare(dp, now_ms);
	if (ring < 0) {
		again_in(again_ms, GRACE_MS);
		return 0;
	}
	err = maglev_fill(dp->rings[ring].slot, s->members, s->n_members,
			  text_hash(s->name, dp->control->hash_key[1]));
	if (!err)
		err = built_set(built, s);
	if (err)
		return err;
	built->sum = verify_sum(&dp->rings[ring]);
	dp->ring_used[ring] = true;
	ring_switch(dp, s->id, ring + MXLB_RING_FIRST, now_ms);
	return 0;
}

static int service_write(struct datapath *dp, const struct plan_service *s, uint64_t now_ms,
			 uint64_t *again_ms)
{
	static const uint32_t word[] = {
		[PLAN_NOT_READY] = MXLB_RING_NOT_READY,
		[PLAN_RESET] = MXLB_RING_RESET,
		[PLAN_DROP] = MXLB_RING_DROP,
	};
	uint64_t seed = text_hash(s->name, dp->control->hash_key[0]);
	int err = allow_apply(dp, s, now_ms, again_ms);

	if (err)
		return err;
	if (dp->services[s->id].seed != seed)
		__atomic_store_n(&dp->services[s->id].seed, seed, __ATOMIC_RELEASE);
	if (s->mode == PLAN_RING)
		return ring_publish(dp, s, now_ms, again_ms);
	ring_switch(dp, s->id, word[s->mode], now_ms);
	return 0;
}

static int front_write(struct datapath *dp, const struct plan *plan, uint64_t now_ms,
		       uint64_t *again_ms)
{
	struct mxlb_front *front = malloc(sizeof(*front));
	uint32_t current = dp->control->front % MXLB_FRONTS, other = (current + 1) % MXLB_FRONTS;
	int err;

	if (!front)
		return -ENOMEM;
	err = front_build(dp, plan, front);
	if (err || !memcmp(&dp->fronts[current], front, sizeof(*front)))
		goto out;
	if (now_ms < dp->front_free_ms) {
		again_in(again_ms, dp->front_free_ms - now_ms);
		goto out;
	}
	memcpy(&dp->fronts[other], front, sizeof(*front));
	__atomic_store_n(&dp->control->front, other, __ATOMIC_RELEASE);
	dp->front_free_ms = now_ms + GRACE_MS;
out:
	free(front);
	return err;
}

/* Clears services and servers that the plan does not contain. */
static void forget_rest(struct datapath *dp, const struct plan *plan, uint64_t now_ms)
{
	bool service[MXLB_MAX_SERVICES] = {false};
	bool server[MXLB_MAX_SERVERS] = {false};

	for (unsigned i = 0; i < plan->n_services; i++)
		service[plan->services[i].id] = true;
	for (unsigned i = 0; i < plan->n_servers; i++)
		server[plan->servers[i].id] = true;
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		if (service[i])
			continue;
		ring_switch(dp, i, MXLB_RING_NOT_READY, now_ms);
		if (dp->services[i].allow_set)
			allow_forget(dp, i);
		dp->built[i].known = false;
	}
	for (unsigned i = 1; i < MXLB_MAX_SERVERS; i++)
		dp->removed[i] = !server[i] && (dp->records[i].used || dp->backends[i].way.word);
}

int datapath_apply(struct datapath *dp, const struct plan *plan, uint64_t now_ms,
		   uint64_t *again_ms)
{
	int err;

	*again_ms = 0;
	verify_restore(dp); /* before foreign writes are taken for the current state */
	verify_forget(dp);
	servers_write(dp, plan, now_ms, again_ms);
	for (unsigned i = 0; i < plan->n_services; i++) {
		err = service_write(dp, &plan->services[i], now_ms, again_ms);
		if (err) {
			log_error("event=apply_failed service=%s error=\"%s\"",
				  plan->services[i].name, strerror(-err));
			return err;
		}
	}
	err = front_write(dp, plan, now_ms, again_ms);
	if (err) {
		log_error("event=apply_failed what=front error=\"%s\"", strerror(-err));
		return err;
	}
	if (*again_ms)
		return 0;
	forget_rest(dp, plan, now_ms);
	if (dp->allow_stale)
		allow_purge(dp);
	dp->allow_stale = false;
	verify_note(dp);
	return 0;
}
