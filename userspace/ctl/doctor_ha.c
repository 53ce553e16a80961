/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of this box as one of several: what keepalived and mxlbd share. Nothing is wrong where there is no `ha` section. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "ctl/doctor.h"
#include "ctl/text.h"

/* NULL: keepalived does not decide here. */
static const json_t *by_keepalived(struct doctor *d)
{
	const json_t *ha = json_object_get(d->config, "ha");

	return !strcmp(field_text(ha, "role"), "keepalived") ? ha : NULL;
}

static void check_fifo(struct doctor *d)
{
	const json_t *ha = by_keepalived(d);
	const char *path = field_text(ha, "fifo");
	struct stat st;

	if (!ha)
		return;
	if (lstat(path, &st))
		doctor_find(
			d, DOCTOR_ERROR, json_sprintf("%s: %s", path, strerror(errno)),
			json_string(
				"Install mxlb-ha.tmpfiles as /etc/tmpfiles.d/mxlb-ha.conf, run systemd-tmpfiles "
				"--create, then restart keepalived."));
	else if (!S_ISFIFO(st.st_mode))
		doctor_find(
			d, DOCTOR_ERROR, json_sprintf("%s is not a FIFO", path),
			json_string(
				"Remove it, run systemd-tmpfiles --create, then restart keepalived."));
	else if (json_is_true(json_object_get(json_object_get(d->status, "ha"), "keepalived_lost")))
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf("%s has no writer: keepalived does not run", path),
			json_string(
				"systemctl status keepalived; keepalived.conf needs vrrp_notify_fifo and an "
				"existing script_user."));
}

static void check_priority_file(struct doctor *d)
{
	const json_t *ha = by_keepalived(d);
	const char *path = field_text(ha, "priority-file");
	struct stat st;

	if (ha && d->status && stat(path, &st))
		doctor_find(
			d, DOCTOR_ERROR, json_sprintf("%s: %s", path, strerror(errno)),
			json_string(
				"keepalived cannot compare the machines: make the directory writable for the user "
				"mxlb (mxlb-ha.tmpfiles)."));
}

const struct doctor_check doctor_ha_checks[] = {
	{"fifo", "keepalived's FIFO is there and has a writer, or none is needed", NEEDS_CONFIG,
	 check_fifo},
	{"priority-file", "what keepalived compares is there, or is not needed", NEEDS_CONFIG,
	 check_priority_file},
	{.name = NULL},
};
