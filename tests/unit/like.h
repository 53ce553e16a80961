/* SPDX-License-Identifier: BSD-2-Clause */
/* Compares a text with the words of it that matter, so that an edit of a sentence changes one test: that of the sentence. */
#ifndef MXLB_LIKE_H
#define MXLB_LIKE_H

#include <stdbool.h>
#include <stddef.h>

/* In pattern a * stands for any characters of one line. */
static inline bool is_like(const char *text, const char *pattern)
{
	const char *star = NULL, *from = NULL;

	while (*text || *pattern)
		if (*pattern == '*') {
			star = pattern++;
			from = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star && *from && *from != '\n') {
			text = ++from;
			pattern = star + 1;
		} else {
			return false;
		}
	return true;
}

#endif
