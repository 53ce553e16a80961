/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The administrative state of a server. args[0]: "SERVER" if only one service has it, or "SERVICE/SERVER". With
 * ctl->wait, drain and maint return when its last flow has ended (CTL_DONE) or ctl->timeout_s have passed
 * (CTL_REFUSED); the state stays in either case.
 */
#ifndef MXLB_CTL_OPERATE_H
#define MXLB_CTL_OPERATE_H

#include "ctl/ctl.h"

enum ctl_exit operate_drain(const struct ctl *ctl, char **args);
enum ctl_exit operate_maint(const struct ctl *ctl, char **args);
enum ctl_exit operate_ready(const struct ctl *ctl, char **args);
/* SERVICE force N, or SERVICE auto: args ends with NULL. */
enum ctl_exit operate_tier(const struct ctl *ctl, char **args);

#endif
