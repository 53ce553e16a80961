/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection to mxlbd. Waits and reply sizes are limited. */
#include "ctl/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLY_MAX (16 * 1024 * 1024)

enum ctl_exit link_complain(const char *path, int err, unsigned wait_s)
{
	switch (-err) {
	case ENOENT:
	case ECONNREFUSED:
		fprintf(stderr,
			"mxlbctl: mxlbd is not running: %s: %s\n"
			"  Start it (systemctl start mxlb), or give its socket with -s.\n",
			path, strerror(-err));
		return CTL_NO_DAEMON;
	case EACCES:
	case EPERM:
		fprintf(stderr,
			"mxlbctl: %s: %s\n"
			"  Run it as root, or as a member of the group control.group.\n",
			path, strerror(-err));
		return CTL_REFUSED;
	case EAGAIN:
		fprintf(stderr, "mxlbctl: mxlbd does not answer on %s: nothing within %u s\n", path,
			wait_s);
		return CTL_NO_DAEMON;
	default:
		fprintf(stderr, "mxlbctl: %s: %s\n", path, strerror(-err));
		return CTL_NO_DAEMON;
	}
}

/* Blocking, but each call for wait_s at most. The descriptor or -errno. */
static int link_open(const char *path, unsigned wait_s)
{
	struct timeval wait = {.tv_sec = wait_s};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun))) {
		err = errno;
		close(fd);
		return -err;
	}
	return fd;
}

/* With the first bytes goes the descriptor, where there is one. */
static ssize_t send_some(int fd, const struct buf *line, int passed)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = line->data, .iov_len = line->len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (passed >= 0) {
		control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

/* 0 or -errno. */
static int send_line(int fd, const char *command, int passed)
{
	struct buf line = {0};
	int rc = 0;

	buf_printf(&line, "%s\n", command);
	if (line.failed)
		rc = -ENOMEM;
	while (!rc && line.len) {
		ssize_t n = send_some(fd, &line, passed);

		if (n >= 0) {
			buf_consume(&line, n);
			passed = -1;
		} else if (errno != EINTR) {
			rc = -errno;
		}
	}
	buf_free(&line);
	return rc;
}

/* Reads to the end of the connection. 0 or -errno. */
static int read_reply(int fd, struct buf *reply)
{
	char bytes[65536];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			buf_append(reply, bytes, n);
		if (reply->failed)
			return -EMSGSIZE;
	}
	if (!reply->len) /* not even the empty line */
		return -ECONNRESET;
	reply->data[--reply->len] = '\0';
	return 0;
}

/* 0 or -errno. */
static int exchange(const char *socket_path, const char *command, int passed, unsigned wait_s,
		    struct buf *reply)
{
	int fd = link_open(socket_path, wait_s), rc;

	if (fd < 0)
		return fd;
	reply->cap = REPLY_MAX;
	rc = send_line(fd, command, passed);
	if (!rc)
		rc = read_reply(fd, reply);
	close(fd);
	return rc;
}

static enum ctl_exit socket_ask(const char *socket_path, const char *command, int passed,
				unsigned wait_s, struct buf *reply)
{
	int rc = exchange(socket_path, command, passed, wait_s, reply);

	return rc ? link_complain(socket_path, rc, wait_s) : CTL_DONE;
}

int link_try(const char *socket_path, const char *command, struct buf *reply)
{
	return exchange(socket_path, command, -1, LINK_WAIT_S, reply);
}

enum ctl_exit link_ask_within(const char *socket_path, const char *command, unsigned wait_s,
			      struct buf *reply)
{
	return socket_ask(socket_path, command, -1, wait_s, reply);
}

enum ctl_exit link_ask_with(const char *socket_path, const char *command, int passed,
			    struct buf *reply)
{
	return socket_ask(socket_path, command, passed, LINK_WAIT_S, reply);
}

enum ctl_exit link_ask(const char *socket_path, const char *command, struct buf *reply)
{
	return link_ask_within(socket_path, command, LINK_WAIT_S, reply);
}

bool link_is_dead(const char *socket_path)
{
	int fd = link_open(socket_path, LINK_WAIT_S);

	if (fd >= 0)
		close(fd);
	return fd == -ENOENT || fd == -ECONNREFUSED;
}
