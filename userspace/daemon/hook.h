/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the program of `notify`: one run per event and one at a time, with the event as a JSON object on its stdin; as
 * mxlbd's user, without its capabilities, in a process group of its own, with limits and a deadline.
 */
#ifndef MXLB_MESSENGER_H
#define MXLB_MESSENGER_H

#include <ev.h>
#include "control/control.h"

#define MESSENGER_QUEUE	    64 /* further ones are dropped and counted in the next one */
#define MESSENGER_BURST	    64 /* runs at once, then one a second */
#define MESSENGER_TIMEOUT_S 30.0

struct messenger;

/* 0 or -ENOMEM. The loop is borrowed. */
int messenger_new(struct ev_loop *loop, struct messenger **out);
/* "/absolute/path word word", split at blanks; "": none. Copied. Waiting events go to the new program,
 * and the result of the last run is forgotten. */
void messenger_set_command(struct messenger *m, const char *command);
/* Never blocks. The event is copied. */
void messenger_tell(struct messenger *m, const struct event_log *log, const struct event *e);
/* The results of the runs. Borrowed; it is kept up to date. */
const struct notify_state *messenger_state(const struct messenger *m);
bool messenger_is_full(const struct messenger *m);
/* Waits this long for the queue and the running program, then kills it. NULL is fine. */
void messenger_free(struct messenger *m, double grace_s);

/* The child's main(): sets its limits, then becomes the program argv names. Returns only if that fails. */
int messenger_child_main(char *const argv[]);

#endif
