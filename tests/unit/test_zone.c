/* SPDX-License-Identifier: BSD-2-Clause */
/* core/zone.c: what an answer does, each row of docs/zone.md. test_zonemap.c has the servers that a set gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "zone_fixture.h"

static void the_first_answer_is_applied_as_it_is(void **state)
{
	(void)state;
	start(ARTICLE);
	assert_string_equal(servers(), ARTICLE_);
	assert_int_equal(zone.changed_ms, 0);
	assert_int_equal(zone.due_ms, view.now_ms + 300000);
}

static void the_same_answer_changes_nothing(void **state)
{
	(void)state;
	start(ARTICLE);
	assert_int_equal(
		give(answer("nuneaton 20 203.0.113.13; oxford-b 10 203.0.113.12; oxford-a 10 203.0.113.11"),
		     M),
		0);
	assert_string_equal(servers(), ARTICLE_);
	assert_false(zone_differs(&zone));
}

static void errors_keep_the_set_and_are_retried_faster_at_first(void **state)
{
	static const enum dns_result errors[] = {DNS_SERVFAIL, DNS_TIMEOUT, DNS_BOGUS,
						 DNS_UNSIGNED};
	static const uint64_t waits[] = {5000, 10000, 20000, 40000, 60000, 60000};

	(void)state;
	for (size_t e = 0; e < 4; e++) {
		begin(NULL);
		start(ARTICLE);
		for (size_t i = 0; i < 6; i++) {
			assert_int_equal(give(failure(errors[e]), M), i ? 0 : ZONE_TELL);
			assert_int_equal(zone.state, ZONE_KEPT);
			assert_int_equal(zone.due_ms - view.now_ms, waits[i]);
			assert_string_equal(servers(), ARTICLE_);
		}
		assert_int_equal(give(answer(ARTICLE), M), ZONE_TELL);
		assert_int_equal(zone.state, ZONE_CURRENT);
		assert_int_equal(zone.lookups[errors[e]], 6);
	}
}

/* The next step is at the end. */
static void the_longest_cause_behind_a_long_name_is_not_cut(void **state)
{
	struct zone_answer *a = failure(DNS_LOCAL);

	(void)state;
	memset(service.zone.mx, 'm', 200);
	snprintf(a->why, sizeof(a->why), "%*s", DNS_CAUSE_SIZE - 1, "; set dns.resolvers");
	give(a, M);
	assert_non_null(strstr(zone.why, "; set dns.resolvers"));
}

static void an_empty_zone_never_empties_a_service(void **state)
{
	static const enum dns_result empty[] = {DNS_NODATA, DNS_NXDOMAIN, DNS_NULL_MX};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(NULL);
		start(ARTICLE);
		for (unsigned k = 0; k < 200; k++) {
			give(failure(empty[i]), M);
			assert_int_equal(zone.state, ZONE_REFUSED);
			assert_string_equal(servers(), ARTICLE_);
		}
		assert_int_equal(zone_accept(&zone, &view, &map), 0);
	}
}

static void without_a_set_errors_give_no_servers(void **state)
{
	(void)state;
	give(failure(DNS_NXDOMAIN), 0);
	assert_int_equal(map.n, 0);
	give(failure(DNS_TIMEOUT), M);
	assert_int_equal(map.n, 0);
	start(ARTICLE);
}

static void what_is_added_comes_at_once(void **state)
{
	(void)state;
	start(ARTICLE);
	assert_int_equal(give(answer(ARTICLE "; oxford-c 10 203.0.113.14"), M),
			 ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(),
			    "oxford-a 10 11, oxford-b 10 12, oxford-c 10 14, nuneaton 20 13");
	assert_string_equal(zone.why, "added oxford-c (tier 10, 203.0.113.14)");
}

static void another_preference_is_another_tier(void **state)
{
	(void)state;
	start(ARTICLE);
	assert_int_equal(
		give(answer("oxford-a 10 203.0.113.11; oxford-b 20 203.0.113.12; nuneaton 20 203.0.113.13"),
		     M),
		ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(), "oxford-a 10 11, nuneaton 20 13, oxford-b 20 12");
	assert_string_equal(zone.why, "oxford-b: tier 20, was 10");
}

static void there_is_one_change_a_minute(void **state)
{
	(void)state;
	start(ARTICLE);
	give(answer(ARTICLE "; c 30 203.0.113.14"), M);
	assert_int_equal(give(answer(ARTICLE "; c 40 203.0.113.14"), M), 0);
	assert_int_equal(zone.again_ms, view.now_ms + M);
	assert_true(zone_differs(&zone));
	assert_int_equal(wait(M - 1), 0);
	assert_int_equal(map.servers[3].preference, 30);
	assert_int_equal(wait(1), ZONE_TELL | ZONE_APPLY);
	assert_int_equal(map.servers[3].preference, 40);
}

static void what_is_missing_goes_after_two_answers_and_two_minutes(void **state)
{
	(void)state;
	start(ARTICLE);
	for (unsigned k = 0; k < 4; k++) {
		assert_int_equal(give(answer("oxford-a 10 203.0.113.11; nuneaton 20 203.0.113.13"),
				      k ? M : 1),
				 0);
		assert_string_equal(servers(), ARTICLE_);
		assert_true(zone_differs(&zone));
	}
	assert_int_equal(wait(M - 1), 0);
	assert_int_equal(wait(1), ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(), "oxford-a 10 11, nuneaton 20 13");
	assert_string_equal(zone.why, "removed oxford-b");
}

static void one_answer_is_not_enough_however_old(void **state)
{
	(void)state;
	start(ARTICLE);
	give(answer("oxford-a 10 203.0.113.11; nuneaton 20 203.0.113.13"), M);
	assert_int_equal(wait(100 * M), 0);
	assert_string_equal(servers(), ARTICLE_);
	assert_int_equal(give(answer("oxford-a 10 203.0.113.11; nuneaton 20 203.0.113.13"), 1),
			 ZONE_TELL | ZONE_APPLY);
}

static void what_comes_back_in_time_was_never_gone(void **state)
{
	(void)state;
	start(ARTICLE);
	give(answer("oxford-a 10 203.0.113.11; nuneaton 20 203.0.113.13"), M);
	give(answer(ARTICLE), M);
	give(answer("oxford-a 10 203.0.113.11; nuneaton 20 203.0.113.13"), 10 * M);
	assert_int_equal(wait(10 * M), 0);
	assert_string_equal(servers(), ARTICLE_);
}

static void an_exchanger_whose_lookup_fails_keeps_its_addresses(void **state)
{
	(void)state;
	start(ARTICLE);
	for (unsigned k = 0; k < 20; k++)
		give(answer("oxford-a 10 !; oxford-b 10 203.0.113.12; nuneaton 30 203.0.113.13"),
		     M);
	assert_string_equal(servers(), "oxford-a 10 11, oxford-b 10 12, nuneaton 30 13");
}

static void fewer_than_half_are_held_back_until_accepted(void **state)
{
	struct zone_set set;

	(void)state;
	start(ARTICLE);
	assert_int_equal(give(answer("nuneaton 20 203.0.113.13"), M), ZONE_TELL);
	assert_int_equal(zone.state, ZONE_HELD);
	assert_string_equal(zone.why, "only 1 of 3 exchangers are left in the zone");
	for (unsigned k = 0; k < 119; k++)
		assert_int_equal(give(answer("nuneaton 20 203.0.113.13"), M), 0);
	assert_int_equal(give(answer("nuneaton 20 203.0.113.13"), M),
			 ZONE_TELL | ZONE_REMIND); /* an hour */
	assert_string_equal(servers(), ARTICLE_);
	assert_true(zone_held(&zone, &set));
	assert_int_equal(set.n, 1);
	assert_int_equal(zone_accept(&zone, &view, &map), ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(), "nuneaton 20 13");
	assert_int_equal(give(answer("nuneaton 20 203.0.113.13"), M), 0);
	assert_false(zone_differs(&zone));
}

/* The service would keep its servers until the next start, and then have none. */
static void a_zone_that_gives_no_server_is_not_accepted(void **state)
{
	(void)state;
	start(ARTICLE);
	service.n_servers = 3;
	give(answer("oxford-a 10 203.0.113.25; oxford-b 10 203.0.113.25; nuneaton 20 203.0.113.25"),
	     M);
	give(answer("oxford-a 10 203.0.113.25; oxford-b 10 203.0.113.25; nuneaton 20 203.0.113.25"),
	     5 * M);
	assert_int_equal(zone.state, ZONE_HELD);
	assert_int_equal(zone_accept(&zone, &view, &map), 0);
	assert_int_equal(zone.state, ZONE_HELD);
	assert_string_equal(servers(), ARTICLE_);
	assert_false(zone_may_have(&service, &(struct zone_map){.n = 0}));
	assert_true(zone_may_have(&service, &(struct zone_map){.n = 1}));
	service.n_servers = 0;
	assert_true(zone_may_have(&service, &(struct zone_map){.n = 0}));
}

static void another_reason_to_hold_puts_no_reminder_off(void **state)
{
	const char *none = "x 10 203.0.113.14", *one = "nuneaton 20 203.0.113.13";

	(void)state;
	start(ARTICLE);
	give(answer(one), M);
	for (unsigned k = 0; k < 119; k++)
		assert_int_equal(give(answer(k % 2 ? one : none), M), ZONE_TELL);
	assert_int_equal(give(answer(one), M), ZONE_TELL | ZONE_REMIND);
	assert_int_equal(give(answer(none), M), ZONE_TELL);
}

static void what_is_held_ends_when_the_answer_is_another_one(void **state)
{
	(void)state;
	start(ARTICLE);
	give(answer("nuneaton 20 203.0.113.13"), M);
	give(answer(ARTICLE), M);
	assert_int_equal(zone.state, ZONE_CURRENT);
	assert_string_equal(servers(), ARTICLE_);
	assert_int_equal(zone_accept(&zone, &view, &map), 0);
}

static void a_change_that_leaves_no_server_that_takes_mail_is_held(void **state)
{
	(void)state;
	start("a 10 203.0.113.11; b 20 203.0.113.12");
	take("a");
	for (unsigned k = 0; k < 6; k++)
		give(answer("b 20 203.0.113.12"), M);
	assert_int_equal(zone.state, ZONE_HELD);
	assert_string_equal(servers(), "a 10 11, b 20 12");
	view.n_takers = 0; /* nothing is to be lost */
	assert_int_equal(wait(1), ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(), "b 20 12");
}

static void servers_are_not_given_up_for_none_not_even_for_the_first_answer(void **state)
{
	(void)state;
	service.n_servers = 3; /* those of the tiers before the reload */
	assert_int_equal(give(answer("a 10 203.0.113.25; b 20 203.0.113.25"), M), ZONE_TELL);
	assert_int_equal(zone.state, ZONE_HELD);
	assert_non_null(strstr(zone.why, "no exchanger has an address"));
	assert_int_equal(give(answer("a 10 203.0.113.11; b 20 203.0.113.12"), M),
			 ZONE_TELL | ZONE_APPLY);
	assert_int_equal(zone.state, ZONE_CURRENT);
	assert_string_equal(servers(), "a 10 11, b 20 12");
	for (unsigned k = 0; k < 6; k++)
		give(answer("a 10 203.0.113.25; b 20 203.0.113.25"), M);
	assert_int_equal(zone.state, ZONE_HELD); /* although nothing is up that could be lost */
	assert_string_equal(servers(), "a 10 11, b 20 12");
	service.n_servers = 0;
}

/* After a boot of the machine. */
static void a_first_set_that_replaces_tiers_waits_until_their_servers_are_probed(void **state)
{
	(void)state;
	service.n_servers = view.n_unknown = 1;
	strcpy(map.servers[0].name, "a");
	map.servers[0].address = ip("203.0.113.11");
	map.servers[0].preference = 10;
	map.servers[0].weight = map.n = 1;
	assert_int_equal(give(answer("c 10 203.0.113.14"), M), ZONE_TELL);
	assert_int_equal(zone.state, ZONE_HELD);
	assert_string_equal(zone.why, "the servers in force have not been probed yet");
	assert_int_equal(zone.again_ms, view.now_ms + M / 6);
	strcpy(takers[0].name, "a"); /* one is up */
	takers[0].address = ip("203.0.113.11");
	view.n_takers = view.n_unknown = 1;
	assert_int_equal(wait(M / 6), ZONE_TELL);
	assert_string_equal(zone.why, "none of the 1 servers that take mail now would be left");
	assert_int_equal(zone.again_ms, 0);
	view.n_takers = view.n_unknown = 0; /* all are down: nothing is lost */
	assert_int_equal(give(answer("c 10 203.0.113.14"), M), ZONE_TELL | ZONE_APPLY);
	view.n_unknown = 1;
	assert_int_equal(give(answer("c 10 203.0.113.14; b 20 203.0.113.12"), 2 * M),
			 ZONE_TELL | ZONE_APPLY);
	begin(NULL);
	service.n_servers = view.n_unknown = map.n = 1;
	map.servers[0] = takers[0];
	map.servers[0].preference = 10;
	map.servers[0].weight = 1;
	start("c 10 203.0.113.14; a 10 203.0.113.11"); /* all of them stay */
	service.n_servers = 0;
}

/* From tiers to mx: the operator knows that mail stops for a moment, or renames the servers one by one. */
static void other_names_for_the_servers_of_tiers_are_held_with_that_reason(void **state)
{
	(void)state;
	service.n_servers = view.n_takers = map.n = 1;
	strcpy(map.servers[0].name, "exch1");
	map.servers[0].address = ip("203.0.113.11");
	map.servers[0].preference = 10;
	map.servers[0].weight = 1;
	takers[0] = map.servers[0];
	assert_int_equal(give(answer("a 10 203.0.113.11; b 10 203.0.113.12"), 0), ZONE_TELL);
	assert_int_equal(zone.state, ZONE_HELD);
	assert_non_null(
		strstr(zone.why, "other names for the servers that take mail now (a for exch1)"));
	assert_int_equal(zone_accept(&zone, &view, &map), ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(), "a 10 11, b 10 12");
	service.n_servers = 0;
}

static void a_renamed_exchanger_is_another_server_once_it_takes_mail(void **state)
{
	(void)state;
	start("a 10 203.0.113.11; b 20 203.0.113.12");
	take("a");
	give(answer("c 10 203.0.113.14; b 20 203.0.113.12"), M);
	assert_string_equal(servers(), "a 10 11, c 10 14, b 20 12");
	for (unsigned k = 0; k < 5; k++)
		give(answer("c 10 203.0.113.14; b 20 203.0.113.12"), M);
	assert_int_equal(zone.state, ZONE_HELD);
	take("c");
	assert_int_equal(wait(1), ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(), "c 10 14, b 20 12");
}

/* While both names are in the set in force, the address is that of the name which is in the zone. */
static void a_name_that_comes_back_has_its_address_again(void **state)
{
	const char *renamed =
		"oxford-a 10 203.0.113.11; oxford-d 10 203.0.113.12; nuneaton 20 203.0.113.13";

	(void)state;
	start(ARTICLE);
	assert_int_equal(give(answer(renamed), M), ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(), "oxford-a 10 11, oxford-d 10 12, nuneaton 20 13");
	assert_int_equal(give(answer(ARTICLE), 2 * M), ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(), ARTICLE_);
}

static void what_gets_no_mail_is_reported_once(void **state)
{
	const char *with_vip = ARTICLE "; lost 10 203.0.113.25";
	struct zone_answer *a;

	(void)state;
	start(ARTICLE);
	assert_int_equal(give(answer(with_vip), M), ZONE_TELL);
	assert_string_equal(servers(), ARTICLE_);
	assert_int_equal(give(answer(with_vip), M), 0);
	assert_int_equal(give(answer(ARTICLE "; lost 10 203.0.113.5"), M), ZONE_TELL);
	assert_int_equal(give(answer(ARTICLE "; lost 10 203.0.113.5"), 4 * M), 0);
	assert_int_equal(give(answer(ARTICLE), M), 0);
	for (unsigned k = 0; k < 2; k++) {
		a = answer(ARTICLE);
		a->set.list[0].alias = true;
		assert_int_equal(give(a, M), k ? 0 : ZONE_TELL);
	}
}

static void a_second_address_renames_nobody(void **state)
{
	(void)state;
	start(ARTICLE);
	give(answer("oxford-a 10 203.0.113.9,203.0.113.11; oxford-b 10 203.0.113.12; nuneaton 20 203.0.113.13"),
	     M);
	assert_string_equal(
		servers(),
		"oxford-a 10 11, oxford-a.203-0-113-9 10 9, oxford-b 10 12, nuneaton 20 13");
	for (unsigned k = 0; k < 6; k++)
		give(answer("oxford-a 10 203.0.113.9; oxford-b 10 203.0.113.12; nuneaton 20 203.0.113.13"),
		     M);
	assert_string_equal(servers(), "oxford-a.203-0-113-9 10 9, oxford-b 10 12, nuneaton 20 13");
}

static void the_jitter_only_shortens(void **state)
{
	(void)state;
	for (uint32_t r = 0; r < 100000; r += 777) {
		begin(NULL);
		view.random = r;
		start(ARTICLE);
		assert_in_range(zone.due_ms - view.now_ms, 270000, 300000);
	}
	begin(NULL);
	struct zone_answer *a = answer(ARTICLE);

	a->ttl_s = 0;
	give(a, 0);
	assert_int_equal(zone.due_ms - view.now_ms, M);
	a->ttl_s = 1000000;
	give(a, M);
	assert_int_equal(zone.due_ms - view.now_ms, 120 * M);
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_answer_is_applied_as_it_is),
		T(the_same_answer_changes_nothing),
		T(errors_keep_the_set_and_are_retried_faster_at_first),
		T(the_longest_cause_behind_a_long_name_is_not_cut),
		T(an_empty_zone_never_empties_a_service),
		T(without_a_set_errors_give_no_servers),
		T(what_is_added_comes_at_once),
		T(another_preference_is_another_tier),
		T(there_is_one_change_a_minute),
		T(what_is_missing_goes_after_two_answers_and_two_minutes),
		T(one_answer_is_not_enough_however_old),
		T(what_comes_back_in_time_was_never_gone),
		T(an_exchanger_whose_lookup_fails_keeps_its_addresses),
		T(fewer_than_half_are_held_back_until_accepted),
		T(a_zone_that_gives_no_server_is_not_accepted),
		T(another_reason_to_hold_puts_no_reminder_off),
		T(what_is_held_ends_when_the_answer_is_another_one),
		T(a_change_that_leaves_no_server_that_takes_mail_is_held),
		T(servers_are_not_given_up_for_none_not_even_for_the_first_answer),
		T(a_first_set_that_replaces_tiers_waits_until_their_servers_are_probed),
		T(other_names_for_the_servers_of_tiers_are_held_with_that_reason),
		T(a_renamed_exchanger_is_another_server_once_it_takes_mail),
		T(a_name_that_comes_back_has_its_address_again),
		T(what_gets_no_mail_is_reported_once),
		T(a_second_address_renames_nobody),
		T(the_jitter_only_shortens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
