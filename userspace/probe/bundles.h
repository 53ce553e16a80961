/* SPDX-License-Identifier: BSD-2-Clause */
/* The CA files that the probes of a configuration need, and whether they have changed. */
#ifndef MXLB_BUNDLES_H
#define MXLB_BUNDLES_H

#include <sys/types.h>
#include <time.h>
#include "core/config.h"
#include "util/statefile.h"

struct bundles {
	unsigned n;
	struct bundle {
		dev_t dev;
		ino_t ino;
		off_t size;
		struct timespec mtime;
		bool bad; /* it cannot be loaded now: its last good copy, or what was loaded before, is used */
	} list[CONFIG_MAX_PROBES];
	char paths[CONFIG_MAX_PROBES][CONFIG_PATH_SIZE];
	bool renewed; /* one was replaced by a good one; cleared by the keeper of copies */
};

/* Each file once, as it is now. */
void bundles_init(struct bundles *b, const struct probe_conf *probes, unsigned n);
bool bundles_same_paths(const struct bundles *a, const struct bundles *b);
/* WIRE_NO_BUNDLE for an empty path, or one that is not there. */
uint32_t bundles_index(const struct bundles *b, const char *path);
/* True if a file has changed and can be loaded. One that cannot be is logged, once, and ignored. */
bool bundles_changed(struct bundles *b);
/* The path to load for file i: itself, or its copy in the state directory, for whose path `copy` has room. */
const char *bundles_source(const struct bundles *b, unsigned i, char copy[STATEFILE_PATH_SIZE]);
/* The first file that is bad, or NULL. */
const char *bundles_bad(const struct bundles *b);

#endif
