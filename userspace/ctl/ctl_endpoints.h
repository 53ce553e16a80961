/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `mxlbctl endpoints FILE [OLD]`: prints an allow-file with the prefixes that a Microsoft 365 endpoints file has for TCP 25, the
 * same bytes for the same prefixes. CTL_REFUSED: FILE is not such a file, or not plausible (core/endpoints.h) after OLD.
 */
#ifndef MXLB_CTL_ENDPOINTS_H
#define MXLB_CTL_ENDPOINTS_H

#include "ctl/ctl.h"

enum ctl_exit endpoints_run(const struct ctl *ctl, char **args);

#endif
