/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program of `notify`: what became of its runs, and `test notify`, which tells it an event of its own. The reply names the
 * event's number; whether that run succeeded is in the status document, once .notify.last.seq has reached it.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include "control/render.h"
#include "control/request.h"

void notify_test(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	uint64_t seq;
	int rc = cb->notify_test(cb->ctx, r->caller->who, &seq);

	if (rc == -ENOENT)
		command_error(r, "No notify program is configured: set `notify` at the top level "
				 "of the configuration, then mxlbctl reload.\n");
	else if (rc == -EBUSY)
		command_error(r, "The queue of events is full, because the notify program hangs "
				 "or is too slow: see `notify` in mxlbctl --json status.\n");
	else if (rc)
		command_error(r, "%s.\n", strerror(-rc));
	else
		buf_printf(r->out, "{\"seq\": %llu}\n", (unsigned long long)seq);
}
