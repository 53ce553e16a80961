/* SPDX-License-Identifier: BSD-2-Clause */
/* This process's capabilities, by their numbers in linux/capability.h. */
#ifndef MXLB_CAPABILITY_H
#define MXLB_CAPABILITY_H

#include <stdbool.h>

/* In the effective set? False also for a capability that the kernel does not know. */
bool capability_held(int capability);
/*
 * Removes it from the ambient, bounding, effective, permitted and inheritable sets. 0 or -errno; -EPERM: all but the bounding
 * set, which only CAP_SETPCAP may change.
 */
int capability_drop(int capability);

#endif
