/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maintains the routes of VIPs for BIRD and FRR (`advertise: route`). A route is advertised while this box is active
 * and the service takes connections; it is drained (metric 1000, for GRACEFUL_SHUTDOWN of RFC 8326) in the first
 * seconds after an operator's standby; otherwise it is removed. If mxlbd dies the routes stay, as forwarding does.
 */
#ifndef MXLB_DAEMON_VIPROUTE_H
#define MXLB_DAEMON_VIPROUTE_H

#include <stdint.h>

struct config;
struct daemon;

enum route_state { ROUTE_WITHDRAWN, ROUTE_ADVERTISED, ROUTE_DRAINING };

#define ROUTE_METRIC_DRAINING 1000
#define ROUTE_DRAIN_MS	      10000

/* Removes what an earlier mxlbd has left and no service wants. */
void viproutes_start(struct daemon *d);
/* A reload: removes the routes of VIPs that `was` had and the configuration in force has not. */
void viproutes_reload(struct daemon *d, const struct config *was);
/* Updates the kernel's table; called after each change and once per second. */
void viproutes_update(struct daemon *d);
/* `detach`: removes all of them. */
void viproutes_remove(struct daemon *d);
/* When the draining ends, ms; 0: nothing drains. */
uint64_t viproutes_next_ms(const struct daemon *d);

#endif
