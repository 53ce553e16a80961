/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `top`: live traffic per server. On a terminal it uses the full screen; otherwise it prints a block of lines per
 * update, or with --json an object per line.
 */
#ifndef MXLB_CTL_TOP_H
#define MXLB_CTL_TOP_H

#include "ctl/ctl.h"

/* ctl->batch: never a screen; ctl->count: so often, 0 for ever; ctl->delay_s: in between. */
enum ctl_exit top_run(const struct ctl *ctl, char **args);

#endif
