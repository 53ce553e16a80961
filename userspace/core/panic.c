/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Panic mode. docs/verdicts.md has the rules under the same numbers:
 *
 *   1. Called only when no server would take new connections.
 *   2. A server that failed at another stage than the connect (a greeting, a reply, TLS, silence after the connect)
 *      was reached, so this box can reach servers and the servers are at fault. No panic, unless there is proof (rule
 *      4). But only if it was reached after the probes of the others began to fail. A server that has not been probed
 *      yet is no evidence.
 *   3. Only servers that failed within window_ms before the last failure are considered. Those that failed earlier, or
 *      were never up since mxlbd started or since they left maint, are dead.
 *   4. Proof: a client's connection to one of them was established after its probes began to fail to reach it, or the
 *      last probe has reached it, which does not make it up yet. Then this box is at fault, or was, and those that are
 *      not refuted (rule 5) are kept, whatever their reasons. A server that an operator took out since is not kept, but
 *      proves it, too.
 *   5. A server that was sent two SYNs at different times, both at least TRIED_MS ago and after the last probe that
 *      reached it, and has established no connection since, is refuted: it does not take mail. A single one may be a
 *      scanner's, or lost; clients send theirs again. After a proof the first one must be older: as old as the proof
 *      lasted, but at least PROVEN_MS and at most PROVEN_MAX_MS, because SYNs are easily forged.
 *   6. Without proof, if any server is refuted, the servers are at fault.
 *   7. Without proof, a refusal (RST) is a definite answer, and so is a host that answers but not on the VIP. But if
 *      clients connected within CLIENTS_MS before it, they have REFUSED_MS to prove the opposite, and again after a
 *      probe that reached one; meanwhile they get the server's own RST. With the delay of the next call and BGP's own
 *      the route is withdrawn within a second.
 *   8. Otherwise no client is trying. The ring is kept until one does; nothing is refused that would not be refused
 *      anyway.
 *   9. Of the servers that are kept, those of the best tier form the ring. If none is kept, there is no panic.
 */
#include <string.h>
#include "core/panic.h"

#define TRIED_MS      500
#define REFUSED_MS    700
#define CLIENTS_MS    5000

#define PROVEN_MS     2000 /* a lost SYN is sent again after one */
#define PROVEN_MAX_MS 30000

static bool is_not_reached(const struct panic_view *v)
{
	return v->failed_ms && reason_is_connect(v->reason);
}

/* Rule 3. */
static bool counts(const struct panic_view *v, uint64_t last_ms, uint32_t window_ms)
{
	return is_not_reached(v) && v->failed_ms + window_ms >= last_ms;
}

/* Rule 4: for how long; 0: there is no proof. */
static uint64_t proven_ms(const struct panic_view *v)
{
	if (!v->began_ms) /* the last probe reached it */
		return v->reached_ms ? PROVEN_MS : 0;
	return v->opened_ms > v->began_ms ? v->opened_ms - v->began_ms : 0;
}

/* Rule 5. */
static bool is_refuted(const struct panic_view *v, uint64_t now_ms)
{
	uint64_t ms = proven_ms(v);

	if (!ms)
		ms = TRIED_MS;
	else if (ms < PROVEN_MS)
		ms = PROVEN_MS;
	else if (ms > PROVEN_MAX_MS)
		ms = PROVEN_MAX_MS;
	return v->tried_ms && v->again_ms && now_ms - v->tried_ms >= ms &&
	       now_ms - v->again_ms >= TRIED_MS;
}

struct found {
	uint64_t last_ms;  /* when the last one failed */
	uint64_t first_ms; /* when the probes of the first one began to fail */
	uint64_t began_ms; /* the same of the last one */
	unsigned n;
	bool proof, refuted, refused, clients;
};

/* Rule 2. */
static bool is_reached(const struct panic_view *views, unsigned n, uint64_t since_ms)
{
	for (unsigned i = 0; i < n; i++)
		if (views[i].offered && views[i].reason != REASON_not_probed &&
		    !reason_is_connect(views[i].reason) && views[i].reached_ms >= since_ms)
			return true;
	return false;
}

static void panic_survey(const struct panic_view *views, unsigned n, uint32_t window_ms,
			 uint64_t now_ms, struct found *f)
{
	memset(f, 0, sizeof(*f));
	for (unsigned i = 0; i < n; i++)
		if (views[i].offered && is_not_reached(&views[i]) &&
		    views[i].failed_ms > f->last_ms)
			f->last_ms = views[i].failed_ms;
	for (unsigned i = 0; i < n; i++) {
		const struct panic_view *v = &views[i];

		if (!counts(v, f->last_ms, window_ms))
			continue;
		f->proof |= proven_ms(v) && !is_refuted(v, now_ms);
		if (!v->offered)
			continue;
		f->n++;
		if (v->began_ms && (!f->first_ms || v->began_ms < f->first_ms))
			f->first_ms = v->began_ms;
		if (v->began_ms > f->began_ms)
			f->began_ms = v->began_ms;
		f->refuted |= is_refuted(v, now_ms);
		f->refused |= v->reason == REASON_refused || v->reason == REASON_vip_missing ||
			      v->reason == REASON_not_on_link || v->reason == REASON_tunnel_silent;
		f->clients |= v->opened_ms && now_ms - v->opened_ms < CLIENTS_MS;
	}
}

/* Rules 4 and 9. False: none. */
static bool keep_best(const struct panic_view *views, unsigned n, const struct found *f,
		      uint32_t window_ms, uint64_t now_ms, bool *keep)
{
	const struct panic_view *best = NULL;

	for (unsigned i = 0; i < n; i++) {
		const struct panic_view *v = &views[i];

		keep[i] = v->offered && counts(v, f->last_ms, window_ms) && !is_refuted(v, now_ms);
		if (keep[i] && (!best || v->preference < best->preference))
			best = v;
	}
	for (unsigned i = 0; i < n; i++)
		keep[i] = keep[i] && views[i].preference == best->preference;
	return best;
}

enum panic_says panic_judge(const struct panic_view *views, unsigned n, uint32_t window_ms,
			    uint64_t now_ms, bool *keep)
{
	enum panic_says says = PANIC_KEEP;
	struct found f;

	memset(keep, 0, n * sizeof(*keep));
	panic_survey(views, n, window_ms, now_ms, &f);
	if (!f.n) /* rule 3 */
		return PANIC_NO;
	if (!f.proof && (f.refuted || is_reached(views, n, f.first_ms))) /* rules 2, 6 */
		return PANIC_NO;
	if (!f.proof && f.refused) { /* rule 7 */
		uint64_t since_ms = f.began_ms > f.last_ms ? f.began_ms : f.last_ms;

		if (!f.clients || now_ms - since_ms >= REFUSED_MS)
			return PANIC_NO;
		says = PANIC_HOLD;
	}
	return keep_best(views, n, &f, window_ms, now_ms, keep) ? says : PANIC_NO; /* rules 4, 8 */
}
