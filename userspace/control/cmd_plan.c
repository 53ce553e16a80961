/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `plan`: shows what a configuration would change. Its text arrives as a sealed memfd (memfd_create(2), SCM_RIGHTS):
 * the client has read the file with its own rights, reading it here cannot block, and nobody can change or shorten it
 * meanwhile. Anything else is refused. The reply begins with a line "plan" or "refused".
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "control/request.h"

#define TEXT_MAX (1024 * 1024)
#define SEALS	 (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

static int read_sealed(int fd, struct buf *text)
{
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	char bytes[16384];
	ssize_t n;

	text->cap = TEXT_MAX;
	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EBADF;
	for (off_t at = 0; (n = pread(fd, bytes, sizeof(bytes), at)) != 0; at += n) {
		if (n < 0)
			return -errno;
		buf_append(text, bytes, n);
		if (text->failed)
			return -EFBIG;
	}
	return 0;
}

void plan_run(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	const char *name = r->n_args ? r->args[0] : "plan";
	struct buf text = {0}, lines = {0};
	int rc = read_sealed(r->caller->fd, &text);

	if (rc == -EBADF)
		buf_printf(&lines, "%s: expects a sealed memfd with the configuration\n", name);
	else if (rc)
		buf_printf(&lines, "%s: %s\n", name, strerror(-rc));
	else
		rc = cb->plan(cb->ctx, name, &text, &lines);
	if (rc && !lines.len)
		buf_printf(&lines, "%s: %s\n", name, strerror(-rc));
	buf_printf(r->out, "%s\n", rc ? "refused" : "plan");
	command_append_lines(r->out, lines.data);
	buf_free(&text);
	buf_free(&lines);
}
