// SPDX-License-Identifier: BSD-2-Clause
/*
 * Allow-lists in the trie. The prefixes of a service are stored under a set number. A changed list is written
 * completely under a new number and activated by one store; the old set is deleted GRACE_MS later, when no packet can
 * be using it. If a list cannot be written, the old one stays in force.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "datapath/datapath_internal.h"

/* An IPv4 prefix's bytes are already ::ffff:a.b.c.d, and its len counts them. */
static struct mxlb_allow_key key_of(uint32_t set, const struct prefix *p)
{
	struct mxlb_allow_key key = {.prefixlen = 32 + p->len, .set = set};

	memcpy(key.address, p->addr.b, sizeof(key.address));
	return key;
}

static void set_delete(struct datapath *dp, const struct allow_set *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct mxlb_allow_key key = key_of(s->number, &s->prefixes[i]);

		bpf_map_delete_elem(bpf_map__fd(dp->skel->maps.allow), &key);
	}
}

static void set_free(struct allow_set *s)
{
	free(s->prefixes);
	*s = (struct allow_set){0};
}

static int set_write(struct datapath *dp, struct allow_set *s)
{
	uint32_t one = 1;

	for (unsigned i = 0; i < s->n; i++) {
		struct mxlb_allow_key key = key_of(s->number, &s->prefixes[i]);

		if (bpf_map_update_elem(bpf_map__fd(dp->skel->maps.allow), &key, &one, BPF_ANY)) {
			int err = -errno;

			s->n = i;
			set_delete(dp, s);
			return err;
		}
	}
	return 0;
}

static bool set_equals(const struct allow_set *s, const struct plan_service *plan)
{
	return !s->foreign && s->n == plan->n_allow &&
	       (!s->n || !memcmp(s->prefixes, plan->allow, s->n * sizeof(*s->prefixes)));
}

/* Deletes replaced sets whose time has come. Returns the ms until the next one, or 0. */
static void retire(struct datapath *dp, uint64_t now_ms, uint64_t *again_ms)
{
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		struct allow_set *s = &dp->allow_old[i];

		if (!s->number)
			continue;
		if (s->free_ms > now_ms) {
			again_in(again_ms, GRACE_MS);
			continue;
		}
		set_delete(dp, s);
		set_free(s);
	}
}

static int allow_replace(struct datapath *dp, const struct plan_service *plan, uint64_t now_ms)
{
	struct allow_set next = {.n = plan->n_allow}, *in_force = &dp->allow[plan->id];
	int err;

	if (next.n) {
		next.number = ++dp->allow_last;
		next.prefixes = malloc(next.n * sizeof(*next.prefixes));
		if (!next.prefixes)
			return -ENOMEM;
		memcpy(next.prefixes, plan->allow, next.n * sizeof(*next.prefixes));
		err = set_write(dp, &next);
		if (err) {
			set_free(&next);
			return err;
		}
	}
	dp->allow_sum_known = false;
	__atomic_store_n(&dp->services[plan->id].allow_set, next.number, __ATOMIC_RELEASE);
	dp->allow_old[plan->id] = *in_force;
	dp->allow_old[plan->id].free_ms = now_ms + GRACE_MS;
	*in_force = next;
	return 0;
}

int allow_apply(struct datapath *dp, const struct plan_service *plan, uint64_t now_ms,
		uint64_t *again_ms)
{
	struct mxlb_service *s = &dp->services[plan->id];
	uint32_t interval_ns = plan->syn_limit ? 1000000000u / plan->syn_limit : 0;

	retire(dp, now_ms, again_ms);
	__atomic_store_n(&s->syn_interval_ns, interval_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&s->allow_observe, plan->allow_observe, __ATOMIC_RELAXED);
	if (set_equals(&dp->allow[plan->id], plan) && s->allow_set == dp->allow[plan->id].number)
		return 0;
	again_in(again_ms, GRACE_MS);
	if (dp->allow_old[plan->id].number)
		return 0; /* its last change is not finished */
	return allow_replace(dp, plan, now_ms);
}

void allow_forget(struct datapath *dp, uint32_t service_id)
{
	__atomic_store_n(&dp->services[service_id].allow_set, 0, __ATOMIC_RELEASE);
	dp->allow_sum_known = false;
	set_delete(dp, &dp->allow[service_id]);
	set_free(&dp->allow[service_id]);
}

/*
 * Deletes every set that is not in force from the trie: at the start, and after the first plan has replaced the old
 * ones.
 */
void allow_purge(struct datapath *dp)
{
	int fd = bpf_map__fd(dp->skel->maps.allow);
	struct mxlb_allow_key key, next;
	void *prev = NULL;

	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++)
		if (dp->services[i].allow_set > dp->allow_last)
			dp->allow_last = dp->services[i].allow_set;
	while (!bpf_map_get_next_key(fd, prev, &next)) {
		bool in_force = false;

		for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++)
			in_force |= dp->services[i].allow_set == next.set;
		if (in_force) {
			key = next;
			prev = &key;
			continue;
		}
		if (bpf_map_delete_elem(fd, &next))
			return;
		/* The iteration continues after the last key that is kept, or from the beginning. */
	}
}

/* Of all prefixes in the trie, in whatever order they come. */
static uint64_t trie_sum(struct datapath *dp)
{
	int fd = bpf_map__fd(dp->skel->maps.allow);
	struct mxlb_allow_key key, next;
	uint64_t sum = 0, word[3];
	void *prev = NULL;

	_Static_assert(sizeof(word) == sizeof(next), "whole words");
	while (!bpf_map_get_next_key(fd, prev, &next)) {
		memcpy(word, &next, sizeof(word));
		sum += mxlb_mix(mxlb_mix(mxlb_mix(word[0]) ^ word[1]) ^ word[2]);
		key = next;
		prev = &key;
	}
	return sum;
}

/* The first check after a change is the reference for the next ones, because a list may contain a prefix twice. */
bool allow_is_sound(struct datapath *dp)
{
	uint64_t sum;

	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++)
		if (dp->allow_old[i].number) /* it is still being deleted */
			return true;
	sum = trie_sum(dp);
	if (!dp->allow_sum_known || sum == dp->allow_sum) {
		dp->allow_sum = sum;
		dp->allow_sum_known = true;
		return true;
	}
	dp->allow_sum_known = false;
	dp->allow_stale = true; /* deletes what belongs to no set in force */
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++)
		dp->allow[i].foreign = dp->allow[i].number;
	return false;
}

void allow_free_all(struct datapath *dp)
{
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		set_free(&dp->allow[i]);
		set_free(&dp->allow_old[i]);
	}
}
