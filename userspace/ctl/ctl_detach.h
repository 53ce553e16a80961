/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MXLB_CTL_DETACH_H
#define MXLB_CTL_DETACH_H

#include "ctl/ctl.h"

/* Has mxlbd take its datapath away; when it does not run `mxlbd --detach` does, with ctl->config. */
enum ctl_exit detach_run(const struct ctl *ctl, char **args);

#endif
