/* SPDX-License-Identifier: BSD-2-Clause */
/* `role` and `health`: this box among several. */
#ifndef MXLB_CTL_ROLE_H
#define MXLB_CTL_ROLE_H

#include "ctl/ctl.h"

/* args[0]: NULL to show it, else "active", "standby" or "auto". */
enum ctl_exit role_run(const struct ctl *ctl, char **args);
/*
 * CTL_DONE: mxlbd answers within --timeout (default 1 s) and the program is on every interface. CTL_REFUSED: one line says what
 * fails. CTL_NO_DAEMON: no answer.
 */
enum ctl_exit role_health(const struct ctl *ctl, char **args);

#endif
