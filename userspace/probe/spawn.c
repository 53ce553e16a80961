/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting and ending children of the same binary, which inherit nothing (util/process.h).
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

int spawn_program(char *const argv[], int extra, struct spawned *c)
{
	char *const envp[] = {NULL};
	int pair[2], err;

	c->fd = -1;
	c->pulse = NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	/* its stdin and stdout lead nowhere */
	err = process_start(argv, envp, (int[]){-1, -1, STDERR_FILENO, pair[1], extra},
			    CHILD_FD + 1 + (extra >= 0), &c->pid);
	if (!err)
		err = process_handle(c->pid, &c->pidfd);
	close(pair[1]);
	if (err)
		close(pair[0]); /* closing our end of the pair ends it */
	else
		c->fd = pair[0];
	return err;
}

int spawn_child(const struct bundles *bundles, struct spawned *c)
{
	static char copies[CONFIG_MAX_PROBES][STATEFILE_PATH_SIZE];
	char *argv[CONFIG_MAX_PROBES + 3] = {"mxlbd", "--probe-child"};
	struct pulse *pulse;
	int page, err = pulse_new(&pulse, &page);

	if (err)
		return err;
	for (unsigned i = 0; i < bundles->n; i++)
		argv[2 + i] = (char *)bundles_source(bundles, i, copies[i]);
	err = spawn_program(argv, page, c);
	close(page);
	if (err)
		pulse_free(pulse);
	else
		c->pulse = pulse;
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
