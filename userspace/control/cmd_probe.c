/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `probe SERVICE/SERVER`: the only command whose reply is not available at once. The client waits for it, the loop
 * does not; if the client leaves, the probe is cancelled.
 */
#include <errno.h>
#include <string.h>
#include "control/request.h"

static void on_report(void *ctx, const char *report)
{
	struct caller *caller = ctx;

	caller->probe = NULL;
	caller->resume(caller, report);
}

void probe_server(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	struct server *b = request_server(r);
	int err;

	if (!b)
		return;
	err = cb->probe(cb->ctx, b->id, on_report, r->caller, &r->caller->probe);
	if (err)
		command_error(r, "%s.\n",
			      err == -EBUSY ? "Too many probes are under way" : strerror(-err));
}
