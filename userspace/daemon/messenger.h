/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells events to the program of the configuration's `notify`. One run an event and one at a time, with the event as a JSON
 * object on its stdin; as mxlbd's user, without its capabilities, in a process group of its own, with limits and a deadline.
 */
#ifndef MXLB_MESSENGER_H
#define MXLB_MESSENGER_H

#include <ev.h>
#include "core/event.h"

#define MESSENGER_QUEUE	    64 /* more are dropped, and counted in the next that is not */
#define MESSENGER_BURST	    64 /* runs at once, then one a second */
#define MESSENGER_TIMEOUT_S 30.0

struct messenger;

/* 0 or -ENOMEM. The loop is borrowed. */
int messenger_new(struct ev_loop *loop, struct messenger **out);
/* "/absolute/path word word", split at blanks; "": nobody is to be told. Copied. What waits is told to the new one. */
void messenger_set_command(struct messenger *m, const char *command);
/* Never blocks. The event is copied. */
void messenger_tell(struct messenger *m, const struct event_log *log, const struct event *e);
/* Gives what waits and runs so long to be told, then ends it. NULL is fine. */
void messenger_free(struct messenger *m, double grace_s);

/* The child's main(): sets its limits, then becomes the program argv names. Returns only if that fails. */
int messenger_child_main(char *const argv[]);

#endif
