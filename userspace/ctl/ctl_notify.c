/* SPDX-License-Identifier: BSD-2-Clause */
#include "ctl/ctl_notify.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "ctl/text.h"
#include "util/clock.h"

#define POLL_MS	  100
#define DEFAULT_S 40 /* a run may take 30 s, and another may be under way */
#define LINE_SIZE 1024

/* Its event's number. */
static enum ctl_exit ctl_notify_begin(const struct ctl *ctl, long long *seq)
{
	struct buf reply = {0};
	enum ctl_exit rc = link_ask(ctl->socket, "test notify", &reply);
	json_t *json = rc ? NULL : json_loadb(reply.data, reply.len, 0, NULL);

	*seq = field_number(json, "seq");
	if (!rc && !*seq)
		rc = ctl_refused(ctl, reply.data);
	json_decref(json);
	buf_free(&reply);
	return rc;
}

/* Has the program been run for this event, or a later one? */
static bool is_over(const json_t *status, long long seq)
{
	const json_t *notify = json_object_get(status, "notify");

	return field_number(json_object_get(notify, "last"), "seq") >= seq;
}

static enum ctl_exit wait_for_end(const struct ctl *ctl, long long seq, json_t **status)
{
	long long limit = (ctl->timeout_s ? ctl->timeout_s : DEFAULT_S) * 1000LL,
		  start = (long long)clock_ms();
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

	for (;;) {
		enum ctl_exit rc = ctl_status(ctl, status);

		if (rc || is_over(*status, seq))
			return rc;
		json_decref(*status);
		*status = NULL;
		if ((long long)clock_ms() - start > limit)
			return ctl_failed(ctl, "the notify program has not ended in time: it "
					       "hangs, or others wait before this event\n");
		nanosleep(&pause, NULL);
	}
}

static enum ctl_exit ctl_notify_report(const struct ctl *ctl, const json_t *notify)
{
	const json_t *last = json_object_get(notify, "last");
	bool failed = field_true(last, "failed");
	char line[LINE_SIZE], safe[LINE_SIZE];

	snprintf(line, sizeof(line), "%s: %s", field_text(notify, "command"),
		 field_text(last, "result"));
	if (ctl->json)
		ctl_print_json(notify);
	else
		fprintf(failed ? stderr : stdout, "%s%s\n",
			failed ? "mxlbctl: the notify program failed: " : "told: ",
			text_fit(line, sizeof(safe) - 1, safe, sizeof(safe)));
	return failed ? CTL_REFUSED : CTL_DONE;
}

enum ctl_exit notify_test_run(const struct ctl *ctl, char **args)
{
	json_t *status = NULL;
	long long seq;
	enum ctl_exit rc = ctl_notify_begin(ctl, &seq);

	(void)args;
	if (!rc)
		rc = wait_for_end(ctl, seq, &status);
	if (!rc)
		rc = ctl_notify_report(ctl, json_object_get(status, "notify"));
	json_decref(status);
	return rc;
}
