/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks that this kernel loads mxlb's BPF program, by `mxlbd --check-load`, because another program that loads proves
 * little. Without a result from mxlbd the check counts as not done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ctl/doctor/doctor.h"
#include "ctl/mxlbd_run.h"

#define OUTPUT_MAX 16384 /* bytes of what mxlbd says; the rest is read and dropped */
#define REFUSED	   3	 /* mxlbd(8), EXIT STATUS */

/* The value of key="..." in the line event=refused, whose values have no quotes in them. The caller frees it; NULL: none. */
static char *refused_value(const char *text, const char *key)
{
	const char *line = strstr(text, "event=refused "), *at, *end;

	at = line ? strstr(line, key) : NULL;
	at = at ? at + strlen(key) : NULL;
	end = at ? strchr(at, '"') : NULL;
	return end ? strndup(at, end - at) : NULL;
}

void doctor_check_load(struct doctor *d)
{
	char *argv[] = {"mxlbd", "--check-load", NULL}, *envp[] = {NULL};
	char path[MXLBD_PATH_SIZE], *error = NULL, *advice = NULL;
	struct buf said = {.cap = OUTPUT_MAX};
	int status;

	if (!mxlbd_path(path)) {
		doctor_find(
			d, DOCTOR_NOT_CHECKED,
			json_string(
				"mxlbd is not in the directory of mxlbctl, so its BPF program was not loaded"),
			json_string("Run: mxlbd --check-load"));
		return;
	}
	status = mxlbd_run(path, argv, envp, STDERR_FILENO, &said);
	if (status > 0 && said.data) {
		error = refused_value(said.data, " error=\"");
		advice = refused_value(said.data, " advice=\"");
	}
	if (error && advice)
		doctor_find(d, DOCTOR_ERROR,
			    json_sprintf("%s can't load the BPF program: %s",
					 status == REFUSED ? "this kernel" : "mxlbd", error),
			    json_sprintf("%s. The reason in full: mxlbd --check-load", advice));
	else if (status)
		doctor_find(d, DOCTOR_NOT_CHECKED,
			    json_sprintf("%s --check-load did not give a result", path), NULL);
	free(error);
	free(advice);
	buf_free(&said);
}
