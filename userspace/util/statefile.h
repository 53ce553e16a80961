/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that survive mxlbd and a reboot, in the state directory (systemd's StateDirectory=): for instance the last
 * good copy of an input. A file is complete or absent, even after a power failure. Without a directory nothing is
 * kept.
 */
#ifndef MXLB_STATEFILE_H
#define MXLB_STATEFILE_H

#include "util/buf.h"

#define STATEFILE_PATH_SIZE 4096

/* What systemd says by STATE_DIRECTORY, the first of them; NULL: there is none. */
const char *statefile_dir(void);
/*
 * The path of a file of this kind ("allow", letters only) about something (a path, any text, by its hash). False, and an empty path:
 * there is no directory, or its name is too long.
 */
bool statefile_path(const char *kind, const char *about, char path[STATEFILE_PATH_SIZE]);
/*
 * Replaces the file, readable by its owner alone. Nothing is written where it holds the same bytes. 0 or -errno: then what was
 * there before is there still.
 */
int statefile_write(const char *path, const void *bytes, size_t len);

#endif
