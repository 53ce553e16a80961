/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket's place in the file system: what it may replace, and who may connect.
 */
#ifndef MXLB_CONTROL_LISTEN_H
#define MXLB_CONTROL_LISTEN_H

#include <sys/types.h>
#include "core/config.h"

struct listen_socket {
	int fd; /* listening, non-blocking; -1: none */
	char path[CONFIG_SOCKET_SIZE];
	dev_t dev; /* the file that was made, so that a successor's is not removed */
	ino_t ino;
};

/*
 * Listens at conf->socket: mode 0660 and conf->group, or 0600 where there is no such group. Makes the last
 * directory of the path if it is missing. A dead socket there is replaced; a live one is -EADDRINUSE, anything
 * else -EEXIST. 0 or -errno, logged; out->fd is -1 on error.
 */
int listen_open(const struct control_conf *conf, struct listen_socket *out);
/* Closes, and unlinks the file if it is still the one that was made. */
void listen_close(struct listen_socket *s);

#endif
