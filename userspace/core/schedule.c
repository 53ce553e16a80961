/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When each server is probed:
 *
 *   1. Each time follows from the previous one, not from the begin or end of that probe, so nothing drifts.
 *   2. Each gap is 2 to 10 % shorter than configured, depending on id and round: probes that start together do not
 *      stay together, and `interval` is an upper limit.
 *   3. Of servers that start together, the first are probed at once because the service waits for them, the others one
 *      after another. The second probe comes after a share of the interval that follows from the golden ratio and the
 *      id, so that a thousand servers are evenly spread at once.
 *   4. A time that passed while the probe ran is skipped, so a slow server does not delay others; but not while a
 *      series of results is open, because a verdict is pending.
 *   5. A loop that is late by more than OVERDUE_MS was stopped, and everything is due: all times are spread again.
 *   6. The fast interval applies while a series is open; also while down, or unknown through a fault of this box, but
 *      then it grows to a DEAD_SHARE-th of the time in that state, up to `interval` (2s, 10s: it starts to grow after
 *      2 minutes and reaches 10s after 10).
 *   7. A hint makes the probe due now, but not sooner than SCHEDULE_HINT_MS after the last probe began: forged
 *      retransmissions cause one probe per second. If clients are silent or leave early, SCHEDULE_SILENCE_MS. All servers together get at most HINTS_A_SECOND.
 *   8. If the connect was not answered, the next probe follows at once with a hint's short connect timeout, until the
 *      verdict is reached or confirmed. The worst case is interval + connect-timeout + (fall - 1) * 500 ms.
 */
#include "core/schedule.h"

#define FIRST_AT_ONCE  64
#define FIRST_APART_US 2000 /* 4,096 probes take 8 s, because each includes a TLS handshake */
#define OVERDUE_MS     1000
#define DEAD_SHARE     60
#define HINTS_A_SECOND 100
#define HINTS_AT_ONCE  200
#define GOLDEN	       0x9e3779b9u /* 2^32 divided by the golden ratio */

/* MurmurHash3's finalizer (Appleby, public domain): every bit of the input moves every bit of the output. */
static uint32_t schedule_mix(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x85ebca6bu;
	x ^= x >> 13;
	x *= 0xc2b2ae35u;
	return x ^ x >> 16;
}

/* A value from 1 to ms, evenly spread over the ids (rule 3). */
static uint64_t share(uint32_t id, uint32_t ms)
{
	return ((uint64_t)(id * GOLDEN) * ms >> 32) + 1;
}

/* Rule 2. */
static uint64_t shortened(const struct schedule *s, uint32_t gap_ms)
{
	uint32_t per_mille = 20 + schedule_mix(s->id * GOLDEN + s->round) % 81;

	return gap_ms - (uint64_t)gap_ms * per_mille / 1000;
}

void schedule_start(struct schedule *s, uint32_t id, unsigned place, unsigned n,
		    uint32_t interval_ms, uint64_t now_ms)
{
	uint64_t apart_us = FIRST_APART_US, most_us = interval_ms * 1000ULL / (n ? n : 1);

	if (apart_us > most_us)
		apart_us = most_us;
	*s = (struct schedule){.id = id, .due_ms = now_ms};
	if (place >= FIRST_AT_ONCE)
		s->due_ms += (place - FIRST_AT_ONCE) * apart_us / 1000;
}

uint32_t schedule_gap(const struct health *h, const struct probe_conf *conf, uint64_t now_ms)
{
	uint64_t ms;

	if (!health_wants_fast(h))
		return conf->interval_ms;
	if (h->differing) /* rule 6 */
		return conf->fast_interval_ms;
	ms = (now_ms - h->since_ms) / DEAD_SHARE;
	if (ms < conf->fast_interval_ms)
		return conf->fast_interval_ms;
	return ms < conf->interval_ms ? (uint32_t)ms : conf->interval_ms;
}

void schedule_next(struct schedule *s, uint32_t gap_ms, bool at_once, uint64_t now_ms)
{
	uint64_t ms = s->round ? shortened(s, gap_ms) : share(s->id, gap_ms); /* rules 2, 3 */

	s->round++;
	s->due_ms += ms;
	if (s->due_ms > now_ms)
		return;
	if (at_once) /* rule 4 */
		s->due_ms = now_ms;
	else
		s->due_ms += ((now_ms - s->due_ms) / ms + 1) * ms;
}

void schedule_renew(struct schedule *s, uint64_t began_ms, uint32_t gap_ms, uint64_t now_ms)
{
	uint64_t at_ms = began_ms + shortened(s, gap_ms);

	if (at_ms <= now_ms)
		at_ms = now_ms + share(s->id, gap_ms);
	if (at_ms < s->due_ms)
		s->due_ms = at_ms;
}

bool schedule_overdue(struct schedule *s, uint32_t spread_ms, uint64_t now_ms)
{
	if (now_ms <= s->due_ms + OVERDUE_MS)
		return false;
	s->due_ms = now_ms + share(s->id, spread_ms); /* rule 5 */
	return true;
}

void schedule_hint(struct schedule *s, uint64_t began_ms, uint32_t apart_ms, uint64_t now_ms)
{
	uint64_t at_ms = began_ms + apart_ms; /* rule 7 */

	if (at_ms < now_ms)
		at_ms = now_ms;
	if (at_ms < s->due_ms)
		s->due_ms = at_ms;
}

bool schedule_presses(const struct health *h, enum reason last)
{
	return h->differing && !h->rising &&
	       (last == REASON_connect_timeout || last == REASON_vip_missing ||
		last == REASON_not_on_link || last == REASON_tunnel_silent); /* rule 8 */
}

bool hint_budget_take(struct hint_budget *b, uint64_t now_ms)
{
	uint64_t back = (now_ms - b->at_ms) * HINTS_A_SECOND / 1000;

	if (back) {
		b->spent = back < b->spent ? b->spent - (uint32_t)back : 0;
		b->at_ms += back * 1000 / HINTS_A_SECOND;
	}
	if (b->spent >= HINTS_AT_ONCE)
		return false;
	b->spent++;
	return true;
}

void lateness_add(struct lateness *l, uint64_t due_ms, uint64_t began_ms)
{
	uint64_t late = began_ms > due_ms ? began_ms - due_ms : 0;

	l->n++;
	l->ms[late < LATENESS_MAX_MS ? late : LATENESS_MAX_MS]++;
	if (late > l->max_ms)
		l->max_ms = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX;
}

uint32_t lateness_percentile(const struct lateness *l, unsigned percent)
{
	uint64_t want = (l->n * percent + 99) / 100, got = 0;

	for (uint32_t ms = 0; l->n && ms < LATENESS_MAX_MS; ms++) {
		got += l->ms[ms];
		if (got >= want)
			return ms;
	}
	return l->n ? LATENESS_MAX_MS : 0;
}
