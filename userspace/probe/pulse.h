/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows which probe a child is working on, without a system call: one word in a page shared with its parent. A child
 * in a long computation cannot answer, and this tells its parent for which server it computes. The parent trusts
 * nothing in it except this number, which may match none of its probes.
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
