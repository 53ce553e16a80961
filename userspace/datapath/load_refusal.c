// SPDX-License-Identifier: BSD-2-Clause
/*
 * Explains why the BPF program cannot be loaded. It keeps the first error message of libbpf and the last lines of the
 * verifier, and logs them when a load has failed.
 *
 * A failure is either final (-ENOEXEC: the kernel's version, its configuration, the verifier or a missing capability;
 * waiting does not help) or may be temporary (every other error).
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include "datapath/datapath_internal.h"
#include "util/capability.h"
#include "util/log.h"

#define LINE_MAX_LEN 200 /* bytes of a line that are logged */
#define LAST_LINES \
	12 /* of the verifier's log: the instruction, its registers, the reason, the statistics */
#define DEBUG_LINES 200 /* of one message, at debug level */

static char first_complaint[256];
static char last_lines[LAST_LINES][LINE_MAX_LEN + 1];
static unsigned n_lines; /* of the verifier's log, all of them; the last LAST_LINES are kept */

/* Text of any length; the caller frees it. */
static char *format_all(const char *format, va_list args)
{
	char *text;

	return vasprintf(&text, format, args) < 0 ? NULL : text;
}

static void quote_line(const char *line, char quoted[4 * LINE_MAX_LEN + 8])
{
	size_t len = strcspn(line, "\n");

	log_quote(line, len < LINE_MAX_LEN ? len : LINE_MAX_LEN, quoted, 4 * LINE_MAX_LEN + 8);
}

/* The last lines of a text: where they begin. */
static const char *tail(const char *text, unsigned lines)
{
	const char *at = text + strlen(text);

	while (at > text && lines) {
		at--;
		if (at > text && at[-1] == '\n')
			lines--;
	}
	return at;
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : line + strlen(line);
}

static void debug_lines(const char *text)
{
	char quoted[4 * LINE_MAX_LEN + 8];

	for (const char *line = tail(text, DEBUG_LINES); *line; line = next_line(line)) {
		quote_line(line, quoted);
		log_debug("event=libbpf text=\"%s\"", quoted);
	}
}

/* "libbpf: prog 'mxlb': -- BEGIN PROG LOAD LOG --", the verifier's lines, "-- END PROG LOAD LOG --". */
static void keep_verifier_lines(const char *text)
{
	const char *begin = strstr(text, "-- BEGIN PROG LOAD LOG --\n");
	const char *end = begin ? strstr(begin, "-- END PROG LOAD LOG --") : NULL;

	if (!end)
		return;
	n_lines = 0;
	for (const char *line = next_line(begin); line < end; line = next_line(line)) {
		size_t len = strcspn(line, "\n");

		snprintf(last_lines[n_lines++ % LAST_LINES], LINE_MAX_LEN + 1, "%.*s",
			 (int)(len < LINE_MAX_LEN ? len : LINE_MAX_LEN), line);
	}
}

/*
 * The message about RLIMIT_MEMLOCK precedes the real one if permissions are missing, and Linux 5.11 and later do not
 * need it.
 */
static int on_print(enum libbpf_print_level level, const char *format, va_list args)
{
	char *text = format_all(format, args), quoted[4 * LINE_MAX_LEN + 8];

	if (!text)
		return 0;
	debug_lines(text);
	keep_verifier_lines(text);
	if (level == LIBBPF_WARN && !first_complaint[0] && !strstr(text, "RLIMIT_MEMLOCK")) {
		quote_line(text, quoted);
		snprintf(first_complaint, sizeof(first_complaint), "%.255s", quoted);
	}
	free(text);
	return 0;
}

void refusal_listen(void)
{
	libbpf_set_print(on_print);
}

static void log_verifier(void)
{
	unsigned first = n_lines > LAST_LINES ? n_lines - LAST_LINES : 0;
	char quoted[4 * LINE_MAX_LEN + 8];

	if (first_complaint[0])
		log_error("event=libbpf text=\"%s\"", first_complaint);
	for (unsigned i = first; i < n_lines; i++) {
		quote_line(last_lines[i % LAST_LINES], quoted);
		log_error("event=verifier line=%u text=\"%s\"", i + 1, quoted);
	}
}

/* Whether the running kernel is older than the oldest supported one. *u: its name. */
static bool too_old(struct utsname *u)
{
	unsigned major = 0, minor = 0;

	if (uname(u) || sscanf(u->release, "%u.%u", &major, &minor) != 2)
		return false;
	return major < MXLB_LINUX_MAJOR || (major == MXLB_LINUX_MAJOR && minor < MXLB_LINUX_MINOR);
}

static int refuse_finally(const char *error, const char *advice)
{
	log_error("event=refused what=\"load the BPF program\" error=\"%s\" advice=\"%s\"", error,
		  advice);
	return -ENOEXEC;
}

static int refuse_old(const struct utsname *u)
{
	char error[160], advice[160];

	snprintf(error, sizeof(error), "Linux %.65s is too old", u->release);
	snprintf(advice, sizeof(advice),
		 "boot Linux %u.%u or newer; the README lists the kernels that mxlb is tested on",
		 MXLB_LINUX_MAJOR, MXLB_LINUX_MINOR);
	return refuse_finally(error, advice);
}

static const struct {
	int number;
	const char *name;
	bool or_sys_admin; /* which the kernel accepts in its place */
} needed[] = {
	{CAP_BPF, "CAP_BPF", true},
	{CAP_PERFMON, "CAP_PERFMON", true},
	{CAP_NET_ADMIN, "CAP_NET_ADMIN", false},
};

bool datapath_may_load(char *missing, size_t size)
{
	bool may = true;
	size_t len = 0;

	*missing = '\0';
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (capability_held(needed[i].number) ||
		    (needed[i].or_sys_admin && capability_held(CAP_SYS_ADMIN)))
			continue;
		len += snprintf(missing + len, size - len, "%s%s", may ? "" : ", ", needed[i].name);
		may = false;
	}
	return may;
}

int refusal_capabilities(void)
{
	char missing[DATAPATH_MISSING_SIZE], error[DATAPATH_MISSING_SIZE + 16];
	struct utsname u;

	if (datapath_may_load(missing, sizeof(missing)))
		return 0;
	if (too_old(&u))
		return refuse_old(&u);
	snprintf(error, sizeof(error), "%s missing", missing);
	return refuse_finally(error,
			      "run mxlbd as root, or grant the capabilities as mxlb.service does; "
			      "CAP_PERFMON is given up after the load");
}

int refusal_explain(int err)
{
	struct utsname u = {.release = ""};
	char error[160];

	log_verifier();
	if (too_old(&u))
		return refuse_old(&u);
	if (err == -ENOSYS)
		return refuse_finally(
			strerror(-err),
			"this kernel was built without CONFIG_BPF_SYSCALL, or seccomp "
			"forbids bpf(2): boot a distribution's kernel");
	if (n_lines) {
		snprintf(error, sizeof(error), "the verifier of Linux %.65s refuses it", u.release);
		return refuse_finally(error,
				      "boot a kernel that the README lists, and report the lines "
				      "event=verifier, which have the reason");
	}
	if ((err == -EPERM || err == -EACCES) && !strstr(first_complaint, "pinned map"))
		return refuse_finally(
			strerror(-err),
			"the capabilities are there, but something else forbids bpf(2): kernel "
			"lockdown (cat /sys/kernel/security/lockdown), a container's user namespace, "
			"a security module or seccomp");
	log_error("event=refused what=\"load the BPF program\" error=\"%s\" advice=\"%s\"",
		  strerror(-err),
		  err == -ENOMEM
			  ? "give this box more memory"
			  : "see the line above; pins of another build or user go with: rm -r the "
			    "datapath.pin directory");
	return err;
}
