/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A game: idle flows, and an attacker who knows their addresses and ports but not their sequence numbers. A forged SYN
 * with the segment after it, a FIN, a RST and data reach each flow once per second for a minute, while the ring
 * changes all the time. Then each flow continues. Pure: the effect of a segment, and time, are the caller's.
 */
#ifndef FORGERY_H
#define FORGERY_H

#include "flowmodel.h"

struct forgery_flow {
	struct flowmodel_tuple tuple; /* the caller's, all else is not */
	uint32_t next;		      /* of its sequence */
	uint32_t server;
	bool lost; /* went on at another server than it had begun at */
};

struct forgery_world {
	uint32_t (*send)(
		const struct flowmodel_segment *segment); /* the server that gets it, 0: none */
	void (*second)(void);				  /* one passes */
	void (*ring)(
		unsigned
			n); /* the n-th ring is in force; each places the flows elsewhere than the one before */
};

/* Every other flow is seen in one second only. The number of those lost. */
unsigned forgery_play(const struct forgery_world *world, struct forgery_flow *flows, unsigned n,
		      uint64_t seed);

#endif
