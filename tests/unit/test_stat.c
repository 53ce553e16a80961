/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `show stat` and related commands: HAProxy 2.6's columns in its order, its words for each state and check, its
 * filters and longer forms. The expected output came from a HAProxy 2.6.12.
 */
#include "control_bench.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "haproxy/stat_row.h"

static const char header[] =
	"# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eres"
	"p,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid"
	",iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_c"
	"ode,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanaf"
	"ail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,co"
	"mp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_cod"
	"e,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_"
	"rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_"
	"tot,intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,srv_icur,s"
	"rc_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur"
	",used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,a"
	"gg_check_status,"
	"\n";

static struct server *server(struct bench *b, const char *name)
{
	return model_find(b->model, "hybrid-mail", name);
}

static const char *status(struct bench *b, const char *name)
{
	static char text[32];

	return stat_status(&b->model->services[0], server(b, name), text, sizeof(text));
}

static void the_header_is_haproxys_byte_for_byte(void **state)
{
	const char *text = bench_ask(*state, "show stat\n");

	bench_assert_begins(text, header);
	bench_assert_ends(text, "\n\n");
	for (const char *line = strchr(text, '\n') + 1; *line != '\n';
	     line = strchr(line, '\n') + 1) {
		unsigned commas = 0;

		for (const char *c = line; *c != '\n'; c++)
			commas += *c == ',';
		assert_int_equal(commas,
				 STAT_COUNT); /* hatop skips rows with fewer than 53 columns */
	}
}

static void each_state_has_haproxys_word(void **state)
{
	static const struct {
		enum verdict before;
		enum admin_state admin;
		uint32_t differing; /* fall 3, rise 2 */
		bool rising;
		const char *word;
		uint32_t health;
	} rows[] = {
		{VERDICT_UNKNOWN, ADMIN_READY, 0, false, "no check", 0},
		{VERDICT_UP, ADMIN_READY, 0, false, "UP", 4},
		{VERDICT_UP, ADMIN_READY, 0, true, "UP", 4},
		{VERDICT_UP, ADMIN_READY, 1, false, "UP 2/3", 3},
		{VERDICT_UP, ADMIN_READY, 2, false, "UP 1/3", 2},
		{VERDICT_UP, ADMIN_READY, 9, false, "UP", 4}, /* fall was larger before a reload */
		{VERDICT_DOWN, ADMIN_READY, 0, false, "DOWN", 0},
		{VERDICT_DOWN, ADMIN_READY, 1, true, "DOWN 1/2", 1},
		{VERDICT_DOWN, ADMIN_READY, 2, false, "DOWN", 0},
		{VERDICT_DRAINING, ADMIN_READY, 0, false, "NOLB", 4},
		{VERDICT_DRAINING, ADMIN_READY, 1, false, "NOLB 2/3", 3},
		{VERDICT_DRAINING, ADMIN_READY, 1, true, "NOLB", 4},
		{VERDICT_UP, ADMIN_DRAIN, 0, false, "DRAIN", 4},
		{VERDICT_UP, ADMIN_DRAIN, 1, false, "DRAIN 2/3", 3},
		{VERDICT_DRAINING, ADMIN_DRAIN, 0, false, "DRAIN", 4},
		{VERDICT_DOWN, ADMIN_DRAIN, 0, false, "DOWN", 0},
		{VERDICT_UP, ADMIN_MAINT, 0, false, "MAINT", 4},
		{VERDICT_DOWN, ADMIN_MAINT, 0, false, "MAINT", 0},
	};
	struct bench *b = *state;
	struct server *s = server(b, "oxford-a");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s->admin = rows[i].admin;
		s->health = (struct health){.verdict = VERDICT_UNKNOWN, /* what was before counts */
					    .before = rows[i].before,
					    .differing = rows[i].differing,
					    .rising = rows[i].rising};
		assert_string_equal(status(b, "oxford-a"), rows[i].word);
		assert_int_equal(stat_health(&b->model->services[0], s), rows[i].health);
	}
}

static void each_reason_is_one_of_haproxys_checks(void **state)
{
	static const struct {
		enum reason reason;
		enum probe_stage stage;
		const char *check;
	} rows[] = {
		{REASON_ok, STAGE_DONE, "L7OK"},
		{REASON_local_error, STAGE_CONNECT, "SOCKERR"},
		{REASON_local_stall, STAGE_TLS, "SOCKERR"},
		{REASON_refused, STAGE_CONNECT, "L4CON"},
		{REASON_unreachable, STAGE_CONNECT, "L4CON"},
		{REASON_connect_timeout, STAGE_CONNECT, "L4TOUT"},
		{REASON_vip_missing, STAGE_CONNECT, "L4TOUT"},
		{REASON_not_on_link, STAGE_CONNECT, "L4TOUT"},
		{REASON_tunnel_silent, STAGE_CONNECT, "L4TOUT"},
		{REASON_greeting_silent, STAGE_GREETING, "L7TOUT"},
		{REASON_timeout, STAGE_EHLO, "L7TOUT"},
		{REASON_timeout, STAGE_TLS, "L6TOUT"},
		{REASON_closed_early, STAGE_EHLO, "L7RSP"},
		{REASON_closed_early, STAGE_TLS, "L6RSP"},
		{REASON_tls_handshake, STAGE_TLS, "L6RSP"},
		{REASON_certificate_expired, STAGE_TLS, "L6RSP"},
		{REASON_tlsa_mismatch, STAGE_TLS, "L6RSP"},
		{REASON_greeting_421, STAGE_GREETING, "L7STS"},
		{REASON_mail_4xx, STAGE_MAIL_FROM, "L7STS"},
		{REASON_mail_refused, STAGE_MAIL_FROM, "L7STS"},
		{REASON_malformed, STAGE_EHLO, "L7RSP"},
	};
	struct bench *b = *state;
	struct service *s = &b->model->services[0];
	struct server *a = server(b, "oxford-a");

	assert_string_equal(stat_check_name(stat_check(s, a)), "INI");
	a->last_wall_ms = 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		a->last.reason = rows[i].reason;
		a->last.stage = rows[i].stage;
		assert_string_equal(stat_check_name(stat_check(s, a)), rows[i].check);
	}
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		a->last.reason = reason;
		assert_non_null(stat_check_name(stat_check(s, a)));
		assert_non_null(stat_check_text(stat_check(s, a)));
	}
	s->probe.depth = DEPTH_CONNECT;
	a->last.reason = REASON_ok;
	assert_string_equal(stat_check_name(stat_check(s, a)), "L4OK");
}

/* Line n after the header. */
static const char *row(struct bench *b, const char *words, unsigned n)
{
	static char line[2048];
	char ask[128];
	const char *text;

	snprintf(ask, sizeof(ask), "show stat %s\n", words);
	text = bench_ask(b, ask);
	for (; n; n--)
		text = strchr(text, '\n') + 1;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
	return line;
}

static void rows_have_the_models_numbers(void **state)
{
	struct bench *b = *state;
	struct server *a = server(b, "oxford-a");

	a->traffic = (struct traffic){.flows = 3, .new_flows = 40, .bytes = 5000, .retransmits = 6};
	a->tally.failed_up = 7;
	a->tally.falls = 8;
	a->weight = 9;
	a->in_ring = true;
	a->health.before = VERDICT_UP;
	a->last_wall_ms = 1;
	a->last = (struct probe_result){.reason = REASON_ok, .smtp_code = 250, .total_ms = 12};
	strcpy(a->last.text, "250 \"ok\", all");
	a->tally.changed_ms = b->model->services[0].tally.changed_ms = INT64_MAX; /* 0 s ago */
	b->service_drops[0][MXLB_DROP_denied] = 10;
	b->service_drops[0][MXLB_DROP_syn_limit] = 1;
	b->service_drops[0][MXLB_DROP_malformed] = 2;
	b->model->services[0].tier.state = SERVICE_UP;
	assert_string_equal(
		row(b, "", 1),
		"hybrid-mail,FRONTEND,,,3,3,262144,40,5000,0,11,0,2,,,,,OPEN,,,,,,,,,1,1,0,,,,0,0,0,0,,,,"
		",,,,,,,0,0,0,,,0,0,0,0,,,,,,,,,,,,,,,,,,,,,tcp,,0,0,40,,0,0,0,,,,,,,,,,,0,,,,,,,,,");
	assert_string_equal(
		row(b, "", 2),
		"hybrid-mail,oxford-a,0,0,3,3,,40,5000,0,,0,,0,0,6,0,UP,9,1,0,7,8,0,0,,1,1,1,,40,"
		",2,0,,0,L7OK,250,12,,,,,,,,,,,0,0,,,,,-1,\"250 \"\"ok\"\", all\",,0,0,0,0,,,,Layer7 ch"
		"eck passed,,2,3,4,,,,203.0.113.11:25,,tcp,,,,,,,,0,0,0,,,0,,0,0,0,0,0,0,0,0,0,9,"
		",,,");
	assert_string_equal(
		row(b, "", 5),
		"hybrid-mail,BACKEND,0,0,3,3,262144,40,5000,0,11,0,,0,0,6,0,UP,9,1,0,,0,0,0,,1,1,"
		"0,,40,,1,0,,0,,,,,,,,,,,,,,0,0,0,0,0,0,-1,,,0,0,0,0,,,,,,,,,,,,,,tcp,maglev,,,,,"
		",,0,0,0,,,,,0,0,0,0,0,,,,,9,0,0,0,");
	a->admin = ADMIN_MAINT;
	assert_non_null(strstr(row(b, "", 2), ",MAINT,9,1,0,7,8,"));
	assert_null(strstr(row(b, "", 2), "L7OK"));
}

/*
 * The columns that HAProxy 2.6.12 fills for a TCP proxy with a checked server: a client that reads any of them finds a
 * value.
 */
static void each_column_that_haproxy_fills_has_a_value(void **state)
{
	static const struct {
		unsigned row;
		const char *columns;
	} rows[] = {
		{1,
		 "pxname svname scur smax slim stot bin bout dreq dresp ereq status pid iid sid type "
		 "rate rate_lim rate_max req_rate req_rate_max req_tot comp_in comp_out comp_byp "
		 "comp_rsp mode conn_rate conn_rate_max conn_tot dcon dses wrew eint"},
		{2,
		 "pxname svname qcur qmax scur smax stot bin bout dresp econ eresp wretr wredis status "
		 "weight act bck chkfail chkdown lastchg downtime pid iid sid lbtot type rate rate_max "
		 "check_status check_duration cli_abrt srv_abrt lastsess last_chk qtime ctime rtime "
		 "ttime check_desc check_rise check_fall check_health addr mode wrew connect reuse "
		 "srv_icur qtime_max ctime_max rtime_max ttime_max eint idle_conn_cur safe_conn_cur "
		 "used_conn_cur need_conn_est uweight"},
		{5,
		 "pxname svname qcur qmax scur smax slim stot bin bout dreq dresp econ eresp wretr "
		 "wredis status weight act bck chkdown lastchg downtime pid iid sid lbtot type rate "
		 "rate_max cli_abrt srv_abrt comp_in comp_out comp_byp comp_rsp lastsess qtime ctime "
		 "rtime ttime mode algo wrew connect reuse qtime_max ctime_max rtime_max ttime_max "
		 "eint uweight agg_server_status agg_server_check_status agg_check_status"},
	};
	struct bench *b = *state;

	server(b, "oxford-a")->last_wall_ms = 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char names[2048], values[2048], *name, *value, *n = names, *v = values, want[64];

		snprintf(names, sizeof(names), "%s", row(b, "", 0) + 2);
		snprintf(values, sizeof(values), "%s", row(b, "", rows[i].row));
		while ((name = strsep(&n, ",")) && (value = strsep(&v, ","))) {
			snprintf(want, sizeof(want), " %s ", name);
			if (*name && !*value) {
				char all[1024];

				snprintf(all, sizeof(all), " %s ", rows[i].columns);
				if (strstr(all, want))
					fail_msg("row %u: %s is empty", rows[i].row, name);
			}
		}
	}
}

static void sessions_a_second_and_the_most_of_them_are_shown(void **state)
{
	struct bench *b = *state;
	struct service *s = &b->model->services[0];
	struct stat_row r;

	tally_second(&s->tally.rate, 2, 100, 1000);
	tally_second(&s->tally.rate, 7, 150, 2000);
	tally_second(&s->tally.rate, 3, 160, 4000);
	stat_backend(b->model, s, &(struct control_info){0}, (struct now){.mono_ms = 9500}, &r);
	assert_int_equal(r.v[STAT_smax].n, 7);
	assert_int_equal(r.v[STAT_rate].n, 5);
	assert_int_equal(r.v[STAT_rate_max].n, 50);
	assert_int_equal(r.v[STAT_lastsess].n, 5);
	stat_server(s, &s->servers[0], (struct now){.mono_ms = 9500}, &r);
	assert_int_equal((int32_t)r.v[STAT_lastsess].n, -1);
}

static void severities_are_given_where_they_are_asked_for(void **state)
{
	static const struct {
		const char *line, *reply; /* as a HAProxy 2.6.12 answered */
	} rows[] = {
		{"set severity-output number;set server hybrid-mail/x state drain;quit\n",
		 "\n[3]: No such server.\n\n"},
		{"set severity-output string;set server hybrid-mail/oxford-a state foo\n",
		 "\n[err]: 'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n"},
		{"set severity-output number;get weight hybrid-mail/oxford-a\n",
		 "\n1 (initial 1)\n\n"},
		{"set severity-output number;show servers state nix\n",
		 "\n[3]: Can't find backend.\n\n"},
		{"set severity-output number;show stat nix 1 1\n", "\n[3]: No such proxy.\n\n"},
		{"set severity-output number;show version\n", "\n[6]: 2.6.0-mxlb-1.2.3\n\n"},
		{"set severity-output number;set severity-output none;show stat nix 1 1\n",
		 "\n\nNo such proxy.\n\n"},
		{"set severity-output foo\n",
		 "one of 'none', 'number', 'string' is a required argument\n\n"},
		{"set severity-output\n",
		 "one of 'none', 'number', 'string' is a required argument\n\n"},
		{"disable agent hybrid-mail/oxford-a; enable health hybrid-mail/oxford-a\n",
		 "\n\n"},
		{"enable agent hybrid-mail/oxford-a\n",
		 "Agent was not configured on this server, cannot enable.\n\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(bench_ask(*state, rows[i].line), rows[i].reply);
	bench_assert_begins(bench_ask(*state, "set severity-output number;foo\n"),
			    "\n[6]: Unknown command");
}

static void times_are_in_whole_seconds(void **state)
{
	struct bench *b = *state;
	struct service *s = &b->model->services[0];
	struct now now = {.mono_ms = 20999};
	struct stat_row r;

	s->servers[0].tally.changed_ms = 15000;
	s->servers[0].tally.down = (struct downtime){.since_ms = 19000, .past_ms = 2500};
	stat_server(s, &s->servers[0], now, &r);
	assert_int_equal(r.v[STAT_lastchg].n, 5);
	assert_int_equal(r.v[STAT_downtime].n, 4);
	s->tally.changed_ms = 1000;
	s->tally.down.past_ms = 7999;
	s->tally.became[SERVICE_DOWN] = 3;
	stat_backend(b->model, s, &(struct control_info){0}, now, &r);
	assert_int_equal(r.v[STAT_lastchg].n, 19);
	assert_int_equal(r.v[STAT_downtime].n, 7);
	assert_int_equal(r.v[STAT_chkdown].n, 3);
}

static void filters_are_haproxys(void **state)
{
	static const struct {
		const char *words, *names; /* of the rows */
	} rows[] = {
		{"", "FRONTEND oxford-a oxford-b nuneaton BACKEND "},
		{"-1 -1 -1", "FRONTEND oxford-a oxford-b nuneaton BACKEND "},
		{"1 1 -1", "FRONTEND "},
		{"1 2 -1", "BACKEND "},
		{"1 4 -1", "oxford-a oxford-b nuneaton "},
		{"1 6 -1", "oxford-a oxford-b nuneaton BACKEND "},
		{"hybrid-mail 4 2", "oxford-b "},
		{"2 4 -1", ""},
		{"1 4", "FRONTEND oxford-a oxford-b nuneaton BACKEND "}, /* all three or none */
		{"zzz", "FRONTEND oxford-a oxford-b nuneaton BACKEND "},
		{"1 4 -1 no-maint", "oxford-a nuneaton "},
		{"1 4 -1 up", "nuneaton "},
		{"domain proxy 1 1 -1", "FRONTEND "},
	};
	struct bench *b = *state;

	server(b, "oxford-a")->health.before = VERDICT_DOWN;
	server(b, "oxford-b")->admin = ADMIN_MAINT;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char names[256] = "", name[64];
		unsigned n = 1;

		while (sscanf(row(b, rows[i].words, n++), "hybrid-mail,%63[^,]", name) == 1)
			snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s ", name);
		assert_string_equal(names, rows[i].names);
	}
	assert_string_equal(bench_ask(b, "show stat foo 4 -1\n"), "No such proxy.\n\n");
	assert_string_equal(bench_ask(b, "show stat domain dns\n"),
			    "Invalid statistics domain.\n\n");
}

static void typed_and_json_have_haproxys_form(void **state)
{
	struct bench *b = *state;
	const char *text = bench_ask(b, "show stat 1 4 2 typed\n");
	json_t *json, *field;

	bench_assert_begins(text, "S.1.2.0.pxname.1:KNS:str:hybrid-mail\n"
				  "S.1.2.1.svname.1:KNS:str:oxford-b\n"
				  "S.1.2.2.qcur.1:MGP:u64:0\nS.1.2.3.qmax.1:MMP:u64:0\n"
				  "S.1.2.4.scur.1:MGP:u32:0\nS.1.2.5.smax.1:MMP:u32:0\n");
	assert_non_null(strstr(text, "\nS.1.2.17.status.1:SGP:str:no check\n"));
	assert_non_null(strstr(text, "\nS.1.2.99.uweight.1:MaP:u32:1\n"));
	json = json_loads(bench_ask(b, "show stat json\n"), JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(json_array_size(json), 5);
	field = json_array_get(json_array_get(json, 1), 1);
	text = json_dumps(field, JSON_COMPACT);
	assert_string_equal(
		text,
		"{\"objType\":\"Server\",\"proxyId\":1,\"id\":1,\"field\":{\"pos\":1,\"name\":"
		"\"svname\"},\"processNum\":1,\"tags\":{\"origin\":\"Key\",\"nature\":\"Name\","
		"\"scope\":\"Service\"},\"value\":{\"type\":\"str\",\"value\":\"oxford-a\"}}");
	free((void *)text);
	json_decref(json);
	bench_assert_begins(bench_ask(b, "show info typed\n"),
			    "0.Name.1:POS:str:HAProxy\n1.Version.1:POS:str:2.6.0-mxlb-1.2.3\n");
	json = json_loads(bench_ask(b, "show info json\n"), JSON_REJECT_DUPLICATES, NULL);
	assert_true(json_array_size(json) > 20);
	json_decref(json);
}

static void show_servers_state_has_haproxys_numbers(void **state)
{
	static const struct {
		enum verdict before;
		enum reason last;
		enum admin_state admin;
		const char *numbers;
	} rows[] = {
		{VERDICT_UP, REASON_ok, ADMIN_READY, "2 0 1 1 0 15 3 4 6"},
		{VERDICT_UP, REASON_ok, ADMIN_DRAIN, "2 8 1 1 0 15 3 4 6"},
		{VERDICT_UP, REASON_ok, ADMIN_MAINT, "0 1 1 1 0 15 3 0 14"},
		{VERDICT_DOWN, REASON_refused, ADMIN_READY, "0 0 1 1 0 8 2 0 6"},
		{VERDICT_DRAINING, REASON_mail_4xx, ADMIN_READY, "3 0 1 1 0 17 4 4 6"},
	};
	struct bench *b = *state;
	struct server *a = server(b, "oxford-a");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char want[128];

		a->health.before = rows[i].before;
		a->admin = rows[i].admin;
		a->last.reason = rows[i].last;
		a->last_wall_ms = 1;
		a->tally.changed_ms = INT64_MAX;
		snprintf(want, sizeof(want),
			 "\n1 hybrid-mail 1 oxford-a 203.0.113.11 %s 0 0 0 - 25 - 0 0 - - 0\n",
			 rows[i].numbers);
		if (!strstr(bench_ask(b, "show servers state\n"), want))
			fail_msg("not there: %s", want);
	}
	bench_assert_begins(bench_ask(b, "show servers state hybrid-mail\n"),
			    "1\n# be_id be_name ");
	assert_string_equal(bench_ask(b, "show servers state x\n"), "Can't find backend.\n\n");
	assert_string_equal(bench_ask(b, "show backend\n"), "# name\nhybrid-mail\n\n");
	assert_string_equal(bench_ask(b, "show version\n"), "2.6.0-mxlb-1.2.3\n\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(the_header_is_haproxys_byte_for_byte),
		BENCH_TEST(each_state_has_haproxys_word),
		BENCH_TEST(each_reason_is_one_of_haproxys_checks),
		BENCH_TEST(rows_have_the_models_numbers),
		BENCH_TEST(each_column_that_haproxy_fills_has_a_value),
		BENCH_TEST(sessions_a_second_and_the_most_of_them_are_shown),
		BENCH_TEST(severities_are_given_where_they_are_asked_for),
		BENCH_TEST(times_are_in_whole_seconds),
		BENCH_TEST(filters_are_haproxys),
		BENCH_TEST(typed_and_json_have_haproxys_form),
		BENCH_TEST(show_servers_state_has_haproxys_numbers),
	};

	return cmocka_run_group_tests_name("stat", tests, NULL, NULL);
}
