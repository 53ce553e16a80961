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
#include "conf/bundle.h"
#include "conf/conf.h"
#include "conf/file.h"
#include "ctl/ctl.h"
#include "ctl/detach.h"
#include "ctl/flows.h"
#include "ctl/operate.h"
#include "ctl/plan.h"
#include "ctl/probe.h"
#include "ctl/tables.h"
#include "ctl/text.h"
#include "probe/prober.h"

#define DEFAULT_SOCKET "/run/mxlb/mxlb.sock"
#define PROBE_CHILD_FD 3

/* Options that only some commands know. */
#define TAKES_WAIT     1u
#define TAKES_PROBE    2u
#define TAKES_FOR      4u
#define TAKES_FILE     8u

struct ctl_command {
	const char *name;
	const char *args;
	const char *help;
	int n_args;	/* below 0: that many at most, and one less at least */
	unsigned takes; /* TAKES_ */
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

static enum ctl_exit run_plan(const struct ctl *ctl, char **args)
{
	char why[VALUE_WHY_SIZE] = "not enough memory";
	struct buf text = {0};
	enum ctl_exit rc;
	bool exposed;

	(void)args;
	if (!ctl->file) {
		fputs("usage: mxlbctl plan -c FILE\n", stderr);
		return CTL_USAGE;
	}
	if (file_read(ctl->file, CONF_FILE_MAX, &text, &exposed, why)) {
		fprintf(stderr, "mxlbctl: %s: %s\n", ctl->file, why);
		rc = CTL_REFUSED;
	} else {
		rc = plan_ask(ctl, ctl->file, &text);
	}
	buf_free(&text);
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
	{"status", "", "services, tiers and backends, and what is wrong with them", 0, 0,
	 run_status},
	{"show", "BACKEND | SERVICE/BACKEND", "one backend in full: probe, certificate, next hop",
	 1, 0, run_show},
	{"drain", "BACKEND | SERVICE/BACKEND [--for T] [--wait [--timeout T]]",
	 "nothing new to it; its flows are kept", 1, TAKES_WAIT | TAKES_FOR, operate_drain},
	{"maint", "BACKEND | SERVICE/BACKEND [--for T] [--wait [--timeout T]]",
	 "nothing new to it, and no probes; its flows are kept", 1, TAKES_WAIT | TAKES_FOR,
	 operate_maint},
	{"ready", "BACKEND | SERVICE/BACKEND [--for T]", "let its probes decide again", 1,
	 TAKES_FOR, operate_ready},
	{"tier", "SERVICE force N [--for T] | SERVICE auto",
	 "make a tier the active one; or let the servers' verdicts decide, at once", -3, TAKES_FOR,
	 operate_tier},
	{"flows", "SERVICE | SERVICE/BACKEND", "the flow table: client, backend, seconds idle", 1,
	 false, flows_list},
	{"explain", "SERVICE CLIENT:PORT", "which backend this client gets, and why no other", 2,
	 false, flows_explain},
	{"probe", "HOST[:PORT] [OPTION...] | SERVICE/BACKEND",
	 "one SMTP dialogue as Exchange Online would hold it: from here, or by mxlbd", 1,
	 TAKES_PROBE, probe_run},
	{"events", "", "the last transitions", 0, 0, run_events},
	{"plan", "-c FILE",
	 "what a configuration would change, and for how many new connections; changes nothing", 0,
	 TAKES_FILE, run_plan},
	{"reload", "", "read the configuration again; the old one stays if it has errors", 0, 0,
	 run_reload},
	{"detach", "[-c FILE]",
	 "take the datapath away, of a running mxlbd or of one that is gone: no mail passes then",
	 0, TAKES_FILE, detach_run},
	{"help", "", "this text", 0, 0, run_help},
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
	      "      --for T           for so long (90s, 15m, 1h, 2d); then what was said for good\n"
	      "                        holds again, and for a tier: auto\n"
	      "  -c, --config FILE     for plan\n"
	      "      --wait            return when the backend's last flow has gone\n"
	      "      --timeout T       wait for so long at most (90s, 15m, 1h), then exit with 1\n"
	      "      --help, --version\n\n"
	      "for detach, where no mxlbd runs:\n"
	      "  -c, --config FILE     its configuration (/etc/mxlb/mxlb.yaml)\n\n"
	      "for probe HOST (the policies that it says enough for are all judged):\n"
	      "      --depth D         connect, banner, ehlo, starttls or mail-from (the default)\n"
	      "      --tls POLICY      what decides: none, encryption-only (the default),\n"
	      "                        certificate-validation, domain-validation or dane\n"
	      "      --tls-domain D    for domain-validation; *.contoso.com for one label below\n"
	      "      --tls-certificate-name '<I>issuer<S>subject'\n"
	      "      --tlsa RECORD     for dane: '3 1 1 hex'\n"
	      "      --ca-file FILE    the certificates that are trusted (the system's)\n"
	      "      --helo NAME       said in EHLO (this host's name)\n"
	      "      --sni NAME        sent in the TLS handshake (none)\n"
	      "      --timeout T       for the whole dialogue (10s)\n\n"
	      "exit status: 0 done (probe: healthy), 1 refused by mxlbd (probe: not healthy), 2 usage,\n"
	      "3 mxlbd is not there\n",
	      to);
}

static enum ctl_exit run_help(const struct ctl *ctl, char **args)
{
	(void)ctl;
	(void)args;
	print_usage(stdout);
	return CTL_DONE;
}

/* A time to wait for, and nothing that is waited for. */
static bool misses_wait(const struct ctl *ctl, unsigned takes)
{
	return ctl->timeout_s && !ctl->wait && !(takes & TAKES_PROBE);
}

static bool takes_args(const struct ctl_command *c, int n)
{
	return n == c->n_args || n == -c->n_args || (c->n_args < 0 && n == -c->n_args - 1);
}

static enum ctl_exit run_command(const struct ctl *ctl, unsigned given, char **args, int n)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		if (strcmp(args[0], commands[i].name))
			continue;
		if (takes_args(&commands[i], n - 1) && !(given & ~commands[i].takes) &&
		    !misses_wait(ctl, commands[i].takes))
			return commands[i].run(ctl, args + 1);
		fprintf(stderr, "usage: mxlbctl %s %s\n", commands[i].name, commands[i].args);
		return CTL_USAGE;
	}
	fputs("mxlbctl: no such command; 'mxlbctl help' lists them\n", stderr);
	return CTL_USAGE;
}

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"config", required_argument, NULL, 'c'},
	{"json", no_argument, NULL, 'j'},
	{"wait", no_argument, NULL, 'w'},
	{"timeout", required_argument, NULL, 't'},
	{"for", required_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"tls", required_argument, NULL, 'T'},
	{"helo", required_argument, NULL, 'H'},
	{"sni", required_argument, NULL, 'S'},
	{"depth", required_argument, NULL, 'D'},
	{"tls-domain", required_argument, NULL, 'd'},
	{"tls-certificate-name", required_argument, NULL, 'n'},
	{"tlsa", required_argument, NULL, 'a'},
	{"ca-file", required_argument, NULL, 'C'},
	{NULL, 0, NULL, 0},
};

/* Where a probe's option goes; NULL: it is none. */
static const char **probe_option(struct ctl_probe *p, int option)
{
	switch (option) {
	case 'T':
		return &p->tls;
	case 'd':
		return &p->tls_domain;
	case 'n':
		return &p->certificate_name;
	case 'a':
		return &p->tlsa;
	case 'C':
		return &p->ca_file;
	case 'H':
		return &p->helo;
	case 'S':
		return &p->sni;
	case 'D':
		return &p->depth;
	default:
		return NULL;
	}
}

/* The options that are more than a place for their argument. False: unknown, or said wrongly. */
static bool take_option(struct ctl *ctl, int option, unsigned *given, bool *done)
{
	switch (option) {
	case 's':
		ctl->socket = optarg;
		return ctl->socket_given = true;
	case 'j':
		ctl->json = true;
		return true;
	case 'w':
		ctl->wait = true;
		*given |= TAKES_WAIT;
		return true;
	case 't':
		ctl->timeout_s = text_seconds(optarg);
		if (!ctl->timeout_s)
			fputs("mxlbctl: --timeout expects 90s, 15m, 1h or 2d\n", stderr);
		return ctl->timeout_s;
	case 'f':
		ctl->for_s = text_seconds(optarg);
		*given |= TAKES_FOR;
		if (!ctl->for_s)
			fputs("mxlbctl: --for expects 90s, 15m, 1h or 2d\n", stderr);
		return ctl->for_s;
	case 'c':
		ctl->file = optarg;
		*given |= TAKES_FILE;
		return true;
	case 'h':
		print_usage(stdout);
		return *done = true;
	case 'V':
		puts("mxlbctl " MXLB_VERSION);
		return *done = true;
	default:
		return false;
	}
}

/* Whose word is taken for who is who. */
static enum ctl_exit take_bundle(struct ctl *ctl)
{
	char why[VALUE_WHY_SIZE];
	bool exposed;

	ctl->bundle = ctl->probe.ca_file ? ctl->probe.ca_file : bundle_of_system();
	if (!ctl->probe.ca_file || !bundle_check(ctl->bundle, &exposed, why))
		return CTL_DONE;
	fprintf(stderr, "mxlbctl: %s: %s\n", ctl->bundle, why);
	return CTL_USAGE;
}

/* Fills ctl. CTL_DONE and *done: that was all. */
static enum ctl_exit take_options(struct ctl *ctl, unsigned *given, int argc, char **argv,
				  bool *done)
{
	int option;

	while (!*done && (option = getopt_long(argc, argv, "s:c:hV", options, NULL)) != -1) {
		const char **text = probe_option(&ctl->probe, option);

		if (text) {
			*text = optarg;
			*given |= TAKES_PROBE;
		} else if (!take_option(ctl, option, given, done)) {
			fputs("Try 'mxlbctl --help'.\n", stderr);
			return CTL_USAGE;
		}
	}
	if (*done)
		return CTL_DONE;
	if (optind < argc)
		return take_bundle(ctl);
	print_usage(stderr);
	return CTL_USAGE;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.socket = DEFAULT_SOCKET};
	unsigned given = 0;
	bool done = false;
	enum ctl_exit rc;

	if (argc >= 2 && !strcmp(argv[1], "--probe-child"))
		return probe_child_main(PROBE_CHILD_FD, argv + 2);
	rc = take_options(&ctl, &given, argc, argv, &done);
	if (!rc && !done)
		rc = run_command(&ctl, given, argv + optind, argc - optind);
	if (fflush(stdout) || ferror(stdout)) {
		perror("mxlbctl: stdout");
		return CTL_REFUSED;
	}
	return rc;
}
