// SPDX-License-Identifier: BSD-2-Clause
/* What clients of the socket and of the page may ask of the running mxlbd, and its answers. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "daemon/zones.h"
#include "util/clock.h"

static void on_answers_refresh(void *ctx, struct control_info *info)
{
	struct daemon *d = ctx;

	traffic_refresh(d);
	info->version = MXLB_VERSION;
	info->build = MXLB_BUILD;
	info->rate = &d->second.rate;
	info->idle_pct = d->second.idle_pct;
	info->pid = getpid();
	info->uptime_s = (clock_now().mono_ms - d->started_ms) / 1000;
	info->config_file = d->file;
	info->config_loaded_wall_ms = d->loaded_wall_ms;
	info->config_last_error = d->last_error;
	info->counters = d->counts.total;
	info->reloads_ok = d->reloads_ok;
	info->reloads_failed = d->reloads_failed;
	info->service_drops = d->counts.service;
	info->rejected = d->rejected;
	for (unsigned i = 0; i < d->config->n_interfaces; i++) {
		info->xdp_mode[i] = datapath_xdp_mode(d->datapath, i);
		info->sight[i] = d->sight[i] ?: "unknown";
	}
	info->probe_child_restarts = prober_child_restarts(d->prober);
	info->maps_changed = datapath_maps_changed(d->datapath);
	info->probes = d->lateness.n;
	info->probes_hinted = d->hinted;
	info->probe_late_p50_ms = lateness_percentile(&d->lateness, 50);
	info->probe_late_p99_ms = lateness_percentile(&d->lateness, 99);
	info->probe_late_max_ms = d->lateness.max_ms;
	info->role = d->role_state;
	info->ha = &d->config->ha;
	info->role_lease_left_ms = role_lease_left_ms(d);
	info->leases_expired = role_leases_expired(d);
	info->announcements = d->announcer.sent;
	info->zones = zones_report(d);
	info->box_digest = d->box_digest;
	info->service_digests = (const char(*)[17])d->digests;
	info->route_states = d->route_states;
	info->allow_changed_wall_ms = d->allow_changed_wall_ms;
	info->notify = messenger_state(d->messenger);
	info->turn_max_ms = d->settling.turn_max_ms[0] > d->settling.turn_max_ms[1]
				    ? d->settling.turn_max_ms[0]
				    : d->settling.turn_max_ms[1];
}

static int on_reload(void *ctx, const char *who, struct buf *errors)
{
	return daemon_reload(ctx, who, errors);
}

static int on_plan(void *ctx, const char *name, const struct buf *text, struct buf *out)
{
	return daemon_plan(ctx, name, text, out);
}

static int on_config(void *ctx, bool secrets, struct buf *out)
{
	struct daemon *d = ctx;
	json_t *json = conf_json(d->config, secrets);
	char key[DATAPATH_KEY_TEXT_SIZE], *text;

	if (secrets && !d->config->datapath.hash_key[0]) {
		datapath_hash_key_text(d->datapath, key);
		json_object_set_new(json_object_get(json, "datapath"), "hash-key",
				    json_string(key));
	}
	text = json_dumps(json, JSON_COMPACT);

	if (text)
		buf_printf(out, "%s\n", text);
	free(text);
	json_decref(json);
	return text ? 0 : -ENOMEM;
}

static int on_detach(void *ctx, const char *who)
{
	return daemon_detach(ctx, who);
}

static void on_role(void *ctx, int wanted, const char *who, uint64_t for_ms)
{
	role_give_order(ctx, wanted, who, for_ms);
}

static int on_zone_read(void *ctx, const char *service)
{
	return zones_read(ctx, service);
}

static int on_zone_accept(void *ctx, const char *service, const char *who)
{
	return zones_accept(ctx, service, who);
}

static void on_zone_held(void *ctx, const char *service, struct buf *out)
{
	zones_held(ctx, service, out);
}

static void on_changed(void *ctx)
{
	daemon_changed(ctx);
}

static bool on_answers_each_flow(void *ctx, uint64_t first, uint64_t n,
				 void (*row)(void *row_ctx, const struct flow_row *r),
				 void *row_ctx)
{
	struct daemon *d = ctx;

	return datapath_each_flow(d->datapath, first, n, row, row_ctx);
}

static void on_answers_each_rejected(void *ctx,
				     void (*row)(void *row_ctx, const struct rejected_row *r),
				     void *row_ctx)
{
	struct daemon *d = ctx;

	datapath_each_rejected(d->datapath, row, row_ctx);
}

static int on_answers_explain(void *ctx, const struct service *s, const struct addr *client,
			      uint16_t port, struct flow_place *out)
{
	struct daemon *d = ctx;

	return datapath_explain(d->datapath, s->id, client, port, out);
}

int answers_start(struct daemon *d)
{
	struct control_callbacks asking = {
		.refresh = on_answers_refresh,
		.reload = on_reload,
		.plan = on_plan,
		.config = on_config,
		.detach = on_detach,
		.role = on_role,
		.notify_test = note_notify_test,
		.zone_read = on_zone_read,
		.zone_accept = on_zone_accept,
		.zone_held = on_zone_held,
		.changed = on_changed,
		.each_flow = on_answers_each_flow,
		.explain = on_answers_explain,
		.each_rejected = on_answers_each_rejected,
		.probe = asked_probe,
		.probe_stop = asked_stop,
		.ctx = d,
	};
	int err = control_new(d->loop, &d->config->control, d->model, &asking, &d->control);

	return err ? err : http_new(d->loop, &d->config->control, d->model, &asking, &d->http);
}
