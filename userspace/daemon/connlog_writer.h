/* SPDX-License-Identifier: BSD-2-Clause */
/* `log-connections`: logs the beginning and the end of each connection of a service. */
#ifndef MXLB_DAEMON_CONNLOG_H
#define MXLB_DAEMON_CONNLOG_H

struct connlog;
struct daemon;

/* Called at the start and after a change of the configuration. -ENOMEM is logged. */
void connlog_update(struct daemon *d);
void connlog_free(struct connlog *c); /* NULL is fine */

#endif
