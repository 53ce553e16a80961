/* SPDX-License-Identifier: BSD-2-Clause */
/* core/passive.c: what the clients' half of their connections shows (docs/verdicts.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/passive.h"

static struct passive_volumes volumes(const uint32_t *units, unsigned n)
{
	struct passive_volumes v = {0};

	for (unsigned i = 0; i < n; i++)
		passive_add(&v, units[i]);
	return v;
}

/* The same many times, until it counts as usual. */
static struct passive_volumes often(struct passive_volumes v)
{
	v.n *= 50;
	for (unsigned i = 0; i <= PASSIVE_UNIT_CAP; i++)
		v.of[i] *= 50;
	return v;
}

#define VOLUMES(...)                             \
	volumes((const uint32_t[]){__VA_ARGS__}, \
		sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

struct units { /* of as many connections */
	const uint32_t *of;
	unsigned n;
	bool often; /* each of them 50 times */
};

#define UNITS(...)                                                                  \
	{                                                                           \
		(const uint32_t[]){__VA_ARGS__},                                    \
			sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), false \
	}
#define OFTEN(...)                                                                 \
	{                                                                          \
		(const uint32_t[]){__VA_ARGS__},                                   \
			sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), true \
	}

static const struct volumes_row {
	const char *what;
	struct {
		struct units now, since, usual;
	} flows;
	bool early;
	enum passive_finding want;
	enum passive_doubt doubt;
} volumes_rows[] = {
	{"nobody came", {{0}, {0}, UNITS(8, 8, 8, 8)}, true, PASSIVE_NONE, PASSIVE_STANDING},
	{"nobody ever came", {{0}, {0}, {0}}, true, PASSIVE_NONE, PASSIVE_STANDING},
	{"as before",
	 {UNITS(8, 9, 7), UNITS(8, 9, 7), UNITS(8, 8, 9, 7)},
	 false,
	 PASSIVE_TAKES,
	 PASSIVE_STANDING},
	{"all leave early",
	 {UNITS(0, 0, 1, 0), UNITS(0, 0, 1), OFTEN(8, 8, 9, 7)},
	 false,
	 PASSIVE_REFUSES,
	 PASSIVE_STANDING},
	{"all leave early, but few usual ones are known",
	 {UNITS(0, 0, 1, 0), UNITS(0, 0, 1), UNITS(8, 8, 9, 7)},
	 false,
	 PASSIVE_UNCLEAR,
	 PASSIVE_STANDING},
	{"small ones as every fourth usual one is: that may be",
	 {UNITS(1, 1, 1, 1, 1, 1), UNITS(0), OFTEN(1, 8, 9, 7)},
	 false,
	 PASSIVE_UNCLEAR,
	 PASSIVE_STANDING},
	{"a dozen of them: that may not",
	 {UNITS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), UNITS(0), OFTEN(1, 8, 9, 7)},
	 false,
	 PASSIVE_REFUSES,
	 PASSIVE_STANDING},
	{"three, and the text is about the probe for all that is known: that may be",
	 {UNITS(0, 0, 0), {0}, OFTEN(8, 9)},
	 false,
	 PASSIVE_UNCLEAR,
	 PASSIVE_STANDING},
	{"three, just after any refusal",
	 {UNITS(0, 0, 0), {0}, OFTEN(8, 9)},
	 false,
	 PASSIVE_REFUSES,
	 PASSIVE_OPEN},
	{"three of which one usual one of eight is as small",
	 {UNITS(0, 0, 0), {0}, OFTEN(0, 8, 9, 7, 8, 8, 8, 8)},
	 false,
	 PASSIVE_UNCLEAR,
	 PASSIVE_EXPECTED},
	{"three, where few usual ones are known, and the text names the server",
	 {UNITS(0, 0, 0),
	  {0},
	  UNITS(8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9)},
	 false,
	 PASSIVE_REFUSES,
	 PASSIVE_EXPECTED},
	{"the same, and it does not",
	 {UNITS(0, 0, 0),
	  {0},
	  UNITS(8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9, 8, 9)},
	 false,
	 PASSIVE_UNCLEAR,
	 PASSIVE_OPEN},
	{"two that leave early are too few",
	 {UNITS(0, 0), UNITS(0, 0), UNITS(8, 8, 9, 7)},
	 false,
	 PASSIVE_UNCLEAR,
	 PASSIVE_STANDING},
	{"one message among many short ones is enough",
	 {UNITS(0, 0, 0, 0, 0, 0, 9), UNITS(0), UNITS(8, 8, 9, 7)},
	 false,
	 PASSIVE_TAKES,
	 PASSIVE_STANDING},
	{"the last seconds count before what was earlier",
	 {UNITS(0, 0, 0, 0), UNITS(8, 8, 8, 0, 0, 0), OFTEN(8, 8, 9, 7)},
	 false,
	 PASSIVE_REFUSES,
	 PASSIVE_STANDING},
	{"few in the last seconds: all since the refusal",
	 {UNITS(0), UNITS(0, 0, 0, 0), OFTEN(8, 8, 9, 7)},
	 false,
	 PASSIVE_REFUSES,
	 PASSIVE_STANDING},
	{"refused behind TLS with a client's certificate: 6 KiB against 12",
	 {UNITS(24, 25, 24, 24), {0}, OFTEN(48, 60, 64, 64)},
	 false,
	 PASSIVE_REFUSES,
	 PASSIVE_STANDING},
	{"large messages do not make small ones a refusal",
	 {UNITS(5, 5, 6), {0}, UNITS(5, 5, 5, 6, 64, 64)},
	 false,
	 PASSIVE_TAKES,
	 PASSIVE_STANDING},
	{"nothing is known of before, refused at the greeting, a message came",
	 {UNITS(3), UNITS(3), {0}},
	 true,
	 PASSIVE_TAKES,
	 PASSIVE_STANDING},
	{"the same, refused at MAIL FROM: it may be TLS",
	 {UNITS(3), UNITS(3), {0}},
	 false,
	 PASSIVE_UNCLEAR,
	 PASSIVE_STANDING},
	{"nothing is known of before, five of next to nothing",
	 {UNITS(0, 0, 0, 1, 0), {0}, {0}},
	 true,
	 PASSIVE_REFUSES,
	 PASSIVE_STANDING},
	{"usual ones of next to nothing teach nothing",
	 {UNITS(0, 1, 0), {0}, UNITS(1, 1, 1, 1)},
	 true,
	 PASSIVE_UNCLEAR,
	 PASSIVE_STANDING},
};

static struct passive_volumes volumes_of(const struct units *u)
{
	struct passive_volumes v = volumes(u->of, u->n);

	return u->often ? often(v) : v;
}

static void clients_tell_by_how_much_they_send(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(volumes_rows) / sizeof(volumes_rows[0]); i++) {
		const struct volumes_row *r = &volumes_rows[i];
		const struct passive_flows flows = {volumes_of(&r->flows.now),
						    volumes_of(&r->flows.since),
						    volumes_of(&r->flows.usual)};
		enum passive_finding is = passive_judge(&flows, r->early, r->doubt);

		if (is != r->want)
			fail_msg("%s: %d", r->what, is);
	}
}

/* A message each 20 to 40 s while the probe is refused: a scanner's connections between two show nothing. */
static void messages_are_missing_when_none_came_for_unusually_long(void **state)
{
	struct passive_takes t = {0};
	uint64_t ms = 100000;

	(void)state;
	assert_true(passive_takes_missing(&t, ms)); /* none since the refusals began */
	for (unsigned i = 0; i < 50; i++) {
		passive_takes_note(&t, 80000, ms);
		assert_false(passive_takes_missing(&t, ms));
		ms += 20000 + i * 7919 % 20000;
		assert_false(passive_takes_missing(&t, ms));
	}
	assert_true(passive_takes_missing(&t, ms + 81000));
	for (unsigned i = 0; i < 100; i++) /* then one each second */
		passive_takes_note(&t, 80000, ms += 1000);
	assert_false(passive_takes_missing(&t, ms + 2900));
	assert_true(passive_takes_missing(&t, ms + 3000));
}

/* While the server is only suspected: a time since 0 would be that since the boot. */
static void messages_from_before_the_refusals_are_not_noted(void **state)
{
	struct passive_takes t = {0};

	(void)state;
	passive_takes_note(&t, 0, 2592000000);
	assert_true(passive_takes_missing(&t, 2592000001));
	passive_takes_note(&t, 2592000000, 2592003000);
	assert_false(passive_takes_missing(&t, 2592009000));
	assert_true(passive_takes_missing(&t, 2592010000));
}

static void clients_that_connect_and_say_nothing_are_counted_from_the_first(void **state)
{
	struct passive_silence s = {0};

	(void)state;
	passive_silence_look(
		&s, 100, 900,
		1000); /* connections from before mxlbd's first scan count for no server */
	assert_int_equal(passive_silence_ms(&s, 5000), 0);
	passive_silence_look(&s, 101, 900, 1050);
	assert_int_equal(passive_silence_ms(&s, 1350), 300);
	passive_silence_look(&s, 103, 901, 1400); /* three came, one spoke */
	assert_int_equal(passive_silence_ms(&s, 1450), 400);
	assert_int_equal(s.n, 3);
	passive_silence_look(&s, 103, 903, 1500);
	assert_int_equal(passive_silence_ms(&s, 9000), 0);
	passive_silence_look(&s, 104, 907, 9100); /* began and sent data between two scans */
	assert_int_equal(passive_silence_ms(&s, 9500), 0);
	passive_silence_look(&s, 104, 950, 9600);
	assert_int_equal(passive_silence_ms(&s, 9900), 0);
}

static void a_server_that_greets_late_is_given_more_time(void **state)
{
	uint32_t usual = 0;

	(void)state;
	assert_int_equal(passive_hint_limit(0), 200);
	usual = passive_greeting_learn(usual, 6000);
	assert_int_equal(usual, 6000);
	assert_int_equal(passive_hint_limit(usual), 9200);
	for (int i = 0; i < 200; i++)
		usual = passive_greeting_learn(usual, 2);
	assert_true(usual <= 8);
	assert_true(passive_hint_limit(usual) < 220);
	assert_int_equal(passive_hint_limit(UINT32_MAX), UINT32_MAX);
}

static void silence_is_found_when_probe_and_clients_have_met_it_for_long_enough(void **state)
{
	static const struct {
		const char *what;
		struct passive_quiet quiet;
		bool want;
	} rows[] = {
		{"three clients and the probe, a second", {1000, 3, 1000, 10, false, false}, true},
		{"a server that was given no CPU for a moment",
		 {950, 9, 950, 10, false, false},
		 false},
		{"the same, but a probe over IPv6 was greeted",
		 {1000, 3, 1000, 10, false, true},
		 false},
		{"two clients may be scanners", {5000, 2, 5000, 10, false, false}, false},
		{"a flood of silent clients; the probe was greeted",
		 {9000, 400, 0, 10, false, false},
		 false},
		{"the probe waits, clients came just now",
		 {300, 20, 2000, 10, false, false},
		 false},
		{"it usually takes half a second", {1600, 9, 1600, 500, false, false}, false},
		{"the same, 1.7 s", {1700, 9, 1700, 500, false, false}, true},
		{"a greeting delay of six seconds", {9000, 99, 9000, 6000, false, false}, false},
		{"the last one that is up", {1500, 99, 1500, 10, true, false}, false},
		{"the last one, three seconds", {3000, 99, 3000, 10, true, false}, true},
		{"no overflow", {1u << 31, 9, 1u << 31, UINT32_MAX, true, false}, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (passive_is_silent(&rows[i].quiet) != rows[i].want)
			fail_msg("%s", rows[i].what);
}

static void a_time_in_which_this_box_was_late_counts_for_no_silence(void **state)
{
	struct passive_clock c = {0};

	(void)state;
	assert_int_equal(passive_clock_look(&c, 50, 1000), 1000);
	assert_int_equal(passive_clock_look(&c, 50, 1050), 1050);
	assert_int_equal(passive_clock_look(&c, 50, 1125), 1125); /* 25 ms late: that is usual */
	assert_int_equal(passive_clock_look(&c, 50, 1201), 1125);
	assert_int_equal(passive_clock_look(&c, 50, 9000), 1125);
	assert_int_equal(passive_clock_look(&c, 50, 9050), 1175);
	assert_int_equal(passive_clock_look(&c, 500, 9550), 1675);
}

struct pace { /* a scan each of a server whose connections carry data */
	struct passive_pace p;
	struct passive_silence silence;
	uint64_t opened, bytes, ms;
	bool silent;
};

static bool carries(struct pace *s, uint64_t opened, uint64_t each)
{
	s->opened += opened;
	s->bytes += opened * each;
	s->ms += 50;
	return passive_pace_look(&s->p, s->opened, s->bytes, s->silent, s->ms);
}

static void clients_that_carry_far_less_than_usual_are_a_hint(void **state)
{
	struct pace s = {.opened = 70, .bytes = 5000};
	unsigned hints = 0;

	(void)state;
	assert_false(passive_pace_look(&s.p, s.opened, s.bytes, false, 0)); /* what was before */
	for (int i = 0; i < 40; i++)
		assert_false(carries(&s, 1, i % 2 ? 3000 : 4000));
	for (int i = 0; i < 3; i++)
		assert_false(carries(&s, 1, 300));
	assert_true(carries(&s, 1, 300)); /* the fourth */
	for (int i = 0; i < 40; i++)
		hints += carries(&s, 1, 300);
	assert_int_equal(hints, 1); /* then it is reported, and becomes the usual value */
	for (int i = 0; i < 400; i++)
		carries(&s, 1, i % 2 ? 3000 : 4000);
	assert_true(carries(&s, 900, 300)); /* a row may be long */
}

/* A refusal may begin anywhere in a row of four. */
static void a_hint_comes_with_the_fourth_low_connection_wherever_it_begins(void **state)
{
	(void)state;
	for (unsigned before = 40; before < 48; before++) {
		struct pace s = {0};

		for (unsigned i = 0; i < before; i++)
			assert_false(carries(&s, 1, 3000));
		for (unsigned i = 0; i < 3; i++)
			assert_false(carries(&s, 1, 300));
		assert_true(carries(&s, 1, 300));
	}
}

static bool run_refused(const struct pace *s, const struct passive_volumes *usual)
{
	return passive_run_refused(&s->p, &s->silence, usual, PASSIVE_EXPECTED, s->ms);
}

/* They need not have ended: a server that refuses its clients may reset them, which is not seen. */
static void a_run_of_low_connections_is_evidence_of_a_refusal(void **state)
{
	const struct passive_volumes usual = often(VOLUMES(8, 9, 12, 10)),
				     mixed = often(VOLUMES(0, 8, 1, 9)), few = VOLUMES(8, 9, 12);
	struct pace s = {.ms = 1000};

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		carries(&s, 1, 3000);
	for (unsigned i = 0; i < 5; i++) {
		assert_false(
			run_refused(&s, &usual)); /* the fourth is 150 ms later than the first */
		carries(&s, 1, 300);
	}
	assert_true(run_refused(&s, &usual));
	assert_false(run_refused(&s, &mixed)); /* small ones are usual */
	assert_false(run_refused(&s, &few));   /* what is usual is not known */
	assert_false(passive_run_refused(&s.p, &s.silence, &usual, PASSIVE_EXPECTED, s.ms + 20000));
	s.bytes += 9000; /* one carries mail: the run is over */
	carries(&s, 0, 0);
	assert_false(run_refused(&s, &usual));
}

/* A server without CPU for a second: its clients connect and wait. Then it greets all of them at once. */
static void clients_that_wait_for_the_greeting_are_no_evidence_of_a_refusal(void **state)
{
	const struct passive_volumes usual = often(VOLUMES(8, 9, 12, 10));
	struct pace s = {.ms = 1000};

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		carries(&s, 1, 3000);
	carries(&s, 1, 100);
	s.silent = true;
	for (unsigned i = 0; i < 20; i++) {
		assert_false(carries(&s, 1, 100));
		assert_false(run_refused(&s, &usual));
	}
	s.silent = false;
	for (unsigned i = 0; i < 3; i++) {
		carries(&s, 1, 100);
		assert_false(run_refused(&s, &usual));
	}
	for (unsigned i = 0; i < 3; i++) /* it tells them to leave */
		carries(&s, 1, 300);
	assert_true(run_refused(&s, &usual));
	s.silence.since_ms = s.ms - 50; /* too short for a hint, but it lasts */
	assert_false(run_refused(&s, &usual));
}

/* Ten connections at once, each second, whose messages come 0.4 s later. */
static void connections_whose_messages_are_still_to_come_are_no_evidence(void **state)
{
	const struct passive_volumes usual = often(VOLUMES(8, 9, 12, 10));
	struct pace s = {.ms = 1000};

	(void)state;
	for (unsigned second = 0; second < 60; second++) {
		carries(&s, 10, 300);
		for (unsigned i = 0; i < 19; i++) {
			s.bytes += i == 8 ? 30000 : 0;
			carries(&s, 0, 0);
			if (second > 5)
				assert_false(run_refused(&s, &usual));
		}
	}
}

/* A scan sees the connection, the next one its data. */
static void data_that_arrives_a_scan_later_is_no_hint(void **state)
{
	struct pace s = {0};

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		assert_false(carries(&s, 1, 300));
		s.bytes += 2700;
		assert_false(carries(&s, 0, 0));
	}
}

static void what_is_usual_must_be_known_first(void **state)
{
	struct pace s = {0};

	(void)state;
	carries(&s, 1, 0);
	for (int i = 0; i < 3; i++)
		assert_false(carries(&s, 4, 3000));
	assert_false(carries(&s, 4, 300)); /* the fourth row */
	assert_true(carries(&s, 4, 300));
}

static void a_server_of_very_large_and_small_messages_gives_few_hints(void **state)
{
	struct pace s = {0};
	unsigned hints = 0;

	(void)state;
	for (int i = 0; i < 4000; i++)
		hints += carries(&s, 1, i % 50 ? 2000 + (unsigned)i * 7919 % 3000 : 2000000);
	assert_true(hints < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_tell_by_how_much_they_send),
		cmocka_unit_test(messages_are_missing_when_none_came_for_unusually_long),
		cmocka_unit_test(messages_from_before_the_refusals_are_not_noted),
		cmocka_unit_test(clients_that_connect_and_say_nothing_are_counted_from_the_first),
		cmocka_unit_test(a_server_that_greets_late_is_given_more_time),
		cmocka_unit_test(
			silence_is_found_when_probe_and_clients_have_met_it_for_long_enough),
		cmocka_unit_test(a_time_in_which_this_box_was_late_counts_for_no_silence),
		cmocka_unit_test(clients_that_carry_far_less_than_usual_are_a_hint),
		cmocka_unit_test(a_hint_comes_with_the_fourth_low_connection_wherever_it_begins),
		cmocka_unit_test(a_run_of_low_connections_is_evidence_of_a_refusal),
		cmocka_unit_test(clients_that_wait_for_the_greeting_are_no_evidence_of_a_refusal),
		cmocka_unit_test(connections_whose_messages_are_still_to_come_are_no_evidence),
		cmocka_unit_test(data_that_arrives_a_scan_later_is_no_hint),
		cmocka_unit_test(what_is_usual_must_be_known_first),
		cmocka_unit_test(a_server_of_very_large_and_small_messages_gives_few_hints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
