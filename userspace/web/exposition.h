/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes metrics in both formats; and the parts that write them. For metrics*.c and exposition.c. */
#ifndef MXLB_CONTROL_EXPOSITION_H
#define MXLB_CONTROL_EXPOSITION_H

#include "web/metrics.h"
#include "core/tally.h"

enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM, METRIC_SUMMARY, METRIC_INFO };

struct family {
	const char *name; /* without _total and _info; ends with the unit where there is one */
	enum metric_type type;
	const char *help;
	const char *unit; /* "seconds" "bytes"; NULL: none */
	bool ms;	  /* its numbers are ms, and written in seconds */
};

#define FAMILY(_name, _type, _help, ...)                                          \
	{                                                                         \
		.name = _name, .type = METRIC_##_type, .help = _help, __VA_ARGS__ \
	}

#define METRIC_NONE UINT64_MAX /* no sample is written */

struct exposition { /* one rendering: of what, and to where */
	const struct model *model;
	const struct control_info *info;
	struct now now;
	enum metrics_form form;
	struct buf *out;
	const struct family *family;	   /* that samples are written of */
	char bounds[TALLY_BOUNDS + 1][16]; /* of histograms, as they are written */
};

/* Labels as they are written: `service="a",state="up"`; "" for none. */
#define LABELS_SIZE 512
/* Appends one; what does not fit is left out as a whole. */
void labels_add(char labels[LABELS_SIZE], const char *name, const char *value);

typedef const char *name_fn(unsigned i);

void exposition_begin(struct exposition *e);
void exposition_family(struct exposition *e, const struct family *f);
void exposition_sample(struct exposition *e, const char *labels, uint64_t value);
/* One sample for each of n names: of counts, or 1 for the one that is so. */
void exposition_counts(struct exposition *e, const char *labels, const char *label, name_fn *name,
		       unsigned n, const uint64_t *counts);
void exposition_state(struct exposition *e, const char *labels, const char *label, name_fn *name,
		      unsigned n, unsigned is);
void exposition_histogram(struct exposition *e, const char *labels, const struct histogram *h);
void exposition_end(struct exposition *e);

/* Every family, whether or not it has samples. */
void metrics_servers(struct exposition *e);
void metrics_services(struct exposition *e);
void metrics_ha(struct exposition *e);
void metrics_zone(struct exposition *e);

#endif
