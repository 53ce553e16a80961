/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting and ending the probe child, which inherits nothing (util/process.h).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "probe/spawn.h"
#include "util/process.h"

#define CHILD_FD 3

int spawn_child(const struct bundles *bundles, struct spawned *c)
{
	char *argv[CONFIG_MAX_PROBES + 3] = {"mxlbd", "--probe-child"}, *const envp[] = {NULL};
	int pair[2], err;
	pid_t pid;

	for (unsigned i = 0; i < bundles->n; i++)
		argv[2 + i] = (char *)bundles->paths[i];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	/* its stdin and stdout lead nowhere; the pair's other end is CHILD_FD. Closing ours ends it */
	err = process_start(argv, envp, (int[]){-1, -1, STDERR_FILENO, pair[1]}, CHILD_FD + 1,
			    &pid);
	close(pair[1]);
	if (!err)
		err = process_handle(pid, &c->pidfd);
	c->fd = pair[0];
	if (!err)
		return 0;
	close(pair[0]);
	c->fd = -1;
	return err;
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
		process_describe(&info, how, size);
	close(c->pidfd);
}
