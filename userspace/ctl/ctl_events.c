/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tracks which events have been read. Following means asking again, so it needs nothing from the daemon; a new daemon,
 * whose numbers start again under another run, is recognised. Missed events are reported.
 */
#include "ctl/ctl_events.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include "ctl/text.h"

#define POLL_MS	  250
#define LINE_SIZE 2048

struct events_place {
	long long run, next; /* 0: nothing was read yet */
};

static void ctl_events_show(const struct ctl *ctl, const json_t *event)
{
	char line[LINE_SIZE], fit[LINE_SIZE];

	if (ctl->json) {
		json_dumpf(event, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		putchar('\n');
		return;
	}
	snprintf(line, sizeof(line), "%lld %s %s", field_number(event, "seq"),
		 field_text(event, "time"), field_text(event, "line"));
	printf("%s%s%s\n", text_colour(field_text(event, "level")),
	       text_fit(line, sizeof(fit) - 1, fit, sizeof(fit)),
	       text_colour_end(field_text(event, "level")));
}

static void ctl_events_take(const struct ctl *ctl, const json_t *event, struct events_place *p)
{
	long long run = field_number(event, "run"), seq = field_number(event, "seq");

	if (p->run && p->run == run && seq > p->next)
		fprintf(stderr, "mxlbctl: missed %lld events\n", seq - p->next);
	ctl_events_show(ctl, event);
	*p = (struct events_place){run, seq < LLONG_MAX ? seq + 1 : seq};
}

/* Each line of the reply. */
static enum ctl_exit take_all(const struct ctl *ctl, char *text, struct events_place *p)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		json_t *event = json_loads(line, 0, NULL);

		if (!json_is_integer(json_object_get(event, "seq"))) {
			json_decref(event);
			return ctl_refused(ctl, line);
		}
		ctl_events_take(ctl, event, p);
		json_decref(event);
	}
	return CTL_DONE;
}

/* 0 or -errno: the daemon could not be asked. */
static int ctl_events_look(const struct ctl *ctl, struct events_place *p, enum ctl_exit *rc)
{
	char command[96] = "show events json";
	struct buf reply = {0};
	int err;

	if (p->run)
		snprintf(command, sizeof(command), "show events %lld %lld json", p->next, p->run);
	err = link_try(ctl->socket, command, &reply);
	*rc = CTL_DONE;
	if (!err && reply.len)
		*rc = take_all(ctl, reply.data, p);
	buf_free(&reply);
	return err;
}

static bool may_come_back(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -ECONNRESET || err == -EPIPE ||
	       err == -EAGAIN;
}

enum ctl_exit events_list(const struct ctl *ctl, char **args)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	struct events_place place = {0};
	enum ctl_exit rc;
	bool gone = false;
	int err = ctl_events_look(ctl, &place, &rc);

	(void)args;
	if (err)
		return link_complain(ctl->socket, err, LINK_WAIT_S);
	while (ctl->follow && !rc && !fflush(stdout) && !ferror(stdout)) {
		nanosleep(&pause, NULL);
		err = ctl_events_look(ctl, &place, &rc);
		if (err && !may_come_back(err))
			return link_complain(ctl->socket, err, LINK_WAIT_S);
		if (err && !gone)
			fputs("mxlbctl: mxlbd has stopped; waiting for it\n", stderr);
		gone = err;
	}
	return rc;
}
