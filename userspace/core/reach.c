/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules of reachability:
 *
 *   1. A connect that is not answered for 300 ms reprobes the next hop; a hint does so when its probe begins. FAILED
 *      after that, of a next hop whose connect is still unanswered, is definite.
 *   2. Any other FAILED is a hint; so is a next hop that answers again while its server is not up.
 *   3. A next hop that has never answered cannot be probed, so FAILED is definite there too.
 *   4. After the verdict the next hop is reprobed once more; only if that fails too are the flows lost.
 *   5. For a server behind a router the next hop proves nothing: probes report it as unreachable (prober.h), and a
 *      second consecutive one must do so before its flows are lost.
 *   6. Any other result of a probe closes an open reprobe: the host has answered.
 *   7. A next hop that becomes known for the first time starts the first probe.
 */
#include "core/reach.h"

/* Rule 4. */
static unsigned confirm(const struct reach *r, const struct reach_input *in)
{
	return in->reason == REASON_unreachable && !in->gone && !r->confirming ? REACH_DO_CONFIRM
									       : 0;
}

static unsigned take_end(struct reach *r, const struct reach_input *in)
{
	bool lost = in->reason == REASON_unreachable, again = lost && r->lost;

	if (in->raw != REASON_connect_timeout) /* rule 6 */
		r->asked = r->silent = false;
	r->lost = lost;
	if (in->routed)
		return again ? REACH_DO_GONE : 0; /* rule 5 */
	return confirm(r, in);
}

static unsigned take_failed(struct reach *r, const struct reach_input *in)
{
	const struct reach was = *r;

	r->asked = r->confirming = false;
	if (was.confirming) /* rule 4 */
		return REACH_DO_GONE;
	if ((was.asked && was.silent) || !in->has_mac) /* rules 1, 3 */
		return REACH_DO_UNREACHABLE;
	return REACH_DO_HINT; /* rule 2 */
}

static unsigned take_resolved(struct reach *r, const struct reach_input *in)
{
	r->asked = r->confirming = false;
	if (!in->probed) /* rule 7 */
		return REACH_DO_PROBE;
	return in->was_failed && !in->up ? REACH_DO_HINT : 0; /* rule 2 */
}

unsigned reach_take(struct reach *r, const struct reach_input *in)
{
	switch (in->event) {
	case REACH_BEGINS:
		r->silent = r->silent && r->asked;
		return in->hinted ? REACH_DO_ASK : 0; /* rule 1 */
	case REACH_SLOW:
		r->silent = true;
		return REACH_DO_ASK; /* rule 1 */
	case REACH_ENDS:
		return take_end(r, in);
	case REACH_ASKED:
		r->asked = true;
		return 0;
	case REACH_CONFIRMED:
		r->confirming = true;
		return 0;
	case REACH_RESOLVED:
		return take_resolved(r, in);
	case REACH_FAILED:
		return take_failed(r, in);
	case REACH_UNKNOWN:
		r->asked = r->confirming = false;
		return 0;
	case REACH_TOLD:
		return confirm(r, in);
	}
	return 0;
}
