// SPDX-License-Identifier: BSD-2-Clause
/* mxlbd's command line: loads the configuration and starts the daemon. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "daemon/hook.h"
#include "probe/prober.h"
#include "util/log.h"
#include "zone/resolver.h"

#define DEFAULT_FILE "/etc/mxlb/mxlb.yaml"
#define CHILD_FD     3

static const char usage_text[] =
	"Usage: mxlbd [-c FILE] [-d] [-t | --check-load | --detach | --pinned COMMAND]\n"
	"Spreads SMTP connections to a VIP over servers, by preference and health.\n"
	"\n"
	"  -c, --config FILE  the configuration (" DEFAULT_FILE ")\n"
	"  -t, --test         check the configuration and exit: 0, or 1 with every error\n"
	"      --check-load   load the BPF program into the kernel, release it, and exit: 0, or as below\n"
	"      --detach       remove what a stopped mxlbd has left in the kernel. Mail stops.\n"
	"      --pinned COMMAND   answer a command of the control socket from the pinned maps, while no mxlbd runs:\n"
	"                     show status, show flows, show rejected, explain; for mxlbctl\n"
	"  -d, --debug        log more\n"
	"  -V, --version      print the version and exit\n"
	"  -h, --help         print this and exit\n"
	"\n"
	"mxlbd stays in the foreground and logs to stderr. Signals: HUP reloads, TERM and INT stop; the kernel\n"
	"continues to forward. Exit: 0 stopped, 1 bad configuration or usage, 2 an error that may pass (an\n"
	"interface, memory, another mxlbd), 3 this kernel cannot load the BPF program or a capability is\n"
	"missing: retrying does not help.\n";

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"test", no_argument, NULL, 't'},
	{"debug", no_argument, NULL, 'd'},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{"check-load", no_argument, NULL, 'L'},
	{"detach", no_argument, NULL, 'D'},
	{"pinned", required_argument, NULL, 'P'},
	{0},
};

struct arguments {
	const char *file;
	char *pinned; /* a command; NULL: none */
	bool test, debug, check_load, detach;
	int done; /* -1: go on, else exit with it */
};

static struct arguments mxlbd_parse(int argc, char **argv)
{
	struct arguments a = {.file = DEFAULT_FILE, .done = -1};
	int c;

	while (a.done < 0 && (c = getopt_long(argc, argv, "c:tdVh", long_options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			a.file = optarg;
			break;
		case 't':
			a.test = true;
			break;
		case 'd':
			a.debug = true;
			break;
		case 'L':
			a.check_load = true;
			break;
		case 'D':
			a.detach = true;
			break;
		case 'P':
			a.pinned = optarg;
			break;
		case 'V':
			printf("mxlbd %s (%s)\n", MXLB_VERSION, MXLB_BUILD);
			a.done = EXIT_CLEAN;
			break;
		case 'h':
			fputs(usage_text, stdout);
			a.done = EXIT_CLEAN;
			break;
		default:
			fputs("Try 'mxlbd --help'.\n", stderr);
			a.done = EXIT_CONFIG;
		}
	}
	if (a.done < 0 && optind < argc) {
		fprintf(stderr, "mxlbd: unexpected argument '%s'\nTry 'mxlbd --help'.\n",
			argv[optind]);
		a.done = EXIT_CONFIG;
	}
	return a;
}

/* Otherwise one of the three would become a socket or a map, and log lines would be written to it. */
static int open_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -1;
	return 0;
}

static void print_program(void *ctx, const struct datapath_program *p)
{
	(void)ctx;
	printf("%s: %u instructions verified, %u bytes, %u compiled\n", p->name, p->verified,
	       p->bytes, p->jited);
}

static enum exit_code check_load(void (*fn)(void *, const struct datapath_program *))
{
	int err = datapath_try(fn, NULL);

	return !err ? EXIT_CLEAN : err == -ENOEXEC ? EXIT_KERNEL : EXIT_SYSTEM;
}

/* Only a process that may load the program tries it, because anyone may check a configuration. */
static enum exit_code test_load(void)
{
	char missing[DATAPATH_MISSING_SIZE];
	enum exit_code code;

	if (!datapath_may_load(missing, sizeof(missing))) {
		printf("the BPF program was not loaded: this needs %s\n", missing);
		return EXIT_CLEAN;
	}
	code = check_load(NULL);
	puts(code ? "the BPF program can't be loaded" : "the kernel accepts the BPF program");
	return code;
}

/* What is valid, but not on this machine, or not yet. */
static void print_warnings(const char *file, const struct config *c)
{
	if (config_needs_dns(c) && !resolver_has_library())
		fprintf(stderr,
			"%s: warning: mx and tlsa-name: no name can be looked up on this "
			"machine: install libunbound8\n",
			file);
	for (unsigned i = 0; i < c->n_interfaces; i++)
		if (!if_nametoindex(c->interfaces[i].name))
			fprintf(stderr,
				"%s: warning: interface %s does not exist on this machine: mxlbd "
				"will not start without it\n",
				file, c->interfaces[i].name);
}

int main(int argc, char **argv)
{
	struct config *config = NULL;
	struct buf errors = {0};
	struct arguments a;
	int err;

	if (open_standard_files())
		return EXIT_SYSTEM;
	if (argc >= 2 && !strcmp(argv[1], "--probe-child"))
		return probe_child_main(CHILD_FD, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "--resolver-child"))
		resolver_child_main(CHILD_FD);
	if (argc >= 3 && !strcmp(argv[1], "--notify-child"))
		return messenger_child_main(argv + 2);
	a = mxlbd_parse(argc, argv);
	if (a.done >= 0)
		return a.done;
	log_init("mxlbd", a.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (a.check_load)
		return check_load(print_program);
	/* a test and a detach say what is wrong with a file */
	err = a.test || a.detach || a.pinned ? conf_load(a.file, NULL, &config, &errors)
					     : conf_load_or_copies(a.file, &config, &errors);
	if (errors.len && (err || !a.pinned))
		fputs(errors.data, stderr);
	if (err && a.detach) {
		log_warn("event=detach_without_configuration file=%s note=\"detaching by the "
			 "lines that could be read and the defaults\"",
			 a.file);
		err = conf_salvage(a.file, &config);
	}
	buf_free(&errors);
	if (err) /* the unit restarts only after errors of the system */
		return err == -ENOMEM && !a.test ? EXIT_SYSTEM : EXIT_CONFIG;
	if (a.pinned)
		return daemon_answer_stopped(a.file, config, a.pinned);
	if (a.test) {
		print_warnings(a.file, config);
		printf("%s: configuration is valid\n", a.file);
		fflush(stdout);
		config_free(config);
		return test_load();
	}
	return a.detach ? daemon_detach_left(config) : daemon_run(a.file, config);
}
