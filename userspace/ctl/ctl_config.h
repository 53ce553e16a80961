/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `mxlbctl config`: the configuration in force.
 */
#ifndef MXLB_CTL_CONFIG_H
#define MXLB_CTL_CONFIG_H

#include "ctl/ctl.h"

/* mxlbd's answer to `show config`; the caller's to json_decref(). */
enum ctl_exit config_ask(const struct ctl *ctl, json_t **config);
/* Prints it: as YAML that mxlbd takes again, or as JSON. */
enum ctl_exit config_run(const struct ctl *ctl, char **args);

#endif
