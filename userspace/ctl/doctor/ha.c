/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of this box as one of several: what keepalived and mxlbd share. Nothing is wrong where there is no `ha` section. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "ctl/doctor/doctor.h"
#include "ctl/nl.h"
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
				"Run systemd-tmpfiles --create mxlb-ha.conf (of the package, or "
				"scripts/ha/mxlb-ha.tmpfiles), then restart keepalived."));
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

static bool is_advertised(struct doctor *d, const char *service)
{
	const json_t *route;
	size_t i;

	json_array_foreach (json_object_get(json_object_get(d->status, "ha"), "routes"), i, route) {
		if (!strcmp(field_text(route, "service"), service))
			return !strcmp(field_text(route, "state"), "advertised");
	}
	return false;
}

static void judge_route(struct doctor *d, const char *name, const json_t *service)
{
	const json_t *route = json_object_get(json_object_get(d->config, "ha"), "route");
	uint32_t table = (uint32_t)field_number(route, "table");
	struct addr vip;
	bool there;

	if (strcmp(field_text(service, "advertise"), "route"))
		return;
	if (is_advertised(d, name) && doctor_address(service, "address", &vip) &&
	    !nl_host_route(&vip, table, &there) && !there)
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf("table %u has no route to the VIP of %s", table, name),
			json_sprintf(
				"Check the interface (ip link show dev %s): if it goes down, the kernel removes its routes.",
				field_text(service, "interface")));
	if (!doctor_runs_here("bird") && !doctor_runs_here("bgpd"))
		doctor_find(
			d, DOCTOR_WARNING,
			json_sprintf(
				"%s has advertise: route, but neither BIRD nor FRR's bgpd runs here",
				name),
			json_string(
				"Start what announces the VIP to the routers; scripts/ha has examples."));
}

/* By what announces it, and in the kernel's table. */
static void check_route(struct doctor *d)
{
	doctor_each_service(d, judge_route);
}

const struct doctor_check doctor_ha_checks[] = {
	{"fifo", "keepalived's FIFO is there and has a writer, or none is needed", NEEDS_CONFIG,
	 check_fifo},
	{"priority-file", "the number that keepalived compares is there, or is not needed",
	 NEEDS_CONFIG, check_priority_file},
	{"route", "the routes for BIRD or FRR are in their table, or there are none", NEEDS_CONFIG,
	 check_route},
	{.name = NULL},
};
