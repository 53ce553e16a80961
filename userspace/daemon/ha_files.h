/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of this boot, in the directory that mxlbd and keepalived share: the priority, and the role beside it. */
#ifndef MXLB_HA_FILES_H
#define MXLB_HA_FILES_H

#include "core/role.h"

/* 0 or -errno. */
int ha_files_write_priority(const struct ha_conf *conf, int priority);
/*
 * Stores the role for a start after a detach, because keepalived reports only changes. Needs the directory.
 * 0 or -errno: the earlier role is then removed, if possible.
 */
int ha_files_keep_role(const struct ha_conf *conf, enum role role);
/* ROLE_STANDBY: it is not known. */
enum role ha_files_kept_role(const struct ha_conf *conf);

#endif
