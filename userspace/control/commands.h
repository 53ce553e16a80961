/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of commands: one command in, its reply out. Knows nothing of sockets.
 */
#ifndef MXLB_CONTROL_COMMANDS_H
#define MXLB_CONTROL_COMMANDS_H

#include "control/control.h"

#define COMMANDS_IDLE_S	    10 /* idle clients are disconnected after this time */
#define COMMANDS_IDLE_MAX_S 60 /* the maximum of `set timeout cli` */

struct command_env { /* the same for all clients */
	struct model *model;
	struct control_callbacks cb;
};

enum severity_form { SEVERITY_NONE, SEVERITY_NUMBER, SEVERITY_STRING }; /* `set severity-output` */

struct caller {		  /* one client, as commands see and change it */
	const char *who;  /* the name under which it may make changes; NULL: it may only read */
	bool interactive; /* `prompt` was given */
	bool quit;	  /* close after the reply */
	unsigned idle_s;
	enum severity_form severity;
	int fd;	     /* the file that came along, for `plan`; -1: none */
	void *probe; /* what the reply waits for (control_callbacks.probe); NULL: nothing */
	void (*resume)(struct caller *caller, const char *reply); /* it has come */
	/*
	 * A reply in parts: appends the next part to out, in a turn of its own, after the previous one has been read.
	 * False: that was the last. NULL: none. The caller frees parts_ctx.
	 */
	bool (*parts)(const struct command_env *env, void *parts_ctx, struct buf *out);
	void *parts_ctx;
};

/* Runs one command (no ';' or newline in it; it is cut up in place) and appends the reply with what ends it: an
 * empty line, or HAProxy's prompt. With caller->probe or caller->parts set afterwards the reply, or the rest of it, is still to come. */
void commands_run(const struct command_env *env, struct caller *caller, char *command,
		  struct buf *out);
void commands_end_reply(const struct caller *caller, struct buf *out);

#endif
