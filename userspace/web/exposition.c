/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The differences between Prometheus' text format and OpenMetrics: a counter's family has _total in the former only;
 * the latter has units and an end line. A family without samples is written in both. Label values are escaped, so that
 * none can break a line.
 */
#include "web/exposition.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *prometheus, *openmetrics, *suffix;
} types[] = {
	[METRIC_GAUGE] = {"gauge", "gauge", ""},
	[METRIC_COUNTER] = {"counter", "counter", "_total"},
	[METRIC_HISTOGRAM] = {"histogram", "histogram", ""},
	[METRIC_SUMMARY] = {"summary", "summary", ""},
	[METRIC_INFO] = {"gauge", "info", "_info"},
};

void exposition_family(struct exposition *e, const struct family *f)
{
	bool open = e->form == METRICS_OPENMETRICS;
	const char *suffix = open ? "" : types[f->type].suffix;

	e->family = f;
	buf_printf(e->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, suffix, f->help, f->name,
		   suffix, open ? types[f->type].openmetrics : types[f->type].prometheus);
	if (open && f->unit)
		buf_printf(e->out, "# UNIT %s %s\n", f->name, f->unit);
}

/* A line is assembled here and appended at once, because there may be half a million. */
struct line {
	char text[LABELS_SIZE + 256];
	size_t len;
};

static void exposition_put(struct line *l, const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof(l->text) - l->len)
		len = sizeof(l->text) - l->len;
	memcpy(l->text + l->len, text, len);
	l->len += len;
}

/* In decimal, with zeros before it up to `digits`. */
static void exposition_put_number(struct line *l, uint64_t value, unsigned digits)
{
	char text[24], *p = text + sizeof(text) - 1;

	*p = '\0';
	for (; value || digits; value /= 10, digits -= digits > 0)
		*--p = (char)('0' + value % 10);
	exposition_put(l, p);
}

static void write_sample(struct exposition *e, const char *suffix, const char *labels,
			 uint64_t value, bool ms)
{
	struct line l = {.len = 0};

	exposition_put(&l, e->family->name);
	exposition_put(&l, suffix);
	if (*labels) {
		exposition_put(&l, "{");
		exposition_put(&l, labels);
		exposition_put(&l, "}");
	}
	exposition_put(&l, " ");
	exposition_put_number(&l, ms ? value / 1000 : value, 1);
	if (ms) {
		exposition_put(&l, ".");
		exposition_put_number(&l, value % 1000, 3);
	}
	exposition_put(&l, "\n");
	buf_append(e->out, l.text, l.len);
}

void exposition_sample(struct exposition *e, const char *labels, uint64_t value)
{
	if (value == METRIC_NONE)
		return;
	write_sample(e, types[e->family->type].suffix, labels, value, e->family->ms);
}

void exposition_counts(struct exposition *e, const char *labels, const char *label, name_fn *name,
		       unsigned n, const uint64_t *counts)
{
	char with_name[LABELS_SIZE];

	for (unsigned i = 0; i < n; i++) {
		strcpy(with_name, labels);
		labels_add(with_name, label, name(i));
		exposition_sample(e, with_name, counts[i]);
	}
}

void exposition_state(struct exposition *e, const char *labels, const char *label, name_fn *name,
		      unsigned n, unsigned is)
{
	char with_name[LABELS_SIZE];

	for (unsigned i = 0; i < n; i++) {
		strcpy(with_name, labels);
		labels_add(with_name, label, name(i));
		exposition_sample(e, with_name, i == is);
	}
}

void exposition_begin(struct exposition *e)
{
	for (unsigned i = 0; i < TALLY_BOUNDS; i++) {
		uint32_t ms = tally_bounds_ms[i];

		snprintf(e->bounds[i], sizeof(e->bounds[i]), ms % 1000 ? "%u.%03u" : "%u.0",
			 ms / 1000, ms % 1000);
	}
	strcpy(e->bounds[TALLY_BOUNDS], "+Inf");
}

/* Buckets hold what is below them too, and the bounds are floats: OpenMetrics 1.0.0, "Histogram" and "Numbers". */
void exposition_histogram(struct exposition *e, const char *labels, const struct histogram *h)
{
	char with_bound[LABELS_SIZE];
	uint64_t below = 0;

	for (unsigned i = 0; i <= TALLY_BOUNDS; i++) {
		below += h->bucket[i];
		strcpy(with_bound, labels);
		labels_add(with_bound, "le", e->bounds[i]);
		write_sample(e, "_bucket", with_bound, below, false);
	}
	write_sample(e, "_sum", labels, h->sum_ms, true);
	write_sample(e, "_count", labels, h->n, false);
}

void exposition_end(struct exposition *e)
{
	if (e->form == METRICS_OPENMETRICS)
		buf_printf(e->out, "# EOF\n");
}

void labels_add(char labels[LABELS_SIZE], const char *name, const char *value)
{
	size_t had = strlen(labels), len = strlen(name), at = had;

	if (had + len + sizeof(",=\"\"") > LABELS_SIZE)
		return;
	if (had)
		labels[at++] = ',';
	memcpy(labels + at, name, len);
	at += len;
	labels[at++] = '=';
	labels[at++] = '"';
	for (; *value && at + 4 < LABELS_SIZE; value++) {
		if (*value == '"' || *value == '\\' || *value == '\n')
			labels[at++] = '\\';
		labels[at++] = *value == '\n' ? 'n' : *value;
	}
	if (*value || at + 2 > LABELS_SIZE) {
		labels[had] = '\0';
		return;
	}
	labels[at++] = '"';
	labels[at] = '\0';
}
