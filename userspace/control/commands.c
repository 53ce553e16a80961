/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of commands, and HAProxy's sentences (as printed by 2.6). Changes are refused to callers without a name,
 * and so is every word that a row does not expect. A new command is a row and a function.
 */
#include "control/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/render.h"
#include "util/clock.h"

#define WORDS_MAX 16

struct command {
	const char *words; /* what it is called, one blank between words */
	const char *args;  /* for the help */
	const char *help;
	unsigned max_args;
	bool change; /* needs a name */
	void (*run)(struct request *r);
};

static void run_show_status(struct request *r)
{
	struct control_info info = request_info(r);

	if (render_status(r->env->model, &info, clock_now(), r->out))
		r->out->failed = true;
}

static void run_show_info(struct request *r)
{
	struct control_info info = request_info(r);
	enum typed_format format = FORMAT_PLAIN;

	for (unsigned i = 0; i < r->n_args; i++)
		typed_format(r->args[i], &format);
	render_info(r->env->model, &info, clock_now().wall_ms, format, r->out);
}

static void run_show_version(struct request *r)
{
	struct control_info info = request_info(r);
	char version[64];

	render_dialect(&info, version, sizeof(version));
	command_info(r, "%s\n", version);
}

static void run_set_timeout(struct request *r)
{
	char *end = NULL;
	unsigned long s;

	if (!r->n_args) {
		command_error(r, "Expects an integer value.\n");
		return;
	}
	errno = 0;
	s = strtoul(r->args[0], &end, 10);
	if (!isdigit((unsigned char)r->args[0][0]) || (*end && strcmp(end, "s")) || errno || !s) {
		command_error(r, "Invalid timeout value.\n");
		return;
	}
	r->caller->idle_s = s < COMMANDS_IDLE_MAX_S ? (unsigned)s : COMMANDS_IDLE_MAX_S;
}

static void run_severity(struct request *r)
{
	static const char *const forms[] = {[SEVERITY_NONE] = "none",
					    [SEVERITY_NUMBER] = "number",
					    [SEVERITY_STRING] = "string"};

	for (int i = SEVERITY_NONE; r->n_args && i <= SEVERITY_STRING; i++)
		if (!strcmp(r->args[0], forms[i])) {
			r->caller->severity = i;
			return;
		}
	command_error(r, "one of 'none', 'number', 'string' is a required argument\n");
}

static void run_reload(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	struct buf errors = {0};
	int rc = cb->reload(cb->ctx, r->caller->who, &errors);

	/* Warnings of a successful load go to the log only: success is an empty line. */
	if (rc && errors.len)
		command_append_lines(r->out, errors.data);
	else if (rc)
		command_error(r, "Reload failed: %s.\n", strerror(-rc));
	buf_free(&errors);
}

/* Secrets are shown only to users who may make changes. */
static void run_show_config(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;

	if (cb->config(cb->ctx, r->caller->who, r->out))
		r->out->failed = true;
}

static void run_detach(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	int rc = cb->detach(cb->ctx, r->caller->who);

	if (rc)
		command_error(r, "Something could not be removed: %s. See mxlbd's log.\n",
			      strerror(-rc));
}

static void run_help(struct request *r);

static void run_prompt(struct request *r)
{
	r->caller->interactive = !r->caller->interactive;
}

static void run_quit(struct request *r)
{
	r->caller->quit = true;
}

static const struct command commands[] = {
	{"detach", "", "remove the XDP program and exit; mail stops", 0, true, run_detach},
	{"disable server", "<s>/<b>", "no new connections and no probes: state maint", 1, true,
	 admin_disable_server},
	{"disable agent", "<s>/<b>", "nothing: servers have no agent", 1, true, admin_agent},
	{"disable health", "<s>/<b>", "refused: servers are always probed", 1, true, admin_check},
	{"enable agent", "<s>/<b>", "refused: servers have no agent", 1, true, admin_agent},
	{"enable health", "<s>/<b>", "nothing: servers are always probed", 1, true, admin_check},
	{"enable server", "<s>/<b>", "return it to service: state ready", 1, true,
	 admin_enable_server},
	{"explain", "<s> <address>[:<port>] [json]", "show which server this client gets, and why",
	 3, false, explain_run},
	{"get weight", "<s>/<b>", "a server's weight and its configured weight", 1, false,
	 admin_get_weight},
	{"plan", "<name>", "show what the configuration in the passed memfd would change", 1, true,
	 plan_run},
	{"probe", "<s>/<b>", "probe a server once; the result is a JSON document", 1, true,
	 probe_server},
	{"reload", "", "read the configuration again and apply it", 0, true, run_reload},
	{"set role", "active|standby|auto [force] [for <s>]",
	 "set the role of this machine among several; auto: as configured", 4, true, role_set},
	{"set server", "<s>/<b> state <state> [keep-one] [for <s>]",
	 "set ready, drain or maint, permanently or for <s> seconds; or weight <n>[%]", 6, true,
	 admin_set_server},
	{"set severity-output", "[none|number|string]", "set the form of severities in replies", 1,
	 false, run_severity},
	{"set timeout cli", "<delay>", "set the idle timeout of this connection, at most 60 s", 1,
	 false, run_set_timeout},
	{"set weight", "<s>/<b> <n>[%]",
	 "set the weight: 0 to 256, or % of the configured one; until a reload or restart", 2, true,
	 admin_set_weight},
	{"show config", "", "the configuration in force, with every default, as JSON", 0, false,
	 run_show_config},
	{"show events", "[<number> [<run>]] [json]",
	 "list the events from that number on; all, if <run> is another run", 3, false,
	 eventlist_run},
	{"show flows", "<s>[/<b>] [<max>] [json]", "list the flow table's entries", 3, false,
	 flowlist_run},
	{"show backend", "", "list the services", 0, false, statlist_backends},
	{"show info", "[json|typed]", "report information about the running process", 3, false,
	 run_show_info},
	{"show rejected", "[<s>] [<max>] [json]",
	 "list the clients that were turned away most recently, and why", 3, false, rejected_run},
	{"show role", "", "the role of this box among several, as JSON", 0, false, role_show},
	{"show servers state", "[<s>]", "states and weights of the servers, in HAProxy's format", 1,
	 false, statlist_servers},
	{"show stat", "[{<s>|<iid>} <type> <sid>] [json|typed]",
	 "counters and states in HAProxy's columns; no-maint, up: only those", 6, false,
	 statlist_run},
	{"show version", "", "the version of mxlbd", 0, false, run_show_version},
	{"show status", "", "the whole state, as one JSON document", 0, false, run_show_status},
	{"show zone", "[<s>]", "the servers in DNS and those in force, as JSON", 1, false,
	 zone_show},
	{"shutdown sessions server", "<s>/<b>", "refused: sessions end by themselves", 1, true,
	 admin_shutdown},
	{"test notify", "", "run the notify program with a test event: {\"seq\": its number}", 0,
	 true, notify_test},
	{"tier", "<s> force <n> [for <s>] | <s> auto",
	 "make a tier the active one; auto: let the verdicts decide again at once", 5, true,
	 admin_tier},
	{"zone", "<s> read|accept",
	 "look a service's names up now, or apply the change that is held back", 2, true, zone_set},
	{"help", "[<command>]", "list matching or all commands", WORDS_MAX, false, run_help},
	{"prompt", "", "toggle interactive mode with prompt", 0, false, run_prompt},
	{"quit", "", "disconnect", 0, false, run_quit},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))
#define COMMANDS_BASIC \
	3 /* the last ones: every list of commands ends with them, as HAProxy's does */

/* The number of leading words that are the command's; *whole: all of its words are there. */
static unsigned match(const struct command *c, char *const *words, unsigned n, bool *whole)
{
	const char *p = c->words;
	unsigned i = 0;

	for (; i < n && *p; i++) {
		size_t len = strcspn(p, " ");

		if (strlen(words[i]) != len || memcmp(words[i], p, len))
			break;
		p += len + (p[len] == ' ');
	}
	*whole = !*p;
	return i;
}

static bool may_run(const struct caller *caller, const struct command *c)
{
	return !c->change || caller->who;
}

/* Whether any command begins with these words. */
static bool matches_any(const struct caller *caller, char *const *words, unsigned n)
{
	bool whole;

	for (size_t i = 0; i < COMMANDS_COUNT - COMMANDS_BASIC; i++)
		if (may_run(caller, &commands[i]) && match(&commands[i], words, n, &whole))
			return true;
	return false;
}

static void list_commands(struct request *r, bool all)
{
	bool whole;

	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		const struct command *c = &commands[i];
		char name[72];

		if (!may_run(r->caller, c))
			continue;
		if (!all && i < COMMANDS_COUNT - COMMANDS_BASIC &&
		    !match(c, r->args, r->n_args, &whole))
			continue;
		snprintf(name, sizeof(name), "%s%s%s", c->words, *c->args ? " " : "", c->args);
		buf_printf(r->out, "  %-40s: %s\n", name, c->help);
	}
}

static void run_help(struct request *r)
{
	command_info(r, "The following commands are valid at this level:\n");
	list_commands(r, !matches_any(r->caller, r->args, r->n_args));
}

static void run_unknown(struct request *r)
{
	bool some = matches_any(r->caller, r->args, r->n_args);

	command_info(
		r, "%s\n",
		some ? "Unknown command, but maybe one of the following ones is a better match:"
		     : "Unknown command. Please enter one of the following commands only:");
	list_commands(r, !some);
}

static const struct command *commands_find(char *const *words, unsigned n, unsigned *own)
{
	bool whole;

	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		*own = match(&commands[i], words, n, &whole);
		if (whole && n - *own <= commands[i].max_args)
			return &commands[i];
	}
	*own = 0;
	return NULL;
}

void commands_end_reply(const struct caller *caller, struct buf *out)
{
	buf_printf(out, caller->interactive ? "\n> " : "\n");
}

void commands_run(const struct command_env *env, struct caller *caller, char *command,
		  struct buf *out)
{
	struct request r = {.env = env, .caller = caller, .out = out};
	const struct command *c = NULL;
	char *words[WORDS_MAX], *word, *rest = NULL;
	unsigned n = 0, own = 0;

	for (word = strtok_r(command, " \t\r", &rest); word && n < WORDS_MAX; n++) {
		words[n] = word;
		word = strtok_r(NULL, " \t\r", &rest);
	}
	if (!word)
		c = commands_find(words, n, &own);
	r.command = c ? c->words : "";
	r.args = words + own;
	r.n_args = n - own;
	if (!c)
		run_unknown(&r);
	else if (!may_run(caller, c))
		command_error(&r, "Permission denied\n");
	else
		c->run(&r);
	if (!caller->quit && !caller->probe && !caller->parts)
		commands_end_reply(caller, out);
}
