/* SPDX-License-Identifier: BSD-2-Clause */
/* A child of the same binary as a process: start, end, exit status. The probe child, and zone/'s. */
#ifndef MXLB_SPAWN_H
#define MXLB_SPAWN_H

#include <stddef.h>
#include <sys/types.h>
#include "probe/bundles.h"
#include "probe/pulse.h"

struct spawned {
	int fd;		     /* our end of the SOCK_SEQPACKET pair; -1: there is no child */
	int pidfd;	     /* it names this child and no later process, whoever reaps it */
	pid_t pid;	     /* as long as it is not reaped */
	struct pulse *pulse; /* NULL: it has none */
};

/*
 * Runs our own binary with these arguments. The child inherits only the other end of the pair as fd 3, this descriptor
 * (-1: none) as fd 4, and stderr. 0 or -errno.
 */
int spawn_program(char *const argv[], int extra, struct spawned *c);
/* The same with --probe-child, the paths of these bundles, and the pulse's page as fd 4. */
int spawn_child(const struct bundles *bundles, struct spawned *c);
/* CPU time of the child in us; false: it has none any more. */
bool spawn_cpu_us(const struct spawned *c, uint64_t *us);
/* Closes our end: an honest child leaves by itself then, and its .pidfd becomes readable. */
void spawn_leave(struct spawned *c);
void spawn_kill(const struct spawned *c);
/* After it has exited or was killed: reaps it. how: "exit 0", "signal 9". */
void spawn_reap(struct spawned *c, char *how, size_t size);

#endif
