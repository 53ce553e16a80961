/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metrics' text, line by line, in both forms; and the history behind the page's chart.
 */
#include "control_bench.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "web/exposition.h"
#include "web/history.h"

static const struct zone_report *zones; /* NULL: nothing comes from DNS */

static char *render(struct bench *b, enum metrics_form form)
{
	static char text[1 << 20];
	struct control_info info = {0};
	struct buf out = {0};
	struct now now = {bench_start.mono_ms + 2500, bench_start.wall_ms + 2500};

	bench_callbacks(b)->refresh(b, &info);
	info.zones = zones;
	info.reloads_failed = 3;
	info.probe_late_p99_ms = 1250;
	metrics_render(b->model, &info, now, form, &out);
	assert_false(out.failed);
	snprintf(text, sizeof(text), "\n%s", out.data);
	buf_free(&out);
	return text;
}

static void assert_line(const char *text, const char *line)
{
	char whole[1024];

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	if (!strstr(text, whole))
		fail_msg("no line \"%s\"", line);
}

#define OXFORD_A "service=\"hybrid-mail\",tier=\"10\",backend=\"oxford-a\""

static void make_busy(struct bench *b)
{
	struct service *s = &b->model->services[0];
	struct server *a = model_find(b->model, "hybrid-mail", "oxford-a");

	a->traffic =
		(struct traffic){.flows = 7, .new_flows = 11, .bytes = 1ull << 60, .misses = 2};
	a->health.verdict = VERDICT_DOWN;
	a->health.reason = REASON_refused;
	a->last_wall_ms = bench_start.wall_ms + 1234;
	strcpy(a->last.tls.version, "TLSv1.3");
	a->last.tls.not_after = 1800000000;
	a->tally.down.since_ms = bench_start.mono_ms;
	a->tally.stage[TALLY_TOTAL] = (struct histogram){
		.n = 4, .sum_ms = 31005, .bucket = {[0] = 1, [5] = 2, [TALLY_BOUNDS] = 1}};
	a->tally.results[VERDICT_DOWN] = 4;
	s->tally.tier_switches = 5;
	s->tier.has_active = true;
	s->tier.active = 20;
	b->counters[MXLB_COUNT_ttl] = 8;
	b->counters[MXLB_COUNT_vip_conflict] = 9;
	b->service_drops[s->id][MXLB_DROP_denied] = 6;
	problem_set(&b->model->problems, &b->model->events, 0, "vip_local", "hybrid-mail", true,
		    "it is local");
}

static void numbers_are_where_their_names_say(void **state)
{
	static const char *const lines[] = {
		"mxlb_build_info{version=\"1.2.3\",build=\"abcdef0\"} 1",
		"mxlb_uptime_seconds 90061",
		"mxlb_config_loaded_timestamp_seconds 1767225600.000",
		"mxlb_config_last_load_successful 1",
		"mxlb_config_reloads_total{result=\"failed\"} 3",
		"mxlb_problem{name=\"vip_local\",service=\"hybrid-mail\"} 1",
		"mxlb_probe_lateness_seconds{quantile=\"0.99\"} 1.250",
		"mxlb_interface_xdp_mode{interface=\"eth0\",mode=\"native\"} 1",
		"mxlb_interface_xdp_mode{interface=\"eth0\",mode=\"detached\"} 0",
		"mxlb_dropped_packets_total{reason=\"ttl\"} 8",
		"mxlb_passed_packets_total{reason=\"vip_conflict\"} 9",
		"mxlb_answered_packets_total{reason=\"echo_reply\"} 0",
		"mxlb_noted_packets_total{reason=\"would_deny\"} 0",
		"mxlb_service_dropped_packets_total{service=\"hybrid-mail\",reason=\"denied\"} 6",
		"mxlb_service_state{service=\"hybrid-mail\",state=\"not-ready\"} 1",
		"mxlb_service_state{service=\"hybrid-mail\",state=\"up\"} 0",
		"mxlb_service_tier_switches_total{service=\"hybrid-mail\"} 5",
		"mxlb_tier_active{service=\"hybrid-mail\",tier=\"10\"} 0",
		"mxlb_tier_active{service=\"hybrid-mail\",tier=\"20\"} 1",
		"mxlb_backend_flows{" OXFORD_A "} 7",
		"mxlb_backend_new_connections_total{" OXFORD_A "} 11",
		"mxlb_backend_bytes_total{" OXFORD_A "} 1152921504606846976",
		"mxlb_backend_flow_misses_total{" OXFORD_A "} 2",
		"mxlb_backend_last_probe_timestamp_seconds{" OXFORD_A "} 1767225601.234",
		"mxlb_backend_certificate_expiry_timestamp_seconds{" OXFORD_A "} 1800000000",
		"mxlb_backend_downtime_seconds_total{" OXFORD_A "} 2.500",
		"mxlb_backend_verdict{" OXFORD_A ",verdict=\"down\"} 1",
		"mxlb_backend_verdict{" OXFORD_A ",verdict=\"up\"} 0",
		"mxlb_backend_admin_state{" OXFORD_A ",state=\"ready\"} 1",
		"mxlb_backend_reason{" OXFORD_A ",reason=\"refused\",exo_code=\"4.4.316\"} 1",
		"mxlb_backend_probes_total{" OXFORD_A ",result=\"down\"} 4",
	};
	struct bench *b = *state;

	make_busy(b);
	for (enum metrics_form form = METRICS_PROMETHEUS; form <= METRICS_OPENMETRICS; form++)
		for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
			assert_line(render(b, form), lines[i]);
}

static void the_last_answer_of_a_zone_has_its_time_in_seconds(void **state)
{
	static const struct {
		int64_t wall_ms;
		const char *line;
	} rows[] = {
		{0, "mxlb_zone_answer_timestamp_seconds{service=\"hybrid-mail\"} 0"},
		{1767225600999,
		 "mxlb_zone_answer_timestamp_seconds{service=\"hybrid-mail\"} 1767225600"},
	};
	struct zone *z = calloc(1, sizeof(*z));
	static struct zone_report report;

	assert_non_null(z);
	report.zones[0] = z;
	assert_null(strstr(render(*state, METRICS_PROMETHEUS), "mxlb_zone_"));
	zones = &report;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		z->answer_wall_ms = rows[i].wall_ms;
		z->set_wall_ms = 1; /* that of the stored set is another one */
		assert_line(render(*state, METRICS_PROMETHEUS), rows[i].line);
	}
	zones = NULL;
	free(z);
}

static void a_bucket_holds_what_is_below_it_too(void **state)
{
	static const char *const lines[] = {
		"_bucket{" OXFORD_A ",stage=\"total\",le=\"0.001\"} 1",
		"_bucket{" OXFORD_A ",stage=\"total\",le=\"0.100\"} 1",
		"_bucket{" OXFORD_A ",stage=\"total\",le=\"0.300\"} 3",
		"_bucket{" OXFORD_A ",stage=\"total\",le=\"1.0\"} 3",
		"_bucket{" OXFORD_A ",stage=\"total\",le=\"100.0\"} 3",
		"_bucket{" OXFORD_A ",stage=\"total\",le=\"+Inf\"} 4",
		"_sum{" OXFORD_A ",stage=\"total\"} 31.005",
		"_count{" OXFORD_A ",stage=\"total\"} 4",
	};
	struct bench *b = *state;
	char line[512];

	make_busy(b);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		snprintf(line, sizeof(line), "mxlb_backend_probe_duration_seconds%s", lines[i]);
		assert_line(render(b, METRICS_PROMETHEUS), line);
	}
}

static void what_is_not_known_has_no_sample(void **state)
{
	const char *text = render(*state, METRICS_PROMETHEUS);

	assert_null(strstr(text, "mxlb_backend_certificate_expiry_timestamp_seconds{"));
	assert_null(strstr(text, "mxlb_backend_last_probe_timestamp_seconds{"));
	assert_line(text, "# TYPE mxlb_backend_last_probe_timestamp_seconds gauge");
}

static void the_forms_differ_in_what_their_standards_say(void **state)
{
	const char *text = render(*state, METRICS_PROMETHEUS);

	assert_line(text, "# TYPE mxlb_backend_bytes_total counter");
	assert_line(text, "# TYPE mxlb_build_info gauge");
	assert_null(strstr(text, "# UNIT"));
	assert_null(strstr(text, "# EOF"));
	text = render(*state, METRICS_OPENMETRICS);
	assert_line(text, "# TYPE mxlb_backend_bytes counter");
	assert_line(text, "# UNIT mxlb_backend_bytes bytes");
	assert_line(text, "# TYPE mxlb_build info");
	bench_assert_ends(text, "\n# EOF\n");
}

static void values_of_labels_break_no_line(void **state)
{
	char labels[LABELS_SIZE] = "", longest[LABELS_SIZE];

	(void)state;
	labels_add(labels, "a", "x\"y\\z\nw");
	assert_string_equal(labels, "a=\"x\\\"y\\\\z\\nw\"");
	labels_add(labels, "b", "");
	assert_string_equal(labels, "a=\"x\\\"y\\\\z\\nw\",b=\"\"");
	for (size_t n = LABELS_SIZE - 40; n < LABELS_SIZE; n++) { /* whole or not at all */
		strcpy(labels, "a=\"1\"");
		memset(longest, '"', n);
		longest[n] = '\0';
		labels_add(labels, "b", longest + n / 2);
		assert_int_equal(labels[strlen(labels) - 1], '"');
		assert_true(strlen(labels) < LABELS_SIZE);
	}
}

static json_int_t step(struct history *h, struct model *m, size_t *n)
{
	struct buf out = {0};
	json_t *json, *counts;
	json_int_t last;

	history_step(h, m);
	assert_int_equal(history_render(h, m, &out), 0);
	json = json_loads(out.data, 0, NULL);
	buf_free(&out);
	counts = json_object_get(json_array_get(json_object_get(json, "services"), 0), "new");
	*n = json_array_size(counts);
	last = json_integer_value(json_array_get(counts, *n - 1));
	json_decref(json);
	return last;
}

static void history_holds_differences_and_forgets_the_oldest(void **state)
{
	struct bench *b = *state;
	struct traffic *t = &model_find(b->model, "hybrid-mail", "oxford-a")->traffic;
	struct history *h = calloc(1, sizeof(*h));
	size_t n;

	t->new_flows = 100;
	assert_int_equal(step(h, b->model, &n), 0); /* the earlier values are unknown */
	assert_int_equal(n, 1);
	t->new_flows = 130;
	assert_int_equal(step(h, b->model, &n), 30);
	t->new_flows = 10; /* a server went */
	assert_int_equal(step(h, b->model, &n), 0);
	t->new_flows = 11;
	assert_int_equal(step(h, b->model, &n), 1);
	for (unsigned i = 0; i < 2 * HISTORY_STEPS; i++)
		step(h, b->model, &n);
	assert_int_equal(n, HISTORY_STEPS);
	strcpy(b->model->services[0].conf.name, "another"); /* with the same id */
	assert_int_equal(step(h, b->model, &n), 0);
	assert_int_equal(n, 1);
	free(h);
}

/* For all servers with the longest names, extrapolated from three of them. */
static void metrics_at_the_limits_of_the_configuration_fit_what_a_document_may_have(void **state)
{
	struct bench *b = *state;
	struct service *s = &b->model->services[0];
	size_t len[2];

	make_busy(b);
	for (int i = 0; i < 2; i++) { /* all of them longer by 40 characters */
		memset(s->conf.name, 'x', 23 + i * 40);
		s->conf.name[23 + i * 40] = 0;
		for (unsigned k = 0; k < s->n_servers; k++) {
			memset(s->servers[k].conf.name, 'a' + k, 23 + i * 40);
			s->servers[k].conf.name[23 + i * 40] = 0;
		}
		len[i] = strlen(render(b, METRICS_OPENMETRICS));
	}
	print_message("# %zu bytes for %u servers, %zu with the longest names: %zu MiB for %d\n",
		      len[0], s->n_servers, len[1], len[1] / s->n_servers * MXLB_MAX_SERVERS >> 20,
		      MXLB_MAX_SERVERS - 1);
	assert_true(len[1] / s->n_servers * MXLB_MAX_SERVERS < 256u << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(numbers_are_where_their_names_say),
		BENCH_TEST(the_last_answer_of_a_zone_has_its_time_in_seconds),
		BENCH_TEST(a_bucket_holds_what_is_below_it_too),
		BENCH_TEST(what_is_not_known_has_no_sample),
		BENCH_TEST(the_forms_differ_in_what_their_standards_say),
		BENCH_TEST(values_of_labels_break_no_line),
		BENCH_TEST(metrics_at_the_limits_of_the_configuration_fit_what_a_document_may_have),
		BENCH_TEST(history_holds_differences_and_forgets_the_oldest),
	};

	return cmocka_run_group_tests_name("control: metrics", tests, NULL, NULL);
}
