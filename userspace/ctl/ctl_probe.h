/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `mxlbctl probe`: args[0] is "HOST[:PORT]", probed from here as the caller, or "SERVICE/SERVER", probed by mxlbd.
 * CTL_DONE: healthy; CTL_REFUSED: not, or no probe could be made.
 */
#ifndef MXLB_CTL_PROBE_H
#define MXLB_CTL_PROBE_H

#include "ctl/ctl.h"

enum ctl_exit probe_run(const struct ctl *ctl, char **args);

#endif
