/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The errors of a configuration, line by line, in the order of the file. Keeps the first REPORT_MAX by position and
 * counts the rest.
 */
#ifndef MXLB_CONF_REPORT_H
#define MXLB_CONF_REPORT_H

#include <stdarg.h>
#include <stdbool.h>
#include "util/buf.h"

#define REPORT_MAX	 100
#define REPORT_TEXT_SIZE 512

struct place { /* both from 1; columns are characters, not bytes */
	unsigned line, column;
};

struct issue {
	struct place at;
	bool warning;
	char text[REPORT_TEXT_SIZE];
};

struct report {
	struct issue issues[REPORT_MAX];
	unsigned n_issues;
	unsigned n_more;
	unsigned n_errors; /* of all, without the warnings */
};

int place_cmp(struct place a, struct place b);

void report_error(struct report *r, struct place at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void report_add(struct report *r, struct place at, bool warning, const char *text);
/* True when an error was reported at this place: what is there should not be judged further. */
bool report_has_error(const struct report *r, struct place at);
/* One "file:line:col: [warning: ]text" line each. */
void report_print(const struct report *r, const char *file, struct buf *out);

#endif
