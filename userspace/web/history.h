/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * New connections of each service in the last quarter of an hour, for the page's chart, which shows what happened
 * before it was opened. Older data is kept by Prometheus.
 */
#ifndef MXLB_CONTROL_HISTORY_H
#define MXLB_CONTROL_HISTORY_H

#include "core/model.h"
#include "util/buf.h"

#define HISTORY_STEP_S 5
#define HISTORY_STEPS  180

struct history {
	struct history_row {
		char service[CONFIG_NAME_SIZE]; /* whose row it is; empty: free */
		uint64_t total;			/* at the last step */
		uint32_t counts[HISTORY_STEPS]; /* a ring: .next is the oldest */
		unsigned n;			/* of them known */
	} rows[MXLB_MAX_SERVICES];		/* by service.id */
	unsigned next;
};

/* HISTORY_STEP_S has passed; the model's traffic is fresh. */
void history_step(struct history *h, const struct model *m);
/* {"step_s":5,"services":[{"name":"hybrid-mail","new":[oldest, ..., newest]}]}. 0 or -ENOMEM. */
int history_render(const struct history *h, const struct model *m, struct buf *out);

#endif
