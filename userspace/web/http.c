/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP listener and its connections; libmicrohttpd, without threads, speaks HTTP. It never blocks. For one
 * connection above PEERS_MAX, or above PEERS_SAME from one address, the one that has gone the longest without a
 * finished request is closed, so that silent or slow connections lock out no one else. A connection that finishes no
 * request within PEER_S is closed in any case.
 */
#include "web/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "web/documents.h"
#include "util/log.h"

#define PEERS_MAX      64
#define PEERS_SAME     32
#define ACCEPTS_MAX    16	   /* a turn of the loop */
#define ACCEPT_RETRY_S 1.0	   /* after there was no memory or no descriptor */
#define REQUEST_SIZE   (16 * 1024) /* its line and headers, and the reply's headers */
#ifndef PEER_S			   /* tests have less patience */
#define PEER_S	       20.0
#define SWEEP_S	       2.0
#define LISTEN_RETRY_S 5.0
#endif

struct peer {
	int fd; /* libmicrohttpd's, which closes it; -1: free */
	struct addr address;
	double since; /* connected, or finished its last request */
	bool going;   /* was shut down, and only needs cleaning up */
};

struct http {
	struct ev_loop *loop;
	struct listen_conf conf;
	bool refused; /* to listen, as last logged */
	int fd;	      /* -1: does not listen yet */
	struct MHD_Daemon *mhd;
	struct documents *documents;
	ev_io accept, io;
	ev_timer retry, turn, sweep;
	struct peer peers[PEERS_MAX];
};

static void turn(struct http *h);

/* --- connections --- */

static struct peer *find_peer(struct http *h, int fd)
{
	for (unsigned i = 0; i < PEERS_MAX; i++)
		if (h->peers[i].fd == fd)
			return &h->peers[i];
	return NULL;
}

/* libmicrohttpd sees the end of it, as if the client had closed. */
static void send_away(struct peer *p)
{
	shutdown(p->fd, SHUT_RDWR);
	p->going = true;
}

static struct peer *longest(struct http *h, const struct addr *of)
{
	struct peer *found = NULL;

	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &h->peers[i];

		if (p->fd < 0 || p->going || (of && !addr_equal(&p->address, of)))
			continue;
		if (!found || p->since < found->since)
			found = p;
	}
	return found;
}

static unsigned count_peers(const struct http *h, const struct addr *of)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PEERS_MAX; i++)
		n += h->peers[i].fd >= 0 && (!of || addr_equal(&h->peers[i].address, of));
	return n;
}

static void http_make_room(struct http *h, const struct addr *from)
{
	struct peer *victim = NULL;

	if (count_peers(h, from) >= PEERS_SAME)
		victim = longest(h, from);
	else if (count_peers(h, NULL) >= PEERS_MAX)
		victim = longest(h, NULL);
	if (!victim)
		return;
	send_away(victim);
	turn(h);
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_ctx,
			  enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct http *h = ctx;
	struct peer *p = info ? find_peer(h, info->connect_fd) : NULL;

	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*socket_ctx = p;
	else if (*socket_ctx)
		*(struct peer *)*socket_ctx = (struct peer){.fd = -1};
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **request,
			 enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct http *h = ctx;
	struct peer *p = info ? info->socket_context : NULL;

	(void)request;
	if (p && code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		p->since = ev_now(h->loop);
}

static void on_http_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct http *h = timer->data;
	bool any = false;

	(void)events;
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &h->peers[i];

		if (p->fd < 0 || p->going || ev_now(loop) - p->since < PEER_S)
			continue;
		send_away(p);
		any = true;
	}
	if (any)
		turn(h);
}

/* --- the loop --- */

static enum MHD_Result on_http_request(void *ctx, struct MHD_Connection *connection,
				       const char *path, const char *method, const char *version,
				       const char *body, size_t *body_len, void **request)
{
	struct http *h = ctx;

	(void)version;
	(void)body;
	if (!*request) { /* its headers; an answer now would end the connection */
		*request = h;
		return MHD_YES;
	}
	if (*body_len) { /* an unsolicited reply */
		*body_len = 0;
		return MHD_YES;
	}
	return documents_answer(h->documents, connection, method, path);
}

static void turn(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(h->mhd);
	ev_timer_stop(h->loop, &h->turn);
	if (MHD_get_timeout(h->mhd, &ms) != MHD_YES)
		return;
	ev_timer_set(&h->turn, (double)ms / 1000, 0);
	ev_timer_start(h->loop, &h->turn);
}

static void on_http_io(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	(void)events;
	turn(io->data);
}

static void on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	turn(timer->data);
}

static int take_peer(struct http *h)
{
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof(from);
	int fd = accept4(h->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct addr address;
	struct peer *p;

	if (fd < 0)
		return -errno;
	addr_from_sockaddr(&from, &address);
	http_make_room(h, &address);
	p = find_peer(h, -1);
	if (!p) {
		close(fd);
		return 0;
	}
	*p = (struct peer){.fd = fd, .address = address, .since = ev_now(h->loop)};
	if (MHD_add_connection(h->mhd, fd, (struct sockaddr *)&from, len) != MHD_YES)
		*p = (struct peer){.fd = -1}; /* and the socket is closed */
	return 0;
}

static void on_http_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct http *h = io->data;
	int rc = 0;

	(void)events;
	for (unsigned i = 0; i < ACCEPTS_MAX && !rc; i++)
		rc = take_peer(h);
	turn(h);
	if (!rc || rc == -EAGAIN || rc == -EINTR || rc == -ECONNABORTED)
		return;
	/* The backlog stays readable: without a pause the loop would spin. */
	log_warn("event=http_accept_failed error=\"%s\"", strerror(-rc));
	ev_io_stop(loop, &h->accept);
	ev_timer_set(&h->retry, ACCEPT_RETRY_S, 0);
	ev_timer_start(loop, &h->retry);
}

/* --- listening --- */

static int open_socket(const struct listen_conf *conf)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&conf->address, conf->port, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!bind(fd, (struct sockaddr *)&ss, len) && !listen(fd, SOMAXCONN))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static bool is_loopback(const struct addr *a)
{
	static const struct addr v6 = {.b[15] = 1};

	return addr_is_v4(a) ? a->b[12] == 127 : addr_equal(a, &v6);
}

static void try_to_listen(struct http *h)
{
	char text[ADDR_TEXT_SIZE];

	addr_port_text(&h->conf.address, h->conf.port, text);
	h->fd = open_socket(&h->conf);
	if (h->fd < 0) {
		if (!h->refused)
			log_error("event=http_refused address=%s error=\"%s\" advice=\"give "
				  "control.http an address of this box and a free port; it is "
				  "tried again\"",
				  text, strerror(-h->fd));
		h->refused = true;
		ev_timer_set(&h->retry, LISTEN_RETRY_S, 0);
		ev_timer_start(h->loop, &h->retry);
		return;
	}
	log_info("event=http address=%s%s", text,
		 is_loopback(&h->conf.address)
			 ? ""
			 : " note=\"anyone who can reach it can read the status\"");
	ev_io_set(&h->accept, h->fd, EV_READ);
	ev_io_start(h->loop, &h->accept);
}

static void on_http_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct http *h = timer->data;

	(void)events;
	if (h->fd < 0)
		try_to_listen(h);
	else
		ev_io_start(loop, &h->accept);
}

static int start_mhd(struct http *h)
{
	const union MHD_DaemonInfo *info;

	h->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
				  on_http_request, h, MHD_OPTION_CONNECTION_LIMIT, PEERS_MAX,
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_SIZE,
				  MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
				  MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_END);
	info = h->mhd ? MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		return -ENOMEM;
	ev_io_init(&h->io, on_http_io, info->epoll_fd, EV_READ);
	h->io.data = h;
	ev_io_start(h->loop, &h->io);
	return 0;
}

static void timer_init(ev_timer *timer, struct http *h,
		       void (*cb)(struct ev_loop *, ev_timer *, int), double s)
{
	ev_timer_init(timer, cb, s, s);
	timer->data = h;
	if (s > 0)
		ev_timer_start(h->loop, timer);
}

int http_new(struct ev_loop *loop, const struct control_conf *conf, struct model *model,
	     const struct control_callbacks *cb, struct http **out)
{
	struct http *h;

	*out = NULL;
	if (!conf->http.port)
		return 0;
	h = calloc(1, sizeof(*h));
	if (!h)
		goto fail;
	h->loop = loop;
	h->conf = conf->http;
	h->fd = -1;
	for (unsigned i = 0; i < PEERS_MAX; i++)
		h->peers[i].fd = -1;
	timer_init(&h->retry, h, on_http_retry, 0);
	timer_init(&h->turn, h, on_turn, 0);
	timer_init(&h->sweep, h, on_http_sweep, SWEEP_S);
	ev_init(&h->accept, on_http_accept);
	h->accept.data = h;
	if (documents_new(loop, model, cb, is_loopback(&h->conf.address), &h->documents) ||
	    start_mhd(h))
		goto fail;
	try_to_listen(h);
	*out = h;
	return 0;
fail:
	log_error("event=http_refused error=\"%s\"", strerror(ENOMEM));
	http_free(h);
	return -ENOMEM;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	ev_io_stop(h->loop, &h->accept);
	ev_io_stop(h->loop, &h->io);
	ev_timer_stop(h->loop, &h->retry);
	ev_timer_stop(h->loop, &h->turn);
	ev_timer_stop(h->loop, &h->sweep);
	if (h->fd >= 0)
		close(h->fd);
	if (h->mhd)
		MHD_stop_daemon(h->mhd);
	documents_free(h->documents);
	free(h);
}
