// SPDX-License-Identifier: BSD-2-Clause
/*
 * Probes requested by operators. Each runs beside the server's own probe, over the same path, and changes no verdict.
 * The prober limits their number.
 */
#include <errno.h>
#include <stdlib.h>
#include "daemon/daemon.h"
#include "probe/report.h"
#include "util/clock.h"

struct asked {
	struct probe_report report;
	struct addr address;
	uint16_t port;
	uint32_t id; /* the prober's */
	void (*done)(void *ctx, const char *report);
	void *done_ctx;
};

static void on_manual_probe_note(void *ctx, const struct probe_note *n)
{
	struct asked *a = ctx;

	report_note(&a->report, n);
}

static void on_asked_result(void *ctx, const struct probe_result *r)
{
	struct asked *a = ctx;
	json_t *json = report_end(&a->report, &a->address, a->port, r);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	a->done(a->done_ctx, text ? text : "No memory.");
	free(text);
	free(a);
}

int asked_probe(void *ctx, uint32_t server_id, void (*done)(void *done_ctx, const char *report),
		void *done_ctx, void **probe)
{
	struct daemon *d = ctx;
	struct service *s;
	const struct server *b = model_server(d->model, server_id, &s);
	struct asked *a = calloc(1, sizeof(*a));
	struct prober_audience who = {
		.on_note = on_manual_probe_note, .on_result = on_asked_result, .ctx = a};
	struct prober_job job;
	int err;

	if (!a || !b) {
		free(a);
		return b ? -ENOMEM : -ENOENT;
	}
	job = watch_job(d, s, b);
	a->address = job.address;
	a->port = job.port;
	a->done = done;
	a->done_ctx = done_ctx;
	report_begin(&a->report, clock_now().wall_ms / 1000, config_policy(&s->probe));
	err = prober_watch(d->prober, &job, &who, &a->id);
	if (err) {
		report_drop(&a->report);
		free(a);
		return err;
	}
	*probe = a;
	return 0;
}

void asked_stop(void *ctx, void *probe)
{
	struct daemon *d = ctx;
	struct asked *a = probe;

	prober_cancel(d->prober, a->id);
	report_drop(&a->report);
	free(a);
}
