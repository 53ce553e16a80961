/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds mxlbd and reads what it says. */
#include "ctl/mxlbd_run.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void mxlbd_read(int fd, struct buf *out)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) != 0) {
		if (n > 0)
			buf_append(out, bytes, (size_t)n);
		else if (errno != EINTR)
			return;
	}
}

int mxlbd_run(const char *path, char *const argv[], char *const envp[], int said_on,
	      struct buf *out)
{
	posix_spawn_file_actions_t files;
	int pipe_fds[2], err, status = 0;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&files);
	if (said_on != STDOUT_FILENO)
		posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, pipe_fds[1], said_on);
	err = posix_spawn(&pid, path, &files, NULL, argv, envp);
	posix_spawn_file_actions_destroy(&files);
	close(pipe_fds[1]);
	if (!err)
		mxlbd_read(pipe_fds[0], out);
	close(pipe_fds[0]);
	while (!err && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return err || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}
