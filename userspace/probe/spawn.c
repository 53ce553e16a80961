/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting and ending the probe child, which inherits nothing (util/process.h).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "probe/spawn.h"
#include "util/process.h"

#define CHILD_FD 3

static int start(const struct bundles *bundles, int pair, int pulse, struct spawned *c)
{
	static char copies[CONFIG_MAX_PROBES][STATEFILE_PATH_SIZE];
	char *argv[CONFIG_MAX_PROBES + 3] = {"mxlbd", "--probe-child"}, *const envp[] = {NULL};
	int err;

	for (unsigned i = 0; i < bundles->n; i++)
		argv[2 + i] = (char *)bundles_source(bundles, i, copies[i]);
	/* its stdin and stdout lead nowhere */
	err = process_start(argv, envp, (int[]){-1, -1, STDERR_FILENO, pair, pulse}, CHILD_FD + 2,
			    &c->pid);
	return err ? err : process_handle(c->pid, &c->pidfd);
}

int spawn_child(const struct bundles *bundles, struct spawned *c)
{
	int pair[2], pulse, err = pulse_new(&c->pulse, &pulse);

	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		err = -errno;
		close(pulse);
		pulse_free(c->pulse);
		return err;
	}
	err = start(bundles, pair[1], pulse, c); /* closing our end of the pair ends it */
	close(pair[1]);
	close(pulse);
	c->fd = pair[0];
	if (!err)
		return 0;
	close(pair[0]);
	pulse_free(c->pulse);
	c->fd = -1;
	return err;
}

bool spawn_cpu_us(const struct spawned *c, uint64_t *us)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(c->pid, &clock) || clock_gettime(clock, &t))
		return false;
	*us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
	return true;
}

void spawn_leave(struct spawned *c)
{
	close(c->fd);
	c->fd = -1;
}

void spawn_kill(const struct spawned *c)
{
	pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
}

void spawn_reap(struct spawned *c, char *how, size_t size)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED))
		snprintf(how, size, "unknown"); /* libev's default loop was faster */
	else
		process_describe(&info, how, size);
	close(c->pidfd);
	pulse_free(c->pulse);
}
