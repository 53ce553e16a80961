/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides when the pinned maps are read instead of asking mxlbd: if no process listens at the socket of the
 * configuration, and for root only, because no other user may read pinned maps. Refuses to guess: a socket that is not
 * the configuration's is another mxlbd's.
 */
/*
 * Decides when the pinned maps are read instead of asking mxlbd: no process listens at the socket of the configuration, and this is root,
 * who alone may read what is pinned. Refuses to guess: a socket that is not the configuration's is another mxlbd's.
 */
#include "ctl/pinned.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "conf/conf.h"

#define DEFAULT_FILE "/etc/mxlb/mxlb.yaml"
#define REPLY_MAX    (64 * 1024 * 1024)

bool mxlbd_path(char path[MXLBD_PATH_SIZE])
{
	static const char *const places[] = {"mxlbd", "../sbin/mxlbd"};
	char own[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	if (len <= 0)
		return false;
	own[len] = '\0';
	slash = strrchr(own, '/');
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, MXLBD_PATH_SIZE, "%.*s%s", (int)(slash + 1 - own), own, places[i]);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static void read_all(int fd, struct buf *out)
{
	char bytes[65536];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) != 0) {
		if (n > 0)
			buf_append(out, bytes, (size_t)n);
		else if (errno != EINTR)
			return;
	}
}

/* Its exit status; -1: it could not be run. What it says on stderr is shown. */
static int run(const char *path, char *const argv[], struct buf *out)
{
	posix_spawn_file_actions_t files;
	int pipe_fds[2], err, status = 0;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, pipe_fds[1], STDOUT_FILENO);
	err = posix_spawn(&pid, path, &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	close(pipe_fds[1]);
	if (!err)
		read_all(pipe_fds[0], out);
	close(pipe_fds[0]);
	while (!err && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return err || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}

/* By the file: its socket. False: it can't be read. */
static bool socket_of(const char *file, char *path, size_t size)
{
	struct config *config = NULL;
	struct buf errors = {0};
	bool good = !access(file, R_OK) && !conf_load(file, NULL, &config, &errors);

	if (good)
		snprintf(path, size, "%s", config->control.socket);
	config_free(config);
	buf_free(&errors);
	return good;
}

/* 0: the reply is there. */
static int ask_pinned(const char *file, const char *command, struct buf *reply)
{
	char path[MXLBD_PATH_SIZE], *words = strdup(command), *name = strdup(file);
	char *argv[] = {"mxlbd", "-c", name, "--pinned", words, NULL};
	int rc = -1;

	reply->cap = REPLY_MAX;
	if (words && name && mxlbd_path(path))
		rc = run(path, argv, reply);
	free(words);
	free(name);
	if (rc || reply->failed || !reply->len)
		return -1;
	reply->data[--reply->len] = '\0'; /* the empty line */
	return 0;
}

enum ctl_exit pinned_ask(const struct ctl *ctl, const char *command, struct buf *reply,
			 bool *stopped)
{
	const char *file = ctl->file ? ctl->file : DEFAULT_FILE, *asked = ctl->socket;
	char of_file[CONFIG_PATH_SIZE] = "";
	int err;

	*stopped = false;
	if (ctl->file && !socket_of(file, of_file, sizeof(of_file))) {
		fprintf(stderr, "mxlbctl: %s: no valid configuration: mxlbd -t -c %s says why\n",
			file, file);
		return CTL_REFUSED;
	}
	if (ctl->file && !ctl->socket_given)
		asked = of_file;
	err = link_try(asked, command, reply);
	if (err != -ENOENT && err != -ECONNREFUSED)
		return err ? link_complain(asked, err, LINK_WAIT_S) : CTL_DONE;
	/* an answering mxlbd is not kept waiting for a file that nobody has named */
	if (!ctl->file &&
	    (!socket_of(file, of_file, sizeof(of_file)) || strcmp(asked, of_file) != 0))
		return link_complain(asked, err, LINK_WAIT_S);
	if (geteuid()) {
		fputs("mxlbctl: as root this shows what the kernel goes on with\n", stderr);
		return link_complain(asked, err, LINK_WAIT_S);
	}
	if (ask_pinned(file, command, reply))
		return link_complain(asked, err, LINK_WAIT_S);
	fputs("mxlbctl: mxlbd is not running: this is read from the kernel. Connections and\n"
	      "  counters are as of now, verdicts as of its end; systemctl start mxlb\n",
	      stderr);
	*stopped = true;
	return CTL_DONE;
}
