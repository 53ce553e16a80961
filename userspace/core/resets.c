/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/resets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int resets_init(struct resets *r, uint64_t places)
{
	*r = (struct resets){.places = places};
	r->flows = calloc(places, sizeof(*r->flows)); /* untouched pages cost no memory */
	r->sorted = calloc(places, sizeof(*r->sorted));
	if (r->flows && r->sorted)
		return 0;
	resets_free(r);
	return -ENOMEM;
}

void resets_free(struct resets *r)
{
	free(r->flows);
	free(r->sorted);
	r->flows = r->sorted = NULL;
}

void resets_begin(struct resets *r)
{
	r->n = r->at = r->kept = 0;
}

void resets_add(struct resets *r, uint64_t place, uint16_t idle_s)
{
	if (r->n < r->places)
		r->sorted[r->n++] = (struct resets_flow){
			(uint32_t)place, idle_s < RESETS_IDLE_MAX ? idle_s : RESETS_IDLE_MAX - 1};
}

/* Rule 2: a counting sort. */
void resets_ready(struct resets *r)
{
	uint64_t begin[RESETS_IDLE_MAX + 1] = {0};

	for (uint64_t i = 0; i < r->n; i++)
		begin[r->sorted[i].idle_s + 1]++;
	for (unsigned s = 0; s < RESETS_IDLE_MAX; s++)
		begin[s + 1] += begin[s];
	for (uint64_t i = 0; i < r->n; i++)
		r->flows[begin[r->sorted[i].idle_s]++] = r->sorted[i];
}

bool resets_next(struct resets *r, uint64_t *place)
{
	if (r->at == r->n) { /* the deferred ones form the next turn */
		r->n = r->kept;
		r->at = r->kept = 0;
	}
	if (!r->n)
		return false;
	*place = r->flows[r->at++].place;
	return true;
}

static unsigned prefix_slot(const struct addr *client)
{
	uint64_t bits = 0;

	memcpy(&bits, client->b + (addr_is_v4(client) ? 12 : 0), addr_is_v4(client) ? 3 : 8);
	/* Knuth's multiplicative hash: 12 bits */
	return (unsigned)(bits * 0x9e3779b97f4a7c15ULL >> 52);
}

bool resets_may(struct resets *r, uint64_t place, const struct addr *client, uint64_t second)
{
	unsigned slot = prefix_slot(client);

	if (r->second != second)
		memset(r->sent, 0, sizeof(r->sent));
	r->second = second;
	if (r->sent[slot] < RESETS_PREFIX_MAX) {
		r->sent[slot]++;
		return true;
	}
	r->flows[r->kept++].place = (uint32_t)place; /* never ahead of .at */
	return false;
}

uint64_t resets_left(const struct resets *r)
{
	return r->n - r->at + r->kept;
}
