/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection: bytes to lines, lines to commands at ';', replies out. It never blocks, and runs one command per
 * turn of the loop, the next after the reply has been read: so a client can hold up neither the loop nor more memory
 * than one line and one reply. Long lines and bytes that are not text are refused.
 *
 * A line is answered and the connection closed, unless `prompt` made it interactive (HAProxy 2.6).
 */
#include "control/client.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "util/log.h"

struct client {
	struct client_host *host;
	int fd;
	uid_t uid;
	ev_io io;
	int waiting; /* for EV_READ or EV_WRITE; 0: for neither */
	ev_timer idle;
	uint64_t last_act;
	ev_tstamp act_time; /* of the same */
	struct caller caller;
	char in[CLIENT_LINE_MAX];
	size_t in_len;
	size_t line_len; /* of the line being answered, with its newline; 0: none */
	char *next;	 /* what is left of it */
	struct buf out;
	bool eof;  /* the peer has closed its sending side */
	bool done; /* close when the output has been read */
};

static void client_end(struct client *c)
{
	c->host->gone(c->host, c);
	client_free(c);
}

static void restart_idle(struct client *c)
{
	c->last_act = ++c->host->acts;
	c->act_time = ev_now(c->host->loop);
	c->idle.repeat = c->caller.idle_s;
	ev_timer_again(c->host->loop, &c->idle);
}

static void client_refuse(struct client *c, const char *sentence)
{
	buf_printf(&c->out, "%s\n\n", sentence);
	c->done = true;
}

/* A line begins to be answered when all of it is there. */
static bool begin_line(struct client *c)
{
	char *newline = memchr(c->in, '\n', c->in_len);

	if (!newline)
		return false;
	*newline = '\0';
	c->line_len = newline - c->in + 1;
	c->next = c->in;
	return true;
}

static void client_end_line(struct client *c)
{
	c->in_len -= c->line_len;
	memmove(c->in, c->in + c->line_len, c->in_len);
	c->line_len = 0;
	if (!c->caller.interactive)
		c->done = true;
}

static void end_command(struct client *c)
{
	if (c->out.failed) {
		log_warn("event=control_reply_failed uid=%u error=\"over %d bytes, or no memory\"",
			 c->uid, CLIENT_UNREAD_MAX);
		buf_free(&c->out);
		c->out = (struct buf){.cap = CLIENT_UNREAD_MAX};
		client_refuse(c, "The reply is too long.");
	}
	if (c->caller.quit)
		c->done = true;
	restart_idle(c); /* by commands: half a line keeps no connection */
	if (!c->next)
		client_end_line(c);
}

static void client_wait_for(struct client *c, int events)
{
	if (events == c->waiting)
		return;
	c->waiting = events;
	ev_io_stop(c->host->loop, &c->io);
	if (!events)
		return;
	ev_io_set(&c->io, c->fd, events);
	ev_io_start(c->host->loop, &c->io);
}

/* Neither reading nor idle until the probe ends, which has a deadline. */
static void wait_for_probe(struct client *c)
{
	client_wait_for(c, 0);
	ev_timer_stop(c->host->loop, &c->idle);
}

static void run_command(struct client *c)
{
	struct client_host *host = c->host;
	char *command = c->next, *semicolon = strchr(command, ';');

	c->next = NULL;
	if (semicolon) {
		*semicolon = '\0';
		c->next = semicolon + 1;
		if (!c->next[strspn(c->next, " \t\r")])
			c->next = NULL;
	}
	operators_update(&host->operators, &host->env.model->config->control);
	c->caller.who = operators_name(&host->operators, c->uid);
	commands_run(&host->env, &c->caller, command, &c->out);
	if (c->caller.probe)
		wait_for_probe(c);
	else if (!c->caller.parts)
		end_command(c);
}

static void forget_parts(struct client *c)
{
	free(c->caller.parts_ctx);
	c->caller.parts = NULL;
	c->caller.parts_ctx = NULL;
}

static void next_part(struct client *c)
{
	bool more = c->caller.parts(&c->host->env, c->caller.parts_ctx, &c->out);

	restart_idle(c);
	if (more && !c->out.failed)
		return;
	forget_parts(c);
	commands_end_reply(&c->caller, &c->out);
	end_command(c);
}

static void resume(struct caller *caller, const char *reply)
{
	struct client *c = (struct client *)((char *)caller - offsetof(struct client, caller));

	buf_printf(&c->out, "%s\n", reply);
	commands_end_reply(caller, &c->out);
	end_command(c);
	client_wait_for(c, EV_WRITE);
}

/*
 * recv(), and the one descriptor that may come along. The kernel closes further ones, because the room is exact:
 * CMSG_SPACE() would have room for a second one, which would never be closed.
 */
static ssize_t receive(struct client *c, void *to, size_t size)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = to, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = CMSG_LEN(sizeof(int))};
	ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(sizeof(int)))
		return n;
	if (c->caller.fd >= 0)
		close(c->caller.fd);
	memcpy(&c->caller.fd, CMSG_DATA(header), sizeof(c->caller.fd));
	return n;
}

static void client_take_bytes(struct client *c)
{
	ssize_t n = receive(c, c->in + c->in_len, sizeof(c->in) - c->in_len);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			c->eof = true;
		return;
	}
	if (n == 0)
		c->eof = true;
	for (ssize_t i = 0; i < n; i++) {
		unsigned char byte = c->in[c->in_len + i];

		if ((byte < ' ' || byte > '~') && !strchr("\t\r\n", byte ? byte : 1)) {
			client_refuse(c, "Invalid character in the command line.");
			return;
		}
	}
	c->in_len += n;
	if (c->in_len == sizeof(c->in) && !memchr(c->in, '\n', c->in_len))
		client_refuse(c, "The command line is too long.");
}

/* False when the peer is gone. */
static bool give_bytes(struct client *c)
{
	ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	buf_consume(&c->out, n);
	if (!c->out.len) { /* an idle client keeps no memory of its last reply */
		buf_free(&c->out);
		c->out = (struct buf){.cap = CLIENT_UNREAD_MAX};
	}
	restart_idle(c);
	return true;
}

/*
 * All clients together use at most CLIENT_TURN_S and one command per turn, because the loop has probes to start. A
 * client that did not get its turn stays ready.
 */
static bool turn_is_spent(struct client_host *host)
{
	bool first = host->turn != ev_iteration(host->loop);

	host->turn = ev_iteration(host->loop);
	return !first && ev_time() - ev_now(host->loop) > CLIENT_TURN_S;
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
	struct client *c = io->data;

	(void)loop;
	if (turn_is_spent(c->host))
		return;
	if (events & EV_READ)
		client_take_bytes(c);
	if (!c->done && !c->out.len && c->caller.parts)
		next_part(c);
	else if (!c->done && !c->out.len && (c->line_len || begin_line(c)))
		run_command(c);
	if (c->caller.probe)
		return;
	if (c->out.len && !give_bytes(c)) {
		client_end(c);
		return;
	}
	if (c->out.len)
		client_wait_for(c, EV_WRITE);
	else if (c->done)
		client_end(c);
	else if (c->line_len || memchr(c->in, '\n', c->in_len))
		client_wait_for(
			c,
			EV_WRITE); /* writable at once: the next command in the loop's next turn */
	else if (c->eof)
		client_end(c);
	else
		client_wait_for(c, EV_READ);
}

static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	client_end(timer->data);
}

int client_new(struct client_host *host, int fd, struct client **out)
{
	struct client *c = calloc(1, sizeof(*c));
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->host = host;
	c->fd = fd;
	c->uid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) ? (uid_t)-1 : peer.uid;
	c->caller.idle_s = COMMANDS_IDLE_S;
	c->caller.fd = -1;
	c->caller.resume = resume;
	c->out.cap = CLIENT_UNREAD_MAX;
	ev_io_init(&c->io, on_ready, fd, EV_READ);
	c->io.data = c;
	client_wait_for(c, EV_READ);
	ev_init(&c->idle, on_idle);
	c->idle.data = c;
	restart_idle(c);
	*out = c;
	return 0;
}

uint64_t client_idle_since(const struct client *c)
{
	bool busy = c->line_len || c->out.len || memchr(c->in, '\n', c->in_len);
	/* If the whole reply is in the socket's buffer: the next command waits until there is room. */
	bool stuck = !c->caller.probe && ev_now(c->host->loop) - c->act_time > CLIENT_STUCK_S;

	return busy && !stuck ? UINT64_MAX : c->last_act;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	if (c->caller.probe)
		c->host->env.cb.probe_stop(c->host->env.cb.ctx, c->caller.probe);
	forget_parts(c);
	ev_io_stop(c->host->loop, &c->io);
	ev_timer_stop(c->host->loop, &c->idle);
	close(c->fd);
	if (c->caller.fd >= 0)
		close(c->caller.fd);
	buf_free(&c->out);
	free(c);
}
