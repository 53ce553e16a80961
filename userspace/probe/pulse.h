/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which probe a child is working on, told without a system call: one word in a page that it shares with its parent. A child that
 * computes for long can answer nothing, and this is how its parent learns for whom. The parent believes nothing of it but
 * that: a number, which may name none of its probes.
 */
#ifndef MXLB_PULSE_H
#define MXLB_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

struct pulse {
	_Atomic uint64_t
		step; /* a number that never repeats, and in the lower half the wire's id; 0: at rest */
};

/* The parent's end, and a descriptor for the child, which the caller closes. 0 or -errno. */
int pulse_new(struct pulse **out, int *fd);
/* The child's end; takes the descriptor over. 0 or -errno. */
int pulse_attach(int fd, struct pulse **out);
void pulse_free(struct pulse *p); /* NULL is fine */

/* The child: one step of work for a probe, whose number is how many there were. */
void pulse_begin(struct pulse *p, uint32_t number, uint32_t id);
void pulse_end(struct pulse *p);

#endif
