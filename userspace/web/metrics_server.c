/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metrics of servers. A number is a row of a table; a state is one series per possible state, 1 for the present
 * one, so that alerts can name it and dashboards count it.
 */
#include "web/exposition.h"

#include <stdio.h>

enum {
	FLOWS,
	NEW,
	PACKETS,
	BYTES,
	RETRANSMITS,
	MISSES,
	PROMOTED,
	EVICTED,
	UNPLACED,
	WEIGHT,
	WEIGHT_CONFIGURED,
	IN_RING,
	VERDICT_CHANGED,
	LAST_PROBE,
	EXPIRY,
	DOWNTIME,
	NUMBERS
};

static const struct family numbers[NUMBERS] = {
	[FLOWS] = FAMILY("mxlb_backend_flows", GAUGE,
			 "Open connections (not closed, and used within 15 minutes)."),
	[NEW] = FAMILY("mxlb_backend_new_connections", COUNTER, "New connections."),
	[PACKETS] = FAMILY("mxlb_backend_packets", COUNTER, "Packets forwarded to the server."),
	[BYTES] = FAMILY("mxlb_backend_bytes", COUNTER, "Bytes forwarded to the server.",
			 .unit = "bytes"),
	[RETRANSMITS] = FAMILY("mxlb_backend_syn_retransmits", COUNTER, "Retransmitted SYNs."),
	[MISSES] = FAMILY("mxlb_backend_flow_misses", COUNTER,
			  "Segments without a flow table entry, placed by the ring."),
	[PROMOTED] = FAMILY("mxlb_backend_flows_promoted", COUNTER,
			    "Completed handshakes whose connection got a flow table entry."),
	[EVICTED] = FAMILY("mxlb_backend_flows_evicted", COUNTER,
			   "Flow table entries displaced by connections of this server."),
	[UNPLACED] = FAMILY("mxlb_backend_flows_unplaced", COUNTER,
			    "Connections that got no flow table entry."),
	[WEIGHT] = FAMILY("mxlb_backend_weight", GAUGE, "The weight in force."),
	[WEIGHT_CONFIGURED] =
		FAMILY("mxlb_backend_configured_weight", GAUGE, "The weight in the configuration."),
	[IN_RING] = FAMILY("mxlb_backend_in_ring", GAUGE, "1 if it takes new connections."),
	[VERDICT_CHANGED] =
		FAMILY("mxlb_backend_verdict_changed_timestamp_seconds", GAUGE,
		       "Time of the last change of its verdict.", .unit = "seconds", .ms = true),
	[LAST_PROBE] = FAMILY("mxlb_backend_last_probe_timestamp_seconds", GAUGE,
			      "Time at which its last probe ended.", .unit = "seconds", .ms = true),
	[EXPIRY] = FAMILY("mxlb_backend_certificate_expiry_timestamp_seconds", GAUGE,
			  "Expiry of the certificate that the last probe saw.", .unit = "seconds"),
	[DOWNTIME] = FAMILY("mxlb_backend_downtime_seconds", COUNTER,
			    "Time it was down or in maintenance since mxlbd started.",
			    .unit = "seconds", .ms = true),
};

static uint64_t some(int64_t when)
{
	return when > 0 ? (uint64_t)when : METRIC_NONE;
}

static void metrics_server_take_numbers(const struct server *b, struct now now, uint64_t v[NUMBERS])
{
	const struct traffic *t = &b->traffic;
	bool spoke_tls = b->last_wall_ms && b->last.tls.version[0];

	v[FLOWS] = t->flows;
	v[NEW] = t->new_flows;
	v[PACKETS] = t->packets;
	v[BYTES] = t->bytes;
	v[RETRANSMITS] = t->retransmits;
	v[MISSES] = t->misses;
	v[PROMOTED] = t->promoted;
	v[EVICTED] = t->evicted;
	v[UNPLACED] = t->unplaced;
	v[WEIGHT] = b->weight;
	v[WEIGHT_CONFIGURED] = b->conf.weight;
	v[IN_RING] = b->in_ring;
	v[VERDICT_CHANGED] = some(b->since_wall_ms);
	v[LAST_PROBE] = some(b->last_wall_ms);
	v[EXPIRY] = spoke_tls ? some(b->last.tls.not_after) : METRIC_NONE;
	v[DOWNTIME] = downtime_ms(&b->tally.down, now.mono_ms);
}

static const char *name_verdict(unsigned i)
{
	return verdict_name(i);
}

static const char *name_admin(unsigned i)
{
	return admin_state_name(i);
}

typedef void write_fn(struct exposition *e, const struct service *s, const struct server *b,
		      char labels[LABELS_SIZE]);

static void write_number(struct exposition *e, const struct service *s, const struct server *b,
			 char labels[LABELS_SIZE])
{
	uint64_t values[NUMBERS];

	(void)s;
	metrics_server_take_numbers(b, e->now, values);
	exposition_sample(e, labels, values[e->family - numbers]);
}

static void write_verdict(struct exposition *e, const struct service *s, const struct server *b,
			  char labels[LABELS_SIZE])
{
	(void)s;
	exposition_state(e, labels, "verdict", name_verdict, VERDICT_COUNT, b->health.verdict);
}

static void write_admin(struct exposition *e, const struct service *s, const struct server *b,
			char labels[LABELS_SIZE])
{
	(void)s;
	exposition_state(e, labels, "state", name_admin, ADMIN_MAINT + 1, b->admin);
}

/* Only the present one, because there are forty. */
static void write_reason(struct exposition *e, const struct service *s, const struct server *b,
			 char labels[LABELS_SIZE])
{
	labels_add(labels, "reason", reason_name(b->health.reason));
	labels_add(labels, "exo_code", reason_exo_code(b->health.reason, config_policy(&s->probe)));
	exposition_sample(e, labels, 1);
}

static void write_warning(struct exposition *e, const struct service *s, const struct server *b,
			  char labels[LABELS_SIZE])
{
	(void)s;
	if (!b->warning.reason)
		return;
	labels_add(labels, "reason", reason_name(b->warning.reason));
	exposition_sample(e, labels, 1);
}

static void metrics_server_write_probes(struct exposition *e, const struct service *s,
					const struct server *b, char labels[LABELS_SIZE])
{
	(void)s;
	exposition_counts(e, labels, "result", name_verdict, VERDICT_COUNT, b->tally.results);
}

static void metrics_server_write_changes(struct exposition *e, const struct service *s,
					 const struct server *b, char labels[LABELS_SIZE])
{
	(void)s;
	exposition_counts(e, labels, "verdict", name_verdict, VERDICT_COUNT, b->tally.became);
}

static void write_durations(struct exposition *e, const struct service *s, const struct server *b,
			    char labels[LABELS_SIZE])
{
	char of_stage[LABELS_SIZE];

	(void)s;
	for (unsigned i = 0; i < TALLY_STAGES; i++) {
		snprintf(of_stage, sizeof(of_stage), "%s", labels);
		labels_add(of_stage, "stage", tally_stage_name(i));
		exposition_histogram(e, of_stage, &b->tally.stage[i]);
	}
}

static const struct {
	struct family family;
	write_fn *write;
} others[] = {
	{FAMILY("mxlb_backend_verdict", GAUGE, "1 for the server's verdict."), write_verdict},
	{FAMILY("mxlb_backend_admin_state", GAUGE, "1 for the server's administrative state."),
	 write_admin},
	{FAMILY("mxlb_backend_reason", GAUGE,
		"1 for the reason of its verdict, with the code that Exchange Online would report."),
	 write_reason},
	{FAMILY("mxlb_backend_warning", GAUGE,
		"1 for the reason why it refuses the probe, although it keeps its verdict."),
	 write_warning},
	{FAMILY("mxlb_backend_probes", COUNTER, "Finished probes, by the verdict of their result."),
	 metrics_server_write_probes},
	{FAMILY("mxlb_backend_verdict_changes", COUNTER, "Changes of its verdict, by new verdict."),
	 metrics_server_write_changes},
	{FAMILY("mxlb_backend_probe_duration_seconds", HISTOGRAM,
		"Duration of the completed stages of its probes.", .unit = "seconds"),
	 write_durations},
};

static void each_server(struct exposition *e, const struct family *f, write_fn *write)
{
	char labels[LABELS_SIZE], tier[8];

	exposition_family(e, f);
	for (unsigned i = 0; i < e->model->n_services; i++) {
		const struct service *s = &e->model->services[i];

		for (unsigned k = 0; k < s->n_servers; k++) {
			const struct server *b = &s->servers[k];

			*labels = '\0';
			snprintf(tier, sizeof(tier), "%u", b->conf.preference);
			labels_add(labels, "service", s->conf.name);
			labels_add(labels, "tier", tier);
			labels_add(labels, "backend", b->conf.name);
			write(e, s, b, labels);
		}
	}
}

void metrics_servers(struct exposition *e)
{
	for (unsigned i = 0; i < NUMBERS; i++)
		each_server(e, &numbers[i], write_number);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		each_server(e, &others[i].family, others[i].write);
}
