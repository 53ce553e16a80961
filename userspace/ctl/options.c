/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mxlbctl's options: their names, where each value is stored, and their help. Which command has which option is decided by
 * the table of commands (TAKES_).
 */
#include "ctl/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "ctl/text.h"

#define DEFAULT_SOCKET "/run/mxlb/mxlb.sock"

enum kind {
	KIND_TEXT,
	KIND_COUNT,
	KIND_SECONDS,
	KIND_COLOUR,
	KIND_LAST_WITH_ARGUMENT = KIND_COLOUR,
	KIND_FLAG,
	KIND_HELP,
	KIND_VERSION,
	KIND_COMPLETE,
};

struct row {
	const char *name;
	char letter; /* 0: none */
	enum kind kind;
	size_t offset; /* in struct ctl: const char *, bool or unsigned */
	unsigned takes;
};

#define TO(member) offsetof(struct ctl, member)

static const struct row rows[] = {
	{"socket", 's', KIND_TEXT, TO(socket), 0},
	{"config", 'c', KIND_TEXT, TO(file), TAKES_FILE},
	{"json", 0, KIND_FLAG, TO(json), 0},
	{"color", 0, KIND_COLOUR, 0, 0},
	{"wait", 0, KIND_FLAG, TO(wait), TAKES_WAIT},
	{"force", 0, KIND_FLAG, TO(force), TAKES_FORCE},
	{"timeout", 0, KIND_SECONDS, TO(timeout_s), TAKES_TIMEOUT},
	{"follow", 'f', KIND_FLAG, TO(follow), TAKES_FOLLOW},
	{"batch", 'b', KIND_FLAG, TO(batch), TAKES_TOP},
	{"count", 'n', KIND_COUNT, TO(count), TAKES_COUNT},
	{"delay", 'd', KIND_SECONDS, TO(delay_s), TAKES_TOP},
	{"for", 0, KIND_SECONDS, TO(for_s), TAKES_FOR},
	{"warning", 'w', KIND_TEXT, TO(warning), TAKES_DAYS},
	{"critical", 0, KIND_TEXT, TO(critical), TAKES_DAYS},
	{"tls", 0, KIND_TEXT, TO(probe.tls), TAKES_PROBE},
	{"helo", 0, KIND_TEXT, TO(probe.helo), TAKES_PROBE},
	{"sender", 0, KIND_TEXT, TO(probe.sender), TAKES_PROBE},
	{"sni", 0, KIND_TEXT, TO(probe.sni), TAKES_PROBE},
	{"depth", 0, KIND_TEXT, TO(probe.depth), TAKES_PROBE},
	{"tls-domain", 0, KIND_TEXT, TO(probe.tls_domain), TAKES_PROBE},
	{"tls-certificate-name", 0, KIND_TEXT, TO(probe.certificate_name), TAKES_PROBE},
	{"tlsa", 0, KIND_TEXT, TO(probe.tlsa), TAKES_PROBE},
	{"ca-file", 0, KIND_TEXT, TO(probe.ca_file), TAKES_PROBE},
	{"complete", 0, KIND_COMPLETE, 0, 0},
	{"help", 'h', KIND_HELP, 0, 0},
	{"version", 'V', KIND_VERSION, 0, 0},
};

#define ROWS  (sizeof(rows) / sizeof(rows[0]))
#define FIRST 256 /* getopt_long()'s value of the first row: beyond all letters */

void options_print(FILE *to)
{
	fputs("\n  -s, --socket SOCKET   mxlbd's control socket (" DEFAULT_SOCKET ")\n"
	      "      --json            print JSON\n"
	      "      --color=WHEN      always, never, or auto (a terminal, NO_COLOR not set)\n"
	      "      --for T           revert after T (90s, 15m, 1h, 2d) to the last permanent\n"
	      "                        setting; for a tier, to auto\n"
	      "  -c, --config FILE     for plan: the configuration to compare; for status, show,\n"
	      "                        flows, rejected and explain: ask the mxlbd that uses this\n"
	      "                        file, or, if it is stopped, read what it left (as root)\n"
	      "      --force           for drain and maint: even if no other server takes mail;\n"
	      "                        for role standby: even if keepalived does not decide\n"
	      "      --wait            return when the server's last connection has ended\n"
	      "      --timeout T       wait at most T (90s, 15m, 1h), then exit with 1\n"
	      "  -f, --follow          for events: wait for further events\n"
	      "      --complete        print possible completions, for the shell\n"
	      "      --help, --version\n\n"
	      "for top:\n"
	      "  -b, --batch           plain lines instead of the full screen\n"
	      "  -n, --count N         stop after N updates (default: run until q); for rejected:\n"
	      "                        list N clients (default: all)\n"
	      "  -d, --delay T         time between updates (2s)\n\n"
	      "for check:\n"
	      "  -w, --warning DAYS    warn if a certificate expires within DAYS days (21)\n"
	      "  -c, --critical DAYS   the same for CRITICAL (7)\n"
	      "      --timeout T       how long to wait for mxlbd (10s)\n\n"
	      "for detach, if mxlbd does not run:\n"
	      "  -c, --config FILE     its configuration (/etc/mxlb/mxlb.yaml)\n\n"
	      "for doctor:\n"
	      "  -c, --config FILE     check this configuration\n"
	      "      --timeout T       how long to listen to the network (2s)\n\n"
	      "for probe HOST:\n"
	      "      --depth D         last stage: connect, banner, ehlo, starttls or mail-from\n"
	      "                        (the default)\n"
	      "      --tls POLICY      policy that decides: none, encryption-only (default),\n"
	      "                        certificate-validation, domain-validation or dane\n"
	      "      --tls-domain D    for domain-validation; *.contoso.com: one label below\n"
	      "      --tls-certificate-name '<I>issuer<S>subject'\n"
	      "      --tlsa RECORD     for dane: '3 1 1 hex'\n"
	      "      --ca-file FILE    trusted certificates (default: the system's)\n"
	      "      --helo NAME       host name sent in EHLO (default: this host's name)\n"
	      "      --sender ADDRESS  address in MAIL FROM (default: the null sender)\n"
	      "      --sni NAME        server name sent in the TLS handshake (default: none)\n"
	      "      --timeout T       time limit of the whole dialogue (10s)\n\n"
	      "exit status: 0 done (probe: healthy), 1 refused by mxlbd (probe: not healthy),\n"
	      "2 usage, 3 mxlbd does not run or answer;\n"
	      "for check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN\n",
	      to);
}

void options_print_names(FILE *to, unsigned takes)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].kind != KIND_COMPLETE && (!rows[i].takes || rows[i].takes & takes))
			fprintf(to, " --%s", rows[i].name);
	fputc('\n', to);
}

/* getopt_long()'s tables, from `rows`. */
static void make_tables(struct option longs[ROWS + 1], char letters[2 * ROWS + 1])
{
	memset(longs, 0, (ROWS + 1) * sizeof(*longs));
	for (size_t i = 0; i < ROWS; i++) {
		bool argument = rows[i].kind <= KIND_LAST_WITH_ARGUMENT;

		longs[i] = (struct option){rows[i].name, argument, NULL, FIRST + (int)i};
		if (!rows[i].letter)
			continue;
		*letters++ = rows[i].letter;
		if (argument)
			*letters++ = ':';
	}
	*letters = '\0';
}

static const struct row *options_row_of(int value)
{
	if (value >= FIRST)
		return &rows[value - FIRST];
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].letter == value)
			return &rows[i];
	return NULL; /* '?': getopt has complained */
}

static bool take_colour(const char *word)
{
	static const char *const words[] = {
		[COLOUR_AUTO] = "auto",
		[COLOUR_ALWAYS] = "always",
		[COLOUR_NEVER] = "never",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i])) {
			text_set_colouring((enum text_colouring)i);
			return true;
		}
	fputs("mxlbctl: --color expects auto, always or never\n", stderr);
	return false;
}

static bool take_count(const char *text, unsigned *count)
{
	size_t digits = strspn(text, "0123456789");

	*count = digits && digits < 9 && !text[digits] ? (unsigned)strtoul(text, NULL, 10) : 0;
	if (!*count)
		fputs("mxlbctl: --count expects a number\n", stderr);
	return *count;
}

/* False: the value is invalid. */
static bool options_store(const struct row *row, void *field)
{
	unsigned *s = field;

	switch (row->kind) {
	case KIND_TEXT:
		*(const char **)field = optarg;
		return true;
	case KIND_FLAG:
		return *(bool *)field = true;
	case KIND_SECONDS:
		*s = text_seconds(optarg);
		if (!*s)
			fprintf(stderr,
				"mxlbctl: --%s expects a time with its unit: 90s, 15m, 1h or 2d\n",
				row->name);
		return *s;
	case KIND_COUNT:
		return take_count(optarg, field);
	case KIND_COLOUR:
		return take_colour(optarg);
	default:
		return true;
	}
}

enum options_end options_take(struct ctl *ctl, unsigned *given, int argc, char **argv)
{
	struct option longs[ROWS + 1];
	char letters[2 * ROWS + 1];
	enum options_end end = OPTIONS_NONE;
	bool wrong = false;
	int value;

	make_tables(longs, letters);
	*given = 0;
	while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct row *row = options_row_of(value);

		if (!row || !options_store(row, (char *)ctl + row->offset)) {
			wrong = true; /* further, so that the command is found */
			continue;
		}
		if (row->kind >= KIND_HELP)
			end = row->kind == KIND_HELP	  ? OPTIONS_HELP
			      : row->kind == KIND_VERSION ? OPTIONS_VERSION
							  : OPTIONS_COMPLETE;
		if (end == OPTIONS_HELP || end == OPTIONS_VERSION)
			return end;
		if (value >= FIRST && row->takes == TAKES_FILE)
			ctl->file_named = true;
		*given |= row->takes;
		if (row->takes)
			ctl->given_as[__builtin_ctz(row->takes)] = row->name;
	}
	if (wrong) {
		fputs("Try 'mxlbctl --help'.\n", stderr);
		return OPTIONS_WRONG;
	}
	ctl->socket_given = ctl->socket;
	if (!ctl->socket)
		ctl->socket = DEFAULT_SOCKET;
	return end == OPTIONS_COMPLETE ? end : optind < argc ? OPTIONS_COMMAND : OPTIONS_NONE;
}
