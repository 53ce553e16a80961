// SPDX-License-Identifier: BSD-2-Clause
/*
 * Logs that clients are turned away: a line per service and kind when it begins, then at most one in TOLD_MS with the
 * packets since. What was turned away before the start is not logged.
 */
#include <string.h>
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

#define LOOK_S	10.0
#define TOLD_MS 600000

void rejected_sum(struct rejected_summary *all, const struct datapath_counts *counts)
{
	uint64_t none[MXLB_DROP_COUNT];

	memset(all, 0, (MXLB_MAX_SERVICES + 1) * sizeof(*all));
	memcpy(none, counts->total, sizeof(none));
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		rejected_count(&all[i], counts->service[i]);
		for (unsigned k = 0; k < MXLB_DROP_COUNT; k++)
			none[k] -= counts->service[i][k];
	}
	rejected_count(&all[MXLB_MAX_SERVICES], none);
}

static void rejected_log_add(void *ctx, const struct rejected_row *row)
{
	rejected_add(ctx, row);
}

void rejected_refresh(struct daemon *d)
{
	rejected_sum(d->rejected, &d->counts);
	datapath_each_rejected(d->datapath, rejected_log_add, d->rejected);
}

static const char *rejected_log_service_name(const struct daemon *d, uint32_t id)
{
	for (unsigned i = 0; i < d->model->n_services; i++)
		if (d->model->services[i].id == id)
			return d->model->services[i].conf.name;
	return "";
}

static void rejected_log_tell(struct daemon *d, unsigned service, enum rejected_kind kind,
			      uint64_t now_ms)
{
	const struct rejected_summary *s = &d->rejected[service];
	struct rejected_told *told = &d->rejected_told[service][kind];
	const char *name = rejected_log_service_name(d, service);
	char last[ADDR_TEXT_SIZE] = "";

	if (s->packets[kind] <= told->packets || (told->at_ms && now_ms - told->at_ms < TOLD_MS))
		return;
	if (rejected_kind(s->last.counter) == kind && s->last.packets)
		addr_text(&s->last.client, last);
	log_warn("event=rejected%s%s reason=%s packets=%llu clients=%u%s%s advice=\"mxlbctl "
		 "rejected lists them\"",
		 *name ? " service=" : "", name, rejected_kind_name(kind),
		 (unsigned long long)(s->packets[kind] - told->packets), s->clients[kind],
		 *last ? " last=" : "", last);
	told->packets = s->packets[kind];
	told->at_ms = now_ms;
}

static void look(struct daemon *d)
{
	uint64_t now_ms = clock_now().mono_ms;

	datapath_counts(d->datapath, &d->counts);
	rejected_refresh(d);
	for (unsigned i = 0; i <= MXLB_MAX_SERVICES; i++)
		for (unsigned kind = 0; kind < REJECTED_KINDS; kind++)
			rejected_log_tell(d, i, kind, now_ms);
}

void rejected_start(struct daemon *d)
{
	datapath_counts(d->datapath, &d->counts);
	rejected_refresh(d);
	for (unsigned i = 0; i <= MXLB_MAX_SERVICES; i++)
		for (unsigned kind = 0; kind < REJECTED_KINDS; kind++)
			d->rejected_told[i][kind].packets = d->rejected[i].packets[kind];
	periodic_start(&d->rejected_look, d, look, LOOK_S);
}
