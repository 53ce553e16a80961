/* SPDX-License-Identifier: BSD-2-Clause */
/* The metrics of services and their tiers. */
#include "web/exposition.h"

#include <stdio.h>
#include "control/render.h"

static const char *name_state(unsigned i)
{
	return service_state_name(i);
}

typedef void write_fn(struct exposition *e, const struct service *s, char labels[LABELS_SIZE]);

static void write_state(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	exposition_state(e, labels, "state", name_state, SERVICE_STATE_COUNT, s->tier.state);
}

static void metrics_service_write_changes(struct exposition *e, const struct service *s,
					  char labels[LABELS_SIZE])
{
	exposition_counts(e, labels, "state", name_state, SERVICE_STATE_COUNT, s->tally.became);
}

static void write_downtime(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	exposition_sample(e, labels, downtime_ms(&s->tally.down, e->now.mono_ms));
}

static void write_switches(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	exposition_sample(e, labels, s->tally.tier_switches);
}

static void write_drops(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	static const uint64_t zeros[MXLB_DROP_COUNT];
	bool known = e->info->service_drops && s->id < MXLB_MAX_SERVICES;

	exposition_counts(e, labels, "reason", render_counter, MXLB_DROP_COUNT,
			  known ? e->info->service_drops[s->id] : zeros);
}

static const char *kind_name(unsigned kind)
{
	return rejected_kind_name((enum rejected_kind)kind);
}

static void write_rejected(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	uint64_t clients[REJECTED_KINDS] = {0};

	for (unsigned i = 0; e->info->rejected && i < REJECTED_KINDS; i++)
		clients[i] = e->info->rejected[s->id].clients[i];
	exposition_counts(e, labels, "kind", kind_name, REJECTED_KINDS, clients);
}

/* Servers are in order of preference. */
static bool begins_tier(const struct service *s, unsigned i)
{
	return !i || s->servers[i].conf.preference != s->servers[i - 1].conf.preference;
}

typedef uint64_t tier_fn(const struct service *s, uint16_t preference);

static void each_tier(struct exposition *e, const struct service *s, char labels[LABELS_SIZE],
		      tier_fn *value)
{
	char of_tier[LABELS_SIZE], tier[8];

	for (unsigned i = 0; i < s->n_servers; i++) {
		if (!begins_tier(s, i))
			continue;
		snprintf(of_tier, sizeof(of_tier), "%s", labels);
		snprintf(tier, sizeof(tier), "%u", s->servers[i].conf.preference);
		labels_add(of_tier, "tier", tier);
		exposition_sample(e, of_tier, value(s, s->servers[i].conf.preference));
	}
}

static uint64_t tier_active(const struct service *s, uint16_t preference)
{
	return s->tier.has_active && s->tier.active == preference;
}

static uint64_t tier_forced(const struct service *s, uint16_t preference)
{
	return s->has_forced && s->forced == preference;
}

static uint64_t tier_up(const struct service *s, uint16_t preference)
{
	uint64_t up = 0;

	for (unsigned i = 0; i < s->n_servers; i++)
		up += s->servers[i].conf.preference == preference &&
		      s->servers[i].health.verdict == VERDICT_UP;
	return up;
}

static void write_active(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	each_tier(e, s, labels, tier_active);
}

static void write_forced(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	each_tier(e, s, labels, tier_forced);
}

static void write_up(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	each_tier(e, s, labels, tier_up);
}

static void write_prefixes(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	exposition_sample(e, labels, s->conf.n_allow);
}

static void write_file_prefixes(struct exposition *e, const struct service *s,
				char labels[LABELS_SIZE])
{
	if (s->conf.allow_file[0])
		exposition_sample(e, labels, s->conf.n_from_file);
}

static void write_file_time(struct exposition *e, const struct service *s, char labels[LABELS_SIZE])
{
	int64_t at = e->info->allow_changed_wall_ms ? e->info->allow_changed_wall_ms[s->id] : 0;

	if (s->conf.allow_file[0] && at > 0)
		exposition_sample(e, labels, (uint64_t)at);
}

static const struct {
	struct family family;
	write_fn *write;
} families[] = {
	{FAMILY("mxlb_service_state", GAUGE, "1 for the state of the service."), write_state},
	{FAMILY("mxlb_service_state_changes", COUNTER, "Changes of its state, by new state."),
	 metrics_service_write_changes},
	{FAMILY("mxlb_service_downtime_seconds", COUNTER,
		"Time during which no server took its mail, since mxlbd started.",
		.unit = "seconds", .ms = true),
	 write_downtime},
	{FAMILY("mxlb_service_tier_switches", COUNTER, "Changes of the active tier."),
	 write_switches},
	{FAMILY("mxlb_service_dropped_packets", COUNTER,
		"Packets to it that were not forwarded (dropped or answered by mxlb), by reason."),
	 write_drops},
	{FAMILY("mxlb_service_rejected_clients", GAUGE,
		"Clients that were turned away in the last hour (of the 1,024 that are remembered)."),
	 write_rejected},
	{FAMILY("mxlb_service_allow_prefixes", GAUGE,
		"Prefixes in allow and allow-file that may connect; 0: everyone may."),
	 write_prefixes},
	{FAMILY("mxlb_service_allow_file_prefixes", GAUGE, "Prefixes in the allow-file."),
	 write_file_prefixes},
	{FAMILY("mxlb_service_allow_file_timestamp_seconds", GAUGE,
		"When the allow-file was last written, or found to be up to date.",
		.unit = "seconds", .ms = true),
	 write_file_time},
	{FAMILY("mxlb_tier_active", GAUGE, "1 for the tier that takes new connections."),
	 write_active},
	{FAMILY("mxlb_tier_forced", GAUGE, "1 for the tier that an operator has forced."),
	 write_forced},
	{FAMILY("mxlb_tier_backends_up", GAUGE, "Servers of the tier with the verdict up."),
	 write_up},
};

void metrics_services(struct exposition *e)
{
	char labels[LABELS_SIZE];

	for (unsigned f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		exposition_family(e, &families[f].family);
		for (unsigned i = 0; i < e->model->n_services; i++) {
			*labels = '\0';
			labels_add(labels, "service", e->model->services[i].conf.name);
			families[f].write(e, &e->model->services[i], labels);
		}
	}
}
