/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `mxlbctl notify-test`: has mxlbd tell the program of `notify` a test event, and waits for what becomes of it, for ctl->timeout_s
 * at most. CTL_DONE: the program has ended with 0.
 */
#ifndef MXLB_CTL_NOTIFY_H
#define MXLB_CTL_NOTIFY_H

#include "ctl/ctl.h"

enum ctl_exit notify_test_run(const struct ctl *ctl, char **args);

#endif
