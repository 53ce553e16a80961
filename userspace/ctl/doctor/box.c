/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of the box itself: kernel, BPF, clock, and other programs that run here.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "ctl/doctor/doctor.h"
#include "ctl/text.h"
#include "mxlb/limits.h"

#define PIDS_MAX 100000

static void check_kernel(struct doctor *d)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		doctor_find(d, DOCTOR_NOT_CHECKED, json_string("the kernel's version is not known"),
			    NULL);
	else if (major < MXLB_LINUX_MAJOR ||
		 (major == MXLB_LINUX_MAJOR && minor < MXLB_LINUX_MINOR))
		doctor_find(d, DOCTOR_ERROR, json_sprintf("Linux %s is too old", u.release),
			    json_sprintf("Boot Linux %u.%u or newer.", MXLB_LINUX_MAJOR,
					 MXLB_LINUX_MINOR));
}

static void check_jit(struct doctor *d)
{
	FILE *f = fopen("/proc/sys/net/core/bpf_jit_enable", "re");
	int value = 1;

	if (!f || fscanf(f, "%d", &value) != 1)
		value = 1; /* built in permanently */
	if (f)
		fclose(f);
	if (!value)
		doctor_find(
			d, DOCTOR_WARNING,
			json_string("BPF programs are interpreted, not compiled: each packet costs "
				    "several times as much CPU time"),
			json_string("sysctl -w net.core.bpf_jit_enable=1"));
}

/* Certificates are judged, and temporary overrides expire, by this clock. */
static void check_clock(struct doctor *d)
{
	struct timex t = {0};
	struct stat st;
	int state = adjtimex(&t);

	if (!stat("/proc/self/exe", &st) && time(NULL) + 86400 < st.st_mtime)
		doctor_find(
			d, DOCTOR_ERROR,
			json_string("the clock is behind the day on which mxlb was installed: "
				    "certificates are judged wrongly"),
			json_string("Set the clock, and keep it right: apt-get install chrony"));
	else if (state == TIME_ERROR || (t.status & STA_UNSYNC))
		doctor_find(
			d, DOCTOR_WARNING, json_string("the clock is not synchronised"),
			json_string(
				"Run an NTP client (chrony, systemd-timesyncd): the validity of "
				"certificates depends on this clock."));
}

/* The first line of /proc/PID/NAME, or "". */
static const char *proc_line(const char *pid, const char *name, char *line, size_t size)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, name);
	f = fopen(path, "re");
	if (!f || !fgets(line, (int)size, f))
		*line = '\0';
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* Whether it runs in our network namespace, so that it can interfere. */
static bool shares_network(const char *pid)
{
	char path[64];
	struct stat own, its;

	snprintf(path, sizeof(path), "/proc/%.16s/ns/net", pid);
	return !stat("/proc/self/ns/net", &own) && !stat(path, &its) && own.st_ino == its.st_ino;
}

static const struct {
	const char *name, *what, *advice;
} rivals[] = {
	{"keepalived", "moves addresses and answers ARP",
	 "Check that none of mxlb's VIPs is a virtual_ipaddress or virtual_server there."},
	{"ldirectord", "sets up IPVS for its addresses",
	 "Check that it has none of mxlb's VIPs: two balancers of one address lose mail."},
	{"ucarp", "takes addresses over by CARP", "Check that it has none of mxlb's VIPs."},
	{"xdp-loader", "puts XDP programs on interfaces",
	 "Check that it uses none of mxlb's interfaces."},
	{"katran_server_g", "is another XDP balancer", "Only one of them can use an interface."},
};

/* Neither the mxlbd that answers nor its probe child, which has its name. */
static bool is_another(const struct doctor *d, const char *pid)
{
	long long known = field_number(d->status, "pid"), parent = 0;
	char line[128];
	const char *end;

	proc_line(pid, "stat", line, sizeof(line)); /* proc(5): "pid (comm) state ppid" */
	end = strrchr(line, ')');
	if (end)
		sscanf(end, ") %*c %lld", &parent);
	return d->status && strtoll(pid, NULL, 10) != known && parent != known &&
	       shares_network(pid);
}

static void judge_process(struct doctor *d, const char *pid)
{
	char comm[32];

	proc_line(pid, "comm", comm, sizeof(comm));
	if (!strcmp(comm, "keepalived") &&
	    !strcmp(field_text(json_object_get(d->config, "ha"), "role"), "keepalived"))
		return; /* it decides the role */
	for (size_t i = 0; i < sizeof(rivals) / sizeof(rivals[0]); i++)
		if (!strcmp(comm, rivals[i].name) && shares_network(pid))
			doctor_find(d, DOCTOR_WARNING,
				    json_sprintf("%s (process %s) %s", comm, pid, rivals[i].what),
				    json_string(rivals[i].advice));
	if (!strcmp(comm, "mxlbd") && is_another(d, pid))
		doctor_find(
			d, DOCTOR_WARNING,
			json_sprintf("process %s is a second mxlbd in this network", pid),
			json_string("Stop one of them, unless each has pins and VIPs of its own."));
}

bool doctor_runs_here(const char *comm)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	bool found = false;
	char name[32];

	for (unsigned n = 0; proc && !found && n < PIDS_MAX && (entry = readdir(proc)); n++)
		found = isdigit((unsigned char)entry->d_name[0]) &&
			!strcmp(proc_line(entry->d_name, "comm", name, sizeof(name)), comm) &&
			shares_network(entry->d_name);
	if (proc)
		closedir(proc);
	return found;
}

static void check_processes(struct doctor *d)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	unsigned n = 0;

	if (!proc) {
		doctor_find(d, DOCTOR_NOT_CHECKED, json_string("/proc can't be read"), NULL);
		return;
	}
	while (n < PIDS_MAX && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0])) {
			judge_process(d, entry->d_name);
			n++;
		}
	closedir(proc);
}

/* What the kernel does without mxlbd: what is pinned outlives it. */
static const char *kernel_does(const struct doctor *d)
{
	const char *pin = field_text(json_object_get(d->config, "datapath"), "pin");
	char pattern[300];
	glob_t found;
	int rc;

	if (!d->root)
		return "run as root to see whether the kernel still forwards";
	snprintf(pattern, sizeof(pattern), "%s/v[0-9]*", *pin ? pin : "/sys/fs/bpf/mxlb");
	rc = glob(pattern, GLOB_NOSORT, NULL, &found);
	globfree(&found);
	return rc ? "nothing is pinned in the kernel: no mail is forwarded"
		  : "the kernel continues to forward as before, without probes and failover";
}

static void check_daemon(struct doctor *d)
{
	if (d->status)
		return;
	if (d->ctl->file && !d->ctl->socket_given)
		doctor_find(d, DOCTOR_NOT_CHECKED,
			    json_string("not asked: this checks a file (add -s SOCKET to ask it)"),
			    NULL);
	else
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf("does not answer at %s; %s", d->ctl->socket, kernel_does(d)),
			json_string("systemctl start mxlb; journalctl -u mxlb has the cause if "
				    "it does not start"));
}

const struct doctor_check doctor_box_checks[] = {
	{"mxlbd", "it runs and answers", 0, check_daemon},
	{"kernel", "the version is supported", 0, check_kernel},
	{"bpf", "the kernel loads the BPF program of mxlbd", NEEDS_ROOT, doctor_check_load},
	{"jit", "BPF programs are compiled", 0, check_jit},
	{"clock", "it is plausible and synchronised", 0, check_clock},
	{"processes", "no other balancer runs in this network", NEEDS_ROOT, check_processes},
	{.name = NULL},
};
