/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lines of `show info`. HAProxy's keys are there for its tools, with the value 0 for everything that a layer-4
 * balancer does not have. mxlb's own fields follow.
 *
 *   1. Name is HAProxy's, because haproxyadmin refuses any other. The description names mxlb.
 *   2. Version begins with the version of HAProxy's dialect: Ansible's module does nothing below 1.5 and reports
 *      success, and the data plane API splits it at dots and at two hyphens. mxlb's own version follows the first
 *      hyphen.
 */
#include "control/render.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include "util/log.h"

/* The day the binary was made, or installed: the file's own date. */
static void release_date(char *text, size_t size)
{
	struct stat st;
	struct tm tm;

	if (stat("/proc/self/exe", &st) || !gmtime_r(&st.st_mtime, &tm) ||
	    !strftime(text, size, "%Y/%m/%d", &tm))
		snprintf(text, size, "0000/00/00");
}

static struct traffic show_info_sum_traffic(const struct model *m, unsigned *n_servers)
{
	struct traffic sum = {0};

	*n_servers = 0;
	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service *s = &m->services[i];

		*n_servers += s->n_servers;
		for (unsigned k = 0; k < s->n_servers; k++) {
			sum.flows += s->servers[k].traffic.flows;
			sum.new_flows += s->servers[k].traffic.new_flows;
			sum.bytes += s->servers[k].traffic.bytes;
		}
	}
	return sum;
}

struct printer {
	struct buf *out;
	enum typed_format format;
	bool any;
};

static void show_info_put(struct printer *p, unsigned pos, const char *name, const char *tags,
			  struct typed_value v)
{
	struct typed_field f = {pos, name, tags};

	if (p->format == FORMAT_TYPED) {
		typed_line(p->out, &f, &v);
	} else if (p->format == FORMAT_JSON) {
		buf_printf(p->out, p->any ? ",{" : "[{");
		typed_json(p->out, &f, &v);
	} else {
		buf_printf(p->out, "%s: ", name);
		typed_plain(p->out, &v, false);
		buf_append(p->out, "\n", 1);
	}
	p->any = true;
}

static void show_info_put_text(struct printer *p, unsigned pos, const char *name, const char *tags,
			       const char *text)
{
	show_info_put(p, pos, name, tags, (struct typed_value){.kind = TYPED_TEXT, .text = text});
}

static void show_info_put_number(struct printer *p, unsigned pos, const char *name,
				 const char *tags, uint64_t n)
{
	show_info_put(p, pos, name, tags, (struct typed_value){.kind = TYPED_U64, .n = n});
}

/* Rule 2. */
#define DIALECT "2.6.0"

void render_dialect(const struct control_info *info, char *text, size_t size)
{
	snprintf(text, size, DIALECT "-mxlb-%s", info->version ? info->version : "0");
}

/* Fields that mxlb does not have, so 0: HAProxy's clients read them without checking whether they exist. */
static void show_info_put_zeros(struct printer *p, unsigned first, unsigned last)
{
	static const struct {
		unsigned pos;
		const char *name, *tags;
	} zeros[] = {
		{9, "Memmax_MB", "CLP"},
		{10, "PoolAlloc_MB", "MGP"},
		{11, "PoolUsed_MB", "MGP"},
		{12, "PoolFailed", "MCP"},
		{20, "MaxSslConns", "MMP"},
		{21, "CurrSslConns", "MGP"},
		{22, "CumSslConns", "MCP"},
		{23, "Maxpipes", "CLP"},
		{24, "PipesUsed", "MGP"},
		{25, "PipesFree", "MGP"},
		{27, "ConnRateLimit", "CLP"},
		{30, "SessRateLimit", "CLP"},
		{32, "SslRate", "MRP"},
		{33, "SslRateLimit", "CLP"},
		{34, "MaxSslRate", "MMP"},
		{35, "SslFrontendKeyRate", "MGP"},
		{36, "SslFrontendMaxKeyRate", "MMP"},
		{37, "SslFrontendSessionReuse_pct", "MGP"},
		{38, "SslBackendKeyRate", "MRP"},
		{39, "SslBackendMaxKeyRate", "MMP"},
		{40, "SslCacheLookups", "MCP"},
		{41, "SslCacheMisses", "MCP"},
		{42, "CompressBpsIn", "MRP"},
		{43, "CompressBpsOut", "MRP"},
		{44, "CompressBpsRateLim", "CLP"},
		{48, "Run_queue", "MGP"},
		{52, "Stopping", "MGP"},
	};

	for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
		if (zeros[i].pos >= first && zeros[i].pos <= last)
			show_info_put_number(p, zeros[i].pos, zeros[i].name, zeros[i].tags, 0);
}

static void put_rates(struct printer *p, const struct tally_rate *r)
{
	uint64_t now = r ? r->now : 0, max = r ? r->max : 0;

	show_info_put_number(p, 26, "ConnRate", "MRP", now);
	show_info_put_zeros(p, 27, 27);
	show_info_put_number(p, 28, "MaxConnRate", "MMP", max);
	show_info_put_number(p, 29, "SessRate", "MRP", now);
	show_info_put_zeros(p, 30, 30);
	show_info_put_number(p, 31, "MaxSessRate", "MMP", max);
}

/* HAProxy's, at their places in its list (2.6). */
static void put_haproxys(struct printer *p, const struct model *m, const struct control_info *info,
			 int64_t now_wall_ms, unsigned n_servers, const struct traffic *sum)
{
	uint64_t up = info->uptime_s;
	struct utsname host = {.nodename = "localhost"};
	char date[16], uptime[64], version[64], about[160];

	release_date(date, sizeof(date));
	uname(&host);
	snprintf(uptime, sizeof(uptime), "%llud %lluh%02llum%02llus",
		 (unsigned long long)up / 86400, (unsigned long long)up / 3600 % 24,
		 (unsigned long long)up / 60 % 60, (unsigned long long)up % 60);
	render_dialect(info, version, sizeof(version));
	snprintf(about, sizeof(about), "mxlb %s (%s)", info->version ? info->version : "0",
		 info->build ? info->build : "?");
	show_info_put_text(p, 0, "Name", "POS", "HAProxy"); /* rule 1 */
	show_info_put_text(p, 1, "Version", "POS", version);
	show_info_put_text(p, 2, "Release_date", "POS", date);
	show_info_put_number(p, 3, "Nbthread", "CGS", 1);
	show_info_put_number(p, 4, "Nbproc", "CGS", 1);
	show_info_put_number(p, 5, "Process_num", "KGP", 1);
	show_info_put_number(p, 6, "Pid", "SGP", info->pid);
	show_info_put_text(p, 7, "Uptime", "MDP", uptime);
	show_info_put_number(p, 8, "Uptime_sec", "MDP", up);
	show_info_put_zeros(p, 9, 12);
	show_info_put_number(p, 15, "Maxconn", "CLP", m->config->datapath.flows);
	show_info_put_number(p, 16, "Hard_maxconn", "CLP", m->config->datapath.flows);
	show_info_put_number(p, 17, "CurrConns", "MGP", sum->flows);
	show_info_put_number(p, 18, "CumConns", "MCP", sum->new_flows);
	show_info_put_number(p, 19, "CumReq", "MCP", sum->new_flows);
	show_info_put_zeros(p, 20, 25);
	put_rates(p, info->rate);
	show_info_put_zeros(p, 32, 44);
	show_info_put_number(p, 47, "Tasks", "MGP", n_servers);
	show_info_put_zeros(p, 48, 48);
	show_info_put_number(p, 49, "Idle_pct", "MaP", info->idle_pct);
	show_info_put_text(p, 50, "node", "COS", host.nodename);
	show_info_put_text(p, 51, "description", "COS", about);
	show_info_put_zeros(p, 52, 52);
	show_info_put_number(p, 58, "DroppedLogs", "MCP", log_dropped());
	show_info_put_number(p, 70, "Start_time_sec", "MDP", (uint64_t)(now_wall_ms / 1000) - up);
}

#define OWN 1000 /* the first of mxlb's own fields */

static void put_own(struct printer *p, const struct model *m, const struct control_info *info,
		    unsigned n_servers)
{
	bool failed = info->config_last_error && *info->config_last_error;

	show_info_put_text(p, OWN - 2, "Mxlb_version", "POS", info->version ? info->version : "0");
	show_info_put_text(p, OWN - 1, "Mxlb_build", "POS", info->build ? info->build : "?");
	show_info_put_number(p, OWN, "Services", "MGP", m->n_services);
	show_info_put_number(p, OWN + 1, "Backends", "MGP", n_servers);
	show_info_put_text(p, OWN + 2, "Reload", "SGP", failed ? "failed" : "ok");
	show_info_put_number(p, OWN + 3, "Probe_child_restarts", "MCP", info->probe_child_restarts);
	show_info_put_number(p, OWN + 4, "Probes", "MCP", info->probes);
	show_info_put_number(p, OWN + 5, "Probes_hinted", "MCP", info->probes_hinted);
	show_info_put_number(p, OWN + 6, "Probe_late_p50_ms", "MDP", info->probe_late_p50_ms);
	show_info_put_number(p, OWN + 7, "Probe_late_p99_ms", "MDP", info->probe_late_p99_ms);
	show_info_put_number(p, OWN + 8, "Probe_late_max_ms", "MMP", info->probe_late_max_ms);
	show_info_put_number(p, OWN + 9, "Turn_max_ms", "MMP", info->turn_max_ms);
	show_info_put_number(p, OWN + 10, "Maps_changed", "MCP", info->maps_changed);
	for (unsigned i = 0; i < m->config->n_interfaces && i < MXLB_MAX_PORTS; i++) {
		char name[sizeof("Xdp_") + IF_NAMESIZE];

		snprintf(name, sizeof(name), "Xdp_%s", m->config->interfaces[i].name);
		if (info->xdp_mode[i])
			show_info_put_text(p, OWN + 100 + i, name, "SGP", info->xdp_mode[i]);
	}
}

void render_info(const struct model *m, const struct control_info *info, int64_t now_wall_ms,
		 enum typed_format format, struct buf *out)
{
	struct printer p = {.out = out, .format = format};
	unsigned n_servers;
	struct traffic sum = show_info_sum_traffic(m, &n_servers);

	put_haproxys(&p, m, info, now_wall_ms, n_servers, &sum);
	put_own(&p, m, info, n_servers);
	if (format == FORMAT_JSON)
		buf_printf(out, "]\n");
}
