/* SPDX-License-Identifier: BSD-2-Clause */
/* core/dns.c and tlsaset.c: each row of their tables in docs/zone.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/tlsaset.h"

#define REFRESH_MIN_MS 30000

static const struct dns_conf dns = {.refresh_min_ms = REFRESH_MIN_MS,
				    .refresh_max_ms = 120 * REFRESH_MIN_MS};

static int name_of(const char *bytes, size_t len, char out[DNS_NAME_SIZE])
{
	return dns_name((const uint8_t *)bytes, len, out);
}

static void names_in_wire_form_are_exact(void **state)
{
	static const uint8_t good[] = "\2MX\7Example\3net";
	char out[DNS_NAME_SIZE], long_name[300];

	(void)state;
	assert_int_equal(dns_name(good, sizeof(good), out), 0);
	assert_string_equal(out, "mx.example.net");
	for (size_t len = 0; len < sizeof(good); len++)
		assert_int_not_equal(dns_name(good, len, out), 0);
	assert_int_equal(name_of("\0", 1, out), 0);
	assert_string_equal(out, "");
	assert_int_equal(name_of("\3a.b\0", 5, out), 0);
	assert_string_equal(out, "a?b");
	assert_int_not_equal(name_of("\300\14", 2, out), 0); /* compression */
	assert_int_not_equal(name_of("\1a\0\0", 4, out), 0);
	for (size_t i = 0; i < sizeof(long_name); i += 2)
		memcpy(long_name + i, "\1a", 2);
	long_name[254] = '\0';
	assert_int_equal(name_of(long_name, 255, out), 0); /* 127 labels */
	assert_int_equal(strlen(out), 253);
	memcpy(long_name + 254, "\1a", 2);
	long_name[256] = '\0';
	assert_int_not_equal(name_of(long_name, 257, out), 0);
}

static void an_answer_is_judged_bogus_first(void **state)
{
	static const struct {
		struct dns_answer a;
		enum dns_result prefer, require;
	} rows[] = {
		{{.has_data = true, .n = 1, .secure = true}, DNS_OK, DNS_OK},
		{{.has_data = true, .n = 1}, DNS_OK, DNS_UNSIGNED},
		{{.has_data = true, .n = 1, .bogus = true}, DNS_BOGUS, DNS_BOGUS},
		{{.rcode = 2}, DNS_SERVFAIL, DNS_SERVFAIL},
		{{.rcode = 5}, DNS_SERVFAIL, DNS_SERVFAIL},
		{{.rcode = 3, .nxdomain = true, .secure = true}, DNS_NXDOMAIN, DNS_NXDOMAIN},
		{{.rcode = 3, .nxdomain = true}, DNS_NXDOMAIN, DNS_UNSIGNED},
		{{.secure = true}, DNS_NODATA, DNS_NODATA},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(dns_judge(&rows[i].a, DNSSEC_PREFER), rows[i].prefer);
		assert_int_equal(dns_judge(&rows[i].a, DNSSEC_REQUIRE), rows[i].require);
	}
}

static uint8_t tlsa_data[3][35];

static struct dns_answer tlsa_answer(bool secure, const char *kinds)
{
	struct dns_answer a = {.secure = secure, .has_data = *kinds, .ttl_s = 60};

	for (; *kinds; kinds += 3, a.n++) {
		memset(tlsa_data[a.n], 7 + (int)a.n, sizeof(tlsa_data[0]));
		for (unsigned k = 0; k < 3; k++)
			tlsa_data[a.n][k] = (uint8_t)(kinds[k] - '0');
		a.records[a.n] = (struct dns_record){tlsa_data[a.n], sizeof(tlsa_data[0])};
	}
	return a;
}

static void tlsa_records_are_judged_as_exchange_online_does(void **state)
{
	static const struct {
		const char *kinds;
		bool secure, bogus;
		const char *none; /* there is no answer; "": in time */
		uint16_t rcode;
		enum tlsaset_state state;
		unsigned n;
		bool warn;
	} rows[] = {
		{"311", true, .state = TLSASET_CURRENT, .n = 1},
		{"311311", true, .state = TLSASET_CURRENT, .n = 2},
		{"211", true, .state = TLSASET_CURRENT, .n = 1},
		{"111311", true, .state = TLSASET_CURRENT, .n = 1},
		{"011111", true, .state = TLSASET_NONE, .warn = true},
		{"319", true, .state = TLSASET_NONE, .warn = true},
		{"312", true, .state = TLSASET_NONE,
		 .warn = true}, /* its length is not SHA-512's */
		{"311", false, .state = TLSASET_NONE},
		{"", true, .state = TLSASET_NONE},
		{"", true, .rcode = 3, .state = TLSASET_NONE},
		{"311", true, .bogus = true, .state = TLSASET_KEPT},
		{"", false, .rcode = 2, .state = TLSASET_KEPT},
		{"", false, .none = "", .state = TLSASET_KEPT},
		{"", false, .none = "no library", .state = TLSASET_KEPT},
	};
	struct tlsaset_view v = {.dns = &dns, .now_ms = 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct dns_answer a = tlsa_answer(rows[i].secure, rows[i].kinds);
		struct tlsaset s = {.state = TLSASET_KEPT};

		a.bogus = rows[i].bogus;
		a.rcode = rows[i].rcode;
		tlsaset_answered(&s, rows[i].none ? NULL : &a, rows[i].none, &v);
		assert_int_equal(s.state, rows[i].state);
		assert_int_equal(s.n, rows[i].n);
		assert_int_equal(s.warn, rows[i].warn);
	}
}

static void what_this_box_could_not_ask_says_nothing_of_the_zone(void **state)
{
	struct tlsaset_view v = {.dns = &dns, .now_ms = 1000};
	struct tlsaset s = {.state = TLSASET_KEPT};

	(void)state;
	assert_string_equal(tlsaset_exchange_online(&s), "not known"); /* not asked yet */
	tlsaset_answered(&s, NULL, "no library; install it", &v);
	assert_string_equal(s.why, "this box could not ask: no library; install it");
	assert_string_equal(tlsaset_exchange_online(&s), "not known");
	tlsaset_answered(&s, NULL, "", &v);
	assert_string_equal(s.why, "the resolver did not answer within 5 s");
	assert_string_equal(tlsaset_exchange_online(&s), "defers with 5.7.324");
}

/* The next step is at the end. */
static void the_longest_cause_of_a_resolver_is_not_cut(void **state)
{
	struct tlsaset_view v = {.dns = &dns, .now_ms = 1000};
	struct tlsaset s = {.state = TLSASET_KEPT};
	char cause[DNS_CAUSE_SIZE];

	(void)state;
	snprintf(cause, sizeof(cause), "%*s", (int)sizeof(cause) - 1, "; set dns.resolvers");
	tlsaset_answered(&s, NULL, cause, &v);
	assert_non_null(strstr(s.why, "; set dns.resolvers"));
}

static void more_records_than_fit_are_an_error_of_the_zone(void **state)
{
	struct tlsaset_view v = {.dns = &dns, .now_ms = 1000};
	struct dns_answer a = tlsa_answer(true, "311");
	struct tlsaset s = {.state = TLSASET_KEPT};

	(void)state;
	while (a.n < CONFIG_MAX_TLSA)
		a.records[a.n++] = a.records[0];
	tlsaset_answered(&s, &a, "", &v);
	assert_int_equal(s.n, CONFIG_MAX_TLSA);
	a.records[a.n++] = a.records[0];
	tlsaset_answered(&s, &a, "", &v);
	assert_int_equal(s.state, TLSASET_KEPT);
	assert_int_equal(s.n, CONFIG_MAX_TLSA); /* the last ones */
	assert_int_equal(s.last, DNS_UNUSABLE);
	assert_string_equal(tlsaset_exchange_online(&s), "not known");
}

static void a_bogus_answer_keeps_the_last_good_records(void **state)
{
	struct tlsaset_view v = {.dns = &dns, .now_ms = 1000};
	struct dns_answer good = tlsa_answer(true, "311"), bogus = good;
	struct tlsaset s = {.state = TLSASET_KEPT};

	(void)state;
	bogus.bogus = true;
	assert_true(tlsaset_answered(&s, &good, "", &v));
	assert_false(tlsaset_answered(&s, &good, "", &v));
	good = tlsa_answer(true, "311301");
	assert_true(tlsaset_answered(&s, &good, "", &v));
	good.records[2] = good.records[0]; /* name servers rotate them */
	good.records[0] = good.records[1];
	good.records[1] = good.records[2];
	assert_false(tlsaset_answered(&s, &good, "", &v));
	good = tlsa_answer(true, "311");
	assert_true(tlsaset_answered(&s, &good, "", &v));
	assert_true(tlsaset_answered(&s, &bogus, "", &v));
	assert_int_equal(s.n, 1);
	assert_int_equal(s.due_ms, 1000 + REFRESH_MIN_MS / 6);
}

static void a_key_is_compared_where_it_can_be(void **state)
{
	struct tlsaset_view v = {.dns = &dns, .now_ms = 1000};
	struct dns_answer one = tlsa_answer(true, "311");
	struct tlsaset s = {.state = TLSASET_KEPT};
	struct tls_info tls = {.version = "TLSv1.3"};
	const struct {
		uint8_t selector, matching;
		uint8_t *digest;
		size_t len;
	} rows[] = {
		{TLSA_SELECTOR_SPKI, TLSA_MATCHING_SHA256, tls.spki_sha256, 32},
		{TLSA_SELECTOR_SPKI, TLSA_MATCHING_SHA512, tls.spki_sha512, 64},
		{TLSA_SELECTOR_CERT, TLSA_MATCHING_SHA256, tls.cert_sha256, 32},
		{TLSA_SELECTOR_CERT, TLSA_MATCHING_SHA512, tls.cert_sha512, 64},
	};

	(void)state;
	tlsaset_answered(&s, &one, "", &v);
	assert_int_equal(tlsaset_matches(&s, &tls), TLSASET_NO_MATCH);
	memset(tls.spki_sha256, 7, sizeof(tls.spki_sha256));
	assert_int_equal(tlsaset_matches(&s, &tls), TLSASET_MATCH);
	memset(tls.spki_sha256, 0, sizeof(tls.spki_sha256));
	for (size_t i = 0; i < 4; i++) {
		s.list[0].selector = rows[i].selector;
		s.list[0].matching = rows[i].matching;
		memset(s.list[0].digest, 7, rows[i].len);
		assert_int_equal(tlsaset_matches(&s, &tls), TLSASET_NO_MATCH);
		memset(rows[i].digest, 7, rows[i].len);
		assert_int_equal(tlsaset_matches(&s, &tls), TLSASET_MATCH);
		rows[i].digest[rows[i].len - 1] = 8;
		assert_int_equal(tlsaset_matches(&s, &tls), TLSASET_NO_MATCH);
		memset(rows[i].digest, 0, rows[i].len);
	}
	tls.version[0] = '\0';
	assert_int_equal(tlsaset_matches(&s, &tls), TLSASET_UNKNOWN);
	tls.version[0] = 'T';
	s.list[0].usage = TLSA_USAGE_TA;
	assert_int_equal(tlsaset_matches(&s, &tls), TLSASET_UNKNOWN);
}

/* Usage 2 is judged by a probe that began with these records, whatever the wall clock does meanwhile. */
static void records_of_usage_2_are_judged_by_the_first_probe_that_began_with_them(void **state)
{
	static const uint8_t data[35] = {2, 1, 1, 0x22};
	struct tlsaset_view v = {.dns = &dns, .now_ms = 5000, .wall_ms = 1700000000000};
	struct dns_answer one = {.has_data = true, .secure = true, .n = 1, .records = {{data, 35}}};
	static const struct {
		uint64_t ended_ms;
		enum reason reason;
		enum tlsaset_match match;
	} rows[] = {
		{0, REASON_not_probed, TLSASET_UNKNOWN},
		{5001, REASON_tlsa_mismatch, TLSASET_UNKNOWN}, /* it began with the old ones */
		{5200, REASON_ok, TLSASET_UNKNOWN},
		{5201, REASON_ok, TLSASET_MATCH},
		{5201, REASON_tlsa_mismatch, TLSASET_NO_MATCH},
		{5201, REASON_connect_timeout, TLSASET_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct tlsaset s = {.state = TLSASET_KEPT};
		struct probe_result last = {
			.reason = rows[i].reason, .total_ms = 200, .tls = {.version = "TLSv1.3"}};

		v.now_ms = 5000;
		assert_true(tlsaset_answered(&s, &one, "", &v));
		v.now_ms = 5150; /* the same answer is no change */
		v.wall_ms -= 3600000;
		assert_false(tlsaset_answered(&s, &one, "", &v));
		assert_int_equal(tlsaset_judge(&s, &last, rows[i].ended_ms), rows[i].match);
	}
}

/* One that is up, whose last probe ended before TLS, may be the one that matches. */
static void no_key_matches_only_if_no_server_that_is_up_may_have_one(void **state)
{
	const struct {
		struct {
			enum tlsaset_match match;
			bool is_up;
		} servers[2];
		bool if_was_not, if_was;
	} rows[] = {
		{{{TLSASET_MATCH, true}, {TLSASET_NO_MATCH, false}}, false, false},
		{{{TLSASET_NO_MATCH, true}, {TLSASET_NO_MATCH, false}}, true, true},
		{{{TLSASET_UNKNOWN, true}, {TLSASET_NO_MATCH, false}}, false, true},
		{{{TLSASET_UNKNOWN, false}, {TLSASET_NO_MATCH, false}}, true, true},
		{{{TLSASET_UNKNOWN, false}, {TLSASET_UNKNOWN, true}}, false, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tlsaset_tally t = {0};

		for (size_t k = 0; k < 2; k++)
			tlsaset_count(&t, rows[i].servers[k].match, rows[i].servers[k].is_up);
		assert_int_equal(tlsaset_unmatched(&t, false), rows[i].if_was_not);
		assert_int_equal(tlsaset_unmatched(&t, true), rows[i].if_was);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_in_wire_form_are_exact),
		cmocka_unit_test(an_answer_is_judged_bogus_first),
		cmocka_unit_test(tlsa_records_are_judged_as_exchange_online_does),
		cmocka_unit_test(what_this_box_could_not_ask_says_nothing_of_the_zone),
		cmocka_unit_test(the_longest_cause_of_a_resolver_is_not_cut),
		cmocka_unit_test(more_records_than_fit_are_an_error_of_the_zone),
		cmocka_unit_test(a_bogus_answer_keeps_the_last_good_records),
		cmocka_unit_test(a_key_is_compared_where_it_can_be),
		cmocka_unit_test(
			records_of_usage_2_are_judged_by_the_first_probe_that_began_with_them),
		cmocka_unit_test(no_key_matches_only_if_no_server_that_is_up_may_have_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
