// SPDX-License-Identifier: BSD-2-Clause
/* When VIPs and this box's own addresses are announced, and how often. */
#include "daemon/daemon.h"

#define ANNOUNCEMENTS	    3 /* RFC 5227 section 2.3 requires two; one more in case a frame is lost */
#define ANNOUNCE_INTERVAL_S 1.0

/*
 * Servers send the answers to probes to this box's own addresses, and learn a new MAC address only from these
 * announcements: the route of a probe to an IPv6 VIP causes no neighbour discovery.
 */
static void announce_self(struct daemon *d, const struct service *s)
{
	const struct nexthop *told = NULL;

	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct nexthop *nh = &s->servers[i].nexthop;

		if (nh->state == NEXTHOP_UNRESOLVED || addr_is_zero(&nh->source))
			continue;
		if (!told || told->interface != nh->interface ||
		    !addr_equal(&told->source, &nh->source))
			netlink_announce(d->netlink, nh->interface, &nh->source);
		told = nh;
	}
}

static void announce_all(struct daemon *d)
{
	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service *s = &d->model->services[i];

		announce_self(d, s);
		if (s->conf.advertise != ADVERTISE_ARP || s->tier.state == SERVICE_NOT_READY)
			continue;
		netlink_join_solicited(d->netlink, s->conf.interface, &s->conf.address);
		if (!daemon_is_active(d))
			continue;
		netlink_announce(d->netlink, s->conf.interface, &s->conf.address);
		d->announcer.sent++;
	}
}

void daemon_announce_once(struct daemon *d)
{
	if (!ev_is_active(&d->announcer.timer)) /* else it is being announced anyway */
		announce_all(d);
}

void daemon_announce(struct daemon *d)
{
	d->announcer.left = ANNOUNCEMENTS;
	ev_timer_stop(d->loop, &d->announcer.timer);
	ev_timer_set(&d->announcer.timer, 0, ANNOUNCE_INTERVAL_S);
	ev_timer_start(d->loop, &d->announcer.timer);
}

static void on_announce(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;

	(void)events;
	announce_all(d);
	if (--d->announcer.left == 0)
		ev_timer_stop(loop, timer);
}

void announcer_init(struct daemon *d)
{
	ev_init(&d->announcer.timer, on_announce);
	d->announcer.timer.data = d;
}
