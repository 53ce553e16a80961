/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flow table, as the daemon tells it: `flows SERVICE`, `explain SERVICE CLIENT:PORT`, `rejected [SERVICE]`.
 */
#ifndef MXLB_CTL_FLOWS_H
#define MXLB_CTL_FLOWS_H

#include "ctl/ctl.h"

enum ctl_exit flows_list(const struct ctl *ctl, char **args);
enum ctl_exit flows_rejected(const struct ctl *ctl, char **args);
enum ctl_exit flows_explain(const struct ctl *ctl, char **args);

#endif
