/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole file into memory, whatever stands at its name.
 */
#ifndef MXLB_CONF_FILE_H
#define MXLB_CONF_FILE_H

#include <stdbool.h>
#include "conf/value.h"
#include "util/buf.h"

#define FILE_EXPOSED "every user may write this file" /* the warning if *exposed was set */

/*
 * Appends what the file holds, at most max bytes (a whole number of MiB) and without UTF-8's byte order mark.
 * 0, -ENOMEM, or -EINVAL and in `why` the reason. *exposed becomes true if every user may write the file.
 */
int file_read(const char *path, size_t max, struct buf *text, bool *exposed,
	      char why[VALUE_WHY_SIZE]);

#endif
