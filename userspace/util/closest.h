/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds the word that was probably meant by a mistyped one: at most two typing errors away. */
#ifndef MXLB_UTIL_CLOSEST_H
#define MXLB_UTIL_CLOSEST_H

struct closest {
	const char *typed; /* borrowed, as is best */
	const char *best;  /* NULL: none so far is like it */
	unsigned slips;	   /* of best: characters more, less or other (Levenshtein) */
};

/* Tries one more word; begin with {.typed = ...}. Of equals the first is kept. */
void closest_try(struct closest *c, const char *word);

#endif
