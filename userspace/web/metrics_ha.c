/* SPDX-License-Identifier: BSD-2-Clause */
/* Metrics of this box among several: none without `ha` in the configuration. */
#include <string.h>
#include "web/exposition.h"

static const char *name_of_role(unsigned i)
{
	return role_name(i);
}

static const char *name_of_source(unsigned i)
{
	return role_source_name(i);
}

static void metrics_ha_number(struct exposition *e, const struct family *f, uint64_t value)
{
	exposition_family(e, f);
	exposition_sample(e, "", value);
}

static void write_role(struct exposition *e, const struct role_state *r)
{
	static const struct family role =
		FAMILY("mxlb_role", GAUGE, "1 for the role of this machine.");
	static const struct family source =
		FAMILY("mxlb_role_source", GAUGE, "1 for the source of the role.");

	exposition_family(e, &role);
	exposition_state(e, "", "role", name_of_role, ROLE_ACTIVE + 1, r->role);
	exposition_family(e, &source);
	exposition_state(e, "", "source", name_of_source, ROLE_FROM_LEASE + 1, r->source);
}

/* A penalty makes the number negative, which a uint64_t cannot hold: written as text. */
static void metrics_ha_write_priority(struct exposition *e, int priority)
{
	static const struct family family = FAMILY(
		"mxlb_vrrp_priority", GAUGE,
		"The number that is added to this machine's VRRP priority: its bonus plus its largest penalty.");

	exposition_family(e, &family);
	buf_printf(e->out, "mxlb_vrrp_priority %d\n", priority);
}

static void write_routes(struct exposition *e)
{
	static const struct family family =
		FAMILY("mxlb_route_state", GAUGE, "1 for the state of the service's route.");
	static const char *const states[] = {"advertised", "draining", "withdrawn"};

	exposition_family(e, &family);
	for (unsigned i = 0; i < e->model->n_services; i++) {
		const struct service *s = &e->model->services[i];
		const char *is = e->info->route_states ? e->info->route_states[s->id] : NULL;

		for (unsigned k = 0; k < 3 && is && s->conf.advertise == ADVERTISE_ROUTE; k++) {
			char labels[LABELS_SIZE] = "";

			labels_add(labels, "service", s->conf.name);
			labels_add(labels, "state", states[k]);
			exposition_sample(e, labels, !strcmp(is, states[k]));
		}
	}
}

static void write_digests(struct exposition *e)
{
	static const struct family family = FAMILY(
		"mxlb_config_digest", GAUGE,
		"1, with the digest of the service's configuration, which is equal on machines that agree.");

	exposition_family(e, &family);
	for (unsigned i = 0; i < e->model->n_services; i++) {
		const struct service *s = &e->model->services[i];
		char labels[LABELS_SIZE] = "";

		if (!e->info->service_digests)
			continue;
		labels_add(labels, "service", s->conf.name);
		labels_add(labels, "digest", e->info->service_digests[s->id]);
		exposition_sample(e, labels, 1);
	}
}

void metrics_ha(struct exposition *e)
{
	static const struct family changes =
		FAMILY("mxlb_role_changes", COUNTER, "Changes of the role since mxlbd started.");
	static const struct family announcements = FAMILY(
		"mxlb_announcements", COUNTER,
		"Announcements of VIPs (gratuitous ARP, unsolicited neighbour advertisements).");
	static const struct family expired =
		FAMILY("mxlb_lease_expired", COUNTER,
		       "Leases that ended because mxlbd did not renew them in time.");

	if (!e->info->role || !e->info->ha || !e->info->ha->given)
		return;
	write_role(e, e->info->role);
	metrics_ha_number(e, &changes, e->info->role->changes);
	if (e->info->ha->role == HA_ROLE_KEEPALIVED)
		metrics_ha_write_priority(e, e->info->role->priority);
	metrics_ha_number(e, &announcements, e->info->announcements);
	metrics_ha_number(e, &expired, e->info->leases_expired);
	write_routes(e);
	write_digests(e);
}
