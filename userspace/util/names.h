/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for messages, in place of the system's numbers.
 */
#ifndef MXLB_UTIL_NAMES_H
#define MXLB_UTIL_NAMES_H

#include <sys/types.h>

#define NAMES_SIZE 40

/* "eth0", or "#7" for an interface that is gone. Returns text. */
const char *names_interface(int ifindex, char text[NAMES_SIZE]);
/* "mxlb", or "#997" for a user without a name. Returns text. */
const char *names_user(uid_t uid, char text[NAMES_SIZE]);
const char *names_group(gid_t gid, char text[NAMES_SIZE]);

#endif
