/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A game: flows that have sent data and are idle, and a blind sender on the Internet. It knows the rules, forges any
 * source, and sends as many packets per second as its line permits; it sees no reply and knows no flow's address or
 * port. Then the ring changes and each flow continues. Pure: the effect of a segment, and time, are the caller's.
 */
#ifndef FLOOD_H
#define FLOOD_H

#include "forgery.h"

/* The packets that the blind sender sends with each forged address and port. */
struct flood_kind {
	const char *name;
	bool handshake;		/* a SYN and the ACK behind it; else only what follows */
	unsigned data;		/* segments with data, at once */
	bool later, later_data; /* another segment some seconds later, with or without data */
};

#define FLOOD_KINDS 6
extern const struct flood_kind flood_kinds[FLOOD_KINDS];

struct flood_plan {
	const struct flood_kind *kind,
		*before; /* before: the flood that the flows begin in; NULL: none */
	unsigned seconds, before_seconds;
	unsigned packets; /* a second */
};

/* The caller provides the tuples. Returns the number of flows that continued at another server than before. */
unsigned flood_play(const struct forgery_world *world, const struct flood_plan *plan,
		    struct forgery_flow *flows, unsigned n, uint64_t seed);

#endif
