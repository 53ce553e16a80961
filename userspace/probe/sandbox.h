/* SPDX-License-Identifier: BSD-2-Clause */
/* The sandbox of the probe child and of zone/'s resolver child. Entered once, before the first byte of a peer. */
#ifndef MXLB_SANDBOX_H
#define MXLB_SANDBOX_H

#include <stdbool.h>
#include <sys/resource.h>

struct sandbox {
	bool internet;	      /* it may make IPv4 and IPv6 sockets of its own */
	rlim_t files, memory; /* open descriptors; bytes of address space */
};

/*
 * Gives up privileges and limits resources; then closes the sandbox, for all threads. Threads are started between the two.
 * Each 0 or -errno; after an error the process must end.
 */
int sandbox_drop(const struct sandbox *s);
int sandbox_close(const struct sandbox *s);

#endif
