/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's side of the role (core/role.h): reads keepalived's FIFO, renews the lease in the datapath, writes the
 * priority file, announces the VIPs again. Never blocks: the FIFO is opened for reading without waiting for a writer.
 */
#ifndef MXLB_DAEMON_ROLE_H
#define MXLB_DAEMON_ROLE_H

#include "core/role.h"

struct daemon;
struct role_keeper;

/* After the datapath and the model are there; the role is in force when it returns. 0 or -errno, logged. */
int role_start(struct daemon *d);
/* A reload: role, preempt, lease and announce-refresh may have changed. */
void role_reload(struct daemon *d);
/* Decides again; called before the loop sleeps whenever something has changed. */
void role_update(struct daemon *d);
/* The word in the datapath stays: a restart is shorter than the lease. */
void role_stop(struct daemon *d);
void role_give_order(struct daemon *d, enum role_order wanted, const char *who, uint64_t for_ms);

uint64_t role_lease_left_ms(const struct daemon *d); /* 0: no lease, or it is over */
uint64_t role_leases_expired(const struct daemon *d);

#endif
