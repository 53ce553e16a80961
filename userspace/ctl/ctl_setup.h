/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `mxlbctl server-setup windows|linux SERVICE[/SERVER]`: what a server needs to take mail behind mxlb, as a script.
 */
#ifndef MXLB_CTL_SETUP_H
#define MXLB_CTL_SETUP_H

#include "ctl/ctl.h"

/* Prints the script; runs nothing. args: the system, and whose. A server behind a tunnel must be named. */
enum ctl_exit setup_run(const struct ctl *ctl, char **args);

#endif
