/* SPDX-License-Identifier: BSD-2-Clause */
/* `mxlbctl zone`: what DNS says about the servers, and what is in force. */
#ifndef MXLB_CTL_ZONE_H
#define MXLB_CTL_ZONE_H

#include "ctl/ctl.h"

enum ctl_exit zone_run(const struct ctl *ctl, char **args);

#endif
