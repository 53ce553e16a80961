/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mxlbctl: the administrator's command. The table of commands is here; a new command is a row and a function. Each
 * sends one command to the daemon and prints the answer.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "conf/bundle.h"
#include "conf/conf.h"
#include "conf/file.h"
#include "ctl/ctl_check.h"
#include "ctl/ctl_complete.h"
#include "ctl/ctl_config.h"
#include "ctl/ctl.h"
#include "ctl/ctl_detach.h"
#include "ctl/doctor/doctor.h"
#include "ctl/ctl_endpoints.h"
#include "ctl/ctl_events.h"
#include "ctl/ctl_flows.h"
#include "ctl/ctl_notify.h"
#include "ctl/ctl_operate.h"
#include "ctl/options.h"
#include "ctl/ctl_plan.h"
#include "ctl/ctl_probe.h"
#include "ctl/ctl_role.h"
#include "ctl/ctl_setup.h"
#include "ctl/tables.h"
#include "ctl/text.h"
#include "ctl/ctl_top.h"
#include "ctl/ctl_zone.h"
#include "probe/prober.h"
#include "util/closest.h"

#define PROBE_CHILD_FD 3

#define ALL_OPTIONAL   (1u << 31) /* in .takes: also fewer arguments, down to none */

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
	bool stopped;
	enum ctl_exit rc = ctl_status_or_pinned(ctl, &document, &stopped);

	(void)args;
	if (rc)
		return rc;
	if (ctl->json)
		ctl_print_json(document);
	else
		tables_status(document);
	json_decref(document);
	return stopped ? CTL_NO_DAEMON : CTL_DONE;
}

static void show_one(const struct ctl_found *f, time_t now, json_t *list)
{
	if (list) {
		json_object_set(f->server, "service", json_object_get(f->service, "name"));
		json_object_set(f->server, "preference", json_object_get(f->tier, "preference"));
		json_array_append(list, f->server);
	} else {
		tables_server(f->service, f->tier, f->server, now);
	}
}

static enum ctl_exit run_show(const struct ctl *ctl, char **args)
{
	struct ctl_found found[CTL_FOUND_MAX];
	json_t *document, *list = NULL;
	bool stopped;
	enum ctl_exit rc = ctl_status_or_pinned(ctl, &document, &stopped);
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
	if (n && stopped)
		rc = CTL_NO_DAEMON;
	json_decref(list);
	json_decref(document);
	return rc;
}

/* What is in force now. */
static void print_reloaded(const struct ctl *ctl)
{
	unsigned long long servers = 0;
	json_t *document, *service, *tier, *services;
	char file[256];
	size_t i, k;

	if (ctl_status(ctl, &document))
		return;
	services = json_object_get(document, "services");
	json_array_foreach (services, i, service)
		json_array_foreach (json_object_get(service, "tiers"), k, tier)
			servers += json_array_size(tier_servers(tier));
	printf("reloaded: %zu service%s, %llu server%s in force, from\n%s\n",
	       json_array_size(services), json_array_size(services) == 1 ? "" : "s", servers,
	       servers == 1 ? "" : "s",
	       text_fit(field_text(json_object_get(document, "config"), "file"), sizeof(file) - 1,
			file, sizeof(file)));
	json_decref(document);
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
	else if (!rc)
		print_reloaded(ctl);
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
		fputs("mxlbctl: plan: -c FILE is missing: the configuration to compare\n"
		      "usage: mxlbctl plan -c FILE\n",
		      stderr);
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
	{"status", "[-c FILE]", "show services, tiers and servers, and what is wrong with them", 0,
	 TAKES_FILE, run_status},
	{"show", "SERVER | SERVICE/SERVER [-c FILE]",
	 "show one server: probe, certificate, next hop, traffic", 1, TAKES_FILE, run_show},
	{"drain", "SERVER | SERVICE/SERVER [--force] [--for T] [--wait [--timeout T]]",
	 "send a server no new connections; open ones are kept", 1,
	 TAKES_WAIT | TAKES_TIMEOUT | TAKES_FOR | TAKES_FORCE, operate_drain},
	{"maint", "SERVER | SERVICE/SERVER [--force] [--for T] [--wait [--timeout T]]",
	 "send a server no new connections, and stop probing it; open ones are kept", 1,
	 TAKES_WAIT | TAKES_TIMEOUT | TAKES_FOR | TAKES_FORCE, operate_maint},
	{"ready", "SERVER | SERVICE/SERVER [--for T]", "return a server to service", 1, TAKES_FOR,
	 operate_ready},
	{"tier", "SERVICE force N [--for T] | SERVICE auto",
	 "make a tier the active one; auto: let the verdicts decide again at once", -3, TAKES_FOR,
	 operate_tier},
	{"role", "[active | standby | auto] [--for T] [--force]",
	 "show or set the role of this box among several; auto: as configured", -1,
	 TAKES_FOR | TAKES_FORCE, role_run},
	{"zone", "[SERVICE [read | accept]]",
	 "compare DNS with the servers in force; look up now, or apply a held change", -2,
	 ALL_OPTIONAL, zone_run},
	{"health", "[--timeout T]",
	 "exit 0 if mxlbd answers and XDP is attached (keepalived's track_script)", 0,
	 TAKES_TIMEOUT, role_health},
	{"flows", "SERVICE | SERVICE/SERVER [-c FILE]",
	 "list open connections: client, server, seconds idle", 1, TAKES_FILE, flows_list},
	{"rejected", "[SERVICE] [-n N] [-c FILE]",
	 "list the clients that were turned away most recently, and why", -1,
	 TAKES_COUNT | TAKES_FILE, flows_rejected},
	{"explain", "SERVICE CLIENT[:PORT] [-c FILE]",
	 "show which server a client gets and why, and whether it is allowed", 2, TAKES_FILE,
	 flows_explain},
	{"probe", "HOST[:PORT] [OPTION...] | SERVICE/SERVER",
	 "test a server as Exchange Online would: from this box, or by mxlbd", 1,
	 TAKES_PROBE | TAKES_TIMEOUT, probe_run},
	{"check", "[SERVICE] [-w DAYS] [-c DAYS] [--timeout T]",
	 "plugin for Nagios and compatible monitors: one line and an exit status", -1,
	 TAKES_DAYS | TAKES_FILE | TAKES_TIMEOUT, check_run},
	{"doctor", "[-c FILE] [--timeout T]",
	 "find what would stop mail on this box and its network (run it as root)", 0,
	 TAKES_FILE | TAKES_TIMEOUT, doctor_run},
	{"server-setup", "windows|linux SERVICE[/SERVER]",
	 "print a script that prepares a server (VIP, ARP, tunnel, firewall)", 2, 0, setup_run},
	{"endpoints", "FILE [OLD]",
	 "print an allow-file made from a Microsoft 365 endpoints file, if it is plausible", -2, 0,
	 endpoints_run},
	{"top", "[-b] [-n N] [-d T]",
	 "live traffic per server (full screen; plain lines when not on a terminal)", 0,
	 TAKES_TOP | TAKES_COUNT, top_run},
	{"config", "", "print the configuration in force, with every default, as YAML", 0, 0,
	 config_run},
	{"events", "[-f]", "show the last events; with -f, wait for further ones", 0, TAKES_FOLLOW,
	 events_list},
	{"notify-test", "[--timeout T]",
	 "run the notify program with a test event and show how it ends", 0, TAKES_TIMEOUT,
	 notify_test_run},
	{"plan", "-c FILE", "show what a configuration would change; changes nothing", 0,
	 TAKES_FILE, run_plan},
	{"reload", "", "read the configuration file again; if it has errors, change nothing", 0, 0,
	 run_reload},
	{"detach", "[-c FILE]", "remove the XDP program and stop forwarding. Mail stops.", 0,
	 TAKES_FILE, detach_run},
	{"help", "[COMMAND]", "show this text, or the help of one command", -1, 0, run_help},
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
	return (c->takes & ALL_OPTIONAL && n <= -c->n_args) || n == c->n_args || n == -c->n_args ||
	       (c->n_args < 0 && n == -c->n_args - 1);
}

static bool takes_options(const struct ctl *ctl, const struct ctl_command *c, unsigned given)
{
	/* --timeout without --wait. */
	if (c->takes & TAKES_WAIT && given & TAKES_TIMEOUT && !ctl->wait)
		return false;
	return !(given & ~c->takes);
}

static bool is_check(const char *command)
{
	return command && !strcmp(command, "check");
}

/* Not CTL_USAGE for check: 2 means CRITICAL to Nagios. */
static enum ctl_exit wrong_usage(const struct ctl *ctl, const char *command)
{
	return is_check(command) ? check_unknown(ctl, "wrong usage") : CTL_USAGE;
}

/* Names what is wrong with the words of the command. */
static void mxlbctl_complain(const struct ctl *ctl, const struct ctl_command *c, unsigned given,
			     char **args, int n)
{
	unsigned wrong = given & ~c->takes;
	int most = c->n_args < 0 ? -c->n_args : c->n_args;
	char safe[64];

	if (wrong)
		fprintf(stderr, "mxlbctl: %s does not have the option --%s\n", c->name,
			ctl->given_as[__builtin_ctz(wrong)]);
	else if (n - 1 > most)
		fprintf(stderr, "mxlbctl: %s: unexpected argument '%s'\n", c->name,
			text_fit(args[most + 1], sizeof(safe) - 1, safe, sizeof(safe)));
	else if (!takes_args(c, n - 1))
		fprintf(stderr, "mxlbctl: %s: an argument is missing\n", c->name);
	else
		fprintf(stderr, "mxlbctl: %s: --timeout requires --wait\n", c->name);
}

static enum ctl_exit run_command(const struct ctl *ctl, unsigned given, char **args, int n)
{
	const struct ctl_command *c = find_command(args[0]);

	if (!c)
		return no_such_command(args[0]);
	if (takes_args(c, n - 1) && takes_options(ctl, c, given))
		return c->run(ctl, args + 1);
	mxlbctl_complain(ctl, c, given, args, n);
	print_command(stderr, "usage: mxlbctl ", c);
	return wrong_usage(ctl, args[0]);
}

/* Selects the CA bundle of probes that mxlbctl makes itself. */
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

/* "command NAME ARGUMENTS", "options NAME --option ...", then the daemon's services and servers. */
static void print_words(const struct ctl *ctl)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		printf("command %s %s\noptions %s", commands[i].name, commands[i].args,
		       commands[i].name);
		options_print_names(stdout, commands[i].takes);
	}
	complete_names(ctl);
}

static enum ctl_exit mxlbctl_run(struct ctl *ctl, int argc, char **argv)
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
	rc = mxlbctl_run(&ctl, argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		perror("mxlbctl: stdout");
		return is_check(argv[optind]) ? CTL_NO_DAEMON /* UNKNOWN */ : CTL_REFUSED;
	}
	return rc;
}
