/* SPDX-License-Identifier: BSD-2-Clause */
/* conf/: the allow-list of a service, and a reload with an invalid file. */
#include "allow_fixture.h"

/* ---- the list ---- */

static const struct {
	const char *what, *list, *want;
} lists[] = {
	{"nothing", "[]", ""},
	{"null", "~", ""},
	{"one", "[192.0.2.0/24]", "192.0.2.0/24"},
	{"everyone, explicitly", "[0.0.0.0/0]", "0.0.0.0/0"},
	{"sorted", "[203.0.113.9/32, 192.0.2.0/24, '198.51.100.0/24']",
	 "192.0.2.0/24 198.51.100.0/24 203.0.113.9/32"},
	{"duplicates", "[192.0.2.0/24, 192.0.2.0/24, 192.0.2.0/24]", "192.0.2.0/24"},
	{"one within another", "[192.0.2.128/25, 192.0.2.7/32, 192.0.2.0/24, 192.0.3.0/24]",
	 "192.0.2.0/24 192.0.3.0/24"},
	{"three levels", "[10.1.1.0/24, 10.1.0.0/16, 10.0.0.0/8, 10.1.2.0/24, 11.0.0.0/8]",
	 "10.0.0.0/8 11.0.0.0/8"},
	{"one at another's begin", "[10.0.0.0/16, 10.0.0.0/8, 10.0.0.0/32]", "10.0.0.0/8"},
	{"all within /0", "[1.0.0.0/8, 255.255.255.255/32, 0.0.0.0/0]", "0.0.0.0/0"},
	{"neighbours are not merged", "[192.0.2.0/25, 192.0.2.128/25]",
	 "192.0.2.0/25 192.0.2.128/25"},
	{"the other family is nobody here", "['2001:db8::/32', 192.0.2.0/24, '::/0', '::/64']",
	 "192.0.2.0/24"},
};

static void a_list_becomes_sorted_prefixes_of_the_vips_family(void **state)
{
	char text[1024];

	(void)state;
	for (size_t i = 0; i < N(lists); i++) {
		snprintf(text, sizeof(text), LEAST "    allow: %s\n", lists[i].list);
		expect_allowed(lists[i].what, text, lists[i].want);
	}
	expect_allowed("IPv6",
		       "interfaces: {eth0: }\nservices:\n" V6_SERVICE
		       " allow: ['2001:db8:1::/48', 0.0.0.0/0, '2001:db8::/32', '2a01::/16']}\n",
		       "2001:db8::/32 2a01::/16");
	expect_allowed("all of IPv6",
		       "interfaces: {eth0: }\nservices:\n" V6_SERVICE
		       " allow: ['2001:db8:1::/48', '::/0', '::ffff:0:0/96']}\n",
		       "::/0");
}

static const struct {
	const char *what, *more, *errors;
} refused[] = {
	{"host bits", "    allow: [192.0.2.1/24, '2001:db8::1/64', 10.0.0.0/8]\n",
	 "10:13: services.a.allow: 192.0.2.1/24 has bits beyond its length: write 192.0.2.0/24\n"
	 "10:27: services.a.allow: 2001:db8::1/64 *write 2001:db8::/64\n"},
	{"no length", "    allow:\n      - 192.0.2.1\n      - 2001:db8::1\n",
	 "11:9: services.a.allow: 192.0.2.1 has no length: write 192.0.2.1/32\n"
	 "12:9: services.a.allow: 2001:db8::1 *write 2001:db8::1/128\n"},
	{"nonsense", "    allow: [a, 192.0.2.0/33, 192.0.2.0/024, 192.0.2/24, '', ~, \"a\\e/1\"]\n",
	 "10:13: services.a.allow: \"a\" is not a prefix like 192.0.2.0/24 or 2001:db8::/32\n"
	 "10:16: services.a.allow: \"192.0.2.0/33\" is not a prefix*\n"
	 "10:30: services.a.allow: \"192.0.2.0/024\" is not a prefix*\n"
	 "10:45: services.a.allow: \"192.0.2/24\" is not a prefix*\n"
	 "10:57: services.a.allow: \"\" is not a prefix*\n"
	 "10:61: services.a.allow: \"~\" is not a prefix*\n"
	 "10:64: services.a.allow: \"a\\x1b/1\" is not a prefix*\n"},
	{"a NUL", "    allow: [\"192.0.2.0/24\\0x\"]\n", "10:13: services.a.allow: *NUL*\n"},
	{"no list", "    allow: 192.0.2.0/24\n", "10:12: services.a.allow: must be a list\n"},
	{"a mapping", "    allow: {192.0.2.0/24: }\n", "10:5: services.a.allow: *a list\n"},
	{"a list of lists", "    allow: [[192.0.2.0/24]]\n",
	 "10:13: services.a.allow: *a list of prefixes\n"},
	{"only the other family", "    allow: ['::/0']\n",
	 "10:12: services.a.allow: has no IPv4 prefix, as the address of a needs\n"},
	{"the other keys",
	 "    allow-file: endpoints.json\n    allow-mode: deny\n    syn-limit: 1000001\n"
	 "    log-connections: yes\n",
	 "10:17: services.a.allow-file: *absolute path\n"
	 "11:17: services.a.allow-mode: \"deny\" *one of enforce, observe\n"
	 "12:16: services.a.syn-limit: 1000001 *between 0 and 1000000\n"
	 "13:22: services.a.log-connections: \"yes\" *one of true, false\n"},
};

static void what_is_no_list_of_prefixes_is_refused_with_the_right_way_to_write_it(void **state)
{
	char text[1024];

	(void)state;
	for (size_t i = 0; i < N(refused); i++) {
		snprintf(text, sizeof(text), LEAST "%s", refused[i].more);
		bench_expect(refused[i].what, text, -EINVAL, refused[i].errors);
	}
	bench_expect("no address, no family",
		     "interfaces: {eth0: }\nservices: {a: {address: x, interface: eth0, allow: "
		     "['::/0'], allow-file: /x,\n  tiers: {1: {z: {address: 1.2.3.4}}}}}\n",
		     -EINVAL, "2:25: services.a.address: \"x\" *not an*address\n");
}

static void mode_and_limit_reach_their_fields(void **state)
{
	struct config *c =
		bench_load_good(LEAST "    allow-mode: observe\n    syn-limit: 1000000\n", "");

	(void)state;
	assert_int_equal(c->services[0].allow_mode, ALLOW_OBSERVE);
	assert_int_equal(c->services[0].syn_limit, 1000000);
	config_free(c);
}

/* ---- a reload ---- */

/* Loads while `running` is in force. The caller frees the result. */
static struct config *reload(const struct config *running, const char *text, const char *warnings)
{
	struct config *c;

	bench_running = running;
	c = bench_load_good(text, warnings);
	bench_running = NULL;
	return c;
}

static const struct {
	const char *what, *json, *why;
} no_good[] = {
	{"empty", "", "is empty"},
	{"truncated", "[{" SMTP ", \"ips\": [\"192.0.2.0/24\"",
	 "is not JSON: line 1, column 42: *"},
	{"an empty list", "[]", "has no IPv4 prefix*"},
	{"another family", "[{" SMTP ", " IPS("\"2001:db8::/32\"") "}]", "has no IPv4 prefix*"},
	{"an error of the server", "{}", "*list of records"},
	{"wrong", "[{" SMTP ", " IPS("\"192.0.2.0/24\", \"x\"") "}]",
	 ".[0].ips[1]: \"x\" is not a prefix*"},
	{"everyone", "[{" SMTP ", " IPS("\"0.0.0.0/0\"") "}]",
	 ".[0].ips[0]: 0.0.0.0/0 is everyone"},
	{"much smaller", "[{" SMTP ", " NET "}]",
	 "has only 1; if that is right, restart mxlbd (the datapath goes on)"},
	{"much smaller, by duplicates",
	 "[{" SMTP ", " IPS("\"192.0.2.0/24\", \"192.0.2.0/24\", "
			    "\"192.0.2.1/32\"") "}]",
	 "has only 1;*restart*"},
};

static void a_file_that_is_no_good_changes_nothing_and_draws_a_warning(void **state)
{
	struct config *running;
	char line[512];

	(void)state;
	write_text(endpoints);
	running = bench_load_good(with_file(""), "");
	for (size_t i = 0; i < N(no_good); i++) {
		struct config *c;

		write_text(no_good[i].json);
		snprintf(
			line, sizeof(line),
			"10:17: warning: services.a.allow-file: keeps the 4 prefixes in force: %s\n",
			no_good[i].why);
		c = reload(running, with_file(""), line);
		assert_prefixes(no_good[i].what, c->services[0].allow, c->services[0].n_allow,
				EOP_V4);
		config_free(running); /* the copy is passed on to the next configuration */
		running = c;
	}
	remove(json_file);
	config_free(reload(
		running, with_file(""),
		"10:17: warning: services.a.allow-file: keeps the 4 *: can't be read: No such file or directory\n"));
	config_free(running);
}

static void every_truncation_of_the_file_keeps_what_is_in_force(void **state)
{
	struct config *running, *c;

	(void)state;
	write_text(endpoints);
	running = bench_load_good(with_file(""), "");
	bench_running = running;
	for (size_t cut = 0; cut < strlen(endpoints) - 1; cut++) {
		struct buf errors = {.data = NULL};

		write_json(endpoints, cut);
		assert_int_equal(bench_load_text(with_file(""), &c, &errors), 0);
		assert_non_null(strstr(errors.data, ": keeps the 4 prefixes "));
		assert_prefixes("kept", c->services[0].allow, c->services[0].n_allow, EOP_V4);
		config_free(c);
		buf_free(&errors);
	}
	bench_running = NULL;
	config_free(running);
}

static void half_as_many_and_any_growth_are_taken_over(void **state)
{
	struct config *running, *half, *grown, *kept;

	(void)state;
	write_text(endpoints);
	running = bench_load_good(with_file(""), "");
	write_text("[{" SMTP ", " IPS("\"192.0.2.0/24\", \"10.0.0.0/8\"") "}]");
	half = reload(running, with_file(""), "");
	assert_prefixes("half", half->services[0].allow, half->services[0].n_allow,
			"10.0.0.0/8 192.0.2.0/24");
	write_prefixes(1000);
	grown = reload(half, with_file(""), "");
	assert_int_equal(grown->services[0].n_allow, 1000);
	write_prefixes(499);
	kept = reload(
		grown, with_file(""),
		"10:17: warning: services.a.allow-file: keeps the 1000 *: has only 499;*restart*\n");
	assert_int_equal(kept->services[0].n_allow, 1000);
	config_free(kept);
	config_free(running);
	config_free(half);
	config_free(grown);
}

static void the_list_beside_a_kept_file_is_the_new_one(void **state)
{
	struct config *running, *c;

	(void)state;
	write_text(endpoints);
	running = bench_load_good(with_file("    allow: [0.0.0.0/0]\n"), "");
	assert_prefixes("before", running->services[0].allow, running->services[0].n_allow,
			"0.0.0.0/0");
	write_text("");
	c = reload(running, with_file("    allow: [192.0.2.0/24]\n"),
		   "10:17: warning: services.a.allow-file: keeps the 4 *: is empty\n");
	assert_prefixes("after", c->services[0].allow, c->services[0].n_allow,
			EOP_V4 " 192.0.2.0/24");
	config_free(running);
	config_free(c);
}

static void only_the_same_service_file_and_family_stand_in(void **state)
{
	struct config *running;
	char text[2048], *name;

	(void)state;
	write_text(endpoints);
	running = bench_load_good(with_file(""), "");
	write_text("");
	bench_running = running;

	snprintf(text, sizeof(text), "%s", with_file(""));
	name = strstr(text, "  a:\n");
	name[2] = 'z';
	bench_expect("another service", text, -EINVAL, "10:17: services.z.allow-file: is empty\n");
	snprintf(text, sizeof(text), LEAST "    allow-file: %s.new\n", json_file);
	bench_expect("another file", text, -EINVAL,
		     "10:17: services.a.allow-file: can't be read: No such file or directory\n");
	snprintf(
		text, sizeof(text),
		"interfaces: {eth0: }\nservices:\n  a: {address: '2001:db8::25', interface: eth0,\n"
		"    allow-file: %s, tiers: {1: {z: {address: '2001:db8::1'}}}}\n",
		json_file);
	bench_expect("another family", text, -EINVAL, "4:17: services.a.allow-file: is empty\n");
	bench_expect("the file is no longer named", LEAST, 0, "");
	bench_running = NULL;
	config_free(running);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_becomes_sorted_prefixes_of_the_vips_family),
		cmocka_unit_test(
			what_is_no_list_of_prefixes_is_refused_with_the_right_way_to_write_it),
		cmocka_unit_test(mode_and_limit_reach_their_fields),
		cmocka_unit_test(a_file_that_is_no_good_changes_nothing_and_draws_a_warning),
		cmocka_unit_test(every_truncation_of_the_file_keeps_what_is_in_force),
		cmocka_unit_test(half_as_many_and_any_growth_are_taken_over),
		cmocka_unit_test(the_list_beside_a_kept_file_is_the_new_one),
		cmocka_unit_test(only_the_same_service_file_and_family_stand_in),
	};

	return cmocka_run_group_tests_name("conf: allow-lists", tests, open_both, close_both);
}
