/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket's file: binds it, sets its permissions, removes it. Replaces nothing but a socket on which nobody
 * listens. The directory is trusted (root's, 0755), because anyone who can write to it can replace files anyway.
 */
#include "control/listen.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "util/log.h"

#define LISTEN_BACKLOG 64

static int fail(const char *path, int err, const char *what)
{
	char quoted[2 * CONFIG_SOCKET_SIZE];

	log_quote(path, strlen(path), quoted, sizeof(quoted));
	log_error("event=control_socket_failed path=\"%s\" error=\"%s: %s\"", quoted, what,
		  strerror(err));
	return -err;
}

static int fail_directory(const char *dir, int err)
{
	char quoted[2 * CONFIG_SOCKET_SIZE];

	log_quote(dir, strlen(dir), quoted, sizeof(quoted));
	log_error(
		"event=refused what=\"directory %s of the control socket\" error=\"cannot be made: %s\" "
		"advice=\"mkdir -p %s, or set control.socket to another path\"",
		quoted, strerror(err), quoted);
	return -err;
}

static struct sockaddr_un socket_address(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	return sun;
}

/* The umask does not apply: the group must be able to enter the directory. */
static int make_directory(const char *path)
{
	char dir[CONFIG_SOCKET_SIZE];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, 0755)) {
		if (errno == EEXIST)
			return 0;
		return fail_directory(dir, errno);
	}
	if (chmod(dir, 0755))
		return fail(path, errno, "its directory's mode cannot be set");
	return 0;
}

/* 0: no listener; -EADDRINUSE: a process listens; otherwise the error of the test. */
static int probe_owner(const char *path)
{
	struct sockaddr_un sun = socket_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) ? errno : 0;
	close(fd);
	switch (err) {
	case ECONNREFUSED:
	case ENOENT:
		return 0;
	case 0:
	case EAGAIN:	 /* its backlog is full: a process listens */
	case EPROTOTYPE: /* a socket of another type */
		return -EADDRINUSE;
	default:
		return -err;
	}
}

/* Makes room for bind(): removes a dead socket, and nothing else. */
static int clear_place(const char *path)
{
	struct stat st;
	int rc;

	if (lstat(path, &st)) /* not stat(): symbolic links are not followed */
		return errno == ENOENT ? 0 : fail(path, errno, "cannot be looked at");
	if (!S_ISSOCK(st.st_mode))
		return fail(path, EEXIST,
			    "something that is not a socket is in its place; remove it");
	rc = probe_owner(path);
	if (rc == -EADDRINUSE)
		return fail(path, EADDRINUSE, "another process listens there (a second mxlbd?)");
	if (rc)
		return fail(path, -rc, "cannot tell whether it is in use");
	if (unlink(path) && errno != ENOENT)
		return fail(path, errno, "the dead socket in its place cannot be removed");
	return 0;
}

static void admit_group(const char *path, const char *name)
{
	struct group group, *found = NULL;
	char strings[16384], quoted[2 * CONFIG_NAME_SIZE];
	const char *error = NULL;

	log_quote(name, strlen(name), quoted, sizeof(quoted));
	if (!*name || getgrnam_r(name, &group, strings, sizeof(strings), &found) || !found)
		error = "no such group";
	else if (lchown(path, (uid_t)-1, group.gr_gid) || chmod(path, 0660))
		error = strerror(errno);
	if (error)
		log_warn("event=control_group_failed group=\"%s\" error=\"%s\" mode=0600", quoted,
			 error);
}

static int bind_and_listen(const struct control_conf *conf, struct listen_socket *s)
{
	struct sockaddr_un sun = socket_address(conf->socket);
	struct stat st;
	mode_t old;
	int rc;

	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return fail(conf->socket, errno, "no socket");
	old = umask(0177); /* nobody can connect before the group is set */
	rc = bind(s->fd, (struct sockaddr *)&sun, sizeof(sun)) ? errno : 0;
	umask(old);
	if (rc)
		return fail(conf->socket, rc, "cannot be bound");
	snprintf(s->path, sizeof(s->path), "%s", conf->socket);
	if (!lstat(s->path, &st)) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
	admit_group(s->path, conf->group);
	if (listen(s->fd, LISTEN_BACKLOG))
		return fail(conf->socket, errno, "cannot be listened on");
	return 0;
}

int listen_open(const struct control_conf *conf, struct listen_socket *out)
{
	int rc;

	*out = (struct listen_socket){.fd = -1};
	rc = make_directory(conf->socket);
	if (!rc)
		rc = clear_place(conf->socket);
	if (!rc)
		rc = bind_and_listen(conf, out);
	if (rc)
		listen_close(out);
	return rc;
}

void listen_close(struct listen_socket *s)
{
	struct stat st;

	if (s->path[0] && !lstat(s->path, &st) && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct listen_socket){.fd = -1};
}
