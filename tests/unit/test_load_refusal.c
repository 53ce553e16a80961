/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * datapath/load_refusal.c: what is logged and returned if the BPF program cannot be loaded. It is compiled in here, with
 * the test's own kernel version, capabilities and log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/utsname.h>

static int own_uname(struct utsname *u);

#define log_at		own_log_at
#define uname		own_uname
#define capability_held own_capability_held
#include "datapath/load_refusal.c"
#undef uname
#undef capability_held

static const char *release;
static uint64_t capabilities;
static char said[65536];

void own_log_at(enum log_level level, const char *format, ...)
{
	size_t len = strlen(said);
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(said + len, sizeof(said) - len, format, args);
	va_end(args);
	len = strlen(said);
	snprintf(said + len, sizeof(said) - len, "\n");
}

static int own_uname(struct utsname *u)
{
	snprintf(u->release, sizeof(u->release), "%s", release);
	return 0;
}

bool own_capability_held(int capability)
{
	return capabilities >> capability & 1;
}

static int set_up(void **state)
{
	(void)state;
	release = "6.1.0-57-amd64";
	capabilities = ~0ULL;
	*first_complaint = '\0';
	n_lines = 0;
	*said = '\0';
	return 0;
}

static void libbpf_prints(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	on_print(LIBBPF_WARN, format, args);
	va_end(args);
}

static void verifier_says(const char *lines)
{
	libbpf_prints("libbpf: prog '%s': BPF program load failed: Permission denied\n", "mxlb");
	libbpf_prints("libbpf: prog '%s': -- BEGIN PROG LOAD LOG --\n%s-- END PROG LOAD LOG --\n",
		      "mxlb", lines);
	*said = '\0'; /* of the debug level */
}

static unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *at = said; (at = strstr(at, what)); at++)
		n++;
	return n;
}

static char *numbered_lines(unsigned n)
{
	char *text = calloc(n, 16), *at = text;

	for (unsigned i = 1; i <= n; i++)
		at += sprintf(at, "line %u\n", i);
	return text;
}

static void of_a_long_log_the_last_lines_are_shown_in_order(void **state)
{
	char *lines = numbered_lines(1000);

	(void)state;
	verifier_says(lines);
	free(lines);
	assert_int_equal(refusal_explain(-EACCES), -ENOEXEC);
	assert_int_equal(count("event=verifier line="), LAST_LINES);
	assert_non_null(strstr(said, "event=verifier line=989 text=\"line 989\"\n"
				     "event=verifier line=990 text=\"line 990\"\n"));
	assert_non_null(strstr(said, "event=verifier line=1000 text=\"line 1000\"\nevent=refused"));
	assert_non_null(strstr(said, "error=\"the verifier of Linux 6.1.0-57-amd64 refuses it\""));
}

static void of_a_short_log_all_lines_are_told_and_of_a_long_line_its_beginning(void **state)
{
	char line[1000];

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "first\n", 6);
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	verifier_says(line);
	refusal_explain(-EACCES);
	assert_int_equal(count("event=verifier line="), 2);
	assert_non_null(strstr(said, "line=1 text=\"first\"\nevent=verifier line=2 text=\"xxx"));
	assert_int_equal(strspn(strstr(said, "xxx"), "x"), LINE_MAX_LEN);
}

static void at_debug_level_a_message_has_200_lines_at_most(void **state)
{
	char *lines = numbered_lines(1000);

	(void)state;
	libbpf_prints("%s", lines);
	free(lines);
	assert_int_equal(count("event=libbpf"), DEBUG_LINES);
	assert_non_null(strstr(said, "text=\"line 1000\""));
	assert_null(strstr(said, "text=\"line 800\""));
}

static void the_first_complaint_is_kept_but_not_the_guess_about_memlock(void **state)
{
	(void)state;
	libbpf_prints("libbpf: raise RLIMIT_MEMLOCK\n");
	libbpf_prints("libbpf: failed to create map\nmore\n");
	libbpf_prints("libbpf: failed to load object\n");
	*said = '\0';
	assert_int_equal(refusal_explain(-EINVAL), -EINVAL);
	assert_non_null(strstr(said, "event=libbpf text=\"libbpf: failed to create map\"\n"));
	assert_int_equal(count("event=libbpf"), 1);
}

static void a_cause_that_waiting_does_not_cure_is_final(void **state)
{
	static const struct {
		const char *release, *complaint;
		int err, expected;
		const char *advice;
	} rows[] = {
		{"5.10.0-32-amd64", "libbpf: load failed\n", -EINVAL, -ENOEXEC, "boot Linux 6.1"},
		{"6.0.19", "libbpf: load failed\n", -EINVAL, -ENOEXEC, "boot Linux 6.1"},
		{"6.1.0", "libbpf: load failed\n", -EINVAL, -EINVAL, "rm -r"},
		{"10.0.0", "libbpf: load failed\n", -EINVAL, -EINVAL, "rm -r"},
		{"6.1.0", "libbpf: trivial\n", -ENOSYS, -ENOEXEC, "CONFIG_BPF_SYSCALL"},
		{"6.1.0", "libbpf: trivial\n", -EPERM, -ENOEXEC, "lockdown"},
		{"6.1.0", "libbpf: couldn't retrieve pinned map 'x'\n", -EACCES, -EACCES, "rm -r"},
		{"6.1.0", "libbpf: failed to create map\n", -ENOMEM, -ENOMEM, "memory"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_up(state);
		release = rows[i].release;
		libbpf_prints("%s", rows[i].complaint);
		*said = '\0';
		assert_int_equal(refusal_explain(rows[i].err), rows[i].expected);
		assert_non_null(strstr(said, rows[i].advice));
		assert_int_equal(count("event=refused"), 1);
	}
}

static void the_missing_capabilities_are_named(void **state)
{
	(void)state;
	assert_int_equal(refusal_capabilities(), 0);
	capabilities = 1ULL << CAP_BPF | 1ULL << CAP_NET_ADMIN;
	assert_int_equal(refusal_capabilities(), -ENOEXEC);
	assert_non_null(strstr(said, "error=\"CAP_PERFMON missing\""));
	*said = '\0';
	capabilities = 0;
	assert_int_equal(refusal_capabilities(), -ENOEXEC);
	assert_non_null(strstr(said, "error=\"CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN missing\""));
	*said = '\0';
	capabilities =
		1ULL << CAP_SYS_ADMIN | 1ULL << CAP_NET_ADMIN; /* the only one before Linux 5.8 */
	assert_int_equal(refusal_capabilities(), 0);
	assert_string_equal(said, "");
	capabilities = 0;
	release = "5.4.0";
	assert_int_equal(refusal_capabilities(), -ENOEXEC);
	assert_non_null(strstr(said, "error=\"Linux 5.4.0 is too old\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(of_a_long_log_the_last_lines_are_shown_in_order, set_up),
		cmocka_unit_test_setup(
			of_a_short_log_all_lines_are_told_and_of_a_long_line_its_beginning, set_up),
		cmocka_unit_test_setup(at_debug_level_a_message_has_200_lines_at_most, set_up),
		cmocka_unit_test_setup(the_first_complaint_is_kept_but_not_the_guess_about_memlock,
				       set_up),
		cmocka_unit_test_setup(a_cause_that_waiting_does_not_cure_is_final, set_up),
		cmocka_unit_test_setup(the_missing_capabilities_are_named, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
