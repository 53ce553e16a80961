/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model as metrics, in Prometheus' text format 0.0.4 and in OpenMetrics 1.0.0. Pure, as render.h: the same numbers as
 * `show status`, from the same fields.
 */
#ifndef MXLB_CONTROL_METRICS_H
#define MXLB_CONTROL_METRICS_H

#include "control/control.h"

enum metrics_form { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

void metrics_render(const struct model *m, const struct control_info *info, struct now now,
		    enum metrics_form form, struct buf *out);

#endif
