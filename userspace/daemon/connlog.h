/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `log-connections`: a line of the log for each connection of a service as it begins and as it ends.
 */
#ifndef MXLB_DAEMON_CONNLOG_H
#define MXLB_DAEMON_CONNLOG_H

struct connlog;
struct daemon;

/* At the start, and when another configuration is in force: does what it asks for. -ENOMEM is logged. */
void connlog_update(struct daemon *d);
void connlog_free(struct connlog *c); /* NULL is fine */

#endif
