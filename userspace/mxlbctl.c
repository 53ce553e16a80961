/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mxlbctl: the person's way in. Owns the table of commands; a new command is a row and a
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
#include "ctl/check.h"
#include "ctl/complete.h"
#include "ctl/config.h"
#include "ctl/ctl.h"
#include "ctl/detach.h"
#include "ctl/doctor.h"
#include "ctl/events.h"
#include "ctl/flows.h"
#include "ctl/operate.h"
#include "ctl/options.h"
#include "ctl/plan.h"
#include "ctl/probe.h"
#include "ctl/role.h"
#include "ctl/setup.h"
#include "ctl/tables.h"
#include "ctl/text.h"
#include "ctl/top.h"
#include "probe/prober.h"
#include "util/closest.h"

#define PROBE_CHILD_FD 3

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

static enum ctl_exit run_help(const struct ctl *ctl, char **args);

static const struct ctl_command commands[] = {
	{"status", "", "services, tiers and backends, and what is wrong with them", 0, 0,
	 run_status},
	{"show", "BACKEND | SERVICE/BACKEND", "one backend in full: probe, certificate, next hop",
	 1, 0, run_show},
	{"drain", "BACKEND | SERVICE/BACKEND [--force] [--for T] [--wait [--timeout T]]",
	 "nothing new to it; its flows are kept", 1,
	 TAKES_WAIT | TAKES_TIMEOUT | TAKES_FOR | TAKES_FORCE, operate_drain},
	{"maint", "BACKEND | SERVICE/BACKEND [--force] [--for T] [--wait [--timeout T]]",
	 "nothing new to it, and no probes; its flows are kept", 1,
	 TAKES_WAIT | TAKES_TIMEOUT | TAKES_FOR | TAKES_FORCE, operate_maint},
	{"ready", "BACKEND | SERVICE/BACKEND [--for T]", "let its probes decide again", 1,
	 TAKES_FOR, operate_ready},
	{"tier", "SERVICE force N [--for T] | SERVICE auto",
	 "make a tier the active one; or let the servers' verdicts decide, at once", -3, TAKES_FOR,
	 operate_tier},
	{"role", "[active | standby | auto] [--for T]",
	 "this box among several; or what it is to be: auto leaves it to the configuration", -1,
	 TAKES_FOR, role_run},
	{"health", "[--timeout T]",
	 "does mxlbd answer, and is the program on every interface? For keepalived's track_script",
	 0, TAKES_TIMEOUT, role_health},
	{"flows", "SERVICE | SERVICE/BACKEND", "the flow table: client, backend, seconds idle", 1,
	 0, flows_list},
	{"explain", "SERVICE CLIENT[:PORT]",
	 "which server this client gets, and why no other; is it allowed?", 2, 0, flows_explain},
	{"probe", "HOST[:PORT] [OPTION...] | SERVICE/BACKEND",
	 "one SMTP dialogue as Exchange Online would hold it: from here, or by mxlbd", 1,
	 TAKES_PROBE | TAKES_TIMEOUT, probe_run},
	{"check", "[SERVICE] [-w DAYS] [-c DAYS] [--timeout T]",
	 "one line and an exit status for Nagios and its kin", -1,
	 TAKES_DAYS | TAKES_FILE | TAKES_TIMEOUT, check_run},
	{"doctor", "[-c FILE] [--timeout T]",
	 "what on this box or network would stop mail, and what to do; best as root", 0,
	 TAKES_FILE | TAKES_TIMEOUT, doctor_run},
	{"server-setup", "windows|linux SERVICE[/BACKEND]",
	 "a script for the server's side: the VIP on its loopback, and all that goes with it", 2, 0,
	 setup_run},
	{"top", "[-b] [-n N] [-d T]",
	 "who takes how much now: a screen, or lines where there is none", 0, TAKES_TOP, top_run},
	{"config", "", "the configuration in force, with every default, as YAML", 0, 0, config_run},
	{"events", "[-f]", "the last transitions; with -f those to come, too", 0, TAKES_FOLLOW,
	 events_list},
	{"plan", "-c FILE",
	 "what a configuration would change, and for how many new connections; changes nothing", 0,
	 TAKES_FILE, run_plan},
	{"reload", "", "read the configuration again; the old one stays if it has errors", 0, 0,
	 run_reload},
	{"detach", "[-c FILE]",
	 "take the datapath away, of a running mxlbd or of one that is gone: no mail passes then",
	 0, TAKES_FILE, detach_run},
	{"help", "[COMMAND]", "this text, or the lines of one command", -1, 0, run_help},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct ctl_command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static void print_command(FILE *to, const char *before, const struct ctl_command *c)
{
	fprintf(to, "%s%s%s%s\n", before, c->name, *c->args ? " " : "", c->args);
}

static void print_usage(FILE *to)
{
	fputs("usage: mxlbctl [-s SOCKET] [--json] COMMAND\n\n", to);
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		print_command(to, "  ", &commands[i]);
		fprintf(to, "      %s\n", commands[i].help);
	}
	options_print(to);
}

static enum ctl_exit no_such_command(const char *typed)
{
	struct closest closest = {.typed = typed};
	char safe[32];

	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		closest_try(&closest, commands[i].name);
	fprintf(stderr, "mxlbctl: no such command: '%s'; ",
		text_fit(typed, sizeof(safe) - 1, safe, sizeof(safe)));
	if (closest.best)
		fprintf(stderr, "did you mean %s?\n", closest.best);
	else
		fputs("'mxlbctl help' lists them\n", stderr);
	return CTL_USAGE;
}

static enum ctl_exit run_help(const struct ctl *ctl, char **args)
{
	const struct ctl_command *c = args[0] ? find_command(args[0]) : NULL;

	(void)ctl;
	if (args[0] && !c)
		return no_such_command(args[0]);
	if (c) {
		print_command(stdout, "usage: mxlbctl ", c);
		printf("  %s\n", c->help);
	} else {
		print_usage(stdout);
	}
	return CTL_DONE;
}

static bool takes_args(const struct ctl_command *c, int n)
{
	return n == c->n_args || n == -c->n_args || (c->n_args < 0 && n == -c->n_args - 1);
}

static bool takes_options(const struct ctl *ctl, const struct ctl_command *c, unsigned given)
{
	/* A time to wait for, and nothing that is waited for. */
	if (c->takes & TAKES_WAIT && given & TAKES_TIMEOUT && !ctl->wait)
		return false;
	return !(given & ~c->takes);
}

static bool is_check(const char *command)
{
	return command && !strcmp(command, "check");
}

/* Of a plugin Nagios takes 2 for CRITICAL. */
static enum ctl_exit wrong_usage(const struct ctl *ctl, const char *command)
{
	return is_check(command) ? check_unknown(ctl, "wrong usage") : CTL_USAGE;
}

static enum ctl_exit run_command(const struct ctl *ctl, unsigned given, char **args, int n)
{
	const struct ctl_command *c = find_command(args[0]);

	if (!c)
		return no_such_command(args[0]);
	if (takes_args(c, n - 1) && takes_options(ctl, c, given))
		return c->run(ctl, args + 1);
	if (given & ~c->takes)
		fprintf(stderr, "mxlbctl: %s does not take such an option\n", c->name);
	print_command(stderr, "usage: mxlbctl ", c);
	return wrong_usage(ctl, args[0]);
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

/* "command NAME ARGUMENTS", "options NAME --option ...", then what the daemon knows. */
static void print_words(const struct ctl *ctl)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		printf("command %s %s\noptions %s", commands[i].name, commands[i].args,
		       commands[i].name);
		options_print_names(stdout, commands[i].takes);
	}
	complete_names(ctl);
}

static enum ctl_exit run(struct ctl *ctl, int argc, char **argv)
{
	unsigned given;
	enum ctl_exit rc;

	switch (options_take(ctl, &given, argc, argv)) {
	case OPTIONS_COMMAND:
		rc = take_bundle(ctl);
		return rc ? wrong_usage(ctl, argv[optind])
			  : run_command(ctl, given, argv + optind, argc - optind);
	case OPTIONS_HELP:
		print_usage(stdout);
		return CTL_DONE;
	case OPTIONS_VERSION:
		puts("mxlbctl " MXLB_VERSION " (" MXLB_BUILD ")");
		return CTL_DONE;
	case OPTIONS_COMPLETE:
		print_words(ctl);
		return CTL_DONE;
	case OPTIONS_NONE:
		print_usage(stderr);
		return CTL_USAGE;
	default:
		return wrong_usage(ctl, argv[optind]);
	}
}

int main(int argc, char **argv)
{
	struct ctl ctl = {0};
	enum ctl_exit rc;

	if (argc >= 2 && !strcmp(argv[1], "--probe-child"))
		return probe_child_main(PROBE_CHILD_FD, argv + 2);
	rc = run(&ctl, argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		perror("mxlbctl: stdout");
		return is_check(argv[optind]) ? CTL_NO_DAEMON /* UNKNOWN */ : CTL_REFUSED;
	}
	return rc;
}
