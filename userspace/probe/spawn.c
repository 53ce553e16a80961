/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting and ending the probe child. Refuses to let it inherit anything: no descriptor, no environment, no signal
 * disposition, no place in the terminal's process group.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "probe/spawn.h"

#define CHILD_FD 3

static int run(int fd, const struct bundles *bundles, pid_t *pid)
{
	char *argv[CONFIG_MAX_PROBES + 3] = {"mxlbd", "--probe-child"}, *const envp[] = {NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int err;

	for (unsigned i = 0; i < bundles->n; i++)
		argv[2 + i] = (char *)bundles->paths[i];
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_adddup2(&files, fd, CHILD_FD);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&files, CHILD_FD + 1);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setpgroup(&attr, 0);
	/* the file we run from, even when an upgrade has replaced it by name */
	err = posix_spawn(pid, "/proc/self/exe", &files, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

int spawn_child(const struct bundles *bundles, struct spawned *c)
{
	int pair[2], err;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	err = run(pair[1], bundles, &pid);
	close(pair[1]);
	if (!err) {
		c->fd = pair[0];
		c->pidfd = pidfd_open(pid, 0);
		if (c->pidfd >= 0)
			return 0;
		err = -errno; /* closing its socket ends it */
	}
	close(pair[0]);
	c->fd = -1;
	return err;
}

static void describe(const siginfo_t *info, char *how, size_t size)
{
	if (info->si_code == CLD_EXITED)
		snprintf(how, size, "exit %d", info->si_status);
	else if (info->si_status == SIGSYS)
		snprintf(how, size, "killed by SIGSYS"); /* sandbox.c: it left the allow-list */
	else
		snprintf(how, size, "signal %d", info->si_status);
}

void spawn_end(struct spawned *c, int grace_ms, char *how, size_t size)
{
	struct pollfd ended = {.fd = c->pidfd, .events = POLLIN};
	siginfo_t info = {0};

	close(c->fd);
	c->fd = -1;
	if (poll(&ended, 1, grace_ms) != 1)
		pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
	if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED))
		snprintf(how, size, "unknown"); /* libev's default loop was faster */
	else
		describe(&info, how, size);
	close(c->pidfd);
}
