/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `mxlbctl detach`. Sent to mxlbd, which exits; if none runs, mxlbd's own binary does it by the configuration, under
 * the lock of the pins, so that a running one is never affected. A file without a socket means the file, because the
 * default socket may be another mxlbd's.
 */
#include "ctl/ctl_detach.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ctl/mxlbd_run.h"

#define DEFAULT_FILE "/etc/mxlb/mxlb.yaml"

static enum ctl_exit detach_left(const struct ctl *ctl)
{
	char path[MXLBD_PATH_SIZE], file[4096];
	char *argv[] = {"mxlbd", "--detach", "-c", file, NULL};
	int err, status;
	pid_t pid;

	if (!mxlbd_path(path))
		return ctl_failed(ctl, "cannot find mxlbd in the directory of mxlbctl\n");
	snprintf(file, sizeof(file), "%s", ctl->file ? ctl->file : DEFAULT_FILE);
	err = posix_spawn(&pid, path, NULL, NULL, argv, environ);
	if (err)
		return ctl_failed(ctl, strerror(err));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return ctl_failed(ctl, strerror(errno));
	return WIFEXITED(status) && !WEXITSTATUS(status)
		       ? CTL_DONE
		       : ctl_failed(ctl, "mxlbd --detach failed\n");
}

static enum ctl_exit detach_running(const struct ctl *ctl)
{
	struct buf reply = {0};
	enum ctl_exit rc = link_ask(ctl->socket, "detach", &reply);

	if (!rc && reply.len)
		rc = ctl_refused(ctl, reply.data);
	buf_free(&reply);
	return rc;
}

enum ctl_exit detach_run(const struct ctl *ctl, char **args)
{
	bool by_file = (ctl->file && !ctl->socket_given) || link_is_dead(ctl->socket);
	enum ctl_exit rc = by_file ? detach_left(ctl) : detach_running(ctl);

	(void)args;
	if (!rc)
		puts(ctl->json ? "{\"result\": \"done\"}"
			       : "detached: the kernel forwards no mail any more");
	return rc;
}
