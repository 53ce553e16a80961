/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * util/: addresses, the text buffer, the log line.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "util/addr.h"
#include "util/buf.h"
#include "util/log.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void addresses_print_as_rfc5952_says(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"0.0.0.0", "0.0.0.0"},
		{"203.0.113.25", "203.0.113.25"},
		{"::ffff:203.0.113.25", "203.0.113.25"},
		{"2001:DB8::0001", "2001:db8::1"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"::", "::"},
		{"::1", "::1"},
	};
	char text[ADDR_TEXT_SIZE];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		assert_int_equal(addr_parse(rows[i].in, &a), 0);
		assert_string_equal(addr_text(&a, text), rows[i].out);
	}
}

static void text_with_two_readings_is_refused(void **state)
{
	static const char *const rows[] = {
		"",	      " 1.2.3.4",      "1.2.3.4 ",    "1.2.3",	    "1.2.3.4.5",
		"01.2.3.4",   "1.2.3.256",     "0x1.2.3.4",   "1.2.3.4:25", "16909060",
		"fe80::1%lo", "[2001:db8::1]", "2001:db8::g", "1::2::3",    "2001:db8::1/64",
		"::1.2.3.04", "localhost",     "12345::",
	};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (addr_parse(rows[i], &a) != -EINVAL)
			fail_msg("taken for an address: %s", rows[i]);
}

static void invalid_addresses_are_recognized(void **state)
{
	static const struct {
		const char *text;
		bool martian;
	} rows[] = {
		{"0.0.0.0", true},
		{"0.255.255.255", true},
		{"1.0.0.0", false},
		{"126.255.255.255", false},
		{"127.0.0.1", true},
		{"127.255.255.255", true},
		{"128.0.0.0", false},
		{"169.253.255.255", false},
		{"169.254.0.1", true},
		{"169.255.0.0", false},
		{"10.0.0.1", false},
		{"192.168.1.1", false},
		{"223.255.255.255", false},
		{"224.0.0.1", true},
		{"239.255.255.255", true},
		{"240.0.0.1", true},
		{"255.255.255.255", true},
		{"::", true},
		{"::1", true},
		{"::2", false},
		{"fe80::1", true},
		{"febf::1", true},
		{"fec0::1", false},
		{"fe7f::1", false},
		{"ff02::1", true},
		{"feff::1", false},
		{"2001:db8::1", false},
		{"fd00::1", false},
	};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		assert_int_equal(addr_parse(rows[i].text, &a), 0);
		if (addr_is_martian(&a) != rows[i].martian)
			fail_msg("%s: martian should be %d", rows[i].text, rows[i].martian);
	}
}

static void families_zero_and_order_are_those_of_the_bytes(void **state)
{
	struct addr low, high, v6, zero = {{0}};

	(void)state;
	assert_int_equal(addr_parse("9.0.0.1", &low), 0);
	assert_int_equal(addr_parse("10.0.0.1", &high), 0);
	assert_int_equal(addr_parse("2001:db8::1", &v6), 0);
	assert_true(addr_is_v4(&low) && !addr_is_v4(&v6) && !addr_is_v4(&zero));
	assert_true(addr_cmp(&low, &high) < 0 && addr_cmp(&high, &v6) < 0);
	assert_int_equal(addr_cmp(&v6, &v6), 0);
	assert_true(addr_equal(&low, &low) && !addr_equal(&low, &high));
	assert_true(addr_is_zero(&zero) && !addr_is_zero(&low));
	assert_int_equal(addr_parse("0.0.0.0", &zero), 0);
	assert_true(addr_is_zero(&zero));
}

static void prefixes_have_no_host_bits(void **state)
{
	static const struct {
		const char *text;
		int len; /* -1: refused */
	} rows[] = {
		{"192.0.2.0/24", 120},
		{"192.0.2.1/32", 128},
		{"0.0.0.0/0", 96},
		{"128.0.0.0/1", 97},
		{"2001:db8::/32", 32},
		{"::/0", 0},
		{"2001:db8::1/128", 128},
		{"192.0.2.1/24", -1},
		{"192.0.2.0/33", -1},
		{"192.0.2.0/024", -1},
		{"192.0.2.0/+24", -1},
		{"192.0.2.0/", -1},
		{"192.0.2.0", -1},
		{"/24", -1},
		{"2001:db8::1/64", -1},
		{"2001:db8::/129", -1},
		{"192.0.2.0/24/24", -1},
		{"192.0.2.0/24 ", -1},
		{"192.0.2.0/4294967320", -1},
	};
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		int len = addr_parse_prefix(rows[i].text, &p) ? -1 : p.len;

		if (len != rows[i].len)
			fail_msg("%s: %d, not %d", rows[i].text, len, rows[i].len);
	}
}

static void host_bits_are_reported_and_cleared(void **state)
{
	static const struct {
		const char *text, *right;
	} rows[] = {
		{"192.0.2.1/24", "192.0.2.0/24"},   {"255.255.255.255/1", "128.0.0.0/1"},
		{"192.0.2.1/0", "0.0.0.0/0"},	    {"2001:db8::1/64", "2001:db8::/64"},
		{"2001:dbf::/29", "2001:db8::/29"}, {"::1/0", "::/0"},
	};
	char text[ADDR_TEXT_SIZE];
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		assert_int_equal(addr_parse_prefix(rows[i].text, &p), -ERANGE);
		assert_string_equal(addr_prefix_text(&p, text), rows[i].right);
		assert_int_equal(addr_parse_prefix(text, &p), 0);
		assert_string_equal(addr_prefix_text(&p, text), rows[i].right);
	}
	assert_int_equal(addr_parse_prefix("192.0.2.1/33", &p), -EINVAL);
}

static void a_prefix_contains_the_addresses_with_its_bits(void **state)
{
	static const struct {
		const char *prefix, *address;
		bool in;
	} rows[] = {
		{"40.92.0.0/15", "40.92.0.0", true},
		{"40.92.0.0/15", "40.93.255.255", true},
		{"40.92.0.0/15", "40.94.0.0", false},
		{"40.92.0.0/15", "40.91.255.255", false},
		{"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"192.0.2.1/32", "192.0.2.1", true},
		{"192.0.2.1/32", "192.0.2.2", false},
		{"2001:db8::/33", "2001:db8:8000::", false},
		{"2001:db8::/33", "2001:db8:7fff::", true},
		{"::/0", "2001:db8::1", true},
	};
	struct prefix p;
	struct addr a;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		assert_int_equal(addr_parse_prefix(rows[i].prefix, &p), 0);
		assert_int_equal(addr_parse(rows[i].address, &a), 0);
		if (addr_in_prefix(&a, &p) != rows[i].in)
			fail_msg("%s in %s", rows[i].address, rows[i].prefix);
	}
}

static void an_address_with_a_port_is_written_as_in_a_url_and_read_from_a_socket(void **state)
{
	static const char *const texts[][2] = {
		{"192.0.2.1", "192.0.2.1:25"},
		{"2001:db8:1111:2222:3333:4444:5555:6666",
		 "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"},
		{"::", "[::]:1"},
	};
	static const uint16_t ports[] = {25, 65535, 1};
	struct sockaddr_storage ss;
	char text[ADDR_TEXT_SIZE];
	struct addr a, back;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(addr_parse(texts[i][0], &a), 0);
		assert_string_equal(addr_port_text(&a, ports[i], text), texts[i][1]);
		addr_to_sockaddr(&a, ports[i], &ss);
		addr_from_sockaddr(&ss, &back);
		assert_true(addr_equal(&a, &back));
	}
	ss.ss_family = AF_UNIX;
	addr_from_sockaddr(&ss, &back);
	assert_true(addr_is_zero(&back));
}

static void bytes_and_sockaddrs_keep_the_family(void **state)
{
	const uint8_t v4[4] = {192, 0, 2, 1};
	struct sockaddr_storage ss;
	uint8_t bytes[16];
	struct addr a, b;

	(void)state;
	addr_from_bytes(v4, 4, &a);
	assert_int_equal(addr_to_bytes(&a, bytes), 4);
	assert_memory_equal(bytes, v4, 4);
	assert_int_equal(addr_to_sockaddr(&a, 25, &ss), sizeof(struct sockaddr_in));
	assert_int_equal(((struct sockaddr_in *)&ss)->sin_port, htons(25));
	assert_memory_equal(&((struct sockaddr_in *)&ss)->sin_addr, v4, 4);
	assert_int_equal(addr_parse("2001:db8::1", &a), 0);
	assert_int_equal(addr_to_bytes(&a, bytes), 16);
	addr_from_bytes(bytes, 16, &b);
	assert_true(addr_equal(&a, &b));
	assert_int_equal(addr_to_sockaddr(&a, 587, &ss), sizeof(struct sockaddr_in6));
	assert_int_equal(((struct sockaddr_in6 *)&ss)->sin6_port, htons(587));
}

static void a_mac_prints_as_six_pairs(void **state)
{
	const struct mac mac = {{0x02, 0, 0xab, 0xcd, 0xef, 0xff}};
	char text[ADDR_TEXT_SIZE];

	(void)state;
	assert_string_equal(addr_mac_text(&mac, text), "02:00:ab:cd:ef:ff");
}

static void a_buffer_grows_and_is_consumed(void **state)
{
	struct buf b = {.data = NULL};

	(void)state;
	buf_consume(&b, 10);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%03d,", i);
	assert_int_equal(b.len, 4000);
	assert_int_equal(strlen(b.data), 4000);
	buf_consume(&b, 3996);
	assert_string_equal(b.data, "999,");
	buf_append(&b, "\0x", 2);
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.data, "999,\0x", 7);
	buf_consume(&b, 100);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	assert_false(b.failed);
	buf_free(&b);
	assert_null(b.data);
}

static void a_buffer_over_its_cap_fails_whole_and_stays_failed(void **state)
{
	struct buf b = {.cap = 8};

	(void)state;
	buf_append(&b, "12345678", 8);
	assert_false(b.failed);
	buf_append(&b, "", 0);
	assert_false(b.failed);
	buf_printf(&b, "9");
	assert_true(b.failed);
	buf_consume(&b, 4);
	buf_append(&b, "x", 1);
	assert_string_equal(b.data, "5678");
	buf_append(&b, "x", SIZE_MAX);
	assert_string_equal(b.data, "5678");
	buf_free(&b);
}

static void any_bytes_become_one_safe_value(void **state)
{
	static const struct {
		const char *in;
		size_t len, size;
		const char *out;
	} rows[] = {
		{"250 ok", 6, 64, "250 ok"},
		{"a\r\nb\t\"\\", 7, 64, "a\\r\\nb\\t\\\"\\\\"},
		{"\0\x1b[2J\x7f\xff", 7, 64, "\\x00\\x1b[2J\\x7f\\xff"},
		{"", 0, 64, ""},
		{"12345678", 8, 9, "12345678"},
		{"123456789", 9, 9, "12345..."},
		{"1234\n\n\n", 7, 9, "1234..."},
		{"123456789", 9, 3, ".."},
		{"1", 1, 1, ""},
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		memset(buf, 'X', sizeof(buf));
		log_quote(rows[i].in, rows[i].len, buf, rows[i].size);
		assert_string_equal(buf, rows[i].out);
	}
}

/* Makes the writing end the stderr of a call. Returns the old one for stderr_back(). */
static int stderr_to(int fd)
{
	int old = dup(STDERR_FILENO);

	assert_true(old >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	return old;
}

static void stderr_back(int old)
{
	dup2(old, STDERR_FILENO);
	close(old);
}

static void a_line_is_one_line_with_its_level_for_the_journal(void **state)
{
	char line[4096], stream[64], longest[5000];
	struct stat st;
	ssize_t n;
	int p[2], old;

	(void)state;
	assert_int_equal(pipe(p), 0);
	old = stderr_to(p[1]);
	log_init("test", LOG_LEVEL_INFO);
	log_info("event=%s\nlevel=fake", "x");
	log_debug("not printed");
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("test", LOG_LEVEL_INFO);
	unsetenv("JOURNAL_STREAM");
	log_warn("event=y");
	log_init("test", LOG_LEVEL_INFO);
	stderr_back(old);
	n = read(p[0], line, sizeof(line) - 1);
	assert_true(n > 0);
	line[n] = '\0';
	assert_string_equal(line, "test: event=x level=fake\n<4>test: event=y\n");

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	old = stderr_to(p[1]);
	log_error("%s", longest);
	stderr_back(old);
	n = read(p[0], line, sizeof(line) - 1);
	assert_int_equal(n, 2048);
	assert_memory_equal(line + n - 4, "...\n", 4);
	close(p[0]);
	close(p[1]);
}

/* Two ends: a socket, a pipe or a terminal. fds[1] is for writing. */
static void open_kind(int kind, int fds[2])
{
	switch (kind) {
	case 0:
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		break;
	case 1:
		assert_int_equal(pipe(fds), 0);
		break;
	default:
		fds[0] = posix_openpt(O_RDWR | O_NOCTTY);
		assert_true(fds[0] >= 0 && !grantpt(fds[0]) && !unlockpt(fds[0]));
		fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY);
		assert_true(fds[1] >= 0);
	}
}

/* alarm() ends the test if the log blocks. */
static void a_full_stderr_costs_lines_never_time(void **state)
{
	int fds[2], old;
	uint64_t before;

	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		open_kind(kind, fds);
		before = log_dropped();
		old = stderr_to(fds[1]);
		log_init("test", LOG_LEVEL_INFO);
		alarm(30);
		for (int i = 0; i < 20000; i++)
			log_info("event=flood number=%d", i);
		alarm(0);
		stderr_back(old);
		log_init("test", LOG_LEVEL_INFO);
		assert_true(log_dropped() > before && log_dropped() < before + 20000);
		assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
		close(fds[0]);
		close(fds[1]);
	}
}

static void a_file_gets_every_line(void **state)
{
	uint64_t before = log_dropped();
	FILE *file = tmpfile();
	struct stat st;
	int old;

	(void)state;
	assert_non_null(file);
	old = stderr_to(fileno(file));
	log_init("test", LOG_LEVEL_INFO);
	for (int i = 0; i < 1000; i++)
		log_info("event=%03d", i);
	stderr_back(old);
	assert_int_equal(fstat(fileno(file), &st), 0);
	assert_int_equal(st.st_size, 1000 * (int)strlen("test: event=000\n"));
	assert_int_equal(log_dropped(), before);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_print_as_rfc5952_says),
		cmocka_unit_test(text_with_two_readings_is_refused),
		cmocka_unit_test(invalid_addresses_are_recognized),
		cmocka_unit_test(families_zero_and_order_are_those_of_the_bytes),
		cmocka_unit_test(prefixes_have_no_host_bits),
		cmocka_unit_test(host_bits_are_reported_and_cleared),
		cmocka_unit_test(a_prefix_contains_the_addresses_with_its_bits),
		cmocka_unit_test(
			an_address_with_a_port_is_written_as_in_a_url_and_read_from_a_socket),
		cmocka_unit_test(bytes_and_sockaddrs_keep_the_family),
		cmocka_unit_test(a_mac_prints_as_six_pairs),
		cmocka_unit_test(a_buffer_grows_and_is_consumed),
		cmocka_unit_test(a_buffer_over_its_cap_fails_whole_and_stays_failed),
		cmocka_unit_test(any_bytes_become_one_safe_value),
		cmocka_unit_test(a_line_is_one_line_with_its_level_for_the_journal),
		cmocka_unit_test(a_full_stderr_costs_lines_never_time),
		cmocka_unit_test(a_file_gets_every_line),
	};

	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
