/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the lines of `show info`. HAProxy's keys are there for its tools (hatop wants all of
 * the first block); where HAProxy counts something that a layer-4 balancer has not, the value is 0.
 */
#include "control/render.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

/* The day the binary was made, or installed: the file's own date. */
static void release_date(char *text, size_t size)
{
	struct stat st;
	struct tm tm;

	if (stat("/proc/self/exe", &st) || !gmtime_r(&st.st_mtime, &tm) ||
	    !strftime(text, size, "%Y/%m/%d", &tm))
		snprintf(text, size, "0000/00/00");
}

static struct traffic sum_traffic(const struct model *m, unsigned *n_backends)
{
	struct traffic sum = {0};

	*n_backends = 0;
	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service *s = &m->services[i];

		*n_backends += s->n_backends;
		for (unsigned k = 0; k < s->n_backends; k++) {
			sum.flows += s->backends[k].traffic.flows;
			sum.new_flows += s->backends[k].traffic.new_flows;
			sum.bytes += s->backends[k].traffic.bytes;
		}
	}
	return sum;
}

void render_info(const struct model *m, const struct control_info *info, int64_t now_wall_ms,
		 struct buf *out)
{
	uint64_t up = info->uptime_s;
	unsigned n_backends;
	struct traffic sum = sum_traffic(m, &n_backends);
	struct utsname host = {.nodename = "localhost"};
	bool reload_failed = info->config_last_error && *info->config_last_error;
	char date[16];

	release_date(date, sizeof(date));
	uname(&host);
	buf_printf(out, "Name: mxlb\nVersion: %s\nRelease_date: %s\n",
		   info->version ? info->version : "0", date);
	buf_printf(out, "Nbproc: 1\nProcess_num: 1\nPid: %d\n", info->pid);
	buf_printf(out, "Uptime: %llud %lluh%02llum%02llus\nUptime_sec: %llu\n",
		   (unsigned long long)up / 86400, (unsigned long long)up / 3600 % 24,
		   (unsigned long long)up / 60 % 60, (unsigned long long)up % 60,
		   (unsigned long long)up);
	buf_printf(out, "Maxconn: %u\nCurrConns: %llu\nCumConns: %llu\n", m->config->datapath.flows,
		   (unsigned long long)sum.flows, (unsigned long long)sum.new_flows);
	buf_printf(out,
		   "Maxpipes: 0\nPipesUsed: 0\nPipesFree: 0\nTasks: %u\nRun_queue: 0\nnode: %s\n",
		   n_backends, host.nodename);
	buf_printf(out, "Start_time_sec: %lld\n", (long long)(now_wall_ms / 1000) - (long long)up);
	buf_printf(out, "Services: %u\nBackends: %u\nReload: %s\nProbe_child_restarts: %llu\n",
		   m->n_services, n_backends, reload_failed ? "failed" : "ok",
		   (unsigned long long)info->probe_child_restarts);
	buf_printf(out,
		   "Probes: %llu\nProbes_hinted: %llu\nProbe_late_p50_ms: %u\n"
		   "Probe_late_p99_ms: %u\nProbe_late_max_ms: %u\n",
		   (unsigned long long)info->probes, (unsigned long long)info->probes_hinted,
		   info->probe_late_p50_ms, info->probe_late_p99_ms, info->probe_late_max_ms);
	for (unsigned i = 0; i < m->config->n_interfaces && i < MXLB_MAX_PORTS; i++)
		if (info->xdp_mode[i])
			buf_printf(out, "Xdp_%s: %s\n", m->config->interfaces[i].name,
				   info->xdp_mode[i]);
}
