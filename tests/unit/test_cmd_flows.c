/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket's output about the flow table: `show flows` line by line and its limits, `explain` with every
 * possible reason.
 */
#include "control_bench.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctl/text.h"

#define MAX_ROWS 10000

static uint32_t id_of(struct bench *b, const char *server)
{
	return model_find(b->model, "hybrid-mail", server)->id;
}

static struct flow_row row_of(struct bench *b, const char *client, uint16_t port,
			      const char *server)
{
	struct flow_row row = {.port = port,
			       .service_id = b->model->services[0].id,
			       .server_id = server ? id_of(b, server) : 4000,
			       .counts = true};

	assert_int_equal(addr_parse(client, &row.client), 0);
	return row;
}

/* Both families, a closed flow, one unused for long, one of a removed server; and one of another service. */
static void fill(struct bench *b)
{
	static struct flow_row rows[6];

	rows[0] = row_of(b, "198.51.100.7", 40001, "oxford-a");
	rows[0].idle_s = 12;
	rows[1] = row_of(b, "2001:db8::7", 65535, "nuneaton");
	rows[1].idle_s = 3;
	rows[1].closed = true;
	rows[1].counts = false;
	rows[2] = row_of(b, "198.51.100.8", 0, "oxford-b");
	rows[2].idle_s = 901;
	rows[2].counts = false;
	rows[3] = row_of(b, "198.51.100.9", 9, "oxford-a");
	rows[3].service_id++;
	rows[4] = row_of(b, "198.51.100.10", 10, NULL);
	rows[5] = row_of(b, "198.51.100.11", 11, "oxford-a");
	b->rows = rows;
	b->n_rows = 6;
}

static json_t *ask_json(struct bench *b, const char *line)
{
	json_t *json = json_loads(bench_ask(b, line), JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(json);
	return json;
}

static void show_flows_has_a_line_for_each_flow_of_the_service(void **state)
{
	struct bench *b = *state;

	fill(b);
	assert_string_equal(bench_ask(b, "show flows hybrid-mail\n"),
			    "# hybrid-mail: client server idle_s\n"
			    "198.51.100.7:40001 oxford-a 12\n"
			    "[2001:db8::7]:65535 nuneaton 3 closed\n"
			    "198.51.100.8:0 oxford-b 901 old\n"
			    "198.51.100.10:10 #4000 0\n"
			    "198.51.100.11:11 oxford-a 0\n"
			    "# 5 shown, 0 left out\n\n");
	assert_string_equal(bench_ask(b, "show flows hybrid-mail/oxford-a\n"),
			    "# hybrid-mail: client server idle_s\n"
			    "198.51.100.7:40001 oxford-a 12\n"
			    "198.51.100.11:11 oxford-a 0\n"
			    "# 2 shown, 0 left out\n\n");
	b->n_rows = 0;
	assert_string_equal(bench_ask(b, "show flows hybrid-mail\n"),
			    "# hybrid-mail: client server idle_s\n# 0 shown, 0 left out\n\n");
}

static void show_flows_shows_as_many_as_asked_for_and_counts_the_rest(void **state)
{
	struct bench *b = *state;

	fill(b);
	assert_string_equal(bench_ask(b, "show flows hybrid-mail 1\n"),
			    "# hybrid-mail: client server idle_s\n"
			    "198.51.100.7:40001 oxford-a 12\n"
			    "# 1 shown, 4 left out\n\n");
	bench_assert_ends(bench_ask(b, "show flows hybrid-mail/oxford-a 1\n"),
			  "\n# 1 shown, 1 left out\n\n");
	bench_assert_ends(bench_ask(b, "show flows hybrid-mail 0\n"),
			  "idle_s\n# 0 shown, 5 left out\n\n");
	bench_assert_ends(bench_ask(b, "show flows hybrid-mail 5\n"),
			  "\n# 5 shown, 0 left out\n\n");
}

static void show_rejected_lists_the_last_client_first_and_says_why(void **state)
{
	struct bench *b = *state;
	struct rejected_row rows[3] = {
		{.service_id = b->model->services[0].id,
		 .counter = MXLB_COUNT_denied,
		 .packets = 7,
		 .age_ms = 5999},
		{.service_id = MXLB_MAX_SERVICES,
		 .counter = MXLB_COUNT_malformed,
		 .packets = 1,
		 .age_ms = 61000},
		{.service_id = b->model->services[0].id,
		 .counter = MXLB_COUNT_syn_limit,
		 .packets = 2,
		 .age_ms = 1000},
	};
	static const char limited[] =
		"2001:db8::9 hybrid-mail syn_limit 2 1 more connections a second than syn-limit "
		"allows\n";
	json_t *json, *row;

	assert_int_equal(addr_parse("198.51.100.7", &rows[0].client), 0);
	assert_int_equal(addr_parse("198.51.100.8", &rows[1].client), 0);
	assert_int_equal(addr_parse("2001:db8::9", &rows[2].client), 0);
	b->rejected = rows;
	b->n_rejected = 3;
	bench_assert_ends(bench_ask(b, "show rejected\n"),
			  "198.51.100.7 hybrid-mail denied 7 5 its address is not in the "
			  "allow-list\n"
			  "198.51.100.8 - malformed 1 61 the headers contradict each other\n"
			  "# 3 shown, 0 left out\n\n");
	assert_non_null(strstr(bench_ask(b, "show rejected\n"), limited));
	assert_string_equal(bench_ask(b, "show rejected hybrid-mail 1\n") +
				    strlen("# client service reason packets seconds-ago why\n") +
				    strlen(limited),
			    "# 1 shown, 1 left out\n\n");
	bench_assert_ends(bench_ask(b, "explain hybrid-mail 198.51.100.7\n"),
			  " is not in the allow-list)\n\n");
	assert_non_null(strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7\n"),
			       "\nturned away: 7 packets, the last 5 s ago ("));
	assert_null(strstr(bench_ask(b, "explain hybrid-mail 198.51.100.8\n"), "turned away"));
	json = ask_json(b, "show rejected 2 json\n");
	assert_int_equal(field_number(json, "left_out"), 1);
	row = json_array_get(json_object_get(json, "rejected"), 1);
	assert_string_equal(field_text(row, "client"), "198.51.100.7");
	assert_string_equal(field_text(row, "reason"), "denied");
	json_decref(json);
	assert_string_equal(bench_ask(b, "show rejected nobody\n"), "No such service.\n\n");
	b->n_rejected = 0;
}

static void show_flows_is_there_as_json(void **state)
{
	struct bench *b = *state;
	json_t *json, *flows;

	fill(b);
	json = ask_json(b, "show flows hybrid-mail json\n");
	flows = json_object_get(json, "flows");
	assert_string_equal(field_text(json, "service"), "hybrid-mail");
	assert_int_equal(json_array_size(flows), 5);
	assert_int_equal(field_number(json, "shown"), 5);
	assert_int_equal(field_number(json, "left_out"), 0);
	assert_string_equal(field_text(json_array_get(flows, 1), "client"), "2001:db8::7");
	assert_int_equal(field_number(json_array_get(flows, 1), "port"), 65535);
	assert_string_equal(field_text(json_array_get(flows, 1), "server"), "nuneaton");
	assert_true(field_true(json_array_get(flows, 1), "closed"));
	assert_false(field_true(json_array_get(flows, 2), "closed"));
	assert_false(field_true(json_array_get(flows, 2), "counts"));
	assert_int_equal(field_number(json_array_get(flows, 2), "idle_s"), 901);
	assert_true(field_true(json_array_get(flows, 0), "counts"));
	assert_string_equal(field_text(json_array_get(flows, 3), "server"), "#4000");
	json_decref(json);
	json = ask_json(b, "show flows hybrid-mail 2 json\n");
	assert_int_equal(json_array_size(json_object_get(json, "flows")), 2);
	assert_int_equal(field_number(json, "left_out"), 3);
	json_decref(json);
}

static void a_full_table_is_no_longer_than_a_reply_may_be(void **state)
{
	struct bench *b = *state;
	size_t n = 3 * MAX_ROWS;
	struct flow_row *rows = calloc(n, sizeof(*rows));
	struct server *longest = model_find(b->model, "hybrid-mail", "oxford-a");
	json_t *json;

	for (size_t i = 0; i < n; i++) {
		rows[i] = row_of(b, "2001:db8:1111:2222:3333:4444:5555:6666", 65535, "oxford-a");
		rows[i].idle_s = UINT16_MAX;
	}
	memset(longest->conf.name, 'n', sizeof(longest->conf.name) - 1);
	b->rows = rows;
	b->n_rows = n;
	bench_assert_ends(bench_ask(b, "show flows hybrid-mail\n"),
			  "\n# 10000 shown, 20000 left out\n\n");
	bench_assert_ends(bench_ask(b, "show flows hybrid-mail 10001\n"),
			  "\n# 10000 shown, 20000 left out\n\n");
	json = ask_json(b, "show flows hybrid-mail json\n");
	assert_int_equal(json_array_size(json_object_get(json, "flows")), MAX_ROWS);
	assert_int_equal(field_number(json, "left_out"), 2 * MAX_ROWS);
	json_decref(json);
	free(rows);
}

static void show_flows_refuses_what_it_does_not_know(void **state)
{
	static const char number[] = "Expects a number of flows, or 'json'.\n\n";
	static const struct {
		const char *say, *hear;
	} rows[] = {
		{"show flows\n", "Expects a service, or 'service/backend'.\n\n"},
		{"show flows x\n", "No such service.\n\n"},
		{"show flows x/oxford-a\n", "No such service.\n\n"},
		{"show flows hybrid-mail/\n", "No such server.\n\n"},
		{"show flows hybrid-mail/x\n", "No such server.\n\n"},
		{"show flows hybrid-mail -1\n", number},
		{"show flows hybrid-mail 1x\n", number},
		{"show flows hybrid-mail 99999999999999999999\n", number},
		{"show flows hybrid-mail JSON\n", number},
	};

	fill(*state);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(bench_ask(*state, rows[i].say), rows[i].hear);
	bench_assert_begins(bench_ask(*state, "show flows hybrid-mail 1 json x\n"),
			    "Unknown command");
}

/* Tier 10 is active with both of its servers; nuneaton is on standby. */
static void make_serving(struct bench *b)
{
	struct service *s = &b->model->services[0];

	s->tier = (struct tier_state){.state = SERVICE_UP, .has_active = true, .active = 10};
	for (unsigned i = 0; i < s->n_servers; i++) {
		health_adopt(&s->servers[i].health, VERDICT_UP, REASON_ok, bench_start.mono_ms);
		s->servers[i].nexthop.has_mac = true;
		s->servers[i].in_ring = s->servers[i].conf.preference == 10;
	}
	b->place = (struct flow_place){.slot = 4711, .ring_server = id_of(b, "oxford-b")};
}

static void explain_tells_entry_from_ring(void **state)
{
	struct bench *b = *state;

	make_serving(b);
	assert_string_equal(
		bench_ask(b, "explain hybrid-mail 198.51.100.7:40001\n"),
		"# 198.51.100.7:40001 to hybrid-mail, 203.0.113.25:25\n"
		"allowed: there is no allow-list\n"
		"goes to: oxford-b, by slot 4711 of the ring; the flow table has no entry for it\n"
		"a new connection: oxford-b, by slot 4711 of the ring\n"
		"not oxford-a (tier 10): available, but this client hashes to another server\n"
		"not nuneaton (tier 20): tier 20 is standby, tier 10 is active\n\n");
	assert_int_equal(b->asked_port, 40001);
	b->place.entry_server = id_of(b, "nuneaton");
	b->place.idle_s = 12;
	bench_assert_begins(bench_ask(b, "explain hybrid-mail 198.51.100.7:40001\n"),
			    "# 198.51.100.7:40001 to hybrid-mail, 203.0.113.25:25\n"
			    "allowed: there is no allow-list\n"
			    "goes to: nuneaton, by its flow table entry; idle 12 s\n"
			    "a new connection: oxford-b, by slot 4711 of the ring\n"
			    "not oxford-a (tier 10): ");
	b->place.closed = b->place.by_miss = true;
	assert_non_null(
		strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7:40001\n"),
		       "by its flow table entry; idle 12 s, closed, without its beginning\n"));
	b->place.entry_server = 4000; /* its server was removed, the flow is kept */
	assert_non_null(strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7:40001\n"),
			       "goes to: #4000, by its flow table entry;"));
}

static void explain_says_when_a_flow_is_reset(void **state)
{
	struct bench *b = *state;
	struct server *gone = model_find(b->model, "hybrid-mail", "oxford-a");

	make_serving(b);
	b->place.entry_server = gone->id;
	gone->gone = true;
	gone->in_ring = false;
	gone->health.verdict = VERDICT_DOWN;
	gone->health.reason = REASON_unreachable;
	assert_non_null(
		strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7:1\n"),
		       "goes to: no server: reset, because oxford-a, which has the flow, is "
		       "unreachable; idle 0 s\n"));
	b->model->services[0].conf.on_unreachable = ON_UNREACHABLE_KEEP;
	assert_non_null(strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7:1\n"),
			       "goes to: oxford-a, by its flow table entry; idle 0 s\n"));
}

static void explain_says_what_nobody_means(void **state)
{
	struct bench *b = *state;
	struct service *s = &b->model->services[0];

	b->place = (struct flow_place){.slot = 1};
	assert_non_null(strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7:1\n"),
			       "a new connection: no server: dropped (cold start)\n"));
	s->tier.state = SERVICE_DOWN;
	s->conf.all_down = ALL_DOWN_RESET;
	assert_non_null(strstr(
		bench_ask(b, "explain hybrid-mail 198.51.100.7:1\n"),
		"goes to: no server: answered with a reset (all-down: reset); the flow table"));
	s->conf.all_down = ALL_DOWN_DROP;
	assert_non_null(strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7:1\n"),
			       "goes to: no server: dropped (all-down: drop); the flow"));
}

static void explain_has_a_reason_for_each_server_that_takes_nothing(void **state)
{
	struct bench *b = *state;
	struct service *s = &b->model->services[0];
	struct server *a = model_find(b->model, "hybrid-mail", "oxford-a");
	static const char line[] = "explain hybrid-mail 198.51.100.7:1\n";

	make_serving(b);
	a->in_ring = false;
	s->conf.min_up = 2;
	s->tier.active = 20;
	assert_non_null(strstr(bench_ask(b, line),
			       "not oxford-a (tier 10): tier 20 is active, tier "
			       "10 has too few servers up (min-up 2)\n"));
	s->has_forced = true;
	s->forced = 20;
	strcpy(s->order.who, "root");
	assert_non_null(strstr(bench_ask(b, line), "not oxford-a (tier 10): tier 20 is active, "
						   "forced by root\n"));
	s->has_forced = false;
	s->tier.held[0].preference = 10;
	s->tier.n_held = 1;
	assert_non_null(strstr(bench_ask(b, line),
			       "not oxford-a (tier 10): tier 20 is active, tier "
			       "10 waits for failback\n"));
	health_adopt(&a->health, VERDICT_DRAINING, REASON_greeting_421, bench_start.mono_ms);
	a->last.reason = REASON_greeting_421;
	strcpy(a->last.text, "421 4.3.2 later");
	assert_non_null(strstr(bench_ask(b, line),
			       "not oxford-a (tier 10): draining: greeting_421: "
			       "the greeting was 421\n  -> end the maintenance "));
	a->last_wall_ms = 1;
	assert_non_null(
		strstr(bench_ask(b, line),
		       "draining: greeting_421: 421 4.3.2 later\n  -> end the maintenance "));
	s->tier.state = SERVICE_NOT_READY;
	assert_non_null(strstr(bench_ask(b, line), "not oxford-a (tier 10): cold start: "));
	a->nexthop.has_mac = false;
	assert_non_null(strstr(bench_ask(b, line), "not oxford-a (tier 10): the MAC address of"));
	a->weight = 0;
	assert_non_null(
		strstr(bench_ask(b, line), "not oxford-a (tier 10): its weight is 0\n  -> set "));
	a->admin = ADMIN_MAINT;
	assert_non_null(strstr(bench_ask(b, line), "not oxford-a (tier 10): set to maint by an "
						   "operator\n  -> mxlbctl ready "));
}

static void explain_knows_the_allow_list_and_the_limit(void **state)
{
	static struct prefix allow[] = {{.len = 96 + 24}};
	struct bench *b = *state;
	struct service_conf *s = &b->model->services[0].conf;

	make_serving(b);
	assert_int_equal(addr_parse("192.0.2.0", &allow[0].addr), 0);
	s->allow = allow;
	s->n_allow = 1;
	s->syn_limit = 50;
	bench_assert_begins(
		bench_ask(b, "explain hybrid-mail 198.51.100.7:40001\n"),
		"# 198.51.100.7:40001 to hybrid-mail, 203.0.113.25:25\n"
		"denied: 198.51.100.7 matches none of the 1 prefixes of allow and allow-file, so its "
		"connections are dropped; add it to allow, then mxlbctl reload\n"
		"limit: 50 new connections per second for all of 198.51.100.0/24\n");
	assert_non_null(strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7:40001\n"),
			       "\na new connection: dropped (denied)\n"));
	assert_string_equal(
		bench_ask(b, "explain hybrid-mail 192.0.2.9\n"),
		"# 192.0.2.9 to hybrid-mail, 203.0.113.25:25\nallowed: by allow or allow-file\n"
		"limit: 50 new connections per second for all of 192.0.2.0/24\n"
		"a new connection: depending on its port, to one of oxford-a, oxford-b\n"
		"not nuneaton (tier 20): tier 20 is standby, tier 10 is active\n\n");
	s->allow_mode = ALLOW_OBSERVE;
	assert_non_null(strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7\n"),
			       "would be denied: 198.51.100.7 matches none"));
	assert_non_null(strstr(bench_ask(b, "explain hybrid-mail 198.51.100.7 json\n"),
			       "\"access\":\"observed\""));
	s->allow = NULL;
	s->n_allow = 0;
}

static void explain_is_there_as_json(void **state)
{
	struct bench *b = *state;
	json_t *json, *list;

	make_serving(b);
	json = ask_json(b, "explain hybrid-mail 198.51.100.7:40001 json\n");
	assert_string_equal(field_text(json, "client"), "198.51.100.7");
	assert_int_equal(field_number(json, "port"), 40001);
	assert_string_equal(field_text(json, "goes_to"), "oxford-b");
	assert_string_equal(field_text(json, "why"), "ring");
	assert_true(json_is_null(json_object_get(json, "entry")));
	assert_int_equal(field_number(json_object_get(json, "new_connection"), "slot"), 4711);
	list = json_object_get(json, "servers");
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(field_text(json_array_get(list, 2), "why"),
			    "tier 20 is standby, tier 10 is active");
	assert_true(field_true(json_array_get(list, 0), "in_ring"));
	json_decref(json);

	b->place.entry_server = id_of(b, "nuneaton");
	b->place.by_miss = true;
	b->place.idle_s = 9;
	json = ask_json(b, "explain hybrid-mail 198.51.100.7:40001 json\n");
	assert_string_equal(field_text(json, "goes_to"), "nuneaton");
	assert_string_equal(field_text(json, "why"), "entry");
	assert_true(field_true(json_object_get(json, "entry"), "by_miss"));
	assert_false(field_true(json_object_get(json, "entry"), "closed"));
	assert_int_equal(field_number(json_object_get(json, "entry"), "idle_s"), 9);
	json_decref(json);

	b->place = (struct flow_place){.slot = 7};
	json = ask_json(b, "explain hybrid-mail 198.51.100.7:40001 json\n");
	assert_true(json_is_null(json_object_get(json, "goes_to")));
	assert_string_equal(field_text(json, "why"), "nobody");
	json_decref(json);
}

static void explain_wants_an_address_of_the_services_family_and_a_port(void **state)
{
	static const char other_family[] = "The service is of the other address family.\n\n";
	static const char expects[] =
		"Expects <address>:<port>, an IPv6 address in brackets, or an address alone.\n\n";
	static const struct {
		const char *client, *hear; /* NULL: taken */
	} rows[] = {
		{"198.51.100.7:0", NULL},
		{"198.51.100.7:65535", NULL},
		{"198.51.100.7:65536", expects},
		{"198.51.100.7:000001", expects},
		{"198.51.100.7:-1", expects},
		{"198.51.100.7:25x", expects},
		{"198.51.100.7:", expects},
		{"198.51.100.7", NULL},
		{"198.51.100:25", expects},
		{":25", expects},
		{"[]:25", expects},
		{"[", expects},
		{"]:25", expects},
		{"[198.51.100.7]:25", expects},
		{"[2001:db8::7:25", expects},
		{"2001:db8::7:25", other_family},
		{"[2001:db8::7]25", expects},
		{"[2001:db8::7]:25", other_family},
		{"mail.example.net:25", expects},
	};
	struct bench *b = *state;
	struct addr v6;

	make_serving(b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char line[128];
		const char *text;

		snprintf(line, sizeof(line), "explain hybrid-mail %s\n", rows[i].client);
		text = bench_ask(b, line);
		if (rows[i].hear ? strcmp(text, rows[i].hear) : strncmp(text, "# ", 2))
			fail_msg("to \"%s\" it said \"%s\"", rows[i].client, text);
	}
	assert_int_equal(addr_parse("2001:db8::7", &v6), 0);
	assert_int_equal(addr_parse("2001:db8::25", &b->model->services[0].conf.address), 0);
	bench_assert_begins(bench_ask(b, "explain hybrid-mail [2001:db8::7]:25\n"),
			    "# [2001:db8::7]:25 to hybrid-mail, [2001:db8::25]:25\n");
	assert_true(addr_equal(&b->asked, &v6));
	assert_int_equal(b->asked_port, 25);
}

static void explain_refuses_what_it_does_not_know(void **state)
{
	struct bench *b = *state;

	bench_assert_begins(bench_ask(b, "explain\n"), "usage: explain ");
	bench_assert_begins(bench_ask(b, "explain hybrid-mail\n"), "usage: explain ");
	bench_assert_begins(bench_ask(b, "explain hybrid-mail 198.51.100.7:1 xml\n"),
			    "usage: explain ");
	assert_string_equal(bench_ask(b, "explain x 198.51.100.7:1\n"), "No such service.\n\n");
	b->explain_rc = -ENOENT;
	assert_string_equal(bench_ask(b, "explain hybrid-mail 198.51.100.7:1\n"),
			    "Cannot tell: No such file or directory.\n\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(show_flows_has_a_line_for_each_flow_of_the_service),
		BENCH_TEST(show_flows_shows_as_many_as_asked_for_and_counts_the_rest),
		BENCH_TEST(show_flows_is_there_as_json),
		BENCH_TEST(show_rejected_lists_the_last_client_first_and_says_why),
		BENCH_TEST(a_full_table_is_no_longer_than_a_reply_may_be),
		BENCH_TEST(show_flows_refuses_what_it_does_not_know),
		BENCH_TEST(explain_tells_entry_from_ring),
		BENCH_TEST(explain_says_when_a_flow_is_reset),
		BENCH_TEST(explain_says_what_nobody_means),
		BENCH_TEST(explain_has_a_reason_for_each_server_that_takes_nothing),
		BENCH_TEST(explain_knows_the_allow_list_and_the_limit),
		BENCH_TEST(explain_is_there_as_json),
		BENCH_TEST(explain_wants_an_address_of_the_services_family_and_a_port),
		BENCH_TEST(explain_refuses_what_it_does_not_know),
	};

	return cmocka_run_group_tests_name("flowlist", tests, NULL, NULL);
}
