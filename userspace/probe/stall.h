/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Detects that this process did not run for a while (SIGSTOP, an overloaded machine): time that passed meanwhile says
 * nothing about a server. Its own computing is not a stall. Used by both halves of probing.
 */
#ifndef MXLB_STALL_H
#define MXLB_STALL_H

#include <ev.h>
#include "core/verdict.h"

struct stall {
	struct ev_loop *loop;
	struct ev_check check;
	struct ev_timer tick;
	uint64_t now_ms; /* monotonic, of this turn of the loop */
	uint64_t
		awake_ms; /* the same without the stalls: for deadlines that a stall must not bring nearer */
	uint64_t
		served_ms; /* now_ms without long computations of our own: they shorten no other deadline */
	uint64_t cpu_us; /* this thread's, when the turn began */
	uint32_t count;	 /* stalls so far */
};

void stall_start(struct stall *s, struct ev_loop *loop);
void stall_stop(struct stall *s);
/* The result after a stall: timeouts become local_stall, everything else stays. */
enum reason stall_excuse(enum reason r);

#endif
