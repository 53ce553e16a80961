/* SPDX-License-Identifier: BSD-2-Clause */
#include "util/closest.h"

#include <string.h>

#define SLIPS_MAX  2
#define LENGTH_MAX 32 /* characters of a word that is worth comparing */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Insertions, deletions and replacements that lead from a to b (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned row[LENGTH_MAX + 1];

	if (la > LENGTH_MAX || lb > LENGTH_MAX)
		return LENGTH_MAX;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[lb];
}

void closest_try(struct closest *c, const char *word)
{
	unsigned slips = distance(c->typed, word);

	if (slips > SLIPS_MAX || slips > strlen(word) / 2 || (c->best && slips >= c->slips))
		return;
	c->best = word;
	c->slips = slips;
}
