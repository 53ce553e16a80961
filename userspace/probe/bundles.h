/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of CA certificates that the probes of a configuration need, and whether they have changed. */
#ifndef MXLB_BUNDLES_H
#define MXLB_BUNDLES_H

#include <sys/types.h>
#include <time.h>
#include "core/config.h"

struct bundles {
	unsigned n;
	struct bundle {
		dev_t dev;
		ino_t ino;
		off_t size;
		struct timespec mtime;
	} list[CONFIG_MAX_PROBES];
	char paths[CONFIG_MAX_PROBES][CONFIG_PATH_SIZE];
};

/* Each file once, as it is now. */
void bundles_init(struct bundles *b, const struct probe_conf *probes, unsigned n);
bool bundles_same_paths(const struct bundles *a, const struct bundles *b);
/* WIRE_NO_BUNDLE for an empty path, or one that is not there. */
uint32_t bundles_index(const struct bundles *b, const char *path);
/* True when a file is another than before, and can be loaded. One that can't be is logged, once, and not taken. */
bool bundles_changed(struct bundles *b);

#endif
