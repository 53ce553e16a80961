/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mxlbctl: the person's way in. Owns the options and the table of commands; a new command is a row and a
 * function. Asks the daemon for one thing and shows the answer; keeps nothing.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "ctl/ctl.h"
#include "ctl/flows.h"
#include "ctl/operate.h"
#include "ctl/tables.h"
#include "ctl/text.h"

#define DEFAULT_SOCKET "/run/mxlb/mxlb.sock"

struct ctl_command {
	const char *name;
	const char *args;
	const char *help;
	int n_args;
	bool waits; /* knows --wait */
	enum ctl_exit (*run)(const struct ctl *ctl, char **args);
};

static enum ctl_exit run_status(const struct ctl *ctl, char **args)
{
	json_t *document;
	enum ctl_exit rc = ctl_status(ctl, &document);

	(void)args;
	if (rc)
		return rc;
	if (ctl->json)
		ctl_print_json(document);
	else
		tables_status(document);
	json_decref(document);
	return CTL_DONE;
}

static void show_one(const struct ctl_found *f, time_t now, json_t *list)
{
	if (list) {
		json_object_set(f->backend, "service", json_object_get(f->service, "name"));
		json_object_set(f->backend, "preference", json_object_get(f->tier, "preference"));
		json_array_append(list, f->backend);
	} else {
		tables_backend(f->service, f->tier, f->backend, now);
	}
}

static enum ctl_exit run_show(const struct ctl *ctl, char **args)
{
	struct ctl_found found[CTL_FOUND_MAX];
	json_t *document, *list = NULL;
	enum ctl_exit rc = ctl_status(ctl, &document);
	size_t n;

	if (rc)
		return rc;
	if (ctl->json)
		list = json_array();
	n = ctl_find(document, args[0], found);
	for (size_t i = 0; i < n; i++)
		show_one(&found[i], field_time(document, "time"), list);
	if (!n)
		rc = ctl_refused(ctl, "No such server.\n");
	else if (list)
		ctl_print_json(list);
	json_decref(list);
	json_decref(document);
	return rc;
}

static enum ctl_exit run_reload(const struct ctl *ctl, char **args)
{
	struct buf reply = {0};
	enum ctl_exit rc = link_ask(ctl->socket, "reload", &reply);

	(void)args;
	if (!rc && reply.len)
		rc = ctl_refused(ctl, reply.data);
	else if (!rc && ctl->json)
		puts("{\"result\": \"done\"}");
	buf_free(&reply);
	return rc;
}

static enum ctl_exit run_events(const struct ctl *ctl, char **args)
{
	struct buf reply = {0};
	json_t *list = json_array();
	char *line, *rest = NULL;
	enum ctl_exit rc = link_ask(ctl->socket, "show events", &reply);

	(void)args;
	if (!rc && !ctl->json && reply.len)
		ctl_print_lines(stdout, reply.data);
	if (!rc && ctl->json) {
		for (line = strtok_r(reply.data, "\n", &rest); line;
		     line = strtok_r(NULL, "\n", &rest))
			json_array_append_new(list, json_string(line));
		ctl_print_json(list);
	}
	json_decref(list);
	buf_free(&reply);
	return rc;
}

static enum ctl_exit run_help(const struct ctl *ctl, char **args);

static const struct ctl_command commands[] = {
	{"status", "", "services, tiers and backends, and what is wrong with them", 0, false,
	 run_status},
	{"show", "BACKEND | SERVICE/BACKEND", "one backend in full: probe, certificate, next hop",
	 1, false, run_show},
	{"drain", "BACKEND | SERVICE/BACKEND [--wait [--timeout T]]",
	 "nothing new to it; its flows are kept", 1, true, operate_drain},
	{"maint", "BACKEND | SERVICE/BACKEND [--wait [--timeout T]]",
	 "nothing new to it, and no probes; its flows are kept", 1, true, operate_maint},
	{"ready", "BACKEND | SERVICE/BACKEND", "let its probes decide again", 1, false,
	 operate_ready},
	{"flows", "SERVICE | SERVICE/BACKEND", "the flow table: client, backend, seconds idle", 1,
	 false, flows_list},
	{"explain", "SERVICE CLIENT:PORT", "which backend this client gets, and why no other", 2,
	 false, flows_explain},
	{"events", "", "the last transitions", 0, false, run_events},
	{"reload", "", "read the configuration again; the old one stays if it has errors", 0, false,
	 run_reload},
	{"help", "", "this text", 0, false, run_help},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
	fputs("usage: mxlbctl [-s SOCKET] [--json] COMMAND\n\n", to);
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		fprintf(to, "  %s%s%s\n      %s\n", commands[i].name, *commands[i].args ? " " : "",
			commands[i].args, commands[i].help);
	fputs("\n  -s, --socket SOCKET   mxlbd's control socket (" DEFAULT_SOCKET ")\n"
	      "      --json            answer in JSON\n"
	      "      --wait            return when the backend's last flow has gone\n"
	      "      --timeout T       wait for so long at most (90s, 15m, 1h), then exit with 1\n"
	      "      --help, --version\n\n"
	      "exit status: 0 done, 1 refused by mxlbd, 2 usage, 3 mxlbd is not there\n",
	      to);
}

static enum ctl_exit run_help(const struct ctl *ctl, char **args)
{
	(void)ctl;
	(void)args;
	print_usage(stdout);
	return CTL_DONE;
}

static enum ctl_exit run_command(const struct ctl *ctl, char **args, int n)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		if (strcmp(args[0], commands[i].name))
			continue;
		if (n - 1 == commands[i].n_args && (commands[i].waits || !ctl->wait))
			return commands[i].run(ctl, args + 1);
		fprintf(stderr, "usage: mxlbctl %s %s\n", commands[i].name, commands[i].args);
		return CTL_USAGE;
	}
	fputs("mxlbctl: no such command; 'mxlbctl help' lists them\n", stderr);
	return CTL_USAGE;
}

/* Fills ctl. CTL_DONE and *done: that was all. */
static enum ctl_exit take_options(struct ctl *ctl, int argc, char **argv, bool *done)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"wait", no_argument, NULL, 'w'},
		{"timeout", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	bool timed = false;
	int option;

	while ((option = getopt_long(argc, argv, "s:hV", options, NULL)) != -1) {
		switch (option) {
		case 's':
			ctl->socket = optarg;
			break;
		case 'j':
			ctl->json = true;
			break;
		case 'w':
			ctl->wait = true;
			break;
		case 't':
			timed = true;
			ctl->timeout_s = text_seconds(optarg);
			break;
		case 'h':
			*done = true;
			print_usage(stdout);
			return CTL_DONE;
		case 'V':
			*done = true;
			puts("mxlbctl " MXLB_VERSION);
			return CTL_DONE;
		default:
			print_usage(stderr);
			return CTL_USAGE;
		}
	}
	if (timed && (!ctl->wait || !ctl->timeout_s)) {
		fputs("mxlbctl: --timeout expects 90s, 15m, 1h or 2d, and goes with --wait\n",
		      stderr);
		return CTL_USAGE;
	}
	if (optind < argc)
		return CTL_DONE;
	print_usage(stderr);
	return CTL_USAGE;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.socket = DEFAULT_SOCKET};
	bool done = false;
	enum ctl_exit rc = take_options(&ctl, argc, argv, &done);

	if (!rc && !done)
		rc = run_command(&ctl, argv + optind, argc - optind);
	if (fflush(stdout) || ferror(stdout)) {
		perror("mxlbctl: stdout");
		return CTL_REFUSED;
	}
	return rc;
}
