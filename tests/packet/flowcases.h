/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of the flow table one by one: a name that states the rule, and segments that show it. */
#ifndef PACKET_FLOWCASES_H
#define PACKET_FLOWCASES_H

#define FLOWCASES_MAX 64

struct flowcase {
	const char *name; /* NULL: end of the list */
	void (*run)(int family);
};

extern const struct flowcase flowcases_notes[], flowcases_beside[], flowcases_places[],
	flowcases_forgery[];

#endif
