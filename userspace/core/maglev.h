/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maglev consistent hashing (Eisenbud et al., NSDI 2016, section 3.4) with weights. A pure function of names,
 * weights and key: order and history of the members do not matter.
 */
#ifndef MXLB_MAGLEV_H
#define MXLB_MAGLEV_H

#include <stdint.h>

#define MAGLEV_SLOTS 65537 /* a prime: every skip walks all slots */

struct maglev_member {
	const char *name; /* unique among the members */
	uint32_t id;	  /* what is written into the slots; fits 16 bits */
	uint32_t weight;  /* 1 to 256 (0 takes no slot) */
};

/* Fills all MAGLEV_SLOTS slots; without a member of weight > 0 every slot is 0. 0 or -ENOMEM. */
int maglev_fill(uint16_t *slots, const struct maglev_member *members, unsigned n, uint64_t key);

#endif
