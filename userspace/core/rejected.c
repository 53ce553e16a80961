/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns which reasons to drop a packet turn a sender away, and what they are called. */
#include "core/rejected.h"

#include <string.h>

static const struct {
	enum rejected_kind kind;
	bool is;
} reasons[MXLB_DROP_COUNT] = {
#define X(name, class) [MXLB_DROP_##name] = {REJECTED_##class, true},
	MXLB_REJECTS(X)
#undef X
};

static const char *const kinds[REJECTED_KINDS] = {
	[REJECTED_denied] = "denied",
	[REJECTED_limited] = "limited",
	[REJECTED_malformed] = "malformed",
	[REJECTED_no_server] = "no_server",
};

static const char *const whys[MXLB_COUNT_COUNT] = {
	[MXLB_COUNT_denied] = "its address is not in the allow-list",
	[MXLB_COUNT_would_deny] = "not in the allow-list; let in by allow-mode: observe",
	[MXLB_COUNT_syn_limit] = "more connections a second than syn-limit allows",
	[MXLB_COUNT_malformed] = "the headers contradict each other",
	[MXLB_COUNT_fragment] = "an IP fragment",
	[MXLB_COUNT_martian] = "an address that no client can have",
	[MXLB_COUNT_flags] = "TCP flags that no client sends",
	[MXLB_COUNT_ttl] = "its time to live was used up",
	[MXLB_COUNT_not_ready] = "mxlbd had just started: no server had passed a probe yet",
	[MXLB_COUNT_no_backend] = "no server was available",
	[MXLB_COUNT_unreachable] = "the server of its connection is gone",
	[MXLB_COUNT_no_next_hop] = "the server's MAC address is not known",
};

enum rejected_kind rejected_kind(unsigned counter)
{
	return counter < MXLB_DROP_COUNT && reasons[counter].is ? reasons[counter].kind
								: REJECTED_KINDS;
}

const char *rejected_kind_name(enum rejected_kind kind)
{
	return (unsigned)kind < REJECTED_KINDS ? kinds[kind] : "?";
}

const char *rejected_why(unsigned counter)
{
	return counter < MXLB_COUNT_COUNT && whys[counter] ? whys[counter] : "?";
}

void rejected_add(struct rejected_summary *all, const struct rejected_row *row)
{
	enum rejected_kind kind = rejected_kind(row->counter);
	struct rejected_summary *s;

	if (row->service_id > MXLB_MAX_SERVICES || !row->packets)
		return;
	s = &all[row->service_id];
	if (row->age_ms < REJECTED_RECENT_MS && kind < REJECTED_KINDS)
		s->clients[kind]++;
	else if (row->age_ms < REJECTED_RECENT_MS)
		s->would_deny++;
	if (kind < REJECTED_KINDS && (!s->last.packets || row->age_ms < s->last.age_ms))
		s->last = *row;
}

void rejected_count(struct rejected_summary *s, const uint64_t *drops)
{
	memset(s->packets, 0, sizeof(s->packets));
	for (unsigned i = 0; i < MXLB_DROP_COUNT; i++)
		if (reasons[i].is)
			s->packets[reasons[i].kind] += drops[i];
}
