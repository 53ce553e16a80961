// SPDX-License-Identifier: BSD-2-Clause
/*
 * Answers a command of the control socket from the pinned maps, while no mxlbd runs. Changes nothing. Verdicts, overrides and
 * tiers are the records' (as of the last mxlbd's last write), who takes new connections is the ring's in force, flows and counters
 * are as of now; what only a running mxlbd knows (probes, certificates, events) is not known.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/commands.h"
#include "daemon/daemon.h"
#include "daemon/zones.h"
#include "util/clock.h"

static const char *const answered[] = {"show status", "show flows", "show rejected", "explain"};

struct stopped {
	const char *file;
	struct config *config;
	struct model *model;
	struct datapath *datapath;
	struct datapath_counts counts;
	struct rejected_summary rejected[MXLB_MAX_SERVICES + 1];
	uint32_t flows[MXLB_MAX_SERVERS];
};

static void add_rejected(void *ctx, const struct rejected_row *row)
{
	rejected_add(ctx, row);
}

static void read_counters(struct stopped *s)
{
	datapath_counts(s->datapath, &s->counts);
	rejected_sum(s->rejected, &s->counts);
	datapath_each_rejected(s->datapath, add_rejected, s->rejected);
	datapath_flows(s->datapath, s->flows);
	for (unsigned i = 0; i < s->model->n_services; i++)
		for (unsigned k = 0; k < s->model->services[i].n_servers; k++) {
			struct server *b = &s->model->services[i].servers[k];

			datapath_traffic(s->datapath, b->id, &b->traffic);
			b->traffic.flows = s->flows[b->id];
		}
}

static void on_pinned_refresh(void *ctx, struct control_info *info)
{
	struct stopped *s = ctx;

	read_counters(s);
	info->version = MXLB_VERSION;
	info->build = MXLB_BUILD;
	info->config_file = s->file;
	info->config_last_error = "";
	info->counters = s->counts.total;
	info->service_drops = s->counts.service;
	info->rejected = s->rejected;
	info->stopped = true;
	info->as_of_wall_ms = datapath_pulse(s->datapath);
	for (unsigned i = 0; i < s->config->n_interfaces; i++) {
		int ifindex = (int)if_nametoindex(s->config->interfaces[i].name);

		info->xdp_mode[i] =
			datapath_view_attached(s->datapath, ifindex) ? NULL : "detached";
	}
}

static bool on_pinned_each_flow(void *ctx, uint64_t first, uint64_t n,
				void (*row)(void *row_ctx, const struct flow_row *r), void *row_ctx)
{
	struct stopped *s = ctx;

	return datapath_each_flow(s->datapath, first, n, row, row_ctx);
}

static int on_pinned_explain(void *ctx, const struct service *service, const struct addr *client,
			     uint16_t port, struct flow_place *out)
{
	struct stopped *s = ctx;

	return datapath_explain(s->datapath, service->id, client, port, out);
}

static void on_pinned_each_rejected(void *ctx,
				    void (*row)(void *row_ctx, const struct rejected_row *r),
				    void *row_ctx)
{
	struct stopped *s = ctx;

	datapath_each_rejected(s->datapath, row, row_ctx);
}

/* The ring in force has the last word on who takes new connections. */
static void correct_service(const struct datapath *dp, struct service *s)
{
	static bool members[MXLB_MAX_SERVERS];
	bool any = datapath_ring_members(dp, s->id, members);

	for (unsigned i = 0; i < s->n_servers; i++) {
		struct server *b = &s->servers[i];

		b->in_ring = any && members[b->id];
		b->since_wall_ms = 0; /* no record has it */
	}
	if (!any)
		s->tier.state = datapath_is_not_ready(dp, s->id) ? SERVICE_NOT_READY : SERVICE_DOWN;
	else if (s->tier.state == SERVICE_DOWN || s->tier.state == SERVICE_NOT_READY)
		s->tier.state = SERVICE_PANIC;
}

/* Servers and records from DNS: those that mxlbd has stored, because they are what it had put into force. */
static int fill_from_store(struct config *config)
{
	struct daemon *nobody = calloc(1, sizeof(*nobody)); /* nothing is in force here */
	struct zones_draft *draft = NULL;
	int err = nobody ? zones_draft(nobody, config, &draft) : -ENOMEM;

	zones_drop(draft);
	free(nobody);
	return err;
}

static int make_model(struct stopped *s)
{
	struct model_adopted *adopted;
	unsigned n;
	int err = datapath_adopted(s->datapath, &adopted, &n);

	if (!err)
		err = model_create(s->config, adopted, n, clock_now(), &s->model);
	free(adopted);
	for (unsigned i = 0; !err && i < s->model->n_services; i++)
		correct_service(s->datapath, &s->model->services[i]);
	return err;
}

static bool is_answered(const char *command)
{
	for (size_t i = 0; i < sizeof(answered) / sizeof(answered[0]); i++) {
		size_t len = strlen(answered[i]);

		if (!strncmp(command, answered[i], len) && (!command[len] || command[len] == ' '))
			return true;
	}
	return false;
}

static void pinned_answer(struct stopped *s, char *command)
{
	const struct command_env env = {.model = s->model,
					.cb = {.refresh = on_pinned_refresh,
					       .each_flow = on_pinned_each_flow,
					       .explain = on_pinned_explain,
					       .each_rejected = on_pinned_each_rejected,
					       .ctx = s}};
	struct caller caller = {.fd = -1};
	struct buf out = {0};
	bool more = true;

	commands_run(&env, &caller, command, &out);
	while (caller.parts && more)
		more = caller.parts(&env, caller.parts_ctx, &out);
	if (caller.parts)
		buf_append(&out, "\n", 1);
	free(caller.parts_ctx);
	fwrite(out.data, 1, out.len, stdout);
	buf_free(&out);
}

static enum exit_code pinned_complain(const struct config *config, int err)
{
	fprintf(stderr, "mxlbd: %s: %s\n", config->datapath.pin,
		err == -ENOENT
			? "nothing of this version is pinned: the kernel forwards no mail by it"
			: strerror(-err));
	return EXIT_SYSTEM;
}

enum exit_code daemon_answer_stopped(const char *file, struct config *config, char *command)
{
	struct stopped *s = calloc(1, sizeof(*s));
	enum exit_code code = EXIT_SYSTEM;
	int err;

	if (!is_answered(command)) {
		fprintf(stderr, "mxlbd: only a running mxlbd answers this: %s\n", command);
		code = EXIT_CONFIG;
		goto out;
	}
	if (!s)
		goto out;
	s->file = file;
	s->config = config;
	err = datapath_view(&config->datapath, &s->datapath);
	if (!err && config_needs_dns(config))
		err = fill_from_store(config);
	if (!err)
		err = make_model(s);
	if (err) {
		code = pinned_complain(config, err);
		goto out;
	}
	pinned_answer(s, command);
	code = fflush(stdout) ? EXIT_SYSTEM : EXIT_CLEAN;
out:
	if (s) {
		model_free(s->model);
		datapath_close(s->datapath);
	}
	free(s);
	config_free(config);
	return code;
}
