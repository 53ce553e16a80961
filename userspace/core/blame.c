/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a probe's result is evidence about: the server, this client alone, or this box. docs/verdicts.md has the rules
 * under the same numbers:
 *
 * No answer:
 *   1. A VIP that does not answer on a host whose own address answers is missing there.
 *   2. A server behind a router that answers on none of its addresses is unreachable, because no next hop could show
 *      it.
 *   3. Otherwise it stays connect_timeout.
 *
 * The path to the server:
 *   4. If the connect was not answered and the next hop does not answer ARP or ND, the server is unreachable. (An IPv6
 *      probe uses a stand-in neighbour, so the kernel cannot report it.)
 *   5. Frames for a server behind a router reach the router, which sends the VIP's packets back or drops them. So with
 *      forward: l2 a VIP that does not answer is a matter of the configuration, whatever the server has.
 *   6. Behind a tunnel the VIP may be missing, the tunnel closed at the far end, or a filter of source addresses may drop
 *      the replies (BCP 38): a reason of its own, which names them.
 *   7. Unreachable, or a local error, while our own interface has no link is a fault of this box.
 *
 * An SMTP refusal by a server that takes new connections:
 *   8. Its clients leave early since the probe is refused: it refuses everybody. Acts at once, whatever the text.
 *   9. If rule 11 applies to a refusal before MAIL FROM, the server is up, even if it only takes mail because no other
 *      is up: a client that sends a message got past that stage. (At MAIL FROM, behind TLS, the usual amount must be
 *      known for this, and after a restart it may have been learned from refusals.)
 *  10. A text that names this client as the cause is a warning.
 *  11. A client sends as much as clients usually do: the server refuses this client alone. A warning, whatever the
 *      text; but only after a wait, because the client may have begun before the refusals did.
 *  12. A text that names a state of the server acts.
 *  13. With any other text the decision waits a limited time for evidence from clients, if clients connect.
 *  14. Without evidence it acts, unless all servers of the tier say the same at once. Then the probe is what they have
 *      in common, and acting would move all mail: a warning.
 */
#include "core/blame.h"

enum reason blame_silence(enum reason raw, enum blame_fallback fallback, bool routed,
			  bool has_fallback)
{
	if (raw != REASON_connect_timeout)
		return raw;
	if (fallback == BLAME_FALLBACK_ANSWERS) /* rule 1 */
		return REASON_vip_missing;
	if (routed && (fallback == BLAME_FALLBACK_SILENT || !has_fallback)) /* rule 2 */
		return REASON_unreachable;
	return raw; /* rule 3 */
}

enum reason blame_path(enum reason raw, const struct blame_path *path)
{
	enum reason reason = raw;

	if (reason == REASON_connect_timeout && path->next_hop_failed) /* rule 4 */
		reason = REASON_unreachable;
	if (path->l2_routed && (reason == REASON_connect_timeout || reason == REASON_vip_missing))
		reason = REASON_not_on_link; /* rule 5 */
	if (path->tunnel && reason == REASON_vip_missing)
		reason = REASON_tunnel_silent; /* rule 6 */
	if (path->link_is_ours && (reason == REASON_unreachable || reason == REASON_local_error))
		reason = REASON_local_carrier; /* rule 7 */
	return reason;
}

enum blame_act blame_refusal(const struct blame_refusal *r)
{
	if (r->passive == PASSIVE_REFUSES) /* rule 8 */
		return BLAME_NOW;
	if (r->passive == PASSIVE_TAKES && r->waited && r->early) /* rule 9 */
		return BLAME_UP;
	if (reason_is_client(r->reason)) /* rule 10 */
		return BLAME_WARNS;
	if (r->passive == PASSIVE_TAKES) /* rule 11 */
		return r->waited ? BLAME_WARNS : BLAME_WAITS;
	if (r->names_server) /* rule 12 */
		return BLAME_ACTS;
	if (r->coming && !r->waited) /* rule 13 */
		return BLAME_WAITS;
	return r->all_same && !r->twin_ok ? BLAME_WARNS : BLAME_ACTS; /* rule 14 */
}
