/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks that this kernel loads mxlb's BPF program, by `mxlbd --check-load`, because another program that loads proves
 * little. Without a result from mxlbd the check counts as not done.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ctl/doctor/doctor.h"
#include "ctl/pinned.h"

#define OUTPUT_MAX 16384 /* bytes of what mxlbd says; the rest is read and dropped */
#define REFUSED	   3	 /* mxlbd(8), EXIT STATUS */

static void read_all(int fd, char *text)
{
	char rest[512];
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 || (n < 0 && errno == EINTR)) {
		bool room = len < OUTPUT_MAX - 1;

		n = read(fd, room ? text + len : rest, room ? OUTPUT_MAX - 1 - len : sizeof(rest));
		if (room && n > 0)
			len += n;
	}
	text[len] = '\0';
}

/* Its exit status and what it says on stderr; -1: it could not be run. */
static int check_load(const char *path, char *text)
{
	char *argv[] = {"mxlbd", "--check-load", NULL}, *envp[] = {NULL};
	posix_spawn_file_actions_t files;
	int pipe_fds[2], err, status = 0;
	pid_t pid;

	*text = '\0';
	if (pipe2(pipe_fds, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, pipe_fds[1], STDERR_FILENO);
	err = posix_spawn(&pid, path, &files, NULL, argv, envp);
	posix_spawn_file_actions_destroy(&files);
	close(pipe_fds[1]);
	if (!err)
		read_all(pipe_fds[0], text);
	close(pipe_fds[0]);
	while (!err && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return err || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}

/* The value of key="..." in the line event=refused, whose values have no quotes in them. The caller frees it; NULL: none. */
static char *refused_value(const char *text, const char *key)
{
	const char *line = strstr(text, "event=refused "), *at, *end;

	at = line ? strstr(line, key) : NULL;
	at = at ? at + strlen(key) : NULL;
	end = at ? strchr(at, '"') : NULL;
	return end ? strndup(at, end - at) : NULL;
}

void doctor_check_load(struct doctor *d)
{
	char path[MXLBD_PATH_SIZE], *text, *error, *advice;
	int status;

	if (!mxlbd_path(path)) {
		doctor_find(
			d, DOCTOR_NOT_CHECKED,
			json_string(
				"mxlbd is not beside mxlbctl, so its BPF program was not loaded"),
			json_string("Run: mxlbd --check-load"));
		return;
	}
	text = malloc(OUTPUT_MAX);
	status = text ? check_load(path, text) : -1;
	error = status > 0 ? refused_value(text, " error=\"") : NULL;
	advice = status > 0 ? refused_value(text, " advice=\"") : NULL;
	if (error && advice)
		doctor_find(d, DOCTOR_ERROR,
			    json_sprintf("%s can't load the BPF program: %s",
					 status == REFUSED ? "this kernel" : "mxlbd", error),
			    json_sprintf("%s. The reason in full: mxlbd --check-load", advice));
	else if (status)
		doctor_find(d, DOCTOR_NOT_CHECKED,
			    json_sprintf("%s --check-load did not give a result", path), NULL);
	free(error);
	free(advice);
	free(text);
}
