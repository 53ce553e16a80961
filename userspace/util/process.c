/* SPDX-License-Identifier: BSD-2-Clause */
#include "util/process.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

static void pass_files(posix_spawn_file_actions_t *files, const int *fds, int n_fds)
{
	for (int i = 0; i < n_fds; i++)
		if (fds[i] < 0)
			posix_spawn_file_actions_addopen(files, i, "/dev/null", O_RDWR, 0);
		else
			posix_spawn_file_actions_adddup2(files, fds[i], i);
	posix_spawn_file_actions_addclosefrom_np(files, n_fds);
}

static void reset_signals(posix_spawnattr_t *attr)
{
	sigset_t all, none;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setpgroup(attr, 0);
}

int process_start(char *const argv[], char *const envp[], const int *fds, int n_fds, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int err;

	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	pass_files(&files, fds, n_fds);
	reset_signals(&attr);
	/* the file we run from, even when an upgrade has replaced it by name */
	err = posix_spawn(pid, "/proc/self/exe", &files, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

int process_handle(pid_t pid, int *pidfd)
{
	int err;

	*pidfd = pidfd_open(pid, 0);
	if (*pidfd >= 0)
		return 0;
	err = -errno;
	kill(-pid, SIGKILL); /* what it has started, too: the group is its own until it is reaped */
	waitpid(pid, NULL, 0);
	return err;
}

void process_describe(const siginfo_t *info, char *how, size_t size)
{
	if (info->si_code == CLD_EXITED)
		snprintf(how, size, "exit %d", info->si_status);
	else if (info->si_status == SIGSYS)
		snprintf(how, size, "killed by SIGSYS"); /* it left a seccomp filter's list */
	else
		snprintf(how, size, "signal %d", info->si_status);
}

const char *process_remedy(int err)
{
	return err == -EMFILE ? "raise LimitNOFILE= in the unit of mxlbd and restart it"
	       : err == -ENFILE
		       ? "raise the limit of open files of this machine (sysctl fs.file-max)"
		       : "";
}
