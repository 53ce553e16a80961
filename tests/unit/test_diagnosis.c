/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core/diagnosis.c: for each state of a service its finding, its cause and the next step; and that an operator's override
 * that keeps mail from flowing is always named with the command that ends it.
 */
#include "control_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/diagnosis.h"
#include "like.h"

static struct now later = {.mono_ms = 100000, .wall_ms = 1767225700000};

static const struct rejected_summary *rejected; /* the sources that the datapath has recorded */
static bool stopped;
static const struct zone_report *report; /* what comes from DNS */

static struct diagnosis *diagnosed(struct bench *b, const char *last_error, const char *mode)
{
	static struct diagnosis d;
	const char *const modes[MXLB_MAX_PORTS] = {mode};
	const struct diagnosis_box box = {.last_error = last_error,
					  .xdp_modes = modes,
					  .rejected = rejected,
					  .zones = report,
					  .stopped = stopped};

	diagnose(b->model, &box, &d);
	return &d;
}

static void expect(struct bench *b, unsigned i, enum finding_level level, const char *code,
		   const char *text, const char *next)
{
	const struct diagnosis *d = diagnosed(b, "", "native");
	const struct finding *f = &d->list[i];
	char pattern[512];

	if (i >= d->n)
		fail_msg("%s: only %u findings", code, d->n);
	snprintf(pattern, sizeof(pattern), "*%s*", text);
	if (f->level != level || strcmp(f->code, code) || !is_like(f->text, pattern) ||
	    !is_like(f->next, next))
		fail_msg("%s: %s %s \"%s\" -> \"%s\"", code, finding_level_name(f->level), f->code,
			 f->text, f->next);
}

/* For each server the reason of its verdict, or up. */
static void probe_all(struct bench *b, enum reason reason)
{
	static const struct nexthop resolved = {
		.state = NEXTHOP_RESOLVED, .has_mac = true, .mac = {{2, 0, 0, 0, 0, 1}}};

	for (unsigned i = 0; i < 3; i++) {
		struct server *server = &b->model->services[0].servers[i];
		struct probe_result r = {.reason = reason, .stage = STAGE_DONE};

		model_nexthop(b->model, server->id, &resolved, later);
		for (unsigned n = 0; n < 4; n++)
			model_probe_result(b->model, server->id, &r, later);
	}
}

static void senders_that_were_turned_away_are_a_note_with_their_number_and_the_last_one(
	void **state)
{
	struct rejected_summary all[MXLB_MAX_SERVICES + 1] = {0};
	struct bench *b = *state;
	unsigned id = b->model->services[0].id;
	struct rejected_row row = {
		.service_id = id, .counter = MXLB_COUNT_denied, .packets = 3, .age_ms = 9000};

	probe_all(b, REASON_ok);
	rejected = all;
	assert_int_equal(diagnosed(b, "", "native")->n, 0);
	addr_parse("198.51.100.9", &row.client);
	rejected_add(all, &row);
	row.age_ms = 1000;
	addr_parse("198.51.100.10", &row.client);
	row.counter = MXLB_COUNT_no_backend;
	rejected_add(all, &row);
	row.age_ms = REJECTED_RECENT_MS; /* no longer */
	rejected_add(all, &row);
	expect(b, 0, FINDING_NOTE, "senders_rejected",
	       "hybrid-mail: turned away in the last hour: 1 not in the allow-list, 1 while no "
	       "server was available (last: 198.51.100.10)",
	       "mxlbctl rejected hybrid-mail lists their addresses");
	row.age_ms = 10;
	row.counter = MXLB_COUNT_malformed;
	row.service_id = MXLB_MAX_SERVICES;
	rejected_add(all, &row);
	expect(b, 1, FINDING_NOTE, "senders_rejected",
	       "packets to a VIP: *: 1 with malformed packets",
	       "mxlbctl rejected lists their addresses");
	memset(all, 0, sizeof(all));
	row.service_id = id;
	row.counter = MXLB_COUNT_would_deny;
	rejected_add(all, &row);
	expect(b, 0, FINDING_NOTE, "senders_would_be_denied",
	       "hybrid-mail: 1 would be denied by allow-mode: enforce",
	       "mxlbctl rejected hybrid-mail lists their addresses");
	rejected = NULL;
}

static uint32_t id_of(struct bench *b, const char *name)
{
	return model_find(b->model, "hybrid-mail", name)->id;
}

static void a_healthy_service_has_no_finding(void **state)
{
	struct bench *b = *state;

	probe_all(b, REASON_ok);
	assert_int_equal(diagnosed(b, "", "native")->n, 0);
	assert_int_equal(diagnosed(b, NULL, NULL)->n, 0);
}

static void servers_that_are_down_are_the_cause(void **state)
{
	struct bench *b = *state;

	probe_all(b, REASON_ok);
	probe_all(b, REASON_refused);
	expect(b, 0, FINDING_CRITICAL, "service_down",
	       "hybrid-mail: no server is available: senders are refused; all 3 servers: connection "
	       "refused",
	       "start the mail server there, and have it listen on the VIP too");
	expect(b, 1, FINDING_ERROR, "server_down",
	       "hybrid-mail/oxford-a is down: refused: *(450 4.4.316 in Exchange Online)",
	       "start the mail server*");
	assert_int_equal(diagnosed(b, "", "native")->n, 4);
	b->model->services[0].conf.all_down = ALL_DOWN_DROP;
	expect(b, 0, FINDING_CRITICAL, "service_down", "senders get no answer; ",
	       "start the mail server*");
}

static void overrides_that_stop_mail_are_named_with_what_ends_them(void **state)
{
	struct bench *b = *state;

	probe_all(b, REASON_ok);
	model_admin(b->model, id_of(b, "oxford-a"), ADMIN_DRAIN, "alice", later);
	expect(b, 0, FINDING_NOTE, "override", "hybrid-mail/oxford-a is drained by alice",
	       "mxlbctl ready hybrid-mail/oxford-a");
	model_admin(b->model, id_of(b, "oxford-b"), ADMIN_MAINT, "bob", later);
	expect(b, 0, FINDING_WARNING, "tier_not_best",
	       "hybrid-mail: mail goes to tier 20, not the best; oxford-a is drained by alice, oxford-b "
	       "is in maintenance by bob",
	       "mxlbctl ready hybrid-mail/oxford-a; mxlbctl ready hybrid-mail/oxford-b");
	model_weight(b->model, id_of(b, "nuneaton"), 0, "carol", later);
	expect(b, 0, FINDING_CRITICAL, "service_down",
	       "oxford-a is drained by alice, oxford-b is in maintenance by bob, nuneaton is given "
	       "weight 0",
	       "mxlbctl ready hybrid-mail/oxford-a; mxlbctl ready hybrid-mail/oxford-b; set weight "
	       "hybrid-mail/nuneaton 100% on the control socket");
}

/* G7: the dead servers are not the cause that an operator can remove at once. */
static void a_drained_server_is_the_cause_beside_dead_ones(void **state)
{
	struct bench *b = *state;

	probe_all(b, REASON_ok);
	for (unsigned i = 1; i < 3; i++) {
		struct probe_result r = {.reason = REASON_refused, .stage = STAGE_CONNECT};

		model_probe_result(b->model, b->model->services[0].servers[i].id, &r, later);
	}
	model_admin(b->model, id_of(b, "oxford-a"), ADMIN_DRAIN, "root", later);
	expect(b, 0, FINDING_CRITICAL, "service_down", "; oxford-a is drained by root",
	       "mxlbctl ready hybrid-mail/oxford-a");
}

/* G6. */
static void a_forced_tier_says_where_mail_goes(void **state)
{
	struct bench *b = *state;
	struct probe_result r = {.reason = REASON_refused, .stage = STAGE_CONNECT};

	probe_all(b, REASON_ok);
	model_force(b->model, 0, 20, "root", 0, later);
	expect(b, 0, FINDING_WARNING, "tier_forced", "hybrid-mail: tier 20 is forced by root",
	       "mxlbctl tier hybrid-mail auto");
	model_probe_result(b->model, id_of(b, "nuneaton"), &r, later);
	expect(b, 1, FINDING_WARNING, "tier_forced",
	       "tier 20 is forced by root, but has no server up: mail goes to tier 10",
	       "mxlbctl tier hybrid-mail auto");
}

static void states_without_a_server_up_say_what_is_done(void **state)
{
	static const struct {
		enum reason reason;
		const char *code, *text, *next;
	} rows[] = {
		{REASON_mail_421, "service_draining_only",
		 "no server is up: mail goes to servers that defer it; all 3 servers: ",
		 "end the back pressure (disk, memory, queues) or maintenance there: its event log names it; "
		 "see mxlbctl probe hybrid-mail/oxford-a"},
		{REASON_certificate_expired, "service_fail_open",
		 "no server has an acceptable certificate: mail is sent to them anyway (fail-open); all 3 "
		 "servers: a certificate has expired",
		 "renew it, and assign it to SMTP (Enable-ExchangeCertificate)"},
		{REASON_vip_missing, "service_down", "not on the VIP",
		 "put the VIP on its loopback interface and listen on it: mxlbctl server-setup linux|windows "
		 "hybrid-mail/oxford-a"},
	};
	struct bench *b = *state;

	expect(b, 0, FINDING_CRITICAL, "service_not_ready",
	       "starting up: no server has passed a probe", "wait for the first probe to end");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		probe_all(b, REASON_ok);
		probe_all(b, rows[i].reason);
		expect(b, 0, FINDING_CRITICAL, rows[i].code, rows[i].text, rows[i].next);
	}
}

/* Mail flows, and only the probe is refused. */
static void expect_warning(struct bench *b, enum reason reason)
{
	const struct diagnosis *d = diagnosed(b, "", "native");

	assert_int_equal(d->n, 1);
	assert_string_equal(d->list[0].code, "probe_refused");
	assert_non_null(strstr(d->list[0].text, reason_name(reason)));
	assert_true(d->list[0].next[0] && !strstr(d->list[0].next, "see the dialogue"));
}

static void a_problem_says_what_to_do_behind_its_last_semicolon(void **state)
{
	struct bench *b = *state;
	const struct diagnosis *d;

	probe_all(b, REASON_ok);
	problem_set(&b->model->problems, &b->model->events, 0, "pins", "", true,
		    "the mount is gone; mail goes on; mount it again");
	d = diagnosed(b, "", "native");
	assert_int_equal(d->n, 1);
	assert_string_equal(d->list[0].text, "the mount is gone; mail goes on");
	assert_string_equal(d->list[0].next, "mount it again");
}

static void every_reason_has_a_next_step(void **state)
{
	struct bench *b = *state;
	struct server *server = &b->model->services[0].servers[0];
	bool found;

	probe_all(b, REASON_ok);
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		const struct diagnosis *d;

		if (reason == REASON_ok)
			continue;
		server->health.verdict = reason_verdict(reason);
		server->health.reason = reason;
		d = diagnosed(b, "", "native");
		found = false;
		for (unsigned i = 0; i < d->n; i++) {
			found = found || !strcmp(d->list[i].server, "oxford-a");
			assert_true(d->list[i].text[0] && d->list[i].next[0]);
			assert_null(strchr(d->list[i].next, '%'));
		}
		assert_true(found);
	}
	health_adopt(&server->health, VERDICT_UP, REASON_ok, later.mono_ms);
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		if (reason == REASON_ok || reason_effect(reason) != EFFECT_NONE)
			continue;
		server->warning.reason = reason;
		expect_warning(b, reason);
	}
	server->warning.reason = REASON_not_probed;
}

static void what_is_wrong_with_the_box_comes_in_order_of_weight(void **state)
{
	struct bench *b = *state;
	const struct diagnosis *d;

	probe_all(b, REASON_ok);
	problem_set(&b->model->problems, &b->model->events, 0, "vip_local", "hybrid-mail", true,
		    "the VIP is an address of this box");
	stopped = true;
	d = diagnosed(b, "", "native");
	stopped = false;
	assert_int_equal(d->n, 2);
	assert_string_equal(d->list[0].code, "mxlbd_stopped");
	d = diagnosed(b, "mxlb.yaml:1:1: x: unknown key\nmore\n", "detached");
	assert_int_equal(d->n, 3);
	assert_string_equal(d->list[0].text, "hybrid-mail: the VIP is an address of this box");
	assert_string_equal(d->list[1].code, "interface_detached");
	assert_string_equal(d->list[2].text,
			    "the last reload failed, so the earlier configuration is in force: "
			    "mxlb.yaml:1:1: x: unknown key");
	assert_int_equal(d->list[2].level, FINDING_WARNING);
}

static void an_allow_file_that_nobody_renews_is_a_warning_after_two_weeks(void **state)
{
	static const struct {
		const char *file;
		int64_t age_days;
		bool known, found;
	} rows[] = {
		{"", 99, true, false},	      {"/e.json", 13, true, false},
		{"/e.json", 14, true, true},  {"/e.json", 99, false, false},
		{"/e.json", -3, true, false}, /* the clock was set back */
	};
	struct bench *b = *state;
	struct service *s = &b->model->services[0];
	struct diagnosis d;

	probe_all(b, REASON_ok);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t at[MXLB_MAX_SERVICES] = {0};
		struct diagnosis_box box = {.now_wall_ms = later.wall_ms};

		at[s->id] = later.wall_ms - rows[i].age_days * 86400 * 1000;
		box.allow_changed_wall_ms = rows[i].known ? at : NULL;
		strcpy(s->conf.allow_file, rows[i].file);
		diagnose(b->model, &box, &d);
		assert_int_equal(d.n, rows[i].found);
		if (!rows[i].found)
			continue;
		assert_string_equal(d.list[0].code, "allow_file_old");
		assert_int_equal(d.list[0].level, FINDING_WARNING);
		assert_non_null(strstr(d.list[0].text, "/e.json was last renewed 14 days ago: mail "
						       "from addresses that are new since then is "
						       "denied"));
		assert_non_null(strstr(d.list[0].next, "mxlb-endpoints.timer"));
	}
}

/* ---- DNS ---- */

static struct zone zone;
static struct zone_map map;
static struct tlsaset tlsaset;
static struct zone_report from_dns;

/* The service's servers are those of a zone that was answered, and nothing is wrong. */
static void serve_by_zone(struct bench *b)
{
	static const char *const names[] = {"oxford-a.example.net", "oxford-b.example.net",
					    "nuneaton.example.net"};

	memset(&map, 0, sizeof(map));
	zone = (struct zone){.state = ZONE_CURRENT, .has_set = true, .has_answer = true};
	for (unsigned i = 0; i < 3; i++)
		strcpy(zone.in_force.list[zone.in_force.n++].name, names[i]);
	tlsaset = (struct tlsaset){.state = TLSASET_NONE};
	from_dns = (struct zone_report){.zones = {&zone}, .maps = {&map}};
	strcpy(b->model->services[0].conf.zone.mx, "example.net");
	report = &from_dns;
	probe_all(b, REASON_ok);
}

static const struct {
	enum zone_state state;
	enum dns_result last;
	const char *why;
	enum finding_level level;
	const char *code, *text, *next;
} zone_rows[] = {
	{ZONE_KEPT, DNS_OK, "no answer since the start", FINDING_WARNING, "zone_kept",
	 "hybrid-mail: the last servers from DNS stay in force: no answer since the start",
	 "wait for the first lookup: mxlbctl zone hybrid-mail shows it"},
	{ZONE_KEPT, DNS_TIMEOUT, "example.net: the resolver did not answer within 5 s",
	 FINDING_WARNING, "zone_kept", "example.net: the resolver did not answer within 5 s",
	 "check that this box reaches its resolvers (dns.resolvers, else "
	 "/etc/resolv.conf); then mxlbctl zone hybrid-mail read"},
	{ZONE_KEPT, DNS_SERVFAIL, "example.net: the resolver could not answer", FINDING_WARNING,
	 "zone_kept", "could not answer",
	 "check the zone's name servers, and the resolvers (dns.resolvers, else "
	 "/etc/resolv.conf); then mxlbctl zone hybrid-mail read"},
	{ZONE_KEPT, DNS_BOGUS, "example.net: bogus", FINDING_WARNING, "zone_kept", "bogus",
	 "check the zone's signatures and DS record, dns.trust-anchors and this box's "
	 "clock; if the zone is not to be validated, list it in dns.insecure; then "
	 "mxlbctl zone hybrid-mail read"},
	{ZONE_KEPT, DNS_UNSIGNED, "example.net: not signed", FINDING_WARNING, "zone_kept",
	 "not signed", "sign the zone, or set dnssec: prefer; then mxlbctl zone hybrid-mail read"},
	{ZONE_KEPT, DNS_LOCAL,
	 "example.net: this box could not ask: the resolver child does not start: "
	 "libunbound.so.8 is missing; install libunbound8",
	 FINDING_WARNING, "zone_kept", "does not start: libunbound.so.8 is missing",
	 "install libunbound8, then mxlbctl zone hybrid-mail read"},
	{ZONE_KEPT, DNS_UNUSABLE,
	 "example.net: the records in the answer cannot be used: more than 64 exchangers; publish "
	 "fewer",
	 FINDING_WARNING, "zone_kept", "cannot be used: more than 64 exchangers",
	 "publish fewer, then mxlbctl zone hybrid-mail read"},
	{ZONE_KEPT, DNS_LOCAL, "example.net: this box could not ask: no memory", FINDING_WARNING,
	 "zone_kept", "no memory", "see mxlbd's log; then mxlbctl zone hybrid-mail read"},
	{ZONE_REFUSED, DNS_NODATA, "example.net: the name has no MX records", FINDING_ERROR,
	 "zone_refused",
	 "hybrid-mail: the zone has no servers, the last ones stay in force: example.net: "
	 "the name has no MX records",
	 "publish its MX records, or correct mx; then mxlbctl zone hybrid-mail read"},
	{ZONE_REFUSED, DNS_NULL_MX, "example.net: null MX", FINDING_ERROR, "zone_refused",
	 "null MX", "replace the null MX by MX records; then mxlbctl zone hybrid-mail read"},
	{ZONE_HELD, DNS_OK, "only 1 of 3 exchangers are left in the zone", FINDING_WARNING,
	 "zone_held",
	 "hybrid-mail: a change of the zone is held back: only 1 of 3 exchangers are left in "
	 "the zone",
	 "see what it would change: mxlbctl zone hybrid-mail; if that is intended: mxlbctl "
	 "zone hybrid-mail accept"},
	{ZONE_HELD, DNS_OK, "no exchanger has an address; set addresses below servers",
	 FINDING_WARNING, "zone_held", "no exchanger has an address",
	 "set addresses below servers, then mxlbctl zone hybrid-mail read"},
};

static void the_zones_states_have_their_cause_and_next_step(void **state)
{
	struct bench *b = *state;

	serve_by_zone(b);
	assert_int_equal(diagnosed(b, "", "native")->n, 0);
	for (size_t i = 0; i < sizeof(zone_rows) / sizeof(*zone_rows); i++) {
		zone.state = zone_rows[i].state;
		zone.last = zone_rows[i].last;
		strcpy(zone.why, zone_rows[i].why);
		expect(b, 0, zone_rows[i].level, zone_rows[i].code, zone_rows[i].text,
		       zone_rows[i].next);
		assert_int_equal(diagnosed(b, "", "native")->n, 1);
	}
	report = NULL;
}

static void what_is_not_in_force_yet_and_what_gets_no_mail_is_named(void **state)
{
	struct bench *b = *state;

	serve_by_zone(b);
	zone.again_ms = 1;
	expect(b, 0, FINDING_WARNING, "zone_pending", "the zone has changed again",
	       "wait, or see mxlbctl zone hybrid-mail");
	zone.in_force.list[0].absent.lookups = 1;
	zone.in_force.list[1].n = 1;
	zone.in_force.list[1].addresses[0].absent.lookups = 1;
	expect(b, 0, FINDING_WARNING, "zone_pending",
	       "hybrid-mail: oxford-a.example.net, an address of oxford-b.example.net left the "
	       "zone; no mail went there",
	       "wait, or see mxlbctl zone hybrid-mail");
	addr_parse("203.0.113.12", &map.servers[0].address);
	zone.in_force.list[1].addresses[0].addr = map.servers[0].address;
	map.n = 1;
	expect(b, 0, FINDING_WARNING, "zone_pending",
	       "hybrid-mail: an address of oxford-b.example.net left the zone: mail still goes "
	       "there until that is certain",
	       "wait, or see mxlbctl zone hybrid-mail");
	strcpy(map.unmapped[0], "resolves to the VIP 203.0.113.25: set its address below servers:");
	assert_int_equal(diagnosed(b, "", "native")->n, 1); /* nothing is to be done about it */
	serve_by_zone(b);
	strcpy(map.unmapped[2], "resolves to the VIP 203.0.113.25: set its address below servers:");
	zone.in_force.list[1].alias = true;
	expect(b, 0, FINDING_WARNING, "zone_unmapped",
	       "hybrid-mail: nuneaton.example.net resolves to the VIP 203.0.113.25",
	       "set its address below servers:");
	expect(b, 1, FINDING_WARNING, "zone_alias",
	       "hybrid-mail: MX records name aliases (RFC 2181 section 10.3): oxford-b.example.net",
	       "name the host itself in the MX record");
	report = NULL;
}

static void a_service_without_servers_of_dns_says_why(void **state)
{
	struct bench *b = *state;
	struct service *s = &b->model->services[0];

	serve_by_zone(b);
	s->n_servers = 0;
	zone.has_set = zone.has_answer = false;
	zone.in_force.n = 0;
	zone.state = ZONE_KEPT;
	zone.last = DNS_TIMEOUT;
	expect(b, 0, FINDING_CRITICAL, "service_not_ready",
	       "hybrid-mail: it has no server, so the VIP does not answer: example.net has not "
	       "given any yet",
	       "check that this box reaches its resolvers* mxlbctl zone hybrid-mail read");
	report = NULL; /* not known */
	expect(b, 0, FINDING_CRITICAL, "service_not_ready", "has not given any yet", "");
	serve_by_zone(b);
	s->n_servers = 0;
	strcpy(map.unmapped[0], "resolves to the VIP 203.0.113.25: set its address below servers:");
	expect(b, 0, FINDING_CRITICAL, "service_not_ready",
	       "does not answer: oxford-a.example.net resolves to the VIP 203.0.113.25",
	       "set its address below servers:");
	s->n_servers = 3;
	report = NULL;
}

static void tlsa_records_that_would_stop_mail_are_told(void **state)
{
	struct bench *b = *state;

	serve_by_zone(b);
	from_dns.tlsasets[0] = &tlsaset;
	assert_int_equal(diagnosed(b, "", "native")->n, 0); /* none at all */
	tlsaset.state = TLSASET_KEPT;
	assert_int_equal(diagnosed(b, "", "native")->n, 0); /* not asked yet */
	tlsaset.failures = 1;
	tlsaset.last = DNS_BOGUS;
	strcpy(tlsaset.why, "the answer is bogus");
	expect(b, 0, FINDING_ERROR, "tlsa_kept", "none is in force: the answer is bogus",
	       "check the zone's signatures*dns.insecure* mxlbctl "
	       "zone hybrid-mail read");
	tlsaset = (struct tlsaset){.state = TLSASET_CURRENT, .n = 1};
	from_dns.tlsa_unmatched[0] = true;
	expect(b, 0, FINDING_WARNING, "tlsa_unmatched",
	       "no server of the best tier has a key that matches",
	       "publish the record of the new key beside the old one, or put the old key back "
	       "(docs/zone.md)");
	from_dns.tlsa_unmatched[0] = false;
	tlsaset = (struct tlsaset){.state = TLSASET_NONE, .warn = true};
	strcpy(tlsaset.why, "none of its 1 records is usable for SMTP; publish usage 3 or 2");
	expect(b, 0, FINDING_WARNING, "tlsa_unusable", "none of its 1 records is usable for SMTP",
	       "publish usage 3 or 2");
	report = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(a_healthy_service_has_no_finding),
		BENCH_TEST(servers_that_are_down_are_the_cause),
		BENCH_TEST(overrides_that_stop_mail_are_named_with_what_ends_them),
		BENCH_TEST(a_drained_server_is_the_cause_beside_dead_ones),
		BENCH_TEST(a_forced_tier_says_where_mail_goes),
		BENCH_TEST(states_without_a_server_up_say_what_is_done),
		BENCH_TEST(every_reason_has_a_next_step),
		BENCH_TEST(a_problem_says_what_to_do_behind_its_last_semicolon),
		BENCH_TEST(
			senders_that_were_turned_away_are_a_note_with_their_number_and_the_last_one),
		BENCH_TEST(what_is_wrong_with_the_box_comes_in_order_of_weight),
		BENCH_TEST(the_zones_states_have_their_cause_and_next_step),
		BENCH_TEST(what_is_not_in_force_yet_and_what_gets_no_mail_is_named),
		BENCH_TEST(a_service_without_servers_of_dns_says_why),
		BENCH_TEST(tlsa_records_that_would_stop_mail_are_told),
		BENCH_TEST(an_allow_file_that_nobody_renews_is_a_warning_after_two_weeks),
	};

	return cmocka_run_group_tests_name("diagnosis", tests, NULL, NULL);
}
