/* SPDX-License-Identifier: BSD-2-Clause */
/* Describes what a configuration would change, for people, before it is applied. Pure; changes nothing. */
#ifndef MXLB_COMPARE_H
#define MXLB_COMPARE_H

#include "core/model.h"
#include "util/buf.h"

/*
 * Appends a line for each difference, and for each service the share of new connections that would go to another
 * server. New servers are assumed to be up. Returns 0, or an error of model_preview() or -ENOMEM.
 */
int compare_config(const struct model *m, const struct config *next,
		   const struct model_adopted *adopted, unsigned n_adopted, struct now now,
		   struct buf *out);

#endif
