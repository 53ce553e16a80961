/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whom a probe's result blames. Owns these rules; docs/verdicts.md has them as a table.
 *
 * What nobody answers:
 *  1. A VIP that is silent on a host whose own address answers is missing there.
 *  2. A server behind a router that answers on none of its addresses is unreachable: no next hop could say so.
 *  3. All else stays a connect_timeout.
 *
 * The way there:
 *  4. A connect that nobody answered while the next hop does not answer ARP or ND is unreachable (a probe over IPv6 goes by
 *     a stand-in neighbour, so the kernel cannot say it).
 *  5. Unreachable, or a local error, while our own interface has no link is our trouble.
 *
 * An SMTP refusal of a server that takes new connections:
 *  6. Its clients leave early since the probe is refused: it refuses everybody. At once, whatever the text says.
 *  7. A text that names this client as the cause is a warning.
 *  8. A client sends as much as clients usually do: it refuses this client alone. A warning, whatever the text says; but
 *     only after a wait, because the client may have begun before the server began to refuse.
 *  9. A text that names a state of the server acts.
 * 10. Any other text waits for its clients' evidence, if clients connect, but not for long.
 * 11. Without evidence: it acts, unless all servers of the tier say the same at once. Then the probe is what they have in
 *     common, and moving would move all mail for it: a warning.
 * 12. Where rule 8 holds of a refusal before MAIL FROM, the server is up, even if it only takes mail because no other is up:
 *     whoever sends a message got behind that stage. (At MAIL FROM, behind TLS, what is usual must be known for that, and
 *     after a restart it may have been learned from refusals.)
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
	if (path->link_is_ours && (reason == REASON_unreachable || reason == REASON_local_error))
		reason = REASON_local_carrier; /* rule 5 */
	return reason;
}

enum blame_act blame_refusal(const struct blame_refusal *r)
{
	if (r->passive == PASSIVE_REFUSES) /* rule 6 */
		return BLAME_NOW;
	if (r->passive == PASSIVE_TAKES && r->waited && r->early) /* rule 12 */
		return BLAME_UP;
	if (reason_is_client(r->reason)) /* rule 7 */
		return BLAME_WARNS;
	if (r->passive == PASSIVE_TAKES) /* rule 8 */
		return r->waited ? BLAME_WARNS : BLAME_WAITS;
	if (r->names_server) /* rule 9 */
		return BLAME_ACTS;
	if (r->coming && !r->waited) /* rule 10 */
		return BLAME_WAITS;
	return r->all_same && !r->twin_ok ? BLAME_WARNS : BLAME_ACTS; /* rule 11 */
}
