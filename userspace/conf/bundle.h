/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a file of CA certificates is valid. Its users load it themselves. */
#ifndef MXLB_CONF_BUNDLE_H
#define MXLB_CONF_BUNDLE_H

#include <stdbool.h>
#include "conf/value.h"

/* The system's, or NULL: none is at any of the usual places. */
const char *bundle_of_system(void);
/* 0, or -errno with the sentence in why. */
int bundle_check(const char *path, bool *exposed, char why[VALUE_WHY_SIZE]);

#define BUNDLE_COPIES "ca" /* the kind of their copies in the state directory */

/* Is there a good copy of this file? */
bool bundle_has_copy(const char *path);
/* Keeps one, if the file is good. What fails is logged. */
void bundle_keep_copy(const char *path);

#endif
