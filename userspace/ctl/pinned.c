/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides when the pinned maps are read instead of asking mxlbd: if no process listens at the socket of the
 * configuration, and for root only, because no other user may read pinned maps. Refuses to guess: a socket that is not
 * the configuration's is another mxlbd's.
 */
#include "ctl/pinned.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf/conf.h"
#include "ctl/mxlbd_run.h"

#define DEFAULT_FILE "/etc/mxlb/mxlb.yaml"
#define REPLY_MAX    (64 * 1024 * 1024)
#define STATE_DIR    "/var/lib/mxlb" /* of the unit: servers from DNS are there */

/* By the file: its socket. False: it can't be read. */
static bool socket_of(const char *file, char *path, size_t size)
{
	struct config *config = NULL;
	struct buf errors = {0};
	bool good = !access(file, R_OK) && !conf_load(file, NULL, &config, &errors);

	if (good)
		snprintf(path, size, "%s", config->control.socket);
	config_free(config);
	buf_free(&errors);
	return good;
}

/* 0: the reply is there. */
static int ask_pinned(const char *file, const char *command, struct buf *reply)
{
	char path[MXLBD_PATH_SIZE], *words = strdup(command), *name = strdup(file);
	char *argv[] = {"mxlbd", "-c", name, "--pinned", words, NULL};
	int rc = -1;

	reply->cap = REPLY_MAX;
	setenv("STATE_DIRECTORY", STATE_DIR, 0);
	if (words && name && mxlbd_path(path))
		rc = mxlbd_run(path, argv, environ, STDOUT_FILENO, reply);
	free(words);
	free(name);
	if (rc || reply->failed || !reply->len)
		return -1;
	reply->data[--reply->len] = '\0'; /* the empty line */
	return 0;
}

enum ctl_exit pinned_ask(const struct ctl *ctl, const char *command, struct buf *reply,
			 bool *stopped)
{
	const char *file = ctl->file ? ctl->file : DEFAULT_FILE, *asked = ctl->socket;
	char of_file[CONFIG_PATH_SIZE] = "";
	int err;

	*stopped = false;
	if (ctl->file && !socket_of(file, of_file, sizeof(of_file))) {
		fprintf(stderr,
			"mxlbctl: %s: no valid configuration: mxlbd -t -c %s shows the errors\n",
			file, file);
		return CTL_REFUSED;
	}
	if (ctl->file && !ctl->socket_given)
		asked = of_file;
	err = link_try(asked, command, reply);
	if (err != -ENOENT && err != -ECONNREFUSED)
		return err ? link_complain(asked, err, LINK_WAIT_S) : CTL_DONE;
	/* a file that was not given is read only if mxlbd does not answer */
	if (!ctl->file &&
	    (!socket_of(file, of_file, sizeof(of_file)) || strcmp(asked, of_file) != 0))
		return link_complain(asked, err, LINK_WAIT_S);
	if (geteuid()) {
		fputs("mxlbctl: run as root, this shows how the kernel continues to forward\n",
		      stderr);
		return link_complain(asked, err, LINK_WAIT_S);
	}
	if (ask_pinned(file, command, reply))
		return link_complain(asked, err, LINK_WAIT_S);
	fputs("mxlbctl: mxlbd is not running: this is read from the kernel. Connections and\n"
	      "  counters are current, verdicts are those at its end; systemctl start mxlb\n",
	      stderr);
	*stopped = true;
	return CTL_DONE;
}
