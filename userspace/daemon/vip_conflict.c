// SPDX-License-Identifier: BSD-2-Clause
/*
 * Detects other hosts that answer ARP for a VIP: a server without arp_ignore receives mail directly, bypassing the
 * balancer, even when it is down. ARP replies go only to the requester, so this box has to send requests; the program
 * counts the replies. IPv4 only: Linux answers neighbour discovery only for addresses of the interface itself.
 */
#include <stdio.h>
#include "daemon/daemon.h"

#define LOOK_S	    3.0
#define QUIET_LOOKS 2 /* without a claim before the end of the conflict is reported */

static void vip_conflict_tell(struct daemon *d, const char *from, const char *to, const char *cause)
{
	struct event *e = daemon_event(d, EVENT_VIP_CONFLICT);

	snprintf(e->from, sizeof(e->from), "%s", from);
	snprintf(e->to, sizeof(e->to), "%s", to);
	snprintf(e->cause, sizeof(e->cause), "%s", cause);
}

static uint64_t claims_counted(struct daemon *d)
{
	struct datapath_counts counts;

	datapath_counts(d->datapath, &counts);
	return counts.total[MXLB_COUNT_vip_conflict];
}

static void vip_conflict_look(struct daemon *d)
{
	uint64_t claims = claims_counted(d);

	if (claims > d->claims && daemon_is_active(d)) {
		if (!d->claimed)
			vip_conflict_tell(
				d, "none", "claimed",
				"another host answers ARP for a VIP, so mail may bypass this box: on servers set "
				"net.ipv4.conf.all.arp_ignore=1; mxlbctl doctor shows which host it is");
		d->claimed = QUIET_LOOKS;
	} else if (d->claimed && !--d->claimed) {
		vip_conflict_tell(d, "claimed", "none", "");
	}
	d->claims = claims;
}

/* On a standby box the owner is the active one. */
static void vip_conflict_ask(struct daemon *d)
{
	if (!daemon_is_active(d))
		return;
	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service *s = &d->model->services[i];

		if (s->conf.advertise == ADVERTISE_ARP && addr_is_v4(&s->conf.address) &&
		    s->tier.state != SERVICE_NOT_READY)
			netlink_ask_owner(d->netlink, s->conf.interface, &s->conf.address);
	}
}

static void look_and_ask(struct daemon *d)
{
	vip_conflict_look(d);
	vip_conflict_ask(d);
}

void owners_start(struct daemon *d)
{
	d->claims = UINT64_MAX; /* those counted for an earlier mxlbd are not reported */
	periodic_start(&d->owners, d, look_and_ask, LOOK_S);
}
