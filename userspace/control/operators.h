/* SPDX-License-Identifier: BSD-2-Clause */
/* Users who may make changes: root and the configured operators, by the peer's uid. */
#ifndef MXLB_CONTROL_OPERATORS_H
#define MXLB_CONTROL_OPERATORS_H

#include <stdbool.h>
#include <sys/types.h>
#include "core/config.h"

struct operators { /* zero it before the first use */
	char names[CONFIG_MAX_OPERATORS][CONFIG_NAME_SIZE];
	unsigned n;
	uid_t uids[CONFIG_MAX_OPERATORS];
	bool known[CONFIG_MAX_OPERATORS]; /* the name has a uid */
};

/*
 * Resolves the names if they have changed; a name without a user is logged. Resolving may use the network (NSS), so it
 * is done when the list changes and never for a client.
 */
void operators_update(struct operators *o, const struct control_conf *conf);
/* "root", the operator's name, or NULL: may only read. The text lives as long as o. */
const char *operators_name(const struct operators *o, uid_t uid);

#endif
