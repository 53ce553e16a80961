/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `events [-f]`: the daemon's transitions, as its log has them or, with --json, an object a line.
 */
#ifndef MXLB_CTL_EVENTS_H
#define MXLB_CTL_EVENTS_H

#include "ctl/ctl.h"

/* With ctl->follow until a signal ends it: an mxlbd that goes is waited for. */
enum ctl_exit events_list(const struct ctl *ctl, char **args);

#endif
