/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests and prints a plan. Changes nothing. */
#include "ctl/ctl_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "util/buf.h"

#define NAME_MAX_SIZE 200 /* of a name that can be said on a command line as it is */

/* The descriptor or -errno. */
static int sealed(const struct buf *text)
{
	int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;
	size_t done = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (done < text->len && (n = write(fd, text->data + done, text->len - done)) > 0)
		done += n;
	if (done == text->len &&
	    !fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

static bool is_plain(const char *name)
{
	if (!*name || strlen(name) > NAME_MAX_SIZE)
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name > '~' || *name == ';')
			return false;
	return true;
}

static void print_lines(const struct ctl *ctl, char *lines)
{
	json_t *list = json_array();
	char *line, *rest = NULL;

	for (line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		json_array_append_new(list, json_string(line));
	if (ctl->json)
		ctl_print_json(list);
	else if (!json_array_size(list))
		puts("nothing would change");
	for (size_t i = 0; !ctl->json && i < json_array_size(list); i++) {
		ctl_print_lines(stdout, json_string_value(json_array_get(list, i)));
		putchar('\n');
	}
	json_decref(list);
}

/* The first line says which: "plan", or "refused" and why. */
static enum ctl_exit ctl_plan_show(const struct ctl *ctl, char *reply)
{
	char *lines = strchr(reply, '\n');

	if (!strncmp(reply, "plan\n", 5)) {
		print_lines(ctl, lines + 1);
		return CTL_DONE;
	}
	return ctl_refused(ctl, !strncmp(reply, "refused\n", 8) ? lines + 1 : reply);
}

enum ctl_exit plan_ask(const struct ctl *ctl, const char *file, const struct buf *text)
{
	char command[NAME_MAX_SIZE + 16];
	struct buf reply = {0};
	int fd = sealed(text);
	enum ctl_exit rc;

	if (fd < 0) {
		fprintf(stderr, "mxlbctl: %s\n", strerror(-fd));
		return CTL_REFUSED;
	}
	snprintf(command, sizeof(command), "plan %s", is_plain(file) ? file : "FILE");
	rc = link_ask_with(ctl->socket, command, fd, &reply);
	close(fd);
	if (!rc)
		rc = ctl_plan_show(ctl, reply.data);
	buf_free(&reply);
	return rc;
}
