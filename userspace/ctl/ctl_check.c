/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides about OK, WARNING and CRITICAL, and prints the line of the Monitoring Plugins' guidelines: "MXLB STATE -
 * text|figures". No answer within --timeout is UNKNOWN.
 *
 *   1. Findings are mxlbd's (core/diagnosis.c): critical ones are CRITICAL, errors and warnings WARNING; notes
 *      (overrides without ill effect) are neither.
 *   2. A certificate with fewer days left than --critical or --warning is CRITICAL or WARNING.
 */
#include "ctl/ctl_check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ctl/text.h"

#define TIMEOUT_S     10
#define WARNING_DAYS  21 /* expiry-warn's default */
#define CRITICAL_DAYS 7
#define DAYS_MAX      36500
#define LINE_MAX_SIZE 4096 /* the minimum that Nagios reads of a line */

enum state { STATE_OK, STATE_WARNING, STATE_CRITICAL, STATE_UNKNOWN };

static const char *const state_names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

struct check {
	enum state worst;
	long long warning_days, critical_days;
	struct buf texts[STATE_UNKNOWN]; /* per state, the worst first; the summary for OK */
	struct buf figures;
	json_t *problems, *values;
};

/* Takes the text. */
static void ctl_check_say(struct check *c, enum state state, json_t *text)
{
	struct buf *out = &c->texts[state];

	if (state > c->worst)
		c->worst = state;
	buf_printf(out, "%s%s", out->len ? "; " : "", json_string_value(text));
	if (state != STATE_OK)
		json_array_append_new(c->problems, json_pack("{s:s, s:O}", "state",
							     state_names[state], "text", text));
	json_decref(text);
}

/* 'label'=value[UOM];warn;crit;min;max, and the same for --json. */
static void figure(struct check *c, const char *service, const char *what, long long value,
		   const char *rest)
{
	char label[160];

	snprintf(label, sizeof(label), "%.64s_%.64s", service, what);
	buf_printf(&c->figures, "%s'%s'=%lld%s", c->figures.len ? " " : "", label, value, rest);
	json_object_set_new(c->values, label, json_integer(value));
}

/* Findings are mxlbd's (core/diagnosis.c); days of certificates are judged by the options here. */
static bool judge_findings(struct check *c, const json_t *status, const char *wanted)
{
	json_t *findings = json_object_get(status, "diagnosis"), *f;
	size_t i;

	json_array_foreach (findings, i, f) {
		const char *level = field_text(f, "level"), *service = field_text(f, "service"),
			   *next = field_text(f, "next");

		if (!strcmp(level, "note") || (wanted && *service && strcmp(wanted, service)))
			continue;
		ctl_check_say(
			c, strcmp(level, "critical") ? STATE_WARNING : STATE_CRITICAL,
			json_sprintf("%s%s%s", field_text(f, "text"), *next ? " -> " : "", next));
	}
	return json_is_array(findings);
}

static void check_judge_server(struct check *c, const json_t *service, const json_t *server,
			       long long *least_days)
{
	const json_t *days = json_object_get(json_object_get(server, "tls"), "days_left");
	const char *name = field_text(server, "name");
	long long left = json_integer_value(days);

	if (!json_is_integer(days))
		return;
	if (left < *least_days)
		*least_days = left;
	if (left < c->warning_days || left < c->critical_days)
		ctl_check_say(c, left < c->critical_days ? STATE_CRITICAL : STATE_WARNING,
			      json_sprintf("%s/%s certificate %s %lld days",
					   field_text(service, "name"), name,
					   left < 0 ? "expired for" : "expires in",
					   left < 0 ? -left : left));
}

/* Counts servers that are up and not kept out by an operator; drained ones take no mail. */
static bool is_in_service(const json_t *server)
{
	return !strcmp(field_text(server, "verdict"), "up") &&
	       !strcmp(field_text(server, "admin"), "ready") && field_number(server, "weight");
}

static void judge_service(struct check *c, const json_t *service)
{
	const char *name = field_text(service, "name");
	long long up = 0, all = 0, flows = 0, new = 0, days = DAYS_MAX;
	json_t *tier, *server;
	char rest[64], tier_text[TEXT_TIER_SIZE];
	size_t i, k;

	json_array_foreach (json_object_get(service, "tiers"), i, tier)
		json_array_foreach (tier_servers(tier), k, server) {
			check_judge_server(c, service, server, &days);
			all++;
			up += is_in_service(server);
			flows += field_number(server, "flows");
			new += field_number(server, "new");
		}
	ctl_check_say(c, STATE_OK,
		      json_sprintf("%s: %s, %lld of %lld up", name, text_tier(service, tier_text),
				   up, all));
	snprintf(rest, sizeof(rest), ";;;0;%lld", all);
	figure(c, name, "up", up, rest);
	figure(c, name, "flows", flows, ";;;0");
	figure(c, name, "new", new, "c;;;0");
	snprintf(rest, sizeof(rest), ";%lld:;%lld:", c->warning_days, c->critical_days);
	if (days < DAYS_MAX)
		figure(c, name, "certificate_days", days, rest);
}

/* One line, whatever a server said. */
static void print_line(struct check *c)
{
	struct buf line = {0};

	for (int state = STATE_CRITICAL; state > STATE_OK; state--)
		if (c->texts[state].len)
			buf_printf(&line, "%s%s", line.len ? "; " : "", c->texts[state].data);
	if (!line.len && c->texts[STATE_OK].len)
		buf_printf(&line, "%s", c->texts[STATE_OK].data);
	if (line.len > LINE_MAX_SIZE / 2)
		strcpy(line.data + LINE_MAX_SIZE / 2, "...");
	for (char *p = line.data ? text_safe(line.data) : NULL; p && *p; p++)
		if (*p == '|')
			*p = '?';
	printf("MXLB %s - %s|%s\n", state_names[c->worst], line.data ? line.data : "no services",
	       c->figures.data ? c->figures.data : "");
	buf_free(&line);
}

enum ctl_exit check_unknown(const struct ctl *ctl, const char *why)
{
	printf(ctl->json ? "{\"state\": \"UNKNOWN\", \"text\": \"%s\"}\n" : "MXLB UNKNOWN - %s\n",
	       why);
	return (enum ctl_exit)STATE_UNKNOWN;
}

static void on_alarm(int number)
{
	static const char line[] = "MXLB UNKNOWN - mxlbd did not answer in time\n";
	ssize_t n = write(STDOUT_FILENO, line, sizeof(line) - 1);

	(void)number;
	(void)n;
	_exit(STATE_UNKNOWN);
}

/* False: no number of days. */
static bool take_days(const char *text, long long initial, long long *days)
{
	char *end = NULL;

	*days = text ? strtoll(text, &end, 10) : initial;
	return !text || (*text >= '0' && *text <= '9' && !*end && *days <= DAYS_MAX);
}

/* The status document; NULL: the error is on stderr. */
static json_t *ctl_check_ask(const struct ctl *ctl)
{
	unsigned wait_s = ctl->timeout_s ?: TIMEOUT_S;
	struct buf reply = {0};
	json_t *status = NULL;

	signal(SIGALRM, on_alarm); /* a reply that trickles */
	alarm(wait_s + 1);
	if (!link_ask_within(ctl->socket, "show status", wait_s, &reply))
		status = json_loadb(reply.data, reply.len, JSON_REJECT_DUPLICATES, NULL);
	alarm(0);
	buf_free(&reply);
	return status;
}

static bool judge_all(struct check *c, const json_t *status, const char *wanted)
{
	bool found = !wanted;
	json_t *service;
	size_t i;

	json_array_foreach (json_object_get(status, "services"), i, service) {
		if (wanted && strcmp(wanted, field_text(service, "name")))
			continue;
		judge_service(c, service);
		found = true;
	}
	return found;
}

enum ctl_exit check_run(const struct ctl *ctl, char **args)
{
	struct check c = {.problems = json_array(), .values = json_object()};
	enum ctl_exit rc;
	json_t *status, *document;

	if (ctl->file_named) {
		rc = check_unknown(ctl, "check has no --config; -c DAYS is --critical DAYS");
		goto out;
	}
	if (!take_days(ctl->warning, WARNING_DAYS, &c.warning_days) ||
	    !take_days(ctl->file ?: ctl->critical, CRITICAL_DAYS, &c.critical_days)) {
		rc = check_unknown(ctl, "-w and -c expect a number of days");
		goto out;
	}
	status = ctl_check_ask(ctl);
	if (!status) {
		rc = check_unknown(ctl, "mxlbd does not answer");
		goto out;
	}
	if (!judge_all(&c, status, args[0])) {
		rc = check_unknown(ctl, "no such service");
	} else if (!judge_findings(&c, status, args[0])) {
		rc = check_unknown(ctl, "mxlbd is older than this mxlbctl: restart it");
	} else if (ctl->json) {
		document = json_pack("{s:s, s:O, s:O}", "state", state_names[c.worst], "problems",
				     c.problems, "figures", c.values);
		ctl_print_json(document);
		json_decref(document);
		rc = (enum ctl_exit)c.worst;
	} else {
		print_line(&c);
		rc = (enum ctl_exit)c.worst;
	}
	json_decref(status);
out:
	for (size_t i = 0; i < sizeof(c.texts) / sizeof(c.texts[0]); i++)
		buf_free(&c.texts[i]);
	buf_free(&c.figures);
	json_decref(c.problems);
	json_decref(c.values);
	return rc;
}
