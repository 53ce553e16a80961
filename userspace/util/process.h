/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs our own binary as a child process. It inherits only the descriptors that it is given: no environment, no signal
 * dispositions, not the terminal's process group, but a new one.
 */
#ifndef MXLB_PROCESS_H
#define MXLB_PROCESS_H

#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * argv[0] is a name, the file is the one we run from. fds: what becomes its descriptors 0, 1 ... n - 1; -1: /dev/null; the
 * caller's stay the caller's. 0 or -errno.
 */
int process_start(char *const argv[], char *const envp[], const int *fds, int n_fds, pid_t *pid);
/* *pidfd names the child just started and no later process. 0; or -errno, and it has been ended. */
int process_handle(pid_t pid, int *pidfd);
/* "exit 0", "signal 9", "killed by SIGSYS". */
void process_describe(const siginfo_t *info, char *how, size_t size);
/* What to do about -EMFILE and -ENFILE; "": it is another error. */
const char *process_remedy(int err);

#endif
