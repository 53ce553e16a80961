// SPDX-License-Identifier: BSD-2-Clause
/* Removes the datapath on request: of the running mxlbd, which then stops, or what a stopped one has left. */
#include <stdio.h>
#include "daemon/daemon.h"

int daemon_detach(struct daemon *d, const char *who)
{
	struct event *e = daemon_event(d, EVENT_DETACH);
	int err;

	snprintf(e->user, sizeof(e->user), "%s", who);
	snprintf(e->cause, sizeof(e->cause), "forwarding has stopped");
	d->detached = true;
	watches_stop_all(d);
	viproutes_remove(d);
	err = datapath_detach(d->datapath, d->netlink);
	ev_break(d->loop, EVBREAK_ALL);
	return err;
}

enum exit_code daemon_detach_left(struct config *config)
{
	struct datapath *dp = NULL;
	struct netlink *n = NULL;
	int err = netlink_new(NULL, config, NULL, &n);

	if (!err)
		err = datapath_lock(&config->datapath, &dp);
	if (!err && config->ha.given)
		netlink_vip_routes_purge(n, &config->ha.route);
	if (!err)
		err = datapath_detach(dp, n);
	datapath_close(dp);
	netlink_free(n);
	config_free(config);
	return err ? EXIT_SYSTEM : EXIT_CLEAN;
}
