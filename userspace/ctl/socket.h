/* SPDX-License-Identifier: BSD-2-Clause */
/* mxlbctl's connection to the daemon: one command, one reply. */
#ifndef MXLB_CTL_LINK_H
#define MXLB_CTL_LINK_H

#include "util/buf.h"

enum ctl_exit { /* mxlbctl(8), EXIT STATUS */
		CTL_DONE = 0,
		CTL_REFUSED = 1,
		CTL_USAGE = 2,
		CTL_NO_DAEMON = 3,
};

#define LINK_WAIT_S 15 /* for each step: a reload reads files and writes maps */

/*
 * Sends the command and reads the reply, without the empty line that ends it. Errors are printed on stderr with a
 * remedy.
 */
enum ctl_exit link_ask(const char *socket_path, const char *command, struct buf *reply);
/* The same for a command that takes its time: wait_s for each step. */
enum ctl_exit link_ask_within(const char *socket_path, const char *command, unsigned wait_s,
			      struct buf *reply);
/* The same without messages: 0 or -errno, for link_complain(). */
int link_try(const char *socket_path, const char *command, struct buf *reply);
/* Prints the error on stderr. wait_s: the time that was waited. */
enum ctl_exit link_complain(const char *path, int err, unsigned wait_s);
/* True if no process listens there (false if it is stuck or access is denied). */
bool link_is_dead(const char *socket_path);

/* The same, and a descriptor goes along with the command. */
enum ctl_exit link_ask_with(const char *socket_path, const char *command, int passed,
			    struct buf *reply);

#endif
