/* SPDX-License-Identifier: BSD-2-Clause */
/* The SMTP reply parser: every reply in every split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/reply.h"

#define MORE	  REPLY_MORE
#define COMPLETE  REPLY_COMPLETE
#define MALFORMED REPLY_MALFORMED

struct row {
	const char *bytes;
	size_t len; /* 0: strlen() */
	enum reply_status status;
	uint16_t code;
	const char *text;
	bool starttls, bare_lf;
	size_t rest; /* bytes that belong to the next reply */
};

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* rows end at the first empty one */

static const struct row rows[] = {
	{"220 mx.contoso.com ESMTP\r\n", 0, COMPLETE, 220, "mx.contoso.com ESMTP"},
	{"220\r\n", 0, COMPLETE, 220, ""},
	{"220 \r\n", 0, COMPLETE, 220, ""},
	{"599 x\r\n", 0, COMPLETE, 599, "x"},
	{"220 mx\n", 0, COMPLETE, 220, "mx", .bare_lf = true},
	{"220\n", 0, COMPLETE, 220, "", .bare_lf = true},
	{"250-mx\n250 SIZE\r\n", 0, COMPLETE, 250, "mx", .bare_lf = true},
	{"220 gr\xc3\xbc\xff\r\n", 0, COMPLETE, 220, "gr\xc3\xbc\xff"},
	{"220 a\rb\r\n", 0, COMPLETE, 220, "a\rb"},
	{"220 a\r\r\n", 0, COMPLETE, 220, "a"},
	{"250-mx\r\n250-SIZE 1\r\n250 STARTTLS\r\n", 0, COMPLETE, 250, "mx", .starttls = true},
	{"250-mx\r\n250-StartTLS\r\n250 HELP\r\n", 0, COMPLETE, 250, "mx", .starttls = true},
	{"250-mx\r\n250-STARTTLS REQUIRED\r\n250\r\n", 0, COMPLETE, 250, "mx", .starttls = true},
	{"250-STARTTLS\r\n250 SIZE\r\n", 0, COMPLETE, 250, "STARTTLS"},
	{"250 STARTTLS\r\n", 0, COMPLETE, 250, "STARTTLS"},
	{"250-mx\r\n250-X-ANONYMOUSTLS\r\n250 X\r\n", 0, COMPLETE, 250, "mx"},
	{"250-mx\r\n250-STARTTLS\t\r\n250 SIZE\r\n", 0, COMPLETE, 250, "mx", .starttls = true},
	{"250-mx\r\r\n250-STARTTLS\r\r\n250 SIZE\r\r\n", 0, COMPLETE, 250, "mx", .starttls = true},
	{"250-mx\r\n250-AUTH=STARTTLS\r\n250 AUTH STARTTLS\r\n", 0, COMPLETE, 250, "mx"},
	{"250-mx\r\n250-STARTTLSX\r\n250- STARTTLS\r\n250 STARTTL\r\n", 0, COMPLETE, 250, "mx"},
	{"220 a\r\n250 b\r\n", 0, COMPLETE, 220, "a", .rest = 7},
	{"220 a\r\n\0", 8, COMPLETE, 220, "a", .rest = 1},
	{"", 0, MORE},
	{"2", 0, MORE},
	{"220 half", 0, MORE},
	{"220 half\r", 0, MORE},
	{"250-mx\r\n25", 0, MORE, 250, "mx"},
	{"\r\n", 0, MALFORMED},
	{"\n", 0, MALFORMED},
	{"25\r\n", 0, MALFORMED},
	{"2500\r\n", 0, MALFORMED},
	{"-20 x\r\n", 0, MALFORMED},
	{" 220 x\r\n", 0, MALFORMED},
	{"120 x\r\n", 0, MALFORMED},
	{"620 x\r\n", 0, MALFORMED},
	{"000 x\r\n", 0, MALFORMED},
	{"2a0 x\r\n", 0, MALFORMED},
	{"220_x\r\n", 0, MALFORMED},
	{"220\tx\r\n", 0, MALFORMED},
	{"220\rx\r\n", 0, MALFORMED},
	{"220\0x\r\n", 8, MALFORMED},
	{"220 a\0b\r\n", 10, MALFORMED},
	{"\0", 1, MALFORMED},
	{"HTTP/1.0 400 Bad Request\r\n", 0, MALFORMED},
	{"\x16\x03\x01", 0, MALFORMED},
	{"220-a\r\n221 b\r\n", 0, MALFORMED, 220, "a"},
	{"250-a\r\n350 b\r\n", 0, MALFORMED, 250, "a"},
	{"250-a\r\n\r\n", 0, MALFORMED, 250, "a"},
	{"250-a\r\n250-b\r\n b\r\n", 0, MALFORMED, 250, "a"},
};

/* Feeds pieces that end at these offsets. Bytes after the end of the reply are not fed. */
static size_t feed(struct reply *r, const char *bytes, size_t len, const size_t *cuts, size_t n)
{
	size_t at = 0, used;

	reply_init(r);
	for (size_t i = 0; i <= n && r->status == REPLY_MORE; i++) {
		size_t end = i < n ? cuts[i] : len;
		char *piece =
			malloc(end - at + 1); /* so that the sanitizer finds a read beyond it */

		piece = realloc(piece, end > at ? end - at : 1);
		memcpy(piece, bytes + at, end - at);
		reply_feed(r, piece, end - at, &used);
		free(piece);
		at += used;
	}
	return at;
}

static void same(const struct reply *a, const struct reply *b)
{
	assert_int_equal(a->status, b->status);
	assert_int_equal(a->code, b->code);
	assert_int_equal(a->starttls, b->starttls);
	assert_int_equal(a->bare_lf, b->bare_lf);
	assert_int_equal(a->line_len, b->line_len);
	assert_memory_equal(a->line, b->line, a->line_len);
	assert_string_equal(a->text, b->text);
}

static void every_reply_has_its_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		size_t len = row->len ? row->len : strlen(row->bytes), used;
		struct reply r;

		used = feed(&r, row->bytes, len, NULL, 0);
		if (r.status != row->status)
			fail_msg("row %zu: status %d", i, r.status);
		assert_int_equal(r.code, row->code);
		assert_string_equal(r.text, row->text ? row->text : "");
		assert_int_equal(r.starttls, row->starttls);
		assert_int_equal(r.bare_lf, row->bare_lf);
		if (r.status == REPLY_COMPLETE)
			assert_int_equal(len - used, row->rest);
	}
}

static void no_split_changes_a_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *bytes = rows[i].bytes;
		size_t len = rows[i].len ? rows[i].len : strlen(bytes);
		struct reply whole, split;
		size_t used = feed(&whole, bytes, len, NULL, 0);

		for (size_t a = 0; a <= len; a++) {
			for (size_t b = a; b <= len; b++) {
				size_t cuts[2] = {a, b};

				assert_int_equal(feed(&split, bytes, len, cuts, 2), used);
				same(&whole, &split);
			}
		}
	}
}

static void every_truncation_waits_or_agrees_with_the_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = rows[i].len ? rows[i].len : strlen(rows[i].bytes);
		struct reply whole, part;
		size_t used = feed(&whole, rows[i].bytes, len, NULL, 0);

		for (size_t n = 0; n <= len; n++) {
			feed(&part, rows[i].bytes, n, NULL, 0);
			assert_int_equal(part.status, n < used ? REPLY_MORE : whole.status);
		}
	}
}

/* Bytes as hostile peers might choose them, in random pieces. */
static void random_bytes_in_random_pieces_agree(void **state)
{
	static const char alphabet[] = "0122555--  \r\n\r\nSTARTLS\0x";
	unsigned seed = 20240;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char bytes[64] = "250-";
		size_t len = 4 + rand_r(&seed) % 60, cuts[8], used;
		struct reply whole, split;

		for (size_t i = 4; i < len; i++)
			bytes[i] = alphabet[rand_r(&seed) % (sizeof(alphabet) - 1)];
		used = feed(&whole, bytes, len, NULL, 0);
		for (size_t i = 0, at = 0; i < 8; i++)
			cuts[i] = at = at + rand_r(&seed) % (len - at + 1);
		assert_int_equal(feed(&split, bytes, len, cuts, 8), used);
		same(&whole, &split);
	}
}

/* Feeds the same bytes repeatedly until the parser has enough. Returns the number of bytes. */
static size_t flood(struct reply *r, const char *first, const char *piece)
{
	size_t total, used;

	reply_init(r);
	reply_feed(r, first, strlen(first), &total);
	while (r->status == REPLY_MORE && total < 10 << 20) {
		reply_feed(r, piece, strlen(piece), &used);
		total += used;
	}
	assert_int_equal(r->status, REPLY_TOO_LONG);
	return total;
}

static void a_line_without_end_is_cut_at_4096_bytes(void **state)
{
	struct reply r;

	(void)state;
	assert_int_equal(flood(&r, "220 ", "x"), REPLY_LINE_MAX);
	assert_int_equal(strlen(r.text), 0);
}

static void a_line_of_4096_bytes_with_its_end_is_taken(void **state)
{
	char line[REPLY_LINE_MAX + 2];
	struct reply r;
	size_t used;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "220 ", 4);
	line[REPLY_LINE_MAX - 1] = '\n';
	reply_init(&r);
	assert_int_equal(reply_feed(&r, line, REPLY_LINE_MAX, &used), REPLY_COMPLETE);
	assert_int_equal(strlen(r.text), REPLY_TEXT_SIZE - 1);
}

static void a_reply_has_a_hundred_lines_at_most(void **state)
{
	struct reply r;
	size_t used;

	(void)state;
	assert_int_equal(flood(&r, "", "250-x\r\n"), 7 * REPLY_LINES_MAX);
	reply_init(&r);
	for (int i = 0; i < REPLY_LINES_MAX - 1; i++)
		assert_int_equal(reply_feed(&r, "250-x\r\n", 7, &used), REPLY_MORE);
	assert_int_equal(reply_feed(&r, "250 x\r\n", 7, &used), REPLY_COMPLETE);
}

static void a_reply_has_64_kib_at_most(void **state)
{
	char line[2001];
	struct reply r;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + sizeof(line) - 3, "\r\n", 3);
	assert_int_equal(flood(&r, "", line), REPLY_BYTES_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reply_has_its_verdict),
		cmocka_unit_test(no_split_changes_a_verdict),
		cmocka_unit_test(every_truncation_waits_or_agrees_with_the_whole),
		cmocka_unit_test(random_bytes_in_random_pieces_agree),
		cmocka_unit_test(a_line_without_end_is_cut_at_4096_bytes),
		cmocka_unit_test(a_line_of_4096_bytes_with_its_end_is_taken),
		cmocka_unit_test(a_reply_has_a_hundred_lines_at_most),
		cmocka_unit_test(a_reply_has_64_kib_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
