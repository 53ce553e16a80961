/* SPDX-License-Identifier: BSD-2-Clause */
/* `mxlbctl check [SERVICE]`: a plugin for Nagios and compatible monitors. */
#ifndef MXLB_CTL_CHECK_H
#define MXLB_CTL_CHECK_H

#include "ctl/ctl.h"

/* Prints one line; what it returns is 0 OK, 1 WARNING, 2 CRITICAL or 3 UNKNOWN, whatever enum ctl_exit says of it. */
enum ctl_exit check_run(const struct ctl *ctl, char **args);
/* Prints the line for UNKNOWN. Returns 3. */
enum ctl_exit check_unknown(const struct ctl *ctl, const char *why);

#endif
