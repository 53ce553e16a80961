// SPDX-License-Identifier: BSD-2-Clause
/* Compares a configuration with the running state as a reload would find it, with the pinned records. */
#include <stdlib.h>
#include "core/diff.h"
#include "daemon/daemon.h"
#include "util/clock.h"

int daemon_compare(struct daemon *d, const struct config *next, struct buf *out)
{
	struct model_adopted *left = NULL;
	unsigned n = 0;
	int err = datapath_adopted(d->datapath, &left, &n);

	if (!err)
		err = compare_config(d->model, next, left, n, clock_now(), out);
	free(left);
	return err;
}
