/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of errors and warnings, in order, of limited size. */
#include <stdio.h>
#include <string.h>
#include "conf/errors.h"

int place_cmp(struct place a, struct place b)
{
	if (a.line != b.line)
		return a.line < b.line ? -1 : 1;
	return a.column < b.column ? -1 : a.column > b.column;
}

/* Insertion keeps the list sorted; what comes at the same place stays in the order of its finding. */
void report_add(struct report *r, struct place at, bool warning, const char *text)
{
	unsigned i = r->n_issues;

	r->n_errors += !warning;
	while (i && place_cmp(r->issues[i - 1].at, at) > 0)
		i--;
	if (r->n_issues < REPORT_MAX)
		r->n_issues++;
	else
		r->n_more++;
	if (i == REPORT_MAX)
		return;
	memmove(&r->issues[i + 1], &r->issues[i], (r->n_issues - 1 - i) * sizeof(r->issues[0]));
	r->issues[i].at = at;
	r->issues[i].warning = warning;
	snprintf(r->issues[i].text, sizeof(r->issues[i].text), "%s", text);
}

void report_error(struct report *r, struct place at, const char *format, ...)
{
	char text[REPORT_TEXT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report_add(r, at, false, text);
}

bool report_has_error(const struct report *r, struct place at)
{
	for (unsigned i = 0; i < r->n_issues; i++)
		if (!r->issues[i].warning && !place_cmp(r->issues[i].at, at))
			return true;
	return false;
}

void report_print(const struct report *r, const char *file, struct buf *out)
{
	const struct issue *last = &r->issues[REPORT_MAX - 1];

	for (unsigned i = 0; i < r->n_issues; i++) {
		const struct issue *issue = &r->issues[i];

		buf_printf(out, "%s:%u:%u: %s%s\n", file, issue->at.line, issue->at.column,
			   issue->warning ? "warning: " : "", issue->text);
	}
	if (r->n_more)
		buf_printf(out, "%s:%u:%u: and %u more\n", file, last->at.line, last->at.column,
			   r->n_more);
}
