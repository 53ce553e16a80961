/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an expensive server gets. Owns these rules; measures nothing.
 *
 *  1. A probe that takes more than its limit makes its server expensive. The next full probe of it may come at once, in a
 *     quarantine child, where it disturbs no other probe and may take longer: so the server still gets a real verdict.
 *  2. From then on a full probe follows the last one by COST_GAP_MS and by COST_SHARE times what that one took: an expensive server
 *     gets a hundredth of a CPU. It also needs a quarantine child that is idle.
 *  3. Between them the server is probed as often as any other, up to EHLO: that finds a dead one as fast, and costs next to
 *     nothing, because no key is exchanged.
 *  4. A server that makes that expensive, too (a greeting in thousands of segments) is only connected to, for COST_SHARE times
 *     what it took.
 *  5. COST_CHEAP_PARDON full probes in a row that take at most half the limit end the quarantine.
 */
#include "core/cost.h"

enum cost_reach cost_reach(const struct cost *c, bool idle, uint64_t now_ms)
{
	if (!c->expensive || (idle && now_ms >= c->full_at_ms)) /* rule 2 */
		return COST_FULL;
	return now_ms >= c->ehlo_at_ms ? COST_EHLO : COST_CONNECT; /* rules 3, 4 */
}

static uint64_t later(uint64_t now_ms, uint32_t cpu_ms)
{
	return now_ms + (uint64_t)cpu_ms * COST_SHARE;
}

/* Rules 2 and 5. */
static bool take_full(struct cost *c, uint32_t cpu_ms, uint32_t limit_ms, uint64_t now_ms)
{
	c->cpu_ms = cpu_ms;
	c->full_at_ms = later(now_ms, cpu_ms);
	if (c->full_at_ms < now_ms + COST_GAP_MS)
		c->full_at_ms = now_ms + COST_GAP_MS;
	c->cheap = cpu_ms <= limit_ms / 2 ? c->cheap + 1 : 0;
	if (c->cheap < COST_CHEAP_PARDON)
		return false;
	*c = (struct cost){0};
	return true;
}

/* Rule 1. */
static bool cost_enter(struct cost *c, uint32_t cpu_ms, uint64_t now_ms)
{
	c->expensive = true;
	c->cheap = 0;
	c->cpu_ms = cpu_ms;
	c->full_at_ms = now_ms;
	return true;
}

bool cost_take(struct cost *c, enum cost_reach reach, uint32_t cpu_ms, uint32_t limit_ms,
	       uint64_t now_ms)
{
	if (reach == COST_EHLO && cpu_ms > limit_ms / COST_EHLO_PART)
		c->ehlo_at_ms = later(now_ms, cpu_ms); /* rule 4 */
	if (c->expensive)
		return reach == COST_FULL && take_full(c, cpu_ms, limit_ms, now_ms);
	return cpu_ms > limit_ms && cost_enter(c, cpu_ms, now_ms);
}
