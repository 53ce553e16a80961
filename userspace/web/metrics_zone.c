/* SPDX-License-Identifier: BSD-2-Clause */
/* Metrics of what comes from DNS: none without `mx` and `tlsa-name` in the configuration. */
#include "web/exposition.h"

static const char *name_of_state(unsigned i)
{
	return zone_state_name(i);
}

static const char *name_of_result(unsigned i)
{
	return dns_result_name(i);
}

static const char *name_of_dnssec(unsigned i)
{
	static const char *const names[] = {"secure", "unsigned", "bogus", "unknown"};

	return names[i];
}

static const char *name_of_tlsa(unsigned i)
{
	return tlsaset_state_name(i);
}

static unsigned dnssec_of(const struct zone *z)
{
	if (z->last == DNS_BOGUS)
		return 2;
	return z->last != DNS_OK || !z->has_answer ? 3 : z->secure ? 0 : 1;
}

static void write_zones(struct exposition *e, const struct family *f,
			void (*one)(struct exposition *e, const char *labels, const struct zone *z))
{
	exposition_family(e, f);
	for (unsigned i = 0; i < e->model->n_services; i++) {
		char labels[LABELS_SIZE] = "";

		labels_add(labels, "service", e->model->services[i].conf.name);
		if (e->info->zones->zones[i])
			one(e, labels, e->info->zones->zones[i]);
	}
}

static void state(struct exposition *e, const char *labels, const struct zone *z)
{
	exposition_state(e, labels, "state", name_of_state, ZONE_STATES, z->state);
}

static void answered(struct exposition *e, const char *labels, const struct zone *z)
{
	exposition_sample(e, labels, (uint64_t)(z->answer_wall_ms / 1000));
}

static void lookups(struct exposition *e, const char *labels, const struct zone *z)
{
	exposition_counts(e, labels, "result", name_of_result, DNS_RESULTS, z->lookups);
}

static void dnssec(struct exposition *e, const char *labels, const struct zone *z)
{
	exposition_state(e, labels, "status", name_of_dnssec, 4, dnssec_of(z));
}

static void write_of_probes(struct exposition *e, const struct family *f,
			    void (*one)(struct exposition *e, const char *labels, unsigned probe))
{
	exposition_family(e, f);
	for (unsigned i = 0; i < e->model->config->n_probes; i++) {
		char labels[LABELS_SIZE] = "";

		labels_add(labels, "probe", e->model->config->probes[i].name);
		if (e->info->zones->tlsasets[i])
			one(e, labels, i);
	}
}

static void tlsa_records(struct exposition *e, const char *labels, unsigned probe)
{
	exposition_sample(e, labels, e->info->zones->tlsasets[probe]->n);
}

static void tlsa_state(struct exposition *e, const char *labels, unsigned probe)
{
	exposition_state(e, labels, "state", name_of_tlsa, TLSASET_STATES,
			 e->info->zones->tlsasets[probe]->state);
}

static void tlsa_unmatched(struct exposition *e, const char *labels, unsigned probe)
{
	exposition_sample(e, labels, e->info->zones->tlsa_unmatched[probe]);
}

static const struct {
	struct family family;
	void (*one)(struct exposition *e, const char *labels, const struct zone *z);
} of_zones[] = {
	{FAMILY("mxlb_zone_state", GAUGE, "1 for the state of the service's zone."), state},
	{FAMILY("mxlb_zone_answer_timestamp_seconds", GAUGE,
		"Time of the last answer with MX records for the service; 0: none since the start."),
	 answered},
	{FAMILY("mxlb_zone_lookups", COUNTER,
		"Lookups of the service's MX records, by their result."),
	 lookups},
	{FAMILY("mxlb_zone_dnssec", GAUGE, "1 for the DNSSEC status of the last lookup."), dnssec},
};

static const struct {
	struct family family;
	void (*one)(struct exposition *e, const char *labels, unsigned probe);
} of_probes[] = {
	{FAMILY("mxlb_tlsa_records", GAUGE, "TLSA records from DNS that are in force."),
	 tlsa_records},
	{FAMILY("mxlb_tlsa_state", GAUGE, "1 for the state of the probe's TLSA records."),
	 tlsa_state},
	{FAMILY("mxlb_tlsa_unmatched", GAUGE,
		"1: no server of the best tier has a key that the probe's TLSA records name."),
	 tlsa_unmatched},
};

void metrics_zone(struct exposition *e)
{
	if (!e->info->zones)
		return;
	for (size_t i = 0; i < sizeof(of_zones) / sizeof(*of_zones); i++)
		write_zones(e, &of_zones[i].family, of_zones[i].one);
	for (size_t i = 0; i < sizeof(of_probes) / sizeof(*of_probes); i++)
		write_of_probes(e, &of_probes[i].family, of_probes[i].one);
}
