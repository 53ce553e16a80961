/* SPDX-License-Identifier: BSD-2-Clause */
/* What a configuration would change: the text goes to mxlbd as a sealed memfd, which compares it with what is in force. */
#ifndef MXLB_CTL_PLAN_H
#define MXLB_CTL_PLAN_H

#include "ctl/ctl.h"

/* file: what errors call it. */
enum ctl_exit plan_ask(const struct ctl *ctl, const char *file, const struct buf *text);

#endif
