/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket's output: the status document key by key, HAProxy's info lines, events; and how mxlbctl makes
 * text safe for a terminal.
 */
#include "control_bench.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/client.h"
#include "control/render.h"
#include "ctl/text.h"

static void assert_keys(json_t *object, const char *const *keys)
{
	size_t n = 0;

	for (; keys[n]; n++)
		if (!json_object_get(object, keys[n]))
			fail_msg("no key \"%s\"", keys[n]);
	assert_int_equal(json_object_size(object), n);
}

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static json_t *get_status(struct bench *b)
{
	const char *text = bench_ask(b, "show status\n");
	json_t *json;

	bench_assert_ends(text, "}\n\n");
	assert_ptr_equal(strstr(text, "\n\n"), text + strlen(text) - 2); /* no empty line inside */
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	return json;
}

static json_t *at(json_t *json, const char *key, size_t index)
{
	json = json_array_get(json_object_get(json, key), index);
	assert_non_null(json);
	return json;
}

static void show_status_has_every_key_and_null_where_nothing_is_known(void **state)
{
	json_t *json = get_status(*state), *service = at(json, "services", 0);
	json_t *tier = at(service, "tiers", 0), *server = at(tier, "servers", 0);

	assert_keys(json, KEYS("version", "build", "node", "pid", "uptime_s", "time", "config",
			       "interfaces", "probing", "ha", "maps_changed", "problems",
			       "diagnosis", "notify", "services", "drops", "passes", "answers",
			       "notes", "rejected", "running", "as_of"));
	assert_keys(json_object_get(json, "config"),
		    KEYS("file", "loaded_at", "last_error", "reloads_ok", "reloads_failed"));
	assert_keys(json_object_get(json, "probing"),
		    KEYS("begun", "hinted", "child_restarts", "late_p50_ms", "late_p99_ms",
			 "late_max_ms"));
	assert_int_equal(json_object_size(json_object_get(json, "drops")) +
				 json_object_size(json_object_get(json, "passes")) +
				 json_object_size(json_object_get(json, "answers")) +
				 json_object_size(json_object_get(json, "notes")),
			 MXLB_COUNT_COUNT);
	assert_keys(service, KEYS("name", "address", "port", "state", "active_tier", "forced",
				  "failback", "held_back", "tiers", "drops", "counts", "allow",
				  "digest", "rejected", "zone"));
	assert_keys(tier, KEYS("preference", "active", "up", "servers", "backends"));
	assert_keys(server,
		    KEYS("name", "address", "forward", "weight", "configured_weight", "verdict",
			 "admin", "reason", "text", "exo_code", "since", "in_ring", "warning",
			 "admin_order", "last_probe", "tls", "neighbour", "tunnel", "flows", "new",
			 "packets", "bytes", "flow_table", "counts"));
	assert_keys(
		json_object_get(server, "flow_table"),
		KEYS("misses", "retransmits", "promoted", "evicted", "unplaced", "without_data"));
	assert_keys(json_object_get(server, "neighbour"), KEYS("state", "mac", "routed"));
	assert_true(json_is_null(json_object_get(server, "tunnel")));
	assert_int_equal(json_object_size(json_object_get(service, "drops")), MXLB_DROP_COUNT);
	assert_string_equal(field_text(json_object_get(json, "config"), "loaded_at"),
			    "2026-01-01T00:00:00.000Z");
	assert_int_equal(strlen(field_text(json, "time")), strlen("2026-01-01T00:00:00.000Z"));
	assert_int_equal(json_array_size(json_object_get(service, "tiers")), 2);
	assert_int_equal(json_array_size(json_object_get(tier, "servers")), 2);
	assert_true(
		json_equal(json_object_get(tier, "backends"), json_object_get(tier, "servers")));
	assert_int_equal(field_number(at(service, "tiers", 1), "preference"), 20);
	assert_string_equal(field_text(service, "state"), "not-ready");
	assert_true(json_is_null(json_object_get(service, "active_tier")));
	assert_true(json_is_null(json_object_get(server, "last_probe")));
	assert_true(json_is_null(json_object_get(server, "tls")));
	assert_true(json_is_null(json_object_get(json_object_get(server, "neighbour"), "mac")));
	assert_string_equal(field_text(server, "verdict"), "unknown");
	assert_string_equal(field_text(server, "reason"), "not_probed");
	json_decref(json);
}

static void show_status_says_from_where_to_where_a_tunnel_leads(void **state)
{
	struct bench *b = *state;
	struct server *server = model_find(b->model, "hybrid-mail", "oxford-a");
	json_t *json, *tunnel;

	server->conf.forward = FORWARD_IPIP;
	json = get_status(b);
	tunnel = json_object_get(at(at(at(json, "services", 0), "tiers", 0), "servers", 0),
				 "tunnel");
	assert_keys(tunnel, KEYS("source", "target", "mtu"));
	assert_true(json_is_null(json_object_get(tunnel, "source")));
	assert_true(json_is_null(json_object_get(tunnel, "mtu")));
	json_decref(json);
	server->nexthop.routed = true;
	server->nexthop.mtu = 1400;
	assert_int_equal(addr_parse("2001:db8::5", &server->nexthop.source), 0);
	json = get_status(b);
	tunnel = json_object_get(at(at(at(json, "services", 0), "tiers", 0), "servers", 0),
				 "tunnel");
	assert_string_equal(field_text(tunnel, "source"), "2001:db8::5");
	assert_string_equal(field_text(tunnel, "target"), "203.0.113.11");
	assert_int_equal(field_number(tunnel, "mtu"), 1400);
	assert_true(field_true(
		json_object_get(at(at(at(json, "services", 0), "tiers", 0), "servers", 0),
				"neighbour"),
		"routed"));
	json_decref(json);
}

static void make_probed(struct bench *b)
{
	struct server *server = model_find(b->model, "hybrid-mail", "oxford-a");
	struct probe_result *r = &server->last;

	server->health.verdict = VERDICT_DOWN;
	server->health.reason = r->reason = REASON_greeting_5xx;
	server->since_wall_ms = bench_start.wall_ms + 1;
	server->last_wall_ms = bench_start.wall_ms + 1234;
	r->stage = STAGE_GREETING;
	r->connect_ms = 3;
	r->greeting_ms = 40;
	r->total_ms = 43;
	strcpy(r->text, "554 \"no\" \\n caf\xc3"); /* not UTF-8 */
	strcpy(r->tls.version, "TLSv1.3");
	strcpy(r->tls.names[0], "mail.contoso.com");
	r->tls.n_names = 1;
	r->tls.not_after =
		1767225600 - 1; /* expired long ago by the clock, which is after 2026-01-01 */
	r->tls.sha1[0] = 0xAB;
	r->tls.spki_sha256[31] = 0x0f;
	server->nexthop = (struct nexthop){
		.state = NEXTHOP_RESOLVED, .has_mac = true, .mac = {{2, 0, 0, 0, 0, 0xaa}}};
	server->admin = ADMIN_DRAIN;
	server->traffic = (struct traffic){.flows = 1,
					   .new_flows = 2,
					   .packets = 3,
					   .bytes = UINT32_MAX + 1ULL,
					   .retransmits = 11,
					   .misses = 12,
					   .promoted = 13,
					   .evicted = 14,
					   .unplaced = UINT64_MAX / 2};
	b->service_drops[b->model->services[0].id][MXLB_DROP_not_ready] = 5;
	b->counters[MXLB_DROP_not_ready] = 7;
}

static void show_status_says_what_the_model_knows(void **state)
{
	struct bench *b = *state;
	json_t *json, *service, *server, *probe, *tls, *table;

	make_probed(b);
	json = get_status(b);
	service = at(json, "services", 0);
	server = at(at(service, "tiers", 0), "servers", 0);
	probe = json_object_get(server, "last_probe");
	tls = json_object_get(server, "tls");
	table = json_object_get(server, "flow_table");
	assert_keys(probe, KEYS("at", "stage", "connect_ms", "greeting_ms", "tls_ms", "total_ms",
				"cpu_ms"));
	assert_keys(tls, KEYS("version", "cipher", "subject", "issuer", "names", "not_after",
			      "days_left", "sha1", "spki_sha256"));
	assert_string_equal(field_text(server, "verdict"), "down");
	assert_string_equal(field_text(server, "reason"), "greeting_5xx");
	assert_string_equal(field_text(server, "exo_code"), "4.4.317");
	assert_non_null(strstr(field_text(server, "text"), "\\xc3"));
	assert_string_equal(field_text(server, "since"), "2026-01-01T00:00:00.001Z");
	assert_string_equal(field_text(probe, "at"), "2026-01-01T00:00:01.234Z");
	assert_string_equal(field_text(probe, "stage"), "greeting");
	assert_int_equal(field_number(probe, "greeting_ms"), 40);
	assert_string_equal(field_text(tls, "not_after"), "2025-12-31T23:59:59.000Z");
	assert_true(field_number(tls, "days_left") < 0);
	assert_string_equal(field_text(tls, "sha1"), "ab00000000000000000000000000000000000000");
	bench_assert_ends(field_text(tls, "spki_sha256"), "000f");
	assert_int_equal(strlen(field_text(tls, "spki_sha256")), 64);
	assert_string_equal(field_text(json_object_get(server, "neighbour"), "mac"),
			    "02:00:00:00:00:aa");
	assert_string_equal(field_text(server, "admin"), "drain");
	assert_int_equal(field_number(server, "flows"), 1);
	assert_int_equal(field_number(server, "bytes"), UINT32_MAX + 1ULL);
	assert_int_equal(field_number(table, "retransmits"), 11);
	assert_int_equal(field_number(table, "misses"), 12);
	assert_int_equal(field_number(table, "promoted"), 13);
	assert_int_equal(field_number(table, "evicted"), 14);
	assert_int_equal(field_number(table, "unplaced"), UINT64_MAX / 2);
	assert_int_equal(field_number(json_object_get(service, "drops"), "not_ready"), 5);
	assert_int_equal(field_number(json_object_get(json, "drops"), "not_ready"), 7);
	json_decref(json);
}

static void the_code_is_danes_where_the_probe_asks_for_dane(void **state)
{
	struct bench *b = *state;
	struct service *s;
	struct server *server = model_find(b->model, "hybrid-mail", "oxford-a");
	json_t *json;

	make_probed(b);
	assert_ptr_equal(model_server(b->model, server->id, &s), server);
	s->probe.tls = TLS_DANE;
	server->health.reason = REASON_certificate_expired;
	json = get_status(b);
	assert_string_equal(
		field_text(at(at(at(json, "services", 0), "tiers", 0), "servers", 0), "exo_code"),
		"5.7.322");
	json_decref(json);
}

static void days_left_is_rounded_down_and_null_for_dates_without_a_calendar(void **state)
{
	static const struct {
		int64_t not_after;
		int days; /* INT32_MAX: null */
	} rows[] = {
		{1767225600, 0},	 {1767225600 + 86399, 0},   {1767225600 + 86400, 1},
		{1767225600 - 1, -1},	 {INT64_MAX, INT32_MAX},    {INT64_MIN, INT32_MAX},
		{253402300799, 2912442}, {253402300800, INT32_MAX},
	};
	struct bench *b = *state;
	struct control_info info = {0};

	make_probed(b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out = {0};
		json_t *json, *tls;

		model_find(b->model, "hybrid-mail", "oxford-a")->last.tls.not_after =
			rows[i].not_after;
		assert_int_equal(render_status(b->model, &info, bench_start, &out), 0);
		json = json_loads(out.data, 0, NULL);
		tls = json_object_get(at(at(at(json, "services", 0), "tiers", 0), "servers", 0),
				      "tls");
		if (rows[i].days == INT32_MAX)
			assert_true(json_is_null(json_object_get(tls, "days_left")) &&
				    json_is_null(json_object_get(tls, "not_after")));
		else
			assert_int_equal(field_number(tls, "days_left"), rows[i].days);
		json_decref(json);
		buf_free(&out);
	}
}

/* Both names of their list fit into a reply for 1,000 servers, and one name for the most there can be. */
static void show_status_of_many_servers_fits_into_a_reply(void **state)
{
	static const struct {
		unsigned n;
		bool both;
	} rows[] = {{1000, true}, {1001, false}, {MXLB_MAX_SERVERS - 1, false}};
	struct bench *b = *state;
	static struct config config;
	struct service_conf *service = &config.services[0];
	struct control_info info = {0};

	config = b->config;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out = {.cap = CLIENT_UNREAD_MAX};
		struct model *m;
		json_t *json, *tier;

		service->n_servers = rows[i].n;
		service->servers = calloc(rows[i].n, sizeof(*service->servers));
		for (unsigned k = 0; k < rows[i].n; k++) {
			service->servers[k] = b->servers[0];
			snprintf(service->servers[k].name, CONFIG_NAME_SIZE, "server-%u", k);
		}
		assert_int_equal(model_create(&config, NULL, 0, bench_start, &m), 0);
		assert_int_equal(render_status(m, &info, bench_start, &out), 0);
		assert_false(out.failed);
		json = json_loadb(out.data, out.len, 0, NULL);
		tier = at(at(json, "services", 0), "tiers", 0);
		assert_int_equal(json_array_size(json_object_get(tier, "backends")), rows[i].n);
		assert_int_equal(json_array_size(json_object_get(tier, "servers")),
				 rows[i].both ? rows[i].n : 0);
		assert_int_equal(json_array_size(tier_servers(tier)), rows[i].n);
		json_decref(json);
		buf_free(&out);
		model_free(m);
		free(service->servers);
	}
}

static void show_status_has_the_models_counts(void **state)
{
	static const struct service_tally service = {.became = {1, 2, 3, 4, 5},
						     .tier_switches = 6,
						     .down = {.since_ms = 7000, .past_ms = 2000},
						     .changed_ms = 5500};
	static const struct server_tally server = {.results = {1, 2, 3, 4},
						   .failed_up = 5,
						   .became = {6, 7, 8, 9},
						   .rises = 10,
						   .falls = 11,
						   .down = {.past_ms = 12999},
						   .changed_ms = 1000};
	struct now now = {.mono_ms = 20000};
	struct control_info info = {0};
	struct bench *b = *state;
	struct buf out = {0};
	json_t *json, *counts;
	char *text;

	b->model->services[0].tally = service;
	b->model->services[0].servers[0].tally = server;
	assert_int_equal(render_status(b->model, &info, now, &out), 0);
	json = json_loads(out.data, 0, NULL);
	counts = at(json, "services", 0);
	text = json_dumps(json_object_get(counts, "counts"), JSON_COMPACT);
	assert_string_equal(
		text,
		"{\"became\":{\"not-ready\":1,\"up\":2,\"draining-only\":3,\"fail-open\":4,"
		"\"down\":5,\"blind\":0,\"panic\":0},\"tier_switches\":6,\"down_s\":15,\"changed_s\":14}");
	free(text);
	counts = json_object_get(at(at(counts, "tiers", 0), "servers", 0), "counts");
	text = json_dumps(counts, JSON_COMPACT);
	assert_string_equal(
		text,
		"{\"probes\":{\"unknown\":1,\"up\":2,\"draining\":3,\"down\":4},\"failed_up\":5,"
		"\"became\":{\"unknown\":6,\"up\":7,\"draining\":8,\"down\":9},\"rises\":10,"
		"\"falls\":11,\"down_s\":12,\"changed_s\":19}");
	free(text);
	json_decref(json);
	buf_free(&out);
}

static void show_info_has_all_that_hatop_asks_for(void **state)
{
	static const char *const keys[] = {"Name: HAProxy\n",
					   "Version: 2.6.0-mxlb-1.2.3\n",
					   "\ndescription: mxlb 1.2.3 (abcdef0)\n",
					   "\nMxlb_version: 1.2.3\n",
					   "\nIdle_pct: 0\n",
					   "\nRelease_date: 20",
					   "\nNbproc: 1\n",
					   "\nProcess_num: 1\n",
					   "\nPid: 4711\n",
					   "\nUptime: 1d 1h01m01s\n",
					   "\nUptime_sec: 90061\n",
					   "\nMaxconn: 262144\n",
					   "\nCurrConns: 1\n",
					   "\nPipesUsed: 0\n",
					   "\nMaxpipes: 0\n",
					   "\nTasks: 3\n",
					   "\nRun_queue: 0\n",
					   "\nDroppedLogs: 0\n",
					   "\nnode: ",
					   "\nXdp_eth0: native\n"};
	const char *text;

	make_probed(*state);
	text = bench_ask(*state, "show info\n");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strstr(text, keys[i]))
			fail_msg("no \"%s\" in\n%s", keys[i], text);
	bench_assert_ends(text, "\n\n");
}

static void show_events_lists_from_the_number_asked_for(void **state)
{
	struct bench *b = *state;
	uint64_t before = b->model->events.next_seq;
	char line[64], want[64];

	for (int i = 0; i < 2 * EVENT_LOG_SIZE; i++)
		snprintf(event_add(&b->model->events, EVENT_CONFIG, bench_start.wall_ms)->to, 24,
			 "n%d", i);
	snprintf(line, sizeof(line), "show events %llu\n",
		 (unsigned long long)(before ? before : 1) + 2 * EVENT_LOG_SIZE - 1);
	snprintf(want, sizeof(want), "%llu 2026-01-01T00:00:00.000Z event=config to=n%d\n\n",
		 (unsigned long long)(before ? before : 1) + 2 * EVENT_LOG_SIZE - 1,
		 2 * EVENT_LOG_SIZE - 1);
	assert_string_equal(bench_ask(b, line), want);
	bench_assert_ends(bench_ask(b, "show events\n"), want);
	assert_string_equal(bench_ask(b, "show events 18446744073709551615\n"), "\n");
}

/* A client that has read another mxlbd's events has read none of these. */
static void show_events_as_json_is_an_object_a_line_and_all_of_them_for_another_run(void **state)
{
	struct bench *b = *state;
	struct event *e = event_add(&b->model->events, EVENT_RELOAD_FAILED, bench_start.wall_ms);
	long long run = b->model->events.run;
	char want[512], line[64];

	strcpy(e->user, "alice");
	strcpy(e->cause, "bad \xff \"words\"");
	snprintf(
		want, sizeof(want),
		"{\"run\":%lld,\"seq\":%llu,\"time\":\"2026-01-01T00:00:00.000Z\",\"event\":\"reload_failed\","
		"\"level\":\"error\",\"service\":null,\"server\":null,\"backend\":null,\"interface\":null,\"from\":null,\"to\":null,"
		"\"reason\":null,\"user\":\"alice\",\"cause\":\"bad \\\\xff \\\\\\\"words\\\\\\\"\",\"line\":\"event=reload_failed "
		"user=alice cause=\\\"bad \\\\xff \\\\\\\"words\\\\\\\"\\\"\",\"dropped\":0}\n\n",
		run, (unsigned long long)e->seq);
	snprintf(line, sizeof(line), "show events %llu json\n", (unsigned long long)e->seq);
	assert_string_equal(bench_ask(b, line), want);
	snprintf(line, sizeof(line), "show events %llu %lld json\n", (unsigned long long)e->seq,
		 run);
	assert_string_equal(bench_ask(b, line), want);
	snprintf(line, sizeof(line), "show events 99 %lld json\n", run);
	assert_string_equal(bench_ask(b, line), "\n");
	snprintf(line, sizeof(line), "show events 99 %lld json\n", run - 1);
	bench_assert_ends(bench_ask(b, line), want);
}

static void a_terminal_gets_short_and_safe_text(void **state)
{
	static const struct {
		const char *in;
		size_t width;
		const char *out; /* of text_fit() */
	} fits[] = {
		{"oxford-a", 8, "oxford-a"},
		{"oxford-server-a", 12, "oxford-ser.."},
		{"abcdef", 4, "ab.."},
		{"a\033[31m\xc2\x9b\x7f", 20, "a?[31m???"},
		{"", 5, ""},
	};
	static const struct {
		long long n;
		const char *age, *count;
	} numbers[] = {
		{-5, "0s", "-5"},	    {59, "59s", "59"},
		{60, "1m", "60"},	    {11520, "3h12m", "11520"},
		{99999, "1d3h", "99999"},   {100000, "1d3h", "100k"},
		{8640000, "100d", "8640k"}, {123456789, "1428d", "123M"},
		{INT64_MAX, NULL, "9223P"},
	};
	char buf[64], number[TEXT_SHORT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(fits) / sizeof(fits[0]); i++)
		assert_string_equal(text_fit(fits[i].in, fits[i].width, buf, sizeof(buf)),
				    fits[i].out);
	assert_string_equal(text_name("oxford-server-a", 12, buf, sizeof(buf)), "oxford..er-a");
	assert_string_equal(text_name("oxford-a", 8, buf, sizeof(buf)), "oxford-a");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (numbers[i].age)
			assert_string_equal(text_age(numbers[i].n, number), numbers[i].age);
		assert_string_equal(text_count(numbers[i].n, number), numbers[i].count);
	}
}

static void a_span_of_time_has_a_unit_and_a_bound(void **state)
{
	static const struct {
		const char *text;
		unsigned s;
	} spans[] = {
		{"90", 0},
		{"90s", 90},
		{"15m", 900},
		{"1h", 3600},
		{"2d", 172800},
		{"", 0},
		{"s", 0},
		{"0", 0},
		{"-5", 0},
		{"1.5h", 0},
		{"5 s", 0},
		{"5ss", 0},
		{"5ms", 0},
		{"366d", 31622400},
		{"367d", 0},
		{" 5", 0},
		{"+5", 0},
		{"0x10", 0},
		{"99999999999999s", 0},
		{"31622401s", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
		assert_int_equal(text_seconds(spans[i].text), spans[i].s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(show_status_has_every_key_and_null_where_nothing_is_known),
		BENCH_TEST(show_status_says_from_where_to_where_a_tunnel_leads),
		BENCH_TEST(show_status_says_what_the_model_knows),
		BENCH_TEST(the_code_is_danes_where_the_probe_asks_for_dane),
		BENCH_TEST(days_left_is_rounded_down_and_null_for_dates_without_a_calendar),
		BENCH_TEST(show_status_of_many_servers_fits_into_a_reply),
		BENCH_TEST(show_status_has_the_models_counts),
		BENCH_TEST(show_info_has_all_that_hatop_asks_for),
		BENCH_TEST(show_events_lists_from_the_number_asked_for),
		BENCH_TEST(show_events_as_json_is_an_object_a_line_and_all_of_them_for_another_run),
		cmocka_unit_test(a_terminal_gets_short_and_safe_text),
		cmocka_unit_test(a_span_of_time_has_a_unit_and_a_bound),
	};

	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
