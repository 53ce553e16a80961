// SPDX-License-Identifier: BSD-2-Clause
/*
 * The lifetime of the network part, its event socket, and the one place where pending work is done (netlink_settle).
 * The meaning of events is in link.c, neigh.c and nexthop.c.
 */
#include "net/netlink_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "util/clock.h"
#include "util/log.h"

#define EVENT_SIZE	  32768
#define EVENT_BUFFER	  (4 << 20) /* of the kernel's, for events not yet read */
#define READS_AT_ONCE	  64	    /* then other watchers get their turn */
#define OVERFLOW_QUIET_MS 10000
#define TICK_SECONDS	  1.0

/* The source address of a tunnel may have changed. */
static void address_event(struct netlink *n, const struct nlmsghdr *h)
{
	(void)h;
	nexthop_ask_all(n);
	probeway_check_all(n);
	n->addresses_changed = true;
}

static void filter_event(struct netlink *n, const struct nlmsghdr *h)
{
	(void)h;
	n->filters_gone = true;
	netlink_soon(n, NETLINK_NOW);
}

static const struct {
	uint16_t type;
	void (*take)(struct netlink *n, const struct nlmsghdr *h);
} events[] = {
	{RTM_NEWLINK, port_event},	     {RTM_DELLINK, port_event},
	{RTM_NEWNEIGH, nexthop_neigh_event}, {RTM_DELNEIGH, nexthop_neigh_event},
	{RTM_NEWROUTE, nexthop_route_event}, {RTM_DELROUTE, nexthop_route_event},
	{RTM_NEWADDR, address_event},	     {RTM_DELADDR, address_event},
	{RTM_NEWRULE, probeway_rule_event},  {RTM_DELRULE, probeway_rule_event},
	{RTM_DELTFILTER, filter_event},	     {RTM_DELQDISC, filter_event},
};

static void take_event(struct netlink *n, const struct nlmsghdr *h)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i].type == h->nlmsg_type)
			events[i].take(n, h);
}

/* The kernel dropped events (ENOBUFS), or one could not be processed: only a complete dump helps. */
static void overflow(struct netlink *n, int err)
{
	uint64_t now = clock_ms();

	if (!n->overflow_logged_ms || now - n->overflow_logged_ms >= OVERFLOW_QUIET_MS) {
		log_warn("event=netlink_events_lost error=\"%s\" action=resync", strerror(err));
		n->overflow_logged_ms = now;
	}
	n->resync = true;
	netlink_soon(n, NETLINK_DEBOUNCE);
}

void netlink_drain(struct netlink *n)
{
	_Alignas(struct nlmsghdr) char buf[EVENT_SIZE];

	for (int i = 0; i < READS_AT_ONCE && n->loop; i++) {
		int len = recv(n->events, buf, sizeof(buf), MSG_TRUNC);
		const struct nlmsghdr *h = (const struct nlmsghdr *)buf;

		if (len < 0 && errno == EAGAIN)
			return;
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 || len > (int)sizeof(buf)) {
			overflow(n, len < 0 ? errno : EMSGSIZE);
			continue;
		}
		for (; mnl_nlmsg_ok(h, len); h = mnl_nlmsg_next(h, &len))
			take_event(n, h);
	}
}

static void on_netlink_readable(struct ev_loop *loop, struct ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	netlink_drain(w->data);
}

void netlink_soon(struct netlink *n, double seconds)
{
	if (!n->loop)
		return;
	if (ev_is_active(&n->soon) && ev_timer_remaining(n->loop, &n->soon) <= seconds)
		return;
	ev_timer_stop(n->loop, &n->soon);
	ev_timer_set(&n->soon, seconds, 0.);
	ev_timer_start(n->loop, &n->soon);
}

void netlink_settle(struct netlink *n)
{
	bool addresses;

	if (n->resync) {
		n->resync = false;
		n->addresses_changed = true;
		probeway_check_all(n);
		if (port_dump(n))
			n->resync = true; /* retried by the tick */
		nexthop_ask_all(n);
	}
	addresses = n->addresses_changed;
	n->addresses_changed = false;
	if (addresses)
		port_addresses(n);
	port_settle(n);
	nexthop_settle(n);
	if (addresses && n->cb.on_address)
		n->cb.on_address(n->cb.ctx);
	if (n->filters_gone && n->cb.on_filter_gone)
		n->cb.on_filter_gone(n->cb.ctx);
	n->filters_gone = false;
}

static void on_soon(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	netlink_settle(w->data);
}

static void on_netlink_tick(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct netlink *n = w->data;

	(void)loop;
	(void)revents;
	pmtu_tick(n);
	nexthop_tick(n);
	neigh_keep_ports(n);
	announce_keep_groups(n);
	netlink_soon(n, NETLINK_NOW);
}

static int events_open(int *out)
{
	static const uint8_t groups[] = {
		RTNLGRP_LINK,	    RTNLGRP_NEIGH,	 RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
		RTNLGRP_IPV4_RULE,  RTNLGRP_IPV6_RULE,	 RTNLGRP_TC};
	static const int room = EVENT_BUFFER;
	struct sockaddr_nl me = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(groups); i++)
		me.nl_groups |= 1U << (groups[i] - 1);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(fd, (struct sockaddr *)&me, sizeof(me))) {
		int err = -errno;

		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

static void follow(struct netlink *n)
{
	ev_io_init(&n->readable, on_netlink_readable, n->events, EV_READ);
	ev_timer_init(&n->soon, on_soon, 0., 0.);
	ev_timer_init(&n->tick, on_netlink_tick, TICK_SECONDS, TICK_SECONDS);
	n->readable.data = n->soon.data = n->tick.data = n;
	ev_io_start(n->loop, &n->readable);
	ev_timer_start(n->loop, &n->tick);
}

static void take_config(struct netlink *n, const struct config *config)
{
	n->n_ports = config->n_interfaces;
	for (unsigned i = 0; i < n->n_ports; i++) {
		memcpy(n->ports[i].name, config->interfaces[i].name, IF_NAMESIZE);
		n->ports[i].vlan = config->interfaces[i].vlan;
	}
	n->mark_mask = config->datapath.mark_mask;
	n->mark = config->datapath.mark & n->mark_mask;
	n->table = config->datapath.table;
	n->priority = config->datapath.priority;
}

int netlink_new(struct ev_loop *loop, const struct config *config,
		const struct netlink_callbacks *cb, struct netlink **out)
{
	struct netlink *n = calloc(1, sizeof(*n));
	int err = n ? 0 : -ENOMEM;

	if (err)
		goto out;
	n->events = n->requests = n->group_socket = n->packet_socket = -1;
	pmtu_init(n);
	take_config(n, config);
	if (cb)
		n->cb = *cb;
	err = request_open(&n->requests);
	if (!err && loop)
		err = events_open(&n->events); /* before the dump */
	if (!err)
		err = port_dump(n);
	if (err)
		goto out;
	for (unsigned i = 0; i < n->n_ports; i++) {
		n->ports[i].changed = false;
		n->ports[i].prepared = port_ip(&n->ports[i])->ifindex;
		n->ports[i].link.up_since_ms = 0;
	}
	port_addresses(n);
	n->loop = loop;
	if (loop)
		follow(n);
out:
	if (err) {
		log_error("event=netlink_failed what=open error=\"%s\"", strerror(-err));
		netlink_free(n);
		return err;
	}
	*out = n;
	return 0;
}

void netlink_free(struct netlink *n)
{
	int fds[4];

	if (!n)
		return;
	if (n->loop) {
		ev_io_stop(n->loop, &n->readable);
		ev_timer_stop(n->loop, &n->soon);
		ev_timer_stop(n->loop, &n->tick);
	}
	memcpy(fds, (int[]){n->events, n->requests, n->group_socket, n->packet_socket},
	       sizeof(fds));
	for (int i = 0; i < 4; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pmtu_close(n);
	for (uint32_t id = 0; id < n->watches_end; id++)
		free(n->watches[id]);
	free(n);
}
