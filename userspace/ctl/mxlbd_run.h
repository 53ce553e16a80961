/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs mxlbd for what only it can do: load the BPF program, read pinned maps. */
#ifndef MXLB_CTL_MXLBD_RUN_H
#define MXLB_CTL_MXLBD_RUN_H

#include <limits.h>
#include <stdbool.h>
#include "util/buf.h"

#define MXLBD_PATH_SIZE (PATH_MAX + 16)

/* mxlbd beside mxlbctl, or in the sbin beside its bin, as `make` and `make install` leave it. False: it is in neither place. */
bool mxlbd_path(char path[MXLBD_PATH_SIZE]);

/*
 * Waits for its end. said_on: STDOUT_FILENO or STDERR_FILENO, which goes to *out up to its cap; what exceeds it is dropped.
 * With STDERR_FILENO stdout is dropped. Returns the exit status; -1: it could not be run, or a signal ended it.
 */
int mxlbd_run(const char *path, char *const argv[], char *const envp[], int said_on,
	      struct buf *out);

#endif
