/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metrics of the box and of mxlbd, and the order of all. Names of metrics must not change, like those of the JSON
 * document.
 */
#include "web/metrics.h"

#include <string.h>
#include "web/exposition.h"
#include "control/render.h"

enum { UPTIME, LOADED, LOAD_OK, CHILD_RESTARTS, PROBES, PROBES_HINTED, MAPS_CHANGED, NUMBERS };

static const struct family numbers[NUMBERS] = {
	[UPTIME] =
		FAMILY("mxlb_uptime_seconds", GAUGE, "How long mxlbd has run.", .unit = "seconds"),
	[LOADED] = FAMILY("mxlb_config_loaded_timestamp_seconds", GAUGE,
			  "Time at which the configuration in force was read.", .unit = "seconds",
			  .ms = true),
	[LOAD_OK] = FAMILY(
		"mxlb_config_last_load_successful", GAUGE,
		"0 if the last reload failed, so that an earlier configuration is in force."),
	[CHILD_RESTARTS] =
		FAMILY("mxlb_probe_child_restarts", COUNTER, "Restarts of the probe process."),
	[PROBES] = FAMILY("mxlb_probes_begun", COUNTER, "Probes started."),
	[PROBES_HINTED] = FAMILY("mxlb_probes_hinted", COUNTER,
				 "Probes started early because of a hint (SYN retransmission, "
				 "unreachable next hop)."),
	[MAPS_CHANGED] = FAMILY("mxlb_maps_changed", COUNTER,
				"Changes of the pinned maps by another program."),
};

static void metrics_take_numbers(const struct control_info *info, uint64_t v[NUMBERS])
{
	v[UPTIME] = info->uptime_s;
	v[LOADED] = info->config_loaded_wall_ms > 0 ? (uint64_t)info->config_loaded_wall_ms
						    : METRIC_NONE;
	v[LOAD_OK] = !info->config_last_error || !*info->config_last_error;
	v[CHILD_RESTARTS] = info->probe_child_restarts;
	v[PROBES] = info->probes;
	v[PROBES_HINTED] = info->probes_hinted;
	v[MAPS_CHANGED] = info->maps_changed;
}

static void write_numbers(struct exposition *e)
{
	uint64_t values[NUMBERS];

	metrics_take_numbers(e->info, values);
	for (unsigned i = 0; i < NUMBERS; i++) {
		exposition_family(e, &numbers[i]);
		exposition_sample(e, "", values[i]);
	}
}

static void write_build(struct exposition *e)
{
	static const struct family family = FAMILY("mxlb_build", INFO, "The running version.");
	char labels[LABELS_SIZE] = "";

	labels_add(labels, "version", e->info->version ? e->info->version : "");
	labels_add(labels, "build", e->info->build ? e->info->build : "");
	exposition_family(e, &family);
	exposition_sample(e, labels, 1);
}

static void write_problems(struct exposition *e)
{
	static const struct family family =
		FAMILY("mxlb_problem", GAUGE, "1 for each current problem of this box itself.");

	exposition_family(e, &family);
	for (unsigned i = 0; i < e->model->problems.n; i++) {
		char labels[LABELS_SIZE] = "";

		labels_add(labels, "name", e->model->problems.list[i].name);
		labels_add(labels, "service", e->model->problems.list[i].about);
		exposition_sample(e, labels, 1);
	}
}

static const char *name_result(unsigned i)
{
	return i ? "failed" : "ok";
}

/* None without a program. */
static void write_notify(struct exposition *e)
{
	static const struct family runs =
		FAMILY("mxlb_notify_runs", COUNTER, "Runs of the notify program, by their result.");
	static const struct family dropped = FAMILY(
		"mxlb_notify_dropped_events", COUNTER,
		"Events that were not passed to the notify program, because too many were queued.");
	const struct notify_state *s = e->info->notify;
	const uint64_t counts[] = {s ? s->ok : 0, s ? s->failed : 0};
	bool wanted = s && *s->command;

	exposition_family(e, &runs);
	if (wanted)
		exposition_counts(e, "", "result", name_result, 2, counts);
	exposition_family(e, &dropped);
	if (wanted)
		exposition_sample(e, "", s->dropped);
}

static void write_reloads(struct exposition *e)
{
	static const struct family family =
		FAMILY("mxlb_config_reloads", COUNTER, "Reloads of the configuration, by result.");
	const uint64_t counts[] = {e->info->reloads_ok, e->info->reloads_failed};

	exposition_family(e, &family);
	exposition_counts(e, "", "result", name_result, 2, counts);
}

/* Quantiles since mxlbd began; 1 is the worst. */
static void write_lateness(struct exposition *e)
{
	static const struct family family =
		FAMILY("mxlb_probe_lateness_seconds", SUMMARY,
		       "Delay between the time a probe was due and its start.", .unit = "seconds",
		       .ms = true);
	static const char *const quantiles[] = {"0.5", "0.99", "1.0"};
	const uint64_t values[] = {e->info->probe_late_p50_ms, e->info->probe_late_p99_ms,
				   e->info->probe_late_max_ms};

	exposition_family(e, &family);
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char labels[LABELS_SIZE] = "";

		labels_add(labels, "quantile", quantiles[i]);
		exposition_sample(e, labels, values[i]);
	}
}

static void metrics_write_interfaces(struct exposition *e)
{
	static const struct family family =
		FAMILY("mxlb_interface_xdp_mode", GAUGE,
		       "1 for the mode in which the program is attached to the interface.");
	static const char *const modes[] = {"native", "generic", "detached"};

	exposition_family(e, &family);
	for (unsigned i = 0; i < e->model->config->n_interfaces; i++)
		for (unsigned k = 0; k < 3 && e->info->xdp_mode[i]; k++) {
			char labels[LABELS_SIZE] = "";

			labels_add(labels, "interface", e->model->config->interfaces[i].name);
			labels_add(labels, "mode", modes[k]);
			exposition_sample(e, labels, !strcmp(modes[k], e->info->xdp_mode[i]));
		}
}

/* The outcomes of packets that were not forwarded: parts of the one list of counters. */
static const struct {
	struct family family;
	unsigned first, end;
} fates[] = {
	{FAMILY("mxlb_dropped_packets", COUNTER,
		"Packets to a VIP that were not forwarded (dropped or answered by mxlb), by reason."),
	 0, MXLB_COUNT_DROPS},
	{FAMILY("mxlb_passed_packets", COUNTER, "Packets passed to the kernel, by reason."),
	 MXLB_COUNT_DROPS, MXLB_COUNT_PASSES},
	{FAMILY("mxlb_answered_packets", COUNTER,
		"Requests about a VIP that mxlb answered (ARP, ND, ping)."),
	 MXLB_COUNT_PASSES, MXLB_COUNT_FATES},
	{FAMILY("mxlb_noted_packets", COUNTER,
		"Packets counted for information, in addition to their outcome."),
	 MXLB_COUNT_FATES, MXLB_COUNT_COUNT},
};

static void write_fates(struct exposition *e)
{
	for (size_t f = 0; f < sizeof(fates) / sizeof(fates[0]); f++) {
		exposition_family(e, &fates[f].family);
		for (unsigned i = fates[f].first; i < fates[f].end; i++) {
			char labels[LABELS_SIZE] = "";

			labels_add(labels, "reason", render_counter(i));
			exposition_sample(e, labels, e->info->counters ? e->info->counters[i] : 0);
		}
	}
}

void metrics_render(const struct model *m, const struct control_info *info, struct now now,
		    enum metrics_form form, struct buf *out)
{
	struct exposition e = {.model = m, .info = info, .now = now, .form = form, .out = out};

	exposition_begin(&e);
	write_build(&e);
	write_numbers(&e);
	write_reloads(&e);
	write_notify(&e);
	write_lateness(&e);
	metrics_write_interfaces(&e);
	write_problems(&e);
	metrics_ha(&e);
	metrics_zone(&e);
	write_fates(&e);
	metrics_services(&e);
	metrics_servers(&e);
	exposition_end(&e);
}
