/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One client of the control socket, from accept to close.
 */
#ifndef MXLB_CONTROL_CLIENT_H
#define MXLB_CONTROL_CLIENT_H

#include "control/commands.h"
#include "control/operators.h"

#define CLIENT_LINE_MAX 4096 /* bytes of a line, its newline included */
#define CLIENT_UNREAD_MAX \
	(4 * 1024 * 1024) /* bytes of a reply; the next begins when it has been read */

#define CLIENT_TURN_S 0.005
#define CLIENT_STUCK_S \
	0.25 /* a client that reads no byte of its reply for this long is disconnected */

struct client;

struct client_host { /* outlives its clients */
	struct ev_loop *loop;
	struct command_env env;
	struct operators operators;
	unsigned turn; /* of the loop, in which a client was last served */
	uint64_t acts; /* of all clients: a clock of who did something last */
	/* The client has left; its memory will be freed. */
	void (*gone)(struct client_host *host, struct client *client);
};

/* Takes the accepted socket, in any case. 0 or -ENOMEM. */
int client_new(struct client_host *host, int fd, struct client **out);
void client_free(struct client *c); /* without telling the host; NULL is fine */
/* When it was last active, by host->acts; UINT64_MAX while a command runs or its reply is being read. */
uint64_t client_idle_since(const struct client *c);

#endif
