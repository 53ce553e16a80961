/* SPDX-License-Identifier: BSD-2-Clause */
/* util/statefile.c, and a start with an allow-file that has become invalid: its last good copy is used, with a warning. */
#include "allow_fixture.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "util/statefile.h"

static char state_dir[] = "/tmp/mxlb-state-XXXXXX";

static int open_all(void **state)
{
	return mkdtemp(state_dir) && !setenv("STATE_DIRECTORY", state_dir, 1) ? open_both(state)
									      : -1;
}

static void remove_copy(const char *kind, const char *about)
{
	char path[STATEFILE_PATH_SIZE];

	assert_true(statefile_path(kind, about, path));
	unlink(path);
}

static int close_all(void **state)
{
	setenv("STATE_DIRECTORY", state_dir, 1);
	remove_copy("allow", json_file);
	return close_both(state) || rmdir(state_dir);
}

static void assert_holds(const char *path, const char *want)
{
	char got[256] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_int_equal(fread(got, 1, sizeof(got) - 1, f), strlen(want));
	fclose(f);
	assert_string_equal(got, want);
}

static void a_state_file_is_replaced_whole_and_only_when_it_differs(void **state)
{
	char path[STATEFILE_PATH_SIZE], other[STATEFILE_PATH_SIZE], fresh[STATEFILE_PATH_SIZE + 8];
	struct stat before, after;

	(void)state;
	assert_true(statefile_path("kind", "/etc/mxlb/a", path));
	assert_true(statefile_path("kind", "/etc/mxlb/b", other));
	assert_string_not_equal(path, other);
	assert_true(strstr(path, "/kind-") && !strncmp(path, state_dir, strlen(state_dir)));
	assert_int_equal(statefile_write(path, "one", 3), 0);
	assert_holds(path, "one");
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	assert_int_equal(statefile_write(path, "one", 3), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino); /* not written again */
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	assert_int_equal(symlink("/dev/full", fresh),
			 0); /* a symbolic link in the way is never followed */
	assert_int_equal(statefile_write(path, "on", 2), 0);
	assert_holds(path, "on");
	assert_int_equal(statefile_write(path, "one, and more", 13), 0);
	assert_holds(path, "one, and more");
	assert_int_equal(statefile_write(path, "", 0), 0);
	assert_holds(path, "");
	assert_int_equal(access(fresh, F_OK), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(statefile_write(path, "x", 1), -EISDIR);
	assert_int_equal(access(fresh, F_OK), -1);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(statefile_write("/nowhere/x", "x", 1), -ENOENT);
}

static void the_state_directory_is_the_first_that_systemd_names(void **state)
{
	static const struct {
		const char *variable, *dir;
	} rows[] = {
		{"/var/lib/mxlb", "/var/lib/mxlb"},
		{"/var/lib/mxlb:/var/lib/other", "/var/lib/mxlb"},
		{"", NULL},
		{"relative", NULL},
	};
	char path[STATEFILE_PATH_SIZE];

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		setenv("STATE_DIRECTORY", rows[i].variable, 1);
		if (rows[i].dir)
			assert_string_equal(statefile_dir(), rows[i].dir);
		else
			assert_null(statefile_dir());
		assert_int_equal(statefile_path("a", "b", path), rows[i].dir != NULL);
	}
	unsetenv("STATE_DIRECTORY");
	assert_null(statefile_dir());
	setenv("STATE_DIRECTORY", state_dir, 1);
}

/* As mxlbd does: a good copy is kept for the next time. NULL: refused. */
static struct config *start(const char *text)
{
	struct config *c = NULL;
	struct buf errors = {0};

	bench_write(text, strlen(text));
	if (!conf_load_or_copies(bench_file, &c, &errors))
		conf_keep_copies(c);
	buf_free(&errors);
	return c;
}

static void assert_start(const char *what, const char *text, const char *prefixes,
			 const char *trouble)
{
	struct config *c = start(text);

	if (!c)
		fail_msg("%s: refused", what);
	assert_prefixes(what, c->services[0].allow, c->services[0].n_allow, prefixes);
	if (!!*trouble != !!*c->services[0].file_trouble ||
	    !strstr(c->services[0].file_trouble, trouble))
		fail_msg("%s: \"%s\", not \"%s\"", what, c->services[0].file_trouble, trouble);
	config_free(c);
}

static void a_start_with_a_file_that_became_invalid_uses_the_last_good_copy(void **state)
{
	static const struct {
		const char *text, *trouble;
	} bad[] = {
		{"", "is empty"},
		{"[{", "is not JSON"},
		{"\xff\xfe", "is not JSON"},
		{"{}", "list of records"},
		{"[]", "has no IPv4 prefix"},
		{"[{" IPS("\"2001:db8::/32\"") ", " SMTP "}]", "has no IPv4 prefix"},
		{"[{" NET ", " SMTP "}]", "has only 1; if that is right, remove "},
	};
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text), "%s", with_file(""));
	write_text(bad[0].text);
	assert_null(start(text)); /* there is no copy yet */
	write_text(endpoints);
	assert_start("good", text, EOP_V4, "");
	for (size_t i = 0; i < N(bad); i++) {
		write_text(bad[i].text);
		assert_start(bad[i].trouble, text, EOP_V4, bad[i].trouble);
		assert_start("and again", text, EOP_V4, bad[i].trouble);
	}
	remove(json_file);
	assert_start("no file", text, EOP_V4, "No such file");
	assert_int_equal(mkdir(json_file, 0700), 0);
	assert_start("a directory", text, EOP_V4, "a directory");
	rmdir(json_file);
}

static void a_start_with_a_truncated_file_uses_the_copy(void **state)
{
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text), "%s", with_file(""));
	write_text(endpoints);
	assert_start("good", text, EOP_V4, "");
	for (size_t len = 0; len < strlen(endpoints) - 2; len += 7) {
		struct config *c;

		write_json(endpoints, len);
		c = start(text);
		assert_non_null(c);
		assert_prefixes("cut off", c->services[0].allow, c->services[0].n_allow, EOP_V4);
		assert_true(c->services[0].file_trouble[0]);
		config_free(c);
	}
}

static void a_test_and_a_reload_with_nothing_in_force_refuse_as_before(void **state)
{
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text), "%s", with_file(""));
	write_text(endpoints);
	assert_start("good", text, EOP_V4, "");
	write_text("");
	bench_expect("conf_load()", text, -EINVAL, "10:17: services.a.allow-file: is empty\n");
}

static void a_copy_that_is_broken_itself_is_not_believed(void **state)
{
	char text[1024], copy[STATEFILE_PATH_SIZE];

	(void)state;
	snprintf(text, sizeof(text), "%s", with_file(""));
	assert_true(statefile_path("allow", json_file, copy));
	assert_int_equal(statefile_write(copy, "[{", 2), 0);
	write_text("");
	assert_null(start(text));
	write_text(endpoints);
	assert_start("it is made again", text, EOP_V4, "");
	unsetenv("STATE_DIRECTORY");
	write_text("");
	assert_null(start(text)); /* the place of the copy is unknown */
	setenv("STATE_DIRECTORY", state_dir, 1);
	assert_start("now it is", text, EOP_V4, "is empty");
}

/* If one of two services with the same file finds nothing for its family, both get the copy. */
static void a_file_that_is_bad_for_one_of_its_services_replaces_no_copy(void **state)
{
	char text[2048];
	struct config *c;

	(void)state;
	snprintf(text, sizeof(text), LEAST "    allow-file: %s\n" V6_SERVICE " allow-file: %s}\n",
		 json_file, json_file);
	write_text(endpoints);
	c = start(text);
	assert_non_null(c);
	config_free(c);
	write_text("[{" IPS("\"192.0.2.0/24\", \"198.51.100.0/24\"") ", " SMTP "}]");
	for (int i = 0; i < 2; i++) {
		c = start(text);
		assert_non_null(c);
		assert_prefixes("IPv4 is new", c->services[0].allow, c->services[0].n_allow,
				"192.0.2.0/24 198.51.100.0/24");
		assert_prefixes("IPv6 is kept", c->services[1].allow, c->services[1].n_allow,
				EOP_V6);
		assert_false(c->services[0].file_trouble[0]);
		assert_true(c->services[1].file_trouble[0]);
		config_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_file_is_replaced_whole_and_only_when_it_differs),
		cmocka_unit_test(the_state_directory_is_the_first_that_systemd_names),
		cmocka_unit_test(a_start_with_a_file_that_became_invalid_uses_the_last_good_copy),
		cmocka_unit_test(a_start_with_a_truncated_file_uses_the_copy),
		cmocka_unit_test(a_test_and_a_reload_with_nothing_in_force_refuse_as_before),
		cmocka_unit_test(a_copy_that_is_broken_itself_is_not_believed),
		cmocka_unit_test(a_file_that_is_bad_for_one_of_its_services_replaces_no_copy),
	};

	return cmocka_run_group_tests_name("copies", tests, open_all, close_all);
}
