/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing list of prefixes of one family. The code that declares it frees .list.
 */
#ifndef MXLB_CONF_PREFIXES_H
#define MXLB_CONF_PREFIXES_H

#include "util/addr.h"

struct prefixes {
	struct prefix *list;
	unsigned n;
};

/* 0 or -ENOMEM: nothing was added. */
int prefixes_add(struct prefixes *p, const struct prefix *more, unsigned n);
/* Sorts, and drops each that another one holds: which addresses are in the list stays the same. */
void prefixes_tidy(struct prefixes *p);

#endif
