/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conf/: no file, whatever its contents or type, makes the reader hang or crash. Run from the tree's root: the example
 * file is read too.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "conf_bench.h"
#include "like.h"

#define EXAMPLE "userspace/etc/mxlb.yaml"

/* Every line of the report begins with two numbers; bench_load() has already checked the file name before them. */
static void assert_places(const char *lines)
{
	unsigned line, column;

	for (; *lines; lines = strchr(lines, '\n') + 1)
		assert_int_equal(sscanf(lines, "%u:%u: ", &line, &column), 2);
}

/* Returns whether it loads. In both cases checks that the result is complete. */
static bool loads_or_says_why(const char *bytes, size_t len)
{
	struct buf errors = {.data = NULL};
	struct config *c = NULL;
	int err;

	bench_write(bytes, len);
	err = bench_load(&c, &errors);
	assert_true(err == 0 || err == -EINVAL);
	assert_true(!err || errors.len);
	assert_places(errors.data);
	if (!err) {
		assert_true(c->n_services && c->services[0].n_servers);
		config_free(c);
	}
	buf_free(&errors);
	return !err;
}

static size_t read_example(char *text, size_t size)
{
	FILE *f = fopen(EXAMPLE, "r");
	size_t len;

	assert_non_null(f);
	len = fread(text, 1, size, f);
	fclose(f);
	assert_true(len && len < size);
	return len;
}

static void every_truncation_of_the_example_loads_or_gives_a_reason(void **state)
{
	unsigned loaded = 0;
	char text[16384];
	size_t len = read_example(text, sizeof(text));
	const char *first = memmem(text, len, "203.0.113.11}", 13);

	(void)state;
	assert_non_null(first);
	for (size_t cut = 0; cut <= len; cut++) {
		bool ok = loads_or_says_why(text, cut);

		loaded += ok;
		assert_true(!ok || text + cut > first);
	}
	assert_true(loaded > 0 && loaded < len / 4);
}

static void the_example_with_any_byte_replaced_loads_or_gives_a_reason(void **state)
{
	static const char bytes[] = "\0\n\t {}[]:#&*!-'\"0\xff";
	char text[16384];
	size_t len = read_example(text, sizeof(text));

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char was = text[i];

		text[i] = bytes[i % sizeof(bytes)];
		loads_or_says_why(text, len);
		text[i] = was;
	}
}

/* The row's object takes the place of the file and is removed afterwards. */
static void expect_file(int expected_err, const char *expected)
{
	struct buf errors = {.data = NULL};
	struct config *c = NULL;
	int err;

	alarm(30); /* ends the test if the reader blocks */
	err = bench_load(&c, &errors);
	alarm(0);
	assert_int_equal(err, expected_err);
	if (!is_like(errors.data, expected))
		fail_msg("\"%s\", not \"%s\"", errors.data, expected);
	if (!err)
		config_free(c);
	buf_free(&errors);
	assert_int_equal(remove(bench_file), 0);
}

static void only_a_regular_file_is_read_and_others_do_not_block(void **state)
{
	(void)state;
	remove(bench_file);
	assert_int_equal(mkdir(bench_file, 0700), 0);
	expect_file(-EINVAL, "1:1: a directory, not a regular file\n");
	assert_int_equal(mkfifo(bench_file, 0600), 0);
	expect_file(-EINVAL, "1:1: a device, FIFO or socket*\n");
	assert_int_equal(symlink("/dev/zero", bench_file), 0);
	expect_file(-EINVAL, "1:1: a device, FIFO or socket*\n");
	assert_int_equal(symlink("nowhere", bench_file), 0);
	expect_file(-EINVAL, "1:1: can't be read: No such file or directory\n");
}

/* In a child process, because user and group are changed permanently. */
static bool is_refused_to_nobody(void)
{
	static const char expected[] =
		"1:1: can't be read: Permission denied to user nobody, who reads it\n";
	struct buf errors = {.data = NULL};
	struct config *c = NULL;
	bool right;

	if (!geteuid() && (setgroups(0, NULL) || setresuid(65534, 65534, 65534)))
		return false;
	right = bench_load(&c, &errors) == -EINVAL &&
		(geteuid() != 65534 || !strcmp(errors.data, expected));
	buf_free(&errors);
	return right;
}

static void a_file_of_another_user_names_who_cannot_read_it(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	bench_write(LEAST, strlen(LEAST));
	assert_int_equal(chmod(bench_file, 0), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(is_refused_to_nobody() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(unlink(bench_file), 0);
}

static void a_link_to_a_file_is_followed(void **state)
{
	char target[80];

	(void)state;
	snprintf(target, sizeof(target), "%s.real", bench_file);
	bench_write(LEAST, strlen(LEAST));
	assert_int_equal(rename(bench_file, target), 0);
	assert_int_equal(symlink(target, bench_file), 0);
	expect_file(0, "");
	assert_int_equal(unlink(target), 0);
}

static void size_and_bytes_of_a_file_are_bounded(void **state)
{
	const size_t size = 10 * 1024 * 1024;
	char *big = malloc(size);

	(void)state;
	assert_non_null(big);
	memset(big, '\n', size);
	memcpy(big, LEAST, strlen(LEAST));
	bench_write(big, size);
	expect_file(-EINVAL, "1:1: larger than 1 MiB\n");
	bench_write(big, CONF_FILE_MAX + 1);
	expect_file(-EINVAL, "1:1: larger than 1 MiB\n");
	bench_write(big, CONF_FILE_MAX);
	expect_file(0, "");
	bench_write(LEAST "#\0", strlen(LEAST) + 2);
	expect_file(-EINVAL, "10:2: a NUL byte: this is not text\n");
	free(big);
}

static void a_file_that_anybody_may_write_draws_a_warning(void **state)
{
	(void)state;
	bench_write(LEAST, strlen(LEAST));
	assert_int_equal(chmod(bench_file, 0666), 0);
	expect_file(0, "1:1: warning: every user may write this file\n");
}

static void a_name_that_is_too_long_is_refused(void **state)
{
	struct buf errors = {.data = NULL};
	char name[CONFIG_PATH_SIZE + 1];
	struct config *c;

	(void)state;
	memset(name, 'x', CONFIG_PATH_SIZE);
	name[CONFIG_PATH_SIZE] = '\0';
	assert_int_equal(conf_load(name, NULL, &c, &errors), -EINVAL);
	assert_non_null(strstr(errors.data, "the name of the file is too long"));
	buf_free(&errors);
}

static void a_hundred_errors_are_shown_and_the_rest_counted(void **state)
{
	struct buf text = {.data = NULL}, errors = {.data = NULL};
	struct config *c;
	unsigned lines = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		buf_printf(&text, "k%d: 1\n", i);
	assert_int_equal(bench_load_text(text.data, &c, &errors), -EINVAL);
	for (char *at = errors.data; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 101);
	assert_non_null(strstr(errors.data, "\n98:1: k97: unknown key; "));
	assert_non_null(strstr(errors.data, "\n98:1: and 202 more\n"));
	buf_free(&text);
	buf_free(&errors);
}

/* Text with a head, n entries made by one format (%u is the entry's number) and a tail. */
struct many {
	const char *what, *head, *entry, *tail;
	unsigned fits;
	const char *error; /* of one more */
};

#define ONE_SERVICE \
	"services: {a: {address: 1.2.3.4, interface: eth0, tiers: {1: {b: {address: 1.2.3.5}}}}}\n"

static const struct many limits[] = {
	{"interfaces", ONE_SERVICE "interfaces:\n  eth0: {}\n", "  x%u: {}\n", "",
	 MXLB_MAX_PORTS - 1, ": interfaces.x15: more than 16 interfaces\n"},
	{"probes", "interfaces: {eth0: }\n" ONE_SERVICE "probes:\n", "  p%u: {}\n", "",
	 CONFIG_MAX_PROBES - 1, ": probes.p63: more than 63 probes\n"},
	{"operators", "interfaces: {eth0: }\n" ONE_SERVICE "control:\n  operators:\n",
	 "    - u%u\n", "", CONFIG_MAX_OPERATORS, ": control.operators: more than 32 names\n"},
	{"services", "interfaces: {eth0: }\nservices:\n",
	 "  s%1$u: {address: 1.2.3.%1$u, interface: eth0, tiers: {1: {b: {address: 2.2.2.2}}}}\n",
	 "", MXLB_MAX_SERVICES, ": services.s64: more than 64 services\n"},
	{"services of one VIP", "interfaces: {eth0: }\nservices:\n",
	 "  s%1$u: {address: 1.2.3.4, port: 2%1$u, interface: eth0, tiers: {1: {b: {address: 2.2.2.2}}}}"
	 "\n",
	 "", MXLB_MAX_VIP_PORTS, ": services.s8.address: more than 8 services on one address\n"},
	{"backends",
	 "interfaces: {eth0: }\nservices:\n  a: {address: '2001:db9::1', interface: eth0, tiers: {1: {\n",
	 "    b%1$u: {address: '2001:db8::%1$u'},\n", "    }}}\n", MXLB_MAX_SERVERS - 1,
	 ": services.a.tiers.1.b4095: more than 4095 servers in all\n"},
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int load_many(const struct many *m, unsigned n, struct buf *errors)
{
	struct buf text = {.data = NULL};
	struct config *c = NULL;
	char entry[128];
	int err;

	buf_printf(&text, "%s", m->head);
	for (unsigned i = 0; i < n; i++) {
		snprintf(entry, sizeof(entry), m->entry, i);
		buf_append(&text, entry, strlen(entry));
	}
	buf_printf(&text, "%s", m->tail);
	err = bench_load_text(text.data, &c, errors);
	if (!err)
		config_free(c);
	buf_free(&text);
	return err;
}
#pragma GCC diagnostic pop

static void each_limit_is_reached_and_not_passed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(limits); i++) {
		struct buf errors = {.data = NULL};
		const char *colon;

		if (load_many(&limits[i], limits[i].fits, &errors))
			fail_msg("%s: %s", limits[i].what, errors.data);
		assert_int_equal(load_many(&limits[i], limits[i].fits + 1, &errors), -EINVAL);
		colon = strstr(errors.data, ": ");
		if (!colon || strcmp(colon, limits[i].error))
			fail_msg("%s: %s", limits[i].what, errors.data);
		buf_free(&errors);
	}
}

static void more_nodes_than_any_configuration_has_are_refused(void **state)
{
	static const struct many nodes = {.head = "a: [", .entry = "%u,", .tail = "]\n"};
	static const struct many entries = {.head = "services:\n", .entry = "  s%u:\n", .tail = ""};
	struct buf errors = {.data = NULL};

	(void)state;
	assert_int_equal(load_many(&nodes, 140000, &errors), -EINVAL);
	assert_non_null(strstr(errors.data, ": more than 131072 values\n"));
	buf_free(&errors);
	assert_int_equal(load_many(&entries, 5000, &errors), -EINVAL);
	assert_non_null(strstr(errors.data, "1:1: services: more than 4096 entries\n"));
	buf_free(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_truncation_of_the_example_loads_or_gives_a_reason),
		cmocka_unit_test(the_example_with_any_byte_replaced_loads_or_gives_a_reason),
		cmocka_unit_test(only_a_regular_file_is_read_and_others_do_not_block),
		cmocka_unit_test(a_file_of_another_user_names_who_cannot_read_it),
		cmocka_unit_test(a_link_to_a_file_is_followed),
		cmocka_unit_test(size_and_bytes_of_a_file_are_bounded),
		cmocka_unit_test(a_file_that_anybody_may_write_draws_a_warning),
		cmocka_unit_test(a_name_that_is_too_long_is_refused),
		cmocka_unit_test(a_hundred_errors_are_shown_and_the_rest_counted),
		cmocka_unit_test(each_limit_is_reached_and_not_passed),
		cmocka_unit_test(more_nodes_than_any_configuration_has_are_refused),
	};

	return cmocka_run_group_tests_name("conf: files", tests, bench_open, bench_close);
}
