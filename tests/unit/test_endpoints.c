/* SPDX-License-Identifier: BSD-2-Clause */
/* conf/: Microsoft's file of endpoints: which records count, and that no contents do harm. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "allow_fixture.h"

static void the_file_gives_the_records_with_port_25_of_the_vips_family(void **state)
{
	char text[2048];
	struct config *c;
	const struct service_conf *s;

	(void)state;
	write_text(endpoints);
	expect_allowed("alone", with_file(""), EOP_V4);
	expect_allowed("with a list",
		       with_file("    allow: [192.0.2.0/24, 40.93.0.0/16, 52.0.0.0/8]\n"),
		       "40.92.0.0/15 40.107.0.0/16 52.0.0.0/8 104.47.0.0/17 192.0.2.0/24");
	snprintf(text, sizeof(text), "%s" V6_SERVICE " allow-file: %s}\n",
		 with_file("    allow: [40.0.0.0/8]\n"), json_file);
	c = bench_load_good(text, "");
	s = c->services;
	assert_string_equal(s[0].allow_file, json_file);
	assert_prefixes("the list's", s[0].allow, s[0].n_allow,
			"40.0.0.0/8 52.100.0.0/14 104.47.0.0/17");
	assert_prefixes("the file's own", s[0].from_file, s[0].n_from_file, EOP_V4);
	assert_prefixes("IPv6", s[1].allow, s[1].n_allow, EOP_V6);
	config_free(c);
}

static const struct {
	const char *what, *json;
	const char *allowed; /* else: */
	const char *error;
} documents[] = {
	{"one of several ports", PORTS("25,587"), "192.0.2.0/24", NULL},
	{"the last of several, blanks", PORTS("80, 443 , 25 "), "192.0.2.0/24", NULL},
	{"in a range", PORTS("443,20-30"), "192.0.2.0/24", NULL},
	{"at a range's begin", PORTS("25-26"), "192.0.2.0/24", NULL},
	{"at a range's end", PORTS("1 - 25"), "192.0.2.0/24", NULL},
	{"all ports", PORTS("0-65535"), "192.0.2.0/24", NULL},
	{"beside a range", PORTS("26-30,1-24"), NULL, "has no IPv4 prefix*"},
	{"a range backwards", PORTS("30-20"), NULL, "has no IPv4 prefix*"},
	{"other ports with a 25 in them", PORTS("125,250,2525,4294967321"), NULL,
	 "has no IPv4 prefix*"},
	{"no ports in the text", PORTS(",,-25,25-,smtp,25x,+25,2 5,25.0,-,"), NULL,
	 "has no IPv4 prefix*"},
	{"no text in the ports", PORTS(""), NULL, "has no IPv4 prefix*"},
	{"UDP", "[{" NET ", \"udpPorts\": \"25\"}]", NULL, "has no IPv4 prefix*"},
	{"records without ips or ports",
	 "[{}, {" SMTP "}, {" NET "}, {" SMTP ", \"ips\": null}, {" NET ", \"tcpPorts\": null},"
	 "{" SMTP ", " NET "}]",
	 "192.0.2.0/24", NULL},
	{"two records, one twice",
	 "[{" SMTP ", " NET "}, {" SMTP ", " NET "}, {" SMTP ", " IPS("\"10.0.0.0/8\"") "}]",
	 "10.0.0.0/8 192.0.2.0/24", NULL},
	{"both families",
	 "[{" SMTP ", " IPS("\"2001:db8::/32\", \"192.0.2.0/24\", \"::1/128\"") "}]",
	 "192.0.2.0/24", NULL},
	{"what is not looked at",
	 "[{\"id\": [], \"urls\": 7, " SMTP ", " NET "}, {\"ips\": 7, "
	 "\"tcpPorts\": \"443\"}]",
	 "192.0.2.0/24", NULL},
	{"a byte order mark", "\xef\xbb\xbf" PORTS("25"), "192.0.2.0/24", NULL},

	{"an empty file", "", NULL, "is empty"},
	{"blanks", " \n\n", NULL, "is not JSON: line 3, column 0: *"},
	{"an empty array", "[]", NULL, "has no IPv4 prefix*"},
	{"no ips", "[{" SMTP ", \"ips\": []}]", NULL, "has no IPv4 prefix*"},
	{"only the other family", "[{" SMTP ", " IPS("\"2001:db8::/32\"") "}]", NULL,
	 "has no IPv4 prefix*"},
	{"an object", "{\"message\": \"Too many requests\"}", NULL, "is not a list of records"},
	{"a word", "true", NULL, "is not JSON: line 1, column 4: *"},
	{"HTML", "<html>", NULL, "is not JSON: line 1, column 1: *"},
	{"a record that is a list", "[{" SMTP ", " NET "}, []]", NULL, ".[1]: is not a record"},
	{"a record that is null", "[null]", NULL, ".[0]: is not a record"},
	{"ports that are a number", "[{" NET ", \"tcpPorts\": 25}]", NULL,
	 ".[0].tcpPorts: is not text"},
	{"ports that are a list", "[{" NET ", \"tcpPorts\": [\"25\"]}]", NULL,
	 ".[0].tcpPorts: is not text"},
	{"ips that are text", "[{" SMTP ", \"ips\": \"192.0.2.0/24\"}]", NULL,
	 ".[0].ips: is not a list"},
	{"an ip that is a number", "[{" SMTP ", " IPS("\"192.0.2.0/24\", 7") "}]", NULL,
	 ".[0].ips[1]: is not text"},
	{"an ip with host bits", "[{}, {" SMTP ", " IPS("\"192.0.2.1/24\"") "}]", NULL,
	 ".[1].ips[0]: 192.0.2.1/24 *write 192.0.2.0/24"},
	{"an ip without length", "[{" SMTP ", " IPS("\"2001:db8::1\"") "}]", NULL,
	 ".[0].ips[0]: 2001:db8::1 *write 2001:db8::1/128"},
	{"an ip that is a name", "[{" SMTP ", " IPS("\"a\\n10:1: b\"") "}]", NULL,
	 ".[0].ips[0]: \"a\\n10:1: b\" is not a prefix*"},
	{"everyone", "[{" SMTP ", " IPS("\"192.0.2.0/24\", \"0.0.0.0/0\"") "}]", NULL,
	 ".[0].ips[1]: 0.0.0.0/0 is everyone"},
	{"everyone of the other family", "[{" SMTP ", " IPS("\"192.0.2.0/24\", \"::/0\"") "}]",
	 NULL, ".[0].ips[1]: ::/0 is everyone"},
	{"a key twice", "[{" SMTP ", " NET ", " NET "}]", NULL,
	 "is not JSON: line 1, column 50: *'\\\"ips\\\"'"},
	{"a second document", PORTS("25") "[]", NULL, "is not JSON: line 1, column 46: *"},
	{"no UTF-8", "[\"\xff\"]", NULL, "is not JSON: line 1, column 2: *"},
	{"a NUL in a text", "[{" SMTP ", " IPS("\"192.0.2.0/24\\u0000\"") "}]", NULL,
	 "is not JSON: line 1, column 48: *'\\\"192.0.2.0/24\\\\u0000\\\"'"},
};

static void expect_document(const char *what, const char *json, size_t len, const char *allowed,
			    const char *error)
{
	char line[512];

	write_json(json, len);
	if (allowed) {
		expect_allowed(what, with_file(""), allowed);
		return;
	}
	snprintf(line, sizeof(line), "10:17: services.a.allow-file: %s\n", error);
	bench_expect(what, with_file(""), -EINVAL, line);
}

static void only_records_with_port_25_count_and_those_must_be_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(documents); i++)
		expect_document(documents[i].what, documents[i].json, strlen(documents[i].json),
				documents[i].allowed, documents[i].error);
	expect_document("a NUL byte", "[\0]", 3, NULL, "is not JSON: line 1, column 2: *");
}

static void every_truncation_of_the_file_is_refused(void **state)
{
	struct config *c;
	size_t end =
		strlen(endpoints) - 1; /* without the end of the last line it is still complete */

	(void)state;
	for (size_t cut = 0; cut < end; cut++) {
		struct buf errors = {.data = NULL};

		write_json(endpoints, cut);
		assert_int_equal(bench_load_text(with_file(""), &c, &errors), -EINVAL);
		assert_int_equal(strncmp(errors.data, "10:17: services.a.allow-file: is ", 33), 0);
		buf_free(&errors);
	}
	expect_document("whole", endpoints, end, EOP_V4, NULL);
}

static void the_file_with_any_byte_replaced_gives_a_list_or_a_reason(void **state)
{
	static const char bytes[] = "\0\n {}[]:,\"\\0/\xff";
	char text[sizeof(endpoints)];
	size_t len = strlen(endpoints);
	unsigned loaded = 0;

	(void)state;
	memcpy(text, endpoints, sizeof(text));
	for (size_t i = 0; i < len; i++) {
		struct buf errors = {.data = NULL};
		struct config *c = NULL;
		int err;

		text[i] = bytes[i % sizeof(bytes)];
		write_json(text, len);
		text[i] = endpoints[i];
		err = bench_load_text(with_file(""), &c, &errors);
		assert_true(err ? err == -EINVAL && errors.len : c->services[0].n_allow > 0);
		loaded += !err;
		if (!err)
			config_free(c);
		buf_free(&errors);
	}
	assert_true(loaded > 0 && loaded < len);
}

/* A head, n entries and a tail. */
static void write_many(const char *head, const char *entry, unsigned n, const char *tail)
{
	struct buf text = {.data = NULL};

	buf_append(&text, head, strlen(head));
	for (unsigned i = 0; i < n; i++)
		buf_append(&text, entry, strlen(entry));
	buf_append(&text, tail, strlen(tail));
	assert_false(text.failed);
	write_json(text.data, text.len);
	buf_free(&text);
}

static void expect_file_error(const char *what, const char *error)
{
	char line[512];

	snprintf(line, sizeof(line), "10:17: services.a.allow-file: %s\n", error);
	alarm(60); /* ends the test if the reader blocks */
	bench_expect(what, with_file(""), -EINVAL, line);
	alarm(0);
}

static void depth_size_and_number_of_values_are_bounded(void **state)
{
	(void)state;
	write_many("", "[", 1000, "");
	expect_file_error("1000 deep and cut", "is not JSON: line 1, column 1000: *");
	write_many("[{\"x\": ", "[", 1000, "");
	expect_file_error("1000 deep in a record and cut", "is not JSON: line 1, column 1007: *");
	write_many("", "[", 3000, "");
	expect_file_error("3000 deep", "is not JSON: line 1, column 2049: *");
	write_many("", "[", 131072, "");
	expect_file_error("131072 deep", "has more than 131072 values");
	write_many("[", "{},", 65536, "{}]");
	expect_file_error("many records", "has more than 131072 values");
	write_many("[", "          ", 1024 * 1024, "]");
	expect_file_error("10 MB", "larger than 4 MiB");
	write_many("[", " ", 4 * 1024 * 1024 - 1, "]");
	expect_file_error("a byte too large", "larger than 4 MiB");
	write_many("[", " ", 4 * 1024 * 1024 - 2, "]");
	expect_file_error("just as large", "has no IPv4 prefix*");
}

static void ignored_members_of_a_record_may_be_nested(void **state)
{
	struct buf text = {.data = NULL};

	(void)state;
	buf_printf(&text, "[{" SMTP ", " NET ", \"x\": ");
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "[");
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "]");
	buf_printf(&text, "}]");
	expect_document("1000 deep", text.data, text.len, "192.0.2.0/24", NULL);
	buf_free(&text);
}

static void prefixes_are_counted_over_all_services(void **state)
{
	struct config *c;

	(void)state;
	write_prefixes(MXLB_MAX_PREFIXES);
	c = bench_load_good(with_file("    allow: [10.0.0.0/32]\n"), "");
	assert_int_equal(c->services[0].n_allow, MXLB_MAX_PREFIXES);
	config_free(c);
	bench_expect("one more in the list", with_file("    allow: [192.0.2.0/24]\n"), -EINVAL,
		     "10:17: services.a.allow-file: more than 16384 prefixes in all\n");
	bench_expect("one more in another service",
		     with_file(V6_SERVICE " allow: ['2001:db8::/32']}\n"), -EINVAL,
		     "11:99: services.b.allow: more than 16384 prefixes in all\n");
	write_prefixes(MXLB_MAX_PREFIXES + 1);
	expect_file_error("one more in the file", "has more than 16384 prefixes");
}

static void only_a_regular_file_is_read_and_others_do_not_block(void **state)
{
	(void)state;
	remove(json_file);
	expect_file_error("none", "can't be read: No such file or directory");
	assert_int_equal(mkdir(json_file, 0700), 0);
	expect_file_error("a directory", "a directory*");
	remove(json_file);
	assert_int_equal(mkfifo(json_file, 0600), 0);
	expect_file_error("a FIFO", "a device, FIFO or socket*");
	remove(json_file);
	assert_int_equal(symlink("/dev/zero", json_file), 0);
	expect_file_error("a device", "a device, FIFO or socket*");
	remove(json_file);
}

static void a_file_that_anybody_may_write_draws_a_warning(void **state)
{
	(void)state;
	write_text(endpoints);
	assert_int_equal(chmod(json_file, 0666), 0);
	bench_expect("0666", with_file(""), 0,
		     "10:17: warning: services.a.allow-file: every user*\n");
	remove(json_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_gives_the_records_with_port_25_of_the_vips_family),
		cmocka_unit_test(only_records_with_port_25_count_and_those_must_be_right),
		cmocka_unit_test(every_truncation_of_the_file_is_refused),
		cmocka_unit_test(the_file_with_any_byte_replaced_gives_a_list_or_a_reason),
		cmocka_unit_test(depth_size_and_number_of_values_are_bounded),
		cmocka_unit_test(ignored_members_of_a_record_may_be_nested),
		cmocka_unit_test(prefixes_are_counted_over_all_services),
		cmocka_unit_test(only_a_regular_file_is_read_and_others_do_not_block),
		cmocka_unit_test(a_file_that_anybody_may_write_draws_a_warning),
	};

	return cmocka_run_group_tests_name("conf: endpoints", tests, open_both, close_both);
}
