/* SPDX-License-Identifier: BSD-2-Clause */
/* The arguments of a command, and the commands that have a file of their own. For the files of control/ only. */
#ifndef MXLB_CONTROL_REQUEST_H
#define MXLB_CONTROL_REQUEST_H

#include "control/commands.h"

struct request {
	const struct command_env *env;
	struct caller *caller;
	const char *command; /* the row of the table, "set server" */
	char *const *args;   /* the words after the command's own */
	unsigned n_args;
	struct buf *out;
};

/*
 * Replies with a sentence, with the severity if the client asked for it by `set severity-output`: an error, or
 * information. Dumps have none. The text ends in a newline.
 */
void command_error(struct request *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void command_info(struct request *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* NULL, after an error reply: there is none. */
struct service *request_service(struct request *r, const char *name);
/* The server that the first word names as "service/server". */
struct server *request_server(struct request *r);

/* Appends foreign text: only its printable bytes, and no empty line, which would end the reply. */
void command_append_lines(struct buf *out, const char *text);

/* The daemon's present data. */
struct control_info request_info(struct request *r);
/*
 * Parses "for 900" from word `first` on: in ms, 0 if there are no words. False, after an error reply: it is something
 * else.
 */
bool request_for(struct request *r, unsigned first, uint64_t *for_ms);

void role_show(struct request *r);
void role_set(struct request *r);
void zone_show(struct request *r);
void zone_set(struct request *r);
void admin_set_server(struct request *r);
void admin_enable_server(struct request *r);
void admin_disable_server(struct request *r);
void admin_set_weight(struct request *r);
void admin_get_weight(struct request *r);
void admin_tier(struct request *r);
void admin_check(struct request *r);
void admin_agent(struct request *r);
void admin_shutdown(struct request *r);
void plan_run(struct request *r);
void statlist_run(struct request *r);
void statlist_servers(struct request *r);
void statlist_backends(struct request *r);
void probe_server(struct request *r);
void flowlist_run(struct request *r);
void eventlist_run(struct request *r);
void notify_test(struct request *r);
void explain_run(struct request *r);
void rejected_run(struct request *r);

#endif
