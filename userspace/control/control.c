/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The listening socket and the list of clients, at most CLIENTS_MAX. For one more, the one that has been idle the
 * longest is disconnected, so that silent connections, or clients that do not read, lock out no one else. While all are
 * busy, further ones wait in the socket's backlog at no cost.
 */
#include "control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "control/client.h"
#include "control/listen.h"
#include "util/log.h"

#define CLIENTS_MAX    64
#define ACCEPT_RETRY_S 1.0 /* after there was no memory or no descriptor */
#define ROOM_RETRY_S   0.1 /* after there was no room */

struct control {
	struct client_host host;
	struct listen_socket socket;
	ev_io accept;
	ev_timer retry;
	struct client *clients[CLIENTS_MAX];
	unsigned n_clients;
};

static void client_gone(struct client_host *host, struct client *client)
{
	struct control *c = (struct control *)host; /* its first member */
	unsigned i = 0;

	while (i < c->n_clients && c->clients[i] != client)
		i++;
	if (i == c->n_clients)
		return;
	c->clients[i] = c->clients[--c->n_clients];
	ev_timer_stop(host->loop, &c->retry);
	ev_io_start(host->loop, &c->accept);
}

static void on_control_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct control *c = timer->data;

	(void)events;
	ev_io_start(loop, &c->accept);
}

/* The backlog stays readable: without a pause the loop would spin. */
static void pause_accept(struct control *c, double s)
{
	ev_io_stop(c->host.loop, &c->accept);
	ev_timer_set(&c->retry, s, 0);
	ev_timer_start(c->host.loop, &c->retry);
}

static bool control_make_room(struct control *c)
{
	uint64_t longest = UINT64_MAX;
	unsigned victim = 0;

	if (c->n_clients < CLIENTS_MAX)
		return true;
	for (unsigned i = 0; i < c->n_clients; i++) {
		uint64_t since = client_idle_since(c->clients[i]);

		if (since < longest) {
			longest = since;
			victim = i;
		}
	}
	if (longest == UINT64_MAX)
		return false;
	client_free(c->clients[victim]);
	c->clients[victim] = c->clients[--c->n_clients];
	return true;
}

static int take_client(struct control *c)
{
	int fd = accept4(c->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int rc;

	if (fd < 0)
		return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? 0 : -errno;
	rc = client_new(&c->host, fd, &c->clients[c->n_clients]);
	if (!rc)
		c->n_clients++;
	return rc;
}

static void on_control_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct control *c = io->data;
	int rc;

	(void)loop;
	(void)events;
	if (!control_make_room(c)) {
		pause_accept(c, ROOM_RETRY_S);
		return;
	}
	rc = take_client(c);
	if (!rc)
		return;
	log_warn("event=control_accept_failed error=\"%s\"", strerror(-rc));
	pause_accept(c, ACCEPT_RETRY_S);
}

int control_new(struct ev_loop *loop, const struct control_conf *conf, struct model *model,
		const struct control_callbacks *cb, struct control **out)
{
	struct control *c = calloc(1, sizeof(*c));
	int rc;

	if (!c) {
		log_error("event=control_socket_failed error=\"%s\"", strerror(ENOMEM));
		return -ENOMEM;
	}
	rc = listen_open(conf, &c->socket);
	if (rc) {
		free(c);
		return rc;
	}
	c->host.loop = loop;
	c->host.env = (struct command_env){.model = model, .cb = *cb};
	c->host.gone = client_gone;
	operators_update(&c->host.operators, conf);
	ev_io_init(&c->accept, on_control_accept, c->socket.fd, EV_READ);
	c->accept.data = c;
	ev_io_start(loop, &c->accept);
	ev_init(&c->retry, on_control_retry);
	c->retry.data = c;
	*out = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	ev_io_stop(c->host.loop, &c->accept);
	ev_timer_stop(c->host.loop, &c->retry);
	for (unsigned i = 0; i < c->n_clients; i++)
		client_free(c->clients[i]);
	listen_close(&c->socket);
	free(c);
}
