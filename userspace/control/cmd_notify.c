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

static json_t *last_json(const struct notify_state *s)
{
	if (!s->last_seq)
		return json_null();
	return json_pack("{s:I, s:o, s:b, s:o}", "seq", (json_int_t)s->last_seq, "at",
			 render_json_time(s->last_wall_ms), "failed", s->last_failed, "result",
			 render_json_text(s->last));
}

json_t *render_notify(const struct notify_state *s)
{
	if (!s || !*s->command)
		return json_null();
	return json_pack("{s:o, s:I, s:I, s:I, s:o}", "command", render_json_text(s->command), "ok",
			 (json_int_t)s->ok, "failed", (json_int_t)s->failed, "dropped",
			 (json_int_t)s->dropped, "last", last_json(s));
}

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
