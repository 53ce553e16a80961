/* SPDX-License-Identifier: BSD-2-Clause */
/* Work that is repeated for as long as mxlbd runs, and not once it has detached. */
#ifndef MXLB_PERIODIC_H
#define MXLB_PERIODIC_H

#include <ev.h>

struct daemon;

struct periodic {
	ev_timer timer;
	struct daemon *daemon;
	void (*run)(struct daemon *d);
};

/* Calls run every s seconds, first after s seconds. */
void periodic_start(struct periodic *p, struct daemon *d, void (*run)(struct daemon *d), double s);

#endif
