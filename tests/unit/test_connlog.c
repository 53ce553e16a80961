/* SPDX-License-Identifier: BSD-2-Clause */
/* core/connlog.c: what a place of the flow table held at each look, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/connlog.h"

/*
 * One letter a look, a second apart: '.' nothing, 'a' 'b' 'c' an entry of that client that counts, 'A' closed, 'B' closed far from there, 'm' one by a
 * miss that does not count yet, 'M' counts, 'F' a late FIN (by a miss, closed), 'i' a's idle, 'r' a's that mxlb resets, 'R' closed as well. What is
 * said: "+a" it has begun, "-a3closed" it ended after 3 s, "-a>3closed" after at least 3.
 */
struct row {
	const char *what, *looks, *said;
};

static struct flow_row entry(char letter)
{
	struct flow_row row = {.service_id = 1, .backend_id = 7, .port = 40000};
	char client = strchr("ABirRmMF", letter) ? (strchr("ABirR", letter) ? 'a' : 'm') : letter;

	row.client.b[15] = (uint8_t)client;
	row.seq = letter == 'B' ? 9000 : 1;
	row.by_miss = strchr("mMF", letter) != NULL;
	row.closed = strchr("ABFR", letter) != NULL;
	row.counts = strchr("abcMr", letter) != NULL;
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

static void a_connection_is_told_as_it_begins_and_as_it_ends(void **state)
{
	static const struct row rows[] = {
		{"nothing", "...", ""},
		{"one that stays", ".aaa", "+a"},
		{"one that is closed", ".aaAAA..", "+a -a2closed"},
		{"one that is over before it is seen", ".AAA", "+a -a0closed"},
		{"one that falls asleep", "aaii", "+a -a2idle"},
		{"one that wakes up is told anew", "aiia", "+a -a1idle +a"},
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

static void what_nobody_opened_here_is_told_when_it_counts(void **state)
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

static void what_was_there_before_has_no_beginning_and_lasted_longer(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_told_as_it_begins_and_as_it_ends),
		cmocka_unit_test(what_nobody_opened_here_is_told_when_it_counts),
		cmocka_unit_test(what_was_there_before_has_no_beginning_and_lasted_longer),
	};

	return cmocka_run_group_tests_name("connlog", tests, NULL, NULL);
}
