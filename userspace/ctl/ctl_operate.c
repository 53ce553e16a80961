/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drain, maint and ready, waiting for the last flow, and forcing a tier. Ambiguous names are refused. Waiting only
 * reads, so it can be interrupted at any time.
 *
 *   1. No flow counts as the last before SETTLE_MS have passed: a client that was connecting when the state changed
 *      has no entry yet, and its SYN may have to be retransmitted (after 1 s, RFC 6298). A connection whose client has
 *      never sent data carries no mail and may be forged: mxlbd counts it for a minute, then it is reported instead.
 *   2. If another operator sets another state meanwhile, the wait ends, because the flows may never end.
 */
#include "ctl/ctl_operate.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ctl/text.h"
#include "util/clock.h"

#define SETTLE_MS 3000
#define POLL_MS	  1000
#define PART_SIZE 128 /* a service's name, or a server's */
#define NAME_SIZE (2 * PART_SIZE)

struct flows_seen { /* of one server, at one time */
	char name[NAME_SIZE];
	char service[PART_SIZE], state[24];
	char admin[16];
	char until[TEXT_TIER_SIZE]; /* " until 2026-...", or "" */
	long long flows;
	long long empty; /* connections that are open, but whose client has sent nothing */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
	interrupted = signal_number;
}

static enum ctl_exit refuse_many(const struct ctl *ctl, const struct ctl_found *found, size_t n)
{
	struct buf text = {0};
	enum ctl_exit rc;

	buf_printf(&text, "ambiguous server name; use one of");
	for (size_t i = 0; i < n; i++)
		buf_printf(&text, " %s/%s", field_text(found[i].service, "name"),
			   field_text(found[i].server, "name"));
	buf_append(&text, "\n", 1);
	rc = ctl_failed(ctl, text.data ? text.data : "no memory\n");
	buf_free(&text);
	return rc;
}

/* wanted may be out->name, because it is not needed after that is written. */
static enum ctl_exit ctl_operate_look(const struct ctl *ctl, const char *wanted,
				      struct flows_seen *out)
{
	struct ctl_found found[CTL_FOUND_MAX];
	char name[PART_SIZE];
	json_t *document;
	enum ctl_exit rc = ctl_status(ctl, &document);
	size_t n = rc ? 0 : ctl_find(document, wanted, found);

	if (!rc && n == 0)
		rc = ctl_refused(ctl, "No such server.\n");
	else if (!rc && n > 1)
		rc = refuse_many(ctl, found, n);
	if (!rc) {
		text_fit(field_text(found->service, "name"), PART_SIZE - 1, out->service,
			 PART_SIZE);
		text_fit(field_text(found->server, "name"), PART_SIZE - 1, name, PART_SIZE);
		snprintf(out->name, sizeof(out->name), "%s/%s", out->service, name);
		text_fit(field_text(found->server, "admin"), 15, out->admin, sizeof(out->admin));
		text_fit(field_text(found->service, "state"), 23, out->state, sizeof(out->state));
		text_until(json_object_get(found->server, "admin_order"), out->until);
		out->flows = field_number(found->server, "flows");
		out->empty =
			field_number(json_object_get(found->server, "flow_table"), "without_data");
	}
	json_decref(document);
	return rc;
}

static void ctl_operate_report(const struct ctl *ctl, const struct flows_seen *s)
{
	json_t *json;

	if (!ctl->json) {
		printf("%s: %s%s, %lld flows; %s: %s\n", s->name, s->admin, s->until, s->flows,
		       s->service, s->state);
		if (!s->flows && s->empty)
			printf("%s: did not wait for %lld connections whose client has never sent data\n",
			       s->name, s->empty);
		return;
	}
	json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "server", s->name, "backend", s->name,
			 "admin", s->admin, "flows", (json_int_t)s->flows, "without_data",
			 (json_int_t)s->empty, "service_state", s->state);
	ctl_print_json(json);
	json_decref(json);
}

/* On a terminal: a line that the next one overwrites; "" clears it. */
static void progress(const char *text)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%-78.78s\r", text);
}

static void progress_seen(const struct flows_seen *s, long long waited_ms)
{
	char line[NAME_SIZE + 64], age[TEXT_SHORT_SIZE];

	snprintf(line, sizeof(line), "%s: %s, %lld flows, waiting for %s", s->name, s->admin,
		 s->flows, text_age(waited_ms / 1000, age));
	progress(line);
}

static void pause_ms(long long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	if (ms > 0)
		nanosleep(&ts, NULL); /* ended by a signal, as intended */
}

/* Ends by the same signal, so that the shell sees it. */
static void end_interrupted(const struct flows_seen *s)
{
	progress("");
	fprintf(stderr, "mxlbctl: stopped waiting: %s stays in %s, with %lld flows\n", s->name,
		s->admin, s->flows);
	signal(interrupted, SIG_DFL);
	raise(interrupted);
}

static enum ctl_exit stop_waiting(const struct ctl *ctl, const struct flows_seen *s,
				  const char *why)
{
	char line[NAME_SIZE + 128];

	progress("");
	snprintf(line, sizeof(line), "%s: %s, %lld flows: %s\n", s->name, s->admin, s->flows, why);
	return ctl_failed(ctl, line);
}

/* Rules 1 and 2. s: the last state seen. */
static enum ctl_exit wait_for_last(const struct ctl *ctl, const char *state, struct flows_seen *s)
{
	long long start = (long long)clock_ms(), limit = ctl->timeout_s * 1000LL;

	for (;;) {
		enum ctl_exit rc = ctl_operate_look(ctl, s->name, s);
		long long waited = (long long)clock_ms() - start;
		bool late = limit && waited >= limit;

		if (rc)
			return rc;
		if (strcmp(s->admin, state))
			return stop_waiting(ctl, s, "another operator has changed its state");
		if (!s->flows && (late || waited >= SETTLE_MS))
			return CTL_DONE;
		if (late)
			return stop_waiting(ctl, s, "--timeout reached; the state stays set");
		progress_seen(s, waited);
		if (!interrupted)
			pause_ms(limit && limit - waited < POLL_MS ? limit - waited : POLL_MS);
		if (interrupted)
			end_interrupted(s);
	}
}

/* A command whose success is an empty line. */
static enum ctl_exit order(const struct ctl *ctl, const char *words)
{
	char command[NAME_SIZE + 96];
	struct buf reply = {0};
	enum ctl_exit rc;

	if (ctl->for_s)
		snprintf(command, sizeof(command), "%s for %u", words, ctl->for_s);
	else
		snprintf(command, sizeof(command), "%s", words);
	rc = link_ask(ctl->socket, command, &reply);
	if (!rc && reply.len)
		rc = ctl_refused(ctl, reply.data);
	buf_free(&reply);
	return rc;
}

static enum ctl_exit set_state(const struct ctl *ctl, const struct flows_seen *s, const char *state)
{
	char words[NAME_SIZE + 64];

	snprintf(words, sizeof(words), "set server %s state %s%s", s->name, state,
		 ctl->force ? "" : " keep-one");
	return order(ctl, words);
}

static enum ctl_exit operate(const struct ctl *ctl, const char *wanted, const char *state)
{
	struct sigaction act = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
	struct flows_seen s;
	enum ctl_exit rc = ctl_operate_look(ctl, wanted, &s);

	if (!rc)
		rc = set_state(ctl, &s, state);
	if (!rc && ctl->wait) {
		sigaction(SIGINT, &act, NULL);
		rc = wait_for_last(ctl, state, &s);
		progress("");
	} else if (!rc) {
		rc = ctl_operate_look(ctl, s.name, &s);
	}
	if (!rc)
		ctl_operate_report(ctl, &s);
	return rc;
}

enum ctl_exit operate_drain(const struct ctl *ctl, char **args)
{
	return operate(ctl, args[0], "drain");
}

enum ctl_exit operate_maint(const struct ctl *ctl, char **args)
{
	return operate(ctl, args[0], "maint");
}

enum ctl_exit operate_ready(const struct ctl *ctl, char **args)
{
	return operate(ctl, args[0], "ready");
}

static void report_tier(const struct ctl *ctl, const json_t *service)
{
	char line[TEXT_TIER_SIZE], name[PART_SIZE];

	if (ctl->json) {
		json_t *json = json_pack("{s:O?, s:O?, s:O?, s:O?}", "service",
					 json_object_get(service, "name"), "state",
					 json_object_get(service, "state"), "active_tier",
					 json_object_get(service, "active_tier"), "forced",
					 json_object_get(service, "forced"));

		ctl_print_json(json);
		json_decref(json);
		return;
	}
	printf("%s: %s\n", text_fit(field_text(service, "name"), PART_SIZE - 1, name, sizeof(name)),
	       text_tier(service, line));
}

static bool ctl_operate_is_word(const char *text)
{
	return *text && strlen(text) < PART_SIZE && !strpbrk(text, " \t\r\n;");
}

enum ctl_exit operate_tier(const struct ctl *ctl, char **args)
{
	bool automatic = !strcmp(args[1], "auto");
	char words[2 * PART_SIZE + 32];
	json_t *document, *service;
	enum ctl_exit rc;
	size_t i;

	if (automatic ? args[2] || ctl->for_s
		      : strcmp(args[1], "force") || !args[2] || !ctl_operate_is_word(args[2])) {
		fputs("usage: mxlbctl tier SERVICE force N [--for T]\n"
		      "       mxlbctl tier SERVICE auto\n",
		      stderr);
		return CTL_USAGE;
	}
	if (!ctl_operate_is_word(args[0]))
		return ctl_refused(ctl, "No such service.\n");
	snprintf(words, sizeof(words), "tier %s %s%s%s", args[0], args[1], automatic ? "" : " ",
		 automatic ? "" : args[2]);
	rc = order(ctl, words);
	if (!rc)
		rc = ctl_status(ctl, &document);
	if (rc)
		return rc;
	json_array_foreach (json_object_get(document, "services"), i, service)
		if (!strcmp(field_text(service, "name"), args[0]))
			report_tier(ctl, service);
	json_decref(document);
	return CTL_DONE;
}
