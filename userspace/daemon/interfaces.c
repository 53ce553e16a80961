// SPDX-License-Identifier: BSD-2-Clause
/*
 * Keeps the program on the interfaces: attaches it at the start, again on an interface that was recreated, and again
 * if another program detached it. A failure is reported once and retried every second.
 */
#include <errno.h>
#include <unistd.h>
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

#define KEEP_S	    1.0
#define FILL_ROUNDS 100 /* of GRACE_MS at most each */

/* Applies a plan now, from what an mxlbd of another layout and the kernel know. 0 or -errno, logged. */
static int fill_maps(struct daemon *d)
{
	struct plan plan;
	uint64_t again_ms = 0;
	int err, rounds = 0;

	watches_start(d);
	netlink_settle(d->netlink);
	err = plan_build(d->model, &plan);
	if (err)
		return err;
	do {
		usleep((useconds_t)again_ms * 1000);
		err = datapath_apply(d->datapath, &plan, clock_now().mono_ms, &again_ms);
	} while (!err && again_ms && ++rounds < FILL_ROUNDS);
	plan_free(&plan);
	return !err && again_ms ? -ETIMEDOUT : err;
}

static void declare_slaves(struct daemon *d, unsigned interface)
{
	int slaves[MXLB_MAX_SLAVES];
	unsigned n = netlink_slaves(d->netlink, interface, slaves);

	if (datapath_declare_slaves(d->datapath, interface, slaves, n))
		daemon_changed(d);
}

int interfaces_start(struct daemon *d)
{
	int err = 0;

	for (unsigned i = 0; i < d->config->n_interfaces && !err; i++) {
		const struct netlink_link *link = netlink_link(d->netlink, i);

		err = datapath_declare(d->datapath, i, link->ifindex, &link->mac,
				       d->config->interfaces[i].vlan);
		declare_slaves(d, i);
	}
	if (!err && datapath_migrates(d->datapath))
		err = fill_maps(d);
	for (unsigned i = 0; i < d->config->n_interfaces && !err; i++)
		err = datapath_attach(d->datapath, i, &d->config->interfaces[i]);
	for (unsigned i = 0; i < d->config->n_interfaces && !err; i++) {
		note_link(d, i, netlink_link(d->netlink, i));
		note_mode(d, i);
		d->mtu[i] = netlink_link(d->netlink, i)->mtu;
	}
	if (!err)
		err = netlink_fast_neighbours(d->netlink);
	if (err)
		datapath_detach_new(d->datapath);
	else
		datapath_detach_undeclared(d->datapath, note_undeclared, d);
	return err;
}

/* Neighbours may have asked for a VIP without an answer, or know it by another MAC address. */
static void attach(struct daemon *d, unsigned interface, const struct netlink_link *link)
{
	const struct interface_conf *conf = &d->config->interfaces[interface];
	int err = datapath_declare(d->datapath, interface, link->ifindex, &link->mac, conf->vlan);

	declare_slaves(d, interface);
	if (!err)
		err = datapath_attach(d->datapath, interface, conf);
	note_mode(d, interface);
	if (err)
		return;
	daemon_changed(d);
	if (link->up && link->carrier)
		daemon_announce(d);
}

/* Larger frames may be lost in front of the program, without the senders being told. */
static void warn_of_mtu(struct daemon *d, unsigned interface, const struct netlink_link *link)
{
	const char *name = d->config->interfaces[interface].name;
	uint32_t was = d->mtu[interface];

	if (!link->ifindex)
		return;
	if (link->mtu < was)
		log_warn(
			"event=mtu_lowered interface=%s from=%u to=%u advice=\"senders' full-size packets may be lost: "
			"ip link set dev %s mtu %u, or lower the MTU of the routers in front of it\"",
			name, was, link->mtu, name, was);
	d->mtu[interface] = link->mtu;
}

void on_link(void *ctx, unsigned interface, const struct netlink_link *link)
{
	struct daemon *d = ctx;

	if (!d->model || !d->datapath || d->detached)
		return;
	note_link(d, interface, link);
	warn_of_mtu(d, interface, link);
	if (link->ifindex)
		attach(d, interface, link);
	else /* its program is gone with it */
		note_mode(d, interface);
}

/* There is no event for a detached program, a removed pin or a changed map, so these are checked. */
static void keep(struct daemon *d)
{
	for (unsigned i = 0; i < d->config->n_interfaces; i++) {
		const struct netlink_link *link = netlink_link(d->netlink, i);

		note_sight(d, i);
		if (!link->ifindex)
			continue;
		if (datapath_is_attached(d->datapath, i)) { /* its offloads */
			datapath_attach(d->datapath, i, &d->config->interfaces[i]);
			continue;
		}
		note_mode(d, i);
		attach(d, i, link);
	}
	datapath_keep_pins(d->datapath);
	if (!datapath_verify(d->datapath))
		daemon_changed(d);
}

void interfaces_keep(struct daemon *d)
{
	/* Its sockets are opened now, so that no descriptor is missing later. */
	for (unsigned i = 0; i < d->config->n_interfaces; i++)
		note_sight(d, i);
	periodic_start(&d->keep, d, keep, KEEP_S);
}
