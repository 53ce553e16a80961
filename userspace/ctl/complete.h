/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may be typed, for the shell's completion (scripts/mxlbctl.bash): a line each, its kind first.
 */
#ifndef MXLB_CTL_COMPLETE_H
#define MXLB_CTL_COMPLETE_H

#include "ctl/ctl.h"

/* "service NAME", "backend SERVICE/NAME", "tier SERVICE N". Silent where mxlbd can't be asked. */
void complete_names(const struct ctl *ctl);

#endif
