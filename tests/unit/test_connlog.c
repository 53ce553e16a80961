/* SPDX-License-Identifier: BSD-2-Clause */
/* core/connlog.c: the contents of a place in the flow table at each scan, and the resulting log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/connlog.h"

/*
 * One letter per scan, a second apart: '.' nothing, 'a' 'b' 'c' an entry of that client that counts, 'A' closed, 'B'
 * closed at a distant sequence number, 'm' made without a SYN and not counted yet, 'M' the same, counted, 'F' a late
 * FIN (made without a SYN, closed), 'i' a's, idle, 'r' a's, which mxlb resets, 'R' the same, closed, 's' a before its
 * client has sent data, 'S' closed without any. Results: "+a" it has begun, "-a3closed" it ended after 3 s,
 * "-a>3closed" after at least 3 s.
 */
struct row {
	const char *what, *looks, *said;
};

static struct flow_row entry(char letter)
{
	struct flow_row row = {.service_id = 1, .server_id = 7, .port = 40000};
	char client =
		strchr("ABirRmMFsS", letter) ? (strchr("ABirRsS", letter) ? 'a' : 'm') : letter;

	row.client.b[15] = (uint8_t)client;
	row.seq = letter == 'B' ? 9000 : 1;
	row.by_miss = strchr("mMF", letter) != NULL;
	row.closed = strchr("ABFRS", letter) != NULL;
	row.counts = strchr("abcMrs", letter) != NULL;
	row.data = !strchr("sS", letter);
	return row;
}

static void append(char *said, const struct connlog_news *news)
{
	char text[64], client = (char)news->of.client.b[15];

	if (news->ended)
		snprintf(text, sizeof(text), " -%c%s%d%s", client, news->of.before ? ">" : "",
			 (int)news->lasted_ms / 1000, connlog_how_name(news->how));
	else
		snprintf(text, sizeof(text), " +%c", client);
	strcat(said, text);
}

static void run(const struct row *r, bool from_start)
{
	struct connlog_seen seen = {0};
	char said[512] = "";

	for (unsigned i = 0; r->looks[i]; i++) {
		struct connlog_news news[CONNLOG_NEWS_MAX];
		struct flow_row row = entry(r->looks[i]);
		unsigned n = connlog_look(&seen, r->looks[i] == '.' ? NULL : &row,
					  r->looks[i] == 'r' || r->looks[i] == 'R',
					  from_start && !i, i * 1000, news);

		for (unsigned k = 0; k < n; k++)
			append(said, &news[k]);
	}
	if (strcmp(*said ? said + 1 : said, r->said))
		fail_msg("%s: \"%s\" gives \"%s\", not \"%s\"", r->what, r->looks,
			 *said ? said + 1 : said, r->said);
}

static void a_connection_is_logged_at_its_begin_and_end(void **state)
{
	static const struct row rows[] = {
		{"nothing", "...", ""},
		{"one that stays", ".aaa", "+a"},
		{"one that is closed", ".aaAAA..", "+a -a2closed"},
		{"one that is over before it is seen", ".AAA", "+a -a0closed"},
		{"one that falls asleep", "aaii", "+a -a2idle"},
		{"one that wakes up is reported again", "aiia", "+a -a1idle +a"},
		{"another takes its place", "aabb", "+a -a2replaced +b"},
		{"another takes its place after its end", "aAb", "+a -a1closed +b"},
		{"a sweep takes it away", "aa.", "+a -a2replaced"},
		{"its server is gone and mxlb resets it", "aarr", "+a -a2reset"},
		{"and its client has answered by then", "aaRR", "+a -a2reset"},
		{"the same port again, and over before it is seen", "aAAB",
		 "+a -a1closed +a -a0closed"},
		{"the same port again, both are over before", "ABBA",
		 "+a -a0closed +a -a0closed +a -a0closed"},
		{"the same port again", "aAAaA", "+a -a1closed +a -a1closed"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		run(&rows[i], false);
}

static void a_connection_opened_elsewhere_is_logged_when_it_counts(void **state)
{
	static const struct row rows[] = {
		{"a stray segment", "mmm.", ""},
		{"one that came from another box", "mM", "+m"},
		{"a late FIN", "FF", ""},
		{"a late FIN after its flow", "MF", "+m -m1closed"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		run(&rows[i], false);
}

static void an_older_connection_has_no_begin_and_a_minimum_duration(void **state)
{
	static const struct row rows[] = {
		{"one that ends", "aaA", "-a>2closed"},
		{"one that had ended", "AA", ""},
		{"one that was asleep and wakes up", "ia", "+a"},
		{"the next at its place", "aAb", "-a>1closed +b"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		run(&rows[i], true);
}

static void one_whose_client_sends_nothing_is_logged_when_it_ends(void **state)
{
	static const struct row rows[] = {
		{"it has sent nothing yet", "sss", ""},
		{"it sends", "ssa", "+a"},
		{"it sends and is closed", "ssaA", "+a -a3closed"},
		{"it is closed", "ssSS", "+a -a2closed"},
		{"it is over before it is seen", ".SS", "+a -a0closed"},
		{"another takes its place, as in a flood", "ssb", "+b"},
		{"mxlb resets its server's", "srr", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		run(&rows[i], false);
}

/* The number of lines that are logged of this many, spread evenly over these seconds. */
static unsigned lines(struct connlog_budget *b, bool data, unsigned tried, unsigned from_s,
		      unsigned seconds)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tried; i++)
		n += connlog_may(b, data, from_s * 1000ull + i * 1000ull * seconds / tried);
	return n;
}

static void the_log_stays_within_what_journald_keeps_and_prefers_what_moved_data(void **state)
{
	struct connlog_budget b = {0};
	unsigned silent = 0, data = 0;

	(void)state;
	for (unsigned s = 0; s < 30; s++) { /* a flood, and 100 real lines a second in it */
		silent += lines(&b, false, 8000, 1000 + s, 1);
		data += lines(&b, true, 100, 1000 + s, 1);
	}
	assert_int_equal(data, 3000);
	assert_in_range(silent, 500, 1000);
	b = (struct connlog_budget){0};
	assert_in_range(lines(&b, true, 300000, 1000, 30), 8000, 9001); /* of journald's 10,000 */
	assert_int_equal(lines(&b, true, 100, 2000, 1), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_logged_at_its_begin_and_end),
		cmocka_unit_test(a_connection_opened_elsewhere_is_logged_when_it_counts),
		cmocka_unit_test(one_whose_client_sends_nothing_is_logged_when_it_ends),
		cmocka_unit_test(
			the_log_stays_within_what_journald_keeps_and_prefers_what_moved_data),
		cmocka_unit_test(an_older_connection_has_no_begin_and_a_minimum_duration),
	};

	return cmocka_run_group_tests_name("connlog", tests, NULL, NULL);
}
