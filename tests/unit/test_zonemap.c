/* SPDX-License-Identifier: BSD-2-Clause */
/* zonemap.c: which server each exchanger is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "zone_fixture.h"

static void excluded_addresses_are_named_with_the_remedy(void **state)
{
	static const struct {
		const char *address, *why;
	} rows[] = {
		{"203.0.113.25",
		 "resolves to the VIP 203.0.113.25: set its address below servers:"},
		{"203.0.113.5", "resolves to 203.0.113.5, an address of this box"},
		{"198.51.100.1",
		 "resolves to 198.51.100.1, which is outside within: set its address below servers:, or within:"},
		{"127.0.0.1", "resolves to 127.0.0.1, which is no host's address"},
		{"224.0.0.1", "resolves to 224.0.0.1, which is no host's address"},
		{"2001:db8::1", "has no IPv4 address"},
		{"-", "has no IPv4 address"},
		{"!", "has no IPv4 address: servfail"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[200];

		begin(NULL);
		snprintf(text, sizeof(text), "a 10 %s; b 20 203.0.113.12", rows[i].address);
		start(text);
		assert_string_equal(servers(), "b 20 12");
		assert_string_equal(map.unmapped[0], rows[i].why);
		assert_string_equal(map.unmapped[1], "");
	}
}

static void a_server_that_also_registers_the_vip_is_asked_about_its_loopback_adapter(void **state)
{
	(void)state;
	begin(NULL);
	start("a 10 203.0.113.11,203.0.113.25; b 20 203.0.113.12");
	assert_string_equal(servers(), "a 10 11, b 20 12");
	assert_non_null(strstr(map.unmapped[0], "resolves to the VIP 203.0.113.25, too; is "
						"\"Register this connection's addresses in DNS\""));
}

static struct zone_server_conf *set_server(const char *exchanger, const char *address)
{
	static struct zone_server_conf list[4];

	service.zone.servers = list;
	memset(&list[0], 0, sizeof(list[0]));
	strcpy(list[0].exchanger, exchanger);
	list[0].weight = 1;
	if (address)
		list[0].address = ip(address);
	service.zone.n_servers = 1;
	return list;
}

/* Until it is certain that they are gone they are kept, but nothing has to be done about them. */
static void addresses_that_are_leaving_are_not_reported(void **state)
{
	(void)state;
	start("a 10 203.0.113.11,203.0.113.25; b 20 203.0.113.25");
	assert_non_null(strstr(map.unmapped[0], "loopback adapter"));
	assert_non_null(strstr(map.unmapped[1], "resolves to the VIP"));
	give(answer("a 10 203.0.113.11; b 20 203.0.113.12"), M);
	assert_int_equal(zone.in_force.list[0].n, 2);
	assert_string_equal(map.unmapped[0], "");
	assert_string_equal(map.unmapped[1], "");
	assert_string_equal(servers(), "a 10 11, b 20 12");
}

/* Its server takes mail until it is certain that the address is gone. */
static void an_exchanger_lacks_an_address_only_once_its_last_one_is_no_server(void **state)
{
	const char *gone = "a 10 -; b 20 203.0.113.12; c 20 203.0.113.13";

	(void)state;
	start("a 10 203.0.113.11; b 20 203.0.113.12; c 20 203.0.113.13");
	assert_int_equal(give(answer(gone), M), 0);
	assert_string_equal(servers(), "a 10 11, b 20 12, c 20 13");
	assert_string_equal(map.unmapped[0], "");
	for (unsigned k = 0; k < 4; k++)
		give(answer(gone), M);
	assert_string_equal(servers(), "b 20 12, c 20 13");
	assert_string_equal(map.unmapped[0], "has no IPv4 address");
	begin(NULL); /* the leaving one is of no use */
	start("a 10 203.0.113.25; b 20 203.0.113.12");
	give(answer("a 10 -; b 20 203.0.113.12"), M);
	assert_string_equal(map.unmapped[0], "has no IPv4 address");
}

static void addresses_of_dns_end_with_one_of_the_configuration(void **state)
{
	(void)state;
	start("a 10 203.0.113.11; b 20 203.0.113.12");
	set_server("a.h.example.net", "203.0.113.17"); /* by a reload; it is no longer looked up */
	assert_int_equal(give(answer("a 10 -; b 20 203.0.113.12"), M), ZONE_TELL | ZONE_APPLY);
	assert_string_equal(servers(), "a 10 17, b 20 12");
	assert_false(zone_differs(&zone));
}

static void more_addresses_than_fit_are_reported(void **state)
{
	struct zone_answer *a = answer(ARTICLE);

	(void)state;
	a->set.list[1].cut = true;
	give(a, 0);
	assert_string_equal(servers(), ARTICLE_);
	assert_string_equal(map.unmapped[1],
			    "has more than 16 addresses, the lowest ones are used; publish fewer");
}

static void more_servers_are_those_of_before_and_others(void **state)
{
	struct zone_map one, two;

	(void)state;
	start("a 10 203.0.113.11");
	one = map;
	begin(NULL);
	start("a 10 203.0.113.11; b 20 203.0.113.12");
	two = map;
	assert_true(zone_has_servers(&two, &one));
	assert_true(zone_has_servers(&one, &one));
	assert_false(zone_has_servers(&one, &two));
	two.servers[0].preference = 20;
	assert_false(zone_has_servers(&two, &one));
}

static void an_address_of_the_configuration_wins(void **state)
{
	struct zone_server_conf *s = set_server("a.h.example.net", "10.9.0.11");

	(void)state;
	s->weight = 7;
	s->forward = FORWARD_IPIP;
	start("a 10 203.0.113.25; b 20 203.0.113.12");
	assert_string_equal(servers(), "a 10 11, b 20 12");
	assert_int_equal(map.servers[0].weight, 7);
	assert_int_equal(map.servers[0].forward, FORWARD_IPIP);
	assert_int_equal(map.servers[1].weight, 1);
}

static void within_is_in_place_of_the_networks(void **state)
{
	static struct prefix within;

	(void)state;
	addr_parse_prefix("198.51.100.0/24", &within);
	service.zone.within = &within;
	service.zone.n_within = 1;
	start("a 10 198.51.100.1; b 20 203.0.113.12");
	assert_string_equal(servers(), "a 10 1");
}

static void the_other_family_only_by_tunnel_and_without_the_own(void **state)
{
	struct zone_server_conf *s = set_server("a.h.example.net", NULL);
	static struct prefix within;

	(void)state;
	addr_parse_prefix("2001:db8::/32", &within);
	service.zone.within = &within;
	service.zone.n_within = 1;
	start("a 10 2001:db8::7; b 20 203.0.113.12");
	assert_string_equal(servers(), "");
	begin(NULL);
	set_server("a.h.example.net", NULL);
	s->forward = FORWARD_IPIP;
	service.zone.within = &within;
	service.zone.n_within = 1;
	give(answer("a 10 2001:db8::7; b 20 203.0.113.12"), 0);
	assert_string_equal(servers(), "a 10 7");
	begin(NULL);
	set_server("a.h.example.net", NULL);
	s->forward = FORWARD_IPIP;
	give(answer("a 10 2001:db8::7,203.0.113.9"), 0);
	assert_string_equal(servers(), "a 10 9");
}

static void a_shared_address_is_the_better_preferences(void **state)
{
	(void)state;
	start("b 20 203.0.113.11; a 10 203.0.113.11");
	assert_string_equal(servers(), "a 10 11");
	assert_string_equal(map.unmapped[1], "has the same address as a: 203.0.113.11");
}

static void names_are_checked(void **state)
{
	(void)state;
	start("mail.other.example 10 203.0.113.11; x?y 20 203.0.113.12; _a 30 203.0.113.13;"
	      "a123456789012345678901234567890123456789012345678901234567890123.h.example.net 40 203.0.113.14");
	assert_string_equal(servers(), "mail.other.example 10 11");
	for (unsigned i = 1; i < 4; i++)
		assert_non_null(strstr(map.unmapped[i], "its name cannot be a server's"));
}

/* 64 exchangers with 16 addresses each. */
static void a_service_has_255_servers_at_most(void **state)
{
	static struct zone_answer a;

	(void)state;
	a = (struct zone_answer){.mx = DNS_OK, .ttl_s = 300, .set.n = ZONE_MAX_EXCHANGERS};
	addr_parse_prefix("203.0.0.0/16", &networks[0]);
	view.room = 4000;
	for (unsigned i = 0; i < ZONE_MAX_EXCHANGERS; i++) {
		struct zone_exchanger *e = &a.set.list[i];

		snprintf(e->name, sizeof(e->name), "x%02u.h.example.net", i);
		e->preference = 10;
		for (; e->n < ZONE_MAX_ADDRESSES; e->n++)
			addr_from_bytes((uint8_t[]){203, 0, (uint8_t)i, (uint8_t)(e->n + 1)}, 4,
					&e->addresses[e->n].addr);
	}
	assert_int_equal(give(&a, 0), ZONE_TELL | ZONE_APPLY);
	assert_int_equal(map.n, 255);
	assert_string_equal(map.unmapped[14], "");
	for (unsigned i = 15; i < ZONE_MAX_EXCHANGERS; i++) /* 15 of x15's 16 fit */
		assert_non_null(strstr(map.unmapped[i], "no room for it: 255 servers at most"));
	assert_int_equal(give(&a, M), 0);
}

static void there_is_no_room_for_more_than_all_servers(void **state)
{
	(void)state;
	view.room = 2;
	start(ARTICLE);
	assert_string_equal(servers(), "oxford-a 10 11, oxford-b 10 12");
	assert_non_null(strstr(map.unmapped[2], "no room"));
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(excluded_addresses_are_named_with_the_remedy),
		T(a_server_that_also_registers_the_vip_is_asked_about_its_loopback_adapter),
		T(addresses_that_are_leaving_are_not_reported),
		T(an_exchanger_lacks_an_address_only_once_its_last_one_is_no_server),
		T(addresses_of_dns_end_with_one_of_the_configuration),
		T(more_addresses_than_fit_are_reported),
		T(more_servers_are_those_of_before_and_others),
		T(an_address_of_the_configuration_wins),
		T(within_is_in_place_of_the_networks),
		T(the_other_family_only_by_tunnel_and_without_the_own),
		T(a_shared_address_is_the_better_preferences),
		T(names_are_checked),
		T(a_service_has_255_servers_at_most),
		T(there_is_no_room_for_more_than_all_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
