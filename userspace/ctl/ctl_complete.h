/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Possible completions: for the shell (scripts/mxlbctl.bash) one per line, with its kind first; and for people who
 * have typed an unknown name.
 */
#ifndef MXLB_CTL_COMPLETE_H
#define MXLB_CTL_COMPLETE_H

#include "ctl/ctl.h"

/* "service NAME", "backend SERVICE/NAME", "tier SERVICE N". Silent if mxlbd does not answer. */
void complete_names(const struct ctl *ctl);
/* For people, on stderr: the first names of one kind ("service", "backend", "tier"). As silent. */
void complete_hint(const struct ctl *ctl, const char *kind);

#endif
