/* SPDX-License-Identifier: BSD-2-Clause */
/* The probe child as a process: started, ended, and asked how it ended. */
#ifndef MXLB_SPAWN_H
#define MXLB_SPAWN_H

#include <stddef.h>
#include "probe/bundles.h"

struct spawned {
	int fd;	   /* our end of the SOCK_SEQPACKET pair; -1: there is no child */
	int pidfd; /* it names this child and no later process, whoever reaps it */
};

/* Runs our own binary with --probe-child and the paths of these bundles, with nothing of ours but the pair's other end as fd 3 and stderr. 0 or -errno. */
int spawn_child(const struct bundles *bundles, struct spawned *c);
/* Closes our end, gives the child grace_ms to leave, then kills it. how: "exit 0", "signal 9". */
void spawn_end(struct spawned *c, int grace_ms, char *how, size_t size);

#endif
