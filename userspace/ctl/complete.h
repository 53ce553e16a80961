/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may be typed: for the shell's completion (scripts/mxlbctl.bash) a line each, its kind first, and for people who have
 * named what is not there.
 */
#ifndef MXLB_CTL_COMPLETE_H
#define MXLB_CTL_COMPLETE_H

#include "ctl/ctl.h"

/* "service NAME", "backend SERVICE/NAME", "tier SERVICE N". Silent where mxlbd can't be asked. */
void complete_names(const struct ctl *ctl);
/* For people, on stderr: the first names of one kind ("service", "backend", "tier"). As silent. */
void complete_hint(const struct ctl *ctl, const char *kind);

#endif
