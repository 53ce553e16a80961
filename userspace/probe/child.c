/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The probe child's life: load files, enter the sandbox (sandbox.c), then turn requests into sessions and results into
 * answers until the parent closes the socket. It never probes outside the sandbox.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "mxlb/limits.h"
#include "probe/prober.h"
#include "probe/sandbox.h"
#include "probe/session.h"
#include "util/clock.h"
#include "util/log.h"

#define SESSIONS_MAX	  (2 * MXLB_MAX_SERVERS)
#define REQUESTS_PER_TURN 64

/* A probe and a fallback for each server, and a few descriptors more. */
static const struct sandbox walls = {.files = 2 * MXLB_MAX_SERVERS + 64, .memory = 512u << 20};

struct child {
	struct session_host host;
	struct ev_io io;
	int fd;
	int status;
};

static void child_stop(struct child *c, int status)
{
	c->status = status;
	ev_break(c->host.loop, EVBREAK_ALL);
}

static void send_answer(struct session_host *h, const struct wire_answer *a)
{
	struct child *c = (struct child *)h; /* the first member */
	int err = wire_send_answer(c->fd, a);

	if (err)
		child_stop(c, err == -EPIPE ? 0 : 1);
}

static void child_refuse(struct child *c, const struct wire_request *req, const char *why)
{
	struct wire_answer no = {
		.magic = WIRE_MAGIC,
		.id = req->id,
		.kind = WIRE_RESULT,
		.result = {.reason = REASON_local_error, .stage = STAGE_NONE},
	};

	snprintf(no.result.text, sizeof(no.result.text), "%s", why);
	send_answer(&c->host, &no);
}

static void start_session(struct child *c, const struct wire_request *req, int socket)
{
	int err = -ENOMEM;

	if (c->host.n_running < SESSIONS_MAX)
		err = session_start(&c->host, req, socket);
	if (!err)
		return;
	close(socket);
	child_refuse(c, req, "too many probes at once");
}

static void on_child_request(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct child *c = w->data;

	(void)loop, (void)revents;
	for (int i = 0; i < REQUESTS_PER_TURN; i++) {
		struct wire_request req;
		int socket, err = wire_recv_request(c->fd, &req, &socket);

		if (err == -EAGAIN)
			return;
		if (err == -EMFILE) {
			child_refuse(c, &req, strerror(EMFILE));
			continue;
		}
		if (err) {
			child_stop(c, err == -EPIPE ? 0 : 1);
			return;
		}
		start_session(c, &req, socket);
	}
}

/* A file that can't be loaded now costs the probes that need it, not the child. */
static void load_bundles(struct session_host *h, char *const *paths)
{
	for (; *paths && h->n_bundles < CONFIG_MAX_PROBES; paths++, h->n_bundles++)
		if (tls_load_bundle(*paths, &h->bundles[h->n_bundles]))
			log_error("event=ca_file_unreadable file=%s", *paths);
}

static void free_bundles(struct session_host *h)
{
	while (h->n_bundles)
		X509_STORE_free(h->bundles[--h->n_bundles]);
}

static void start_wallclock(struct wallclock *w)
{
	struct now now = clock_now();

	wallclock_start(w, now.mono_ms, now.wall_ms / 1000 * 1000);
}

static int prepare(struct child *c, int fd, char *const *bundles)
{
	int err = pulse_attach(fd + 1, &c->host.pulse);

	if (!err)
		err = tls_init(&c->host.tls);
	if (err)
		return err;
	/* no ev_default_loop(): that one wants signals, and pipes for them */
	c->host.loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOTIMERFD | EVBACKEND_EPOLL);
	if (!c->host.loop)
		return -ENOMEM;
	c->fd = fd;
	c->host.answer = send_answer;
	TAILQ_INIT(&c->host.running);
	load_bundles(&c->host, bundles);
	start_wallclock(&c->host.wallclock);
	stall_start(&c->host.stall, c->host.loop);
	ev_io_init(&c->io, on_child_request, fd, EV_READ);
	c->io.data = c;
	ev_io_start(c->host.loop, &c->io);
	return 0;
}

int probe_child_main(int fd, char *const *bundles)
{
	struct child c = {.status = 1};
	int err = prepare(&c, fd, bundles);
	uint32_t reference_us = err ? 0 : tls_reference_us();

	if (!err)
		err = sandbox_drop(&walls);
	if (!err)
		err = sandbox_close(&walls);
	if (err) {
		log_error("event=probe_child_failed error=\"%s\"", strerror(-err));
	} else {
		send_answer(&c.host, &(struct wire_answer){.magic = WIRE_MAGIC,
							   .kind = WIRE_READY,
							   .reference_us = reference_us});
		ev_run(c.host.loop, 0);
	}
	session_end_all(&c.host);
	if (c.host.loop)
		ev_loop_destroy(c.host.loop);
	free_bundles(&c.host);
	SSL_CTX_free(c.host.tls);
	pulse_free(c.host.pulse);
	return c.status;
}
