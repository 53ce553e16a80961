/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the clients' half of their connections shows about a server (docs/verdicts.md):
 *
 *   1. A connection on which mail is delivered carries a message; a refused one carries a few commands. The usual size
 *      is learned from the same server's connections before the probe was refused.
 *   2. TAKES: one connection that carried at least as much as half of the usual ones. One is enough, because scanners
 *      and floods make many short ones. REFUSES: three or more, all so small that as many usual ones would be that
 *      small only with a small probability. Its limit depends on what else is known (enum passive_doubt), because
 *      each evaluation is a new chance to be wrong. The last seconds count if they contain three connections, otherwise all since the refusal.
 *   3. Without usual connections: one that sent half a kilobyte got past the greeting and EHLO; five that sent next to
 *      nothing were refused.
 *   4. A client speaks within milliseconds of the greeting. If connections are opened and fewer other segments than
 *      connections are seen, the server does not greet its clients. A flood of silent clients looks the same, so this
 *      is a hint, and a finding only together with a probe that is not greeted either.
 *   5. A server that takes long to greet (a greet delay) is given three times its usual time.
 *   6. A server or a box that gets no CPU for a moment is silent as well. So the finding needs a silence of LIMIT_MS at
 *      least, for the probe and for three clients; the time during which this box was late does not count; and for the
 *      last server that is up it takes LAST_TIMES as long, because without it all mail is refused. A server that greets a
 *      probe for another service meanwhile (the other half of a dual-stack VIP) is slow, not stopped.
 *   7. If PACE_ROW connections carry less than half of what that many usually carry, their clients may have left early:
 *      a hint to probe, and to examine what ends from then on (rule 2). The connections before them do not count: a run
 *      begins again whenever its connections carry enough. Where large and small messages alternate, such rows are
 *      usual: a server with more than one among its last 16 rows gives no hint.
 *   8. A refused client may be reset by the server, which nobody sees, so its connection never ends in the flow table.
 *      Such a run is therefore evidence by itself, as if each of its connections had carried the average of the run
 *      (rule 2). Connections that have not sent their messages yet look the same; so the run must have lasted for
 *      three times the longest usual one plus RUN_MS, and not for longer than RUN_MAX_MS. A refused client has sent an
 *      acknowledgement at least. While clients send nothing (rule 4), they wait for a server that gets no CPU, and what
 *      they carry shows nothing. A run begins again after such a silence that was long enough for a hint.
 *   9. While a refusal of the probe stands that clients have contradicted, scanners are not its clients' usual mixture:
 *      a few short connections between two messages show nothing. So REFUSES also needs that messages are missing, for
 *      TAKES_TIMES the longest usual time between two plus TAKES_MS.
 */
#include "core/passive.h"

#define MIN_NOW	    3
#define MIN_USUAL   4
#define MIN_ALONE   5
#define MESSAGE	    2 /* units: less is no message */
#define LIMIT_MS    1000
#define HINT_MS	    200
#define GREETING_MS 200
#define PACE_ROW    4
#define PACE_KNOWN  5 /* rows, before one of them can be unusual */
#define PACE_STEP \
	16 /* what is usual follows by such a part, so that half of the rows are above it */
#define RUN_MS	    200
#define RUN_MAX_MS  10000
#define RUN_FADE    64 /* the longest usual run is forgotten by such a part at each that ends */
#define UNIT_BYTES  256
#define TAKES_TIMES 2
#define TAKES_MS    1000 /* between two scans */
#define TAKES_FADE  16	 /* the longest usual time is forgotten by such a part at each message */
#define CLIENTS	    3
#define LAST_TIMES  3
#define LATE_MS	    25 /* a loop turn later than that was starved */

void passive_add(struct passive_volumes *v, uint32_t units)
{
	v->n++;
	v->of[units < PASSIVE_UNIT_CAP ? units : PASSIVE_UNIT_CAP]++;
}

static const double chances[] = {
	[PASSIVE_EXPECTED] = 1e-4,
	[PASSIVE_OPEN] = 3e-5,
	[PASSIVE_STANDING] = 1e-7,
};

/* The volume below or at which the given percentage of connections stays. */
static uint32_t quantile(const struct passive_volumes *v, unsigned percent)
{
	uint64_t below = 0;
	uint32_t units = 0;

	while (units < PASSIVE_UNIT_CAP &&
	       (below += v->of[units]) * 100 <= (uint64_t)v->n * percent)
		units++;
	return units;
}

static uint32_t largest(const struct passive_volumes *v)
{
	uint32_t units = PASSIVE_UNIT_CAP;

	while (units && !v->of[units])
		units--;
	return units;
}

bool passive_is_known(const struct passive_volumes *usual)
{
	return usual->n >= MIN_USUAL;
}

/* Rule 2. */
bool passive_all_refused(const struct passive_volumes *is, const struct passive_volumes *usual,
			 enum passive_doubt doubt)
{
	uint32_t most = largest(is),
		 as_small = 1; /* one more than seen, because an unseen size is not impossible */
	double chance = 1;

	if (is->n < MIN_NOW || !passive_is_known(usual) || quantile(usual, 50) < MESSAGE)
		return false;
	for (uint32_t units = 0; units <= most; units++)
		as_small += usual->of[units];
	for (uint32_t i = 0; i < is->n && chance >= chances[doubt]; i++)
		chance *= (double)as_small / (usual->n + 1);
	return chance < chances[doubt];
}

bool passive_any_taken(const struct passive_volumes *is, const struct passive_volumes *usual)
{
	return is->n && passive_is_known(usual) && largest(is) >= quantile(usual, 50);
}

/* Rule 3. */
static enum passive_finding judge_alone(const struct passive_volumes *v, bool early)
{
	if (early && v->n && largest(v) >= MESSAGE)
		return PASSIVE_TAKES;
	if (v->n >= MIN_ALONE && largest(v) < MESSAGE)
		return PASSIVE_REFUSES;
	return v->n ? PASSIVE_UNCLEAR : PASSIVE_NONE;
}

enum passive_finding passive_judge(const struct passive_flows *f, bool early,
				   enum passive_doubt doubt)
{
	const struct passive_volumes *is = f->now.n >= MIN_NOW ? &f->now : &f->since;
	uint32_t half = quantile(&f->usual, 50);

	if (!passive_is_known(&f->usual) || half < MESSAGE)
		return judge_alone(is, early);
	if (is->n && largest(is) >= half) /* rule 2 */
		return PASSIVE_TAKES;
	if (passive_all_refused(is, &f->usual, doubt))
		return PASSIVE_REFUSES;
	return is->n ? PASSIVE_UNCLEAR : PASSIVE_NONE;
}

/* Rule 9. */
void passive_takes_note(struct passive_takes *t, uint64_t since_ms, uint64_t now_ms)
{
	uint64_t ms = now_ms - (t->last_ms ? t->last_ms : since_ms);

	if (!since_ms)
		return;
	t->usual_ms -= t->usual_ms / TAKES_FADE;
	if (ms > t->usual_ms)
		t->usual_ms = ms;
	t->last_ms = now_ms;
}

bool passive_takes_missing(const struct passive_takes *t, uint64_t now_ms)
{
	return !t->last_ms || now_ms - t->last_ms >= TAKES_TIMES * t->usual_ms + TAKES_MS;
}

/* Rule 4. */
void passive_silence_look(struct passive_silence *s, uint64_t opened, uint64_t spoken,
			  uint64_t now_ms)
{
	uint64_t more = opened - s->opened, others = spoken - s->spoken;
	bool first = !s->seen;

	s->seen = true;
	s->opened = opened;
	s->spoken = spoken;
	if (first)
		return;
	if (more && !s->since_ms) {
		s->since_ms = now_ms;
		s->n = s->others = 0;
	}
	s->n += more;
	s->others += others;
	if (s->since_ms && s->others >= s->n)
		s->since_ms = 0;
}

uint64_t passive_silence_ms(const struct passive_silence *s, uint64_t now_ms)
{
	return s->since_ms && now_ms > s->since_ms ? now_ms - s->since_ms : 0;
}

/* Rule 5. */
uint32_t passive_greeting_learn(uint32_t usual_ms, uint32_t greeting_ms)
{
	uint32_t less = usual_ms - usual_ms / 8;

	return greeting_ms > less ? greeting_ms : less;
}

static uint32_t passive_wait_for(uint32_t usual_ms, uint32_t least_ms)
{
	uint64_t ms = 3ull * usual_ms + GREETING_MS;

	if (ms > UINT32_MAX)
		return UINT32_MAX;
	return ms > least_ms ? (uint32_t)ms : least_ms;
}

uint32_t passive_hint_limit(uint32_t usual_ms)
{
	return passive_wait_for(usual_ms / 2, HINT_MS);
}

/* Rules 5, 6. */
bool passive_is_silent(const struct passive_quiet *q)
{
	uint64_t ms = passive_wait_for(q->usual_ms, LIMIT_MS);

	if (q->is_last)
		ms *= LAST_TIMES;
	return !q->greets_elsewhere && q->clients >= CLIENTS && q->clients_ms >= ms &&
	       q->probe_ms >= ms;
}

uint64_t passive_clock_look(struct passive_clock *c, uint32_t planned_ms, uint64_t now_ms)
{
	uint64_t gap_ms = now_ms - c->looked_ms;

	if (!c->looked_ms)
		c->ms = now_ms;
	else if (gap_ms <= planned_ms + LATE_MS)
		c->ms += gap_ms;
	c->looked_ms = now_ms;
	return c->ms;
}

/* Rule 8: a connection has carried enough. */
static void run_ends(struct passive_pace *p, uint64_t now_ms)
{
	uint64_t ms = p->run_n ? now_ms - p->run_since_ms : 0;

	p->usual_run_ms -= p->usual_run_ms / RUN_FADE;
	if (ms > p->usual_run_ms)
		p->usual_run_ms = ms;
	p->run_n = p->run_sum = 0;
}

/* Rule 7: the connections since the last one that carried enough. True: they are another row. */
static bool run_is_low(struct passive_pace *p, uint64_t opened, uint64_t bytes, bool silent,
		       uint64_t now_ms)
{
	uint64_t rows = p->run_n / PACE_ROW;

	if (silent) { /* rule 8 */
		p->run_n = p->run_sum = 0;
		return false;
	}
	if (!p->run_n)
		p->run_since_ms = now_ms;
	p->run_n += opened;
	p->run_sum += bytes;
	if (p->run_n && (!p->usual || p->run_sum >= p->run_n * (p->usual / 2)))
		run_ends(p, now_ms);
	else if (!p->run_n)
		p->run_sum = 0; /* of connections from before the run */
	return p->run_n / PACE_ROW > rows;
}

/* Learns from each row what is usual, and how often a row is low. */
static void learn(struct passive_pace *p)
{
	uint64_t each = p->sum / p->n;

	p->n = p->sum = 0;
	if (!p->usual)
		p->usual = each;
	p->low = (uint16_t)(p->low << 1 | (each < p->usual / 2));
	if (each > p->usual)
		p->usual += p->usual / PACE_STEP;
	else
		p->usual -= p->usual / PACE_STEP;
	if (p->rows < PACE_KNOWN)
		p->rows++;
}

bool passive_pace_look(struct passive_pace *p, uint64_t opened, uint64_t bytes, bool silent,
		       uint64_t now_ms)
{
	uint64_t more = p->seen ? opened - p->opened : 0, sum = p->seen ? bytes - p->bytes : 0;
	bool low, rare = !(p->low & (p->low - 1));

	p->seen = true;
	p->opened = opened;
	p->bytes = bytes;
	low = run_is_low(p, more, sum, silent, now_ms);
	p->n += more;
	p->sum += sum;
	if (p->n >= PACE_ROW)
		learn(p);
	return low && rare && p->rows == PACE_KNOWN;
}

/* Rule 8. */
bool passive_run_refused(const struct passive_pace *p, const struct passive_silence *silence,
			 const struct passive_volumes *usual, enum passive_doubt doubt,
			 uint64_t now_ms)
{
	struct passive_volumes run = {0};
	uint64_t ms = now_ms - p->run_since_ms;

	if (p->rows < PACE_KNOWN || p->run_n < PACE_ROW || ms > RUN_MAX_MS ||
	    ms < 3 * p->usual_run_ms + RUN_MS || passive_silence_ms(silence, now_ms))
		return false;
	for (uint64_t i = 0; i < PACE_ROW; i++)
		passive_add(&run, (uint32_t)(p->run_sum / p->run_n / UNIT_BYTES));
	return passive_all_refused(&run, usual, doubt);
}
