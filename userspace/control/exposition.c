/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what differs between Prometheus' text and OpenMetrics: a counter's family has its _total in the one and not in the
 * other, which has units and an end; a family without samples is left out of neither. Refuses to break a line:
 * values of labels are escaped.
 */
#include "control/exposition.h"

#include <inttypes.h>
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

/* Everything of a sample but its value. */
static void name_sample(struct exposition *e, const char *suffix, const char *labels)
{
	buf_printf(e->out, *labels ? "%s%s{%s} " : "%s%s ", e->family->name, suffix, labels);
}

static void append_number(struct exposition *e, uint64_t value, bool ms)
{
	if (ms)
		buf_printf(e->out, "%" PRIu64 ".%03u\n", value / 1000, (unsigned)(value % 1000));
	else
		buf_printf(e->out, "%" PRIu64 "\n", value);
}

void exposition_sample(struct exposition *e, const char *labels, uint64_t value)
{
	if (value == METRIC_NONE)
		return;
	name_sample(e, types[e->family->type].suffix, labels);
	append_number(e, value, e->family->ms);
}

void exposition_counts(struct exposition *e, const char *labels, const char *label, name_fn *name,
		       unsigned n, const uint64_t *counts)
{
	char with_name[LABELS_SIZE];

	for (unsigned i = 0; i < n; i++) {
		snprintf(with_name, sizeof(with_name), "%s", labels);
		labels_add(with_name, label, name(i));
		exposition_sample(e, with_name, counts[i]);
	}
}

void exposition_state(struct exposition *e, const char *labels, const char *label, name_fn *name,
		      unsigned n, unsigned is)
{
	char with_name[LABELS_SIZE];

	for (unsigned i = 0; i < n; i++) {
		snprintf(with_name, sizeof(with_name), "%s", labels);
		labels_add(with_name, label, name(i));
		exposition_sample(e, with_name, i == is);
	}
}

/* Buckets hold what is below them too, and the bounds are floats: OpenMetrics 1.0.0, "Histogram" and "Numbers". */
void exposition_histogram(struct exposition *e, const char *labels, const struct histogram *h)
{
	char with_bound[LABELS_SIZE], bound[32];
	uint64_t below = 0;

	for (unsigned i = 0; i <= TALLY_BOUNDS; i++) {
		uint32_t ms = i < TALLY_BOUNDS ? tally_bounds_ms[i] : 0;

		below += h->bucket[i];
		snprintf(bound, sizeof(bound),
			 ms % 1000 ? "%u.%03u"
			 : ms	   ? "%u.0"
				   : "+Inf",
			 ms / 1000, ms % 1000);
		snprintf(with_bound, sizeof(with_bound), "%s", labels);
		labels_add(with_bound, "le", bound);
		name_sample(e, "_bucket", with_bound);
		append_number(e, below, false);
	}
	name_sample(e, "_sum", labels);
	append_number(e, h->sum_ms, true);
	name_sample(e, "_count", labels);
	append_number(e, h->n, false);
}

void exposition_end(struct exposition *e)
{
	if (e->form == METRICS_OPENMETRICS)
		buf_printf(e->out, "# EOF\n");
}

void labels_add(char labels[LABELS_SIZE], const char *name, const char *value)
{
	size_t had = strlen(labels), at = had;
	int n = snprintf(labels + at, LABELS_SIZE - at, "%s%s=\"", had ? "," : "", name);

	at += (size_t)n;
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
