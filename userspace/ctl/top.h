/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `top`: who takes how much now, again and again. A screen of its own on a terminal, else a block of lines each time, or with
 * --json an object a line.
 */
#ifndef MXLB_CTL_TOP_H
#define MXLB_CTL_TOP_H

#include "ctl/ctl.h"

/* ctl->batch: never a screen; ctl->count: so often, 0 for ever; ctl->delay_s: in between. */
enum ctl_exit top_run(const struct ctl *ctl, char **args);

#endif
