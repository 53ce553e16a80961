// SPDX-License-Identifier: BSD-2-Clause
/* ICMP to a VIP: rows C10 to C13 of docs/conformance.md. */
#include <linux/if_link.h>
#include <string.h>
#include "bench.h"

static void put_sum(struct frame *f, unsigned at, unsigned from, unsigned len, uint32_t sum)
{
	f->b[at] = f->b[at + 1] = 0;
	for (unsigned i = 0; i < len; i++)
		sum += i % 2 ? f->b[from + i] : f->b[from + i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	f->b[at] = ~sum >> 8;
	f->b[at + 1] = ~sum;
}

static uint32_t words(const struct frame *f, unsigned at, unsigned len)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < len; i += 2)
		sum += frame_get16(f, at + i);
	return sum;
}

static void icmp_sum(struct frame *f)
{
	if (f->b[12] == 0x08)
		put_sum(f, 36, 34, f->len - 34, 0);
	else
		put_sum(f, 56, 54, f->len - 54, words(f, 22, 32) + 58 + f->len - 54);
}

/* An ICMP or ICMPv6 message to the VIP from 198.51.100.1 or its IPv6 counterpart. */
static void frame_icmp(struct frame *f, int family, const char *message)
{
	frame_syn(f, family, 25, 1);
	f->len = family == 4 ? 34 : 54;
	frame_set(f, f->len, message);
	if (family == 4) {
		f->b[23] = 1;
		f->b[16] = (f->len - 14) >> 8;
		f->b[17] = f->len - 14;
		frame_fix_ip_checksum(f);
	} else {
		f->b[20] = 58;
		f->b[18] = (f->len - 54) >> 8;
		f->b[19] = f->len - 54;
	}
	icmp_sum(f);
}

static void test_C10_a_ping_of_the_VIP_is_answered_with_its_own_bytes(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		unsigned icmp = family == 4 ? 34 : 54, source = family == 4 ? 26 : 22,
			 size = family == 4 ? 4 : 16;
		struct frame in, check;
		struct outcome o;

		frame_icmp(&in, family,
			   family == 4 ? "0800 0000 1234 0001 6d786c62 6d786c62 99"
				       : "8000 0000 1234 0001 6d786c62 6d786c62 99");
		bench_run(&in, &o);
		assert_int_equal(o.action, XDP_TX);
		assert_int_equal(o.counter, MXLB_COUNT_echo_reply);
		assert_int_equal(o.out.len, in.len);
		assert_int_equal(o.out.b[icmp], family == 4 ? 0 : 129);
		assert_memory_equal(o.out.b + icmp + 4, in.b + icmp + 4, in.len - icmp - 4);
		assert_memory_equal(o.out.b + source, in.b + source + size, size);
		assert_memory_equal(o.out.b + source + size, in.b + source, size);
		assert_memory_equal(o.out.b, router_mac, 6);
		check = o.out;
		icmp_sum(&check);
		if (family == 4)
			frame_fix_ip_checksum(&check);
		assert_memory_equal(check.b, o.out.b, o.out.len);
	}
}

/* Opens a flow (SYN, then ACK) and returns its server. */
static uint32_t open_flow(int family, uint32_t client)
{
	struct outcome o;
	struct frame f;

	frame_syn(&f, family, 25, client);
	bench_run(&f, &o);
	assert_int_equal(o.counter, -1);
	frame_set(&f, family == 4 ? 38 : 58, "11223345");
	f.b[family == 4 ? 47 : 67] = 0x10;
	bench_run(&f, &o);
	assert_int_equal(o.counter, -1);
	return o.server;
}

/* The error about a segment from the VIP to that client, with at most 8 bytes of TCP quoted. */
static void frame_error(struct frame *f, int family, uint32_t client, const char *head)
{
	frame_icmp(f, family, head);
	if (family == 4) {
		frame_set(f, f->len,
			  "4500 05dc 0000 4000 4006 0000 cb007119 c6336400 0019 9c40 55667788");
		f->b[34 + 8 + 18] = client >> 8;
		f->b[34 + 8 + 19] = client;
		f->b[16] = 0;
		f->b[17] = f->len - 14;
		frame_fix_ip_checksum(f);
	} else {
		frame_set(f, f->len,
			  "60000000 05a0 06 40 20010db8011300000000000000000025"
			  "20010db8010000000000000000000000 0019 9c40 55667788");
		f->b[54 + 8 + 38] = client >> 8;
		f->b[54 + 8 + 39] = client;
		f->b[19] = f->len - 54;
	}
	icmp_sum(f);
}

static void errors_go_to_the_owner(uint32_t first)
{
	static const struct {
		const char *what;
		int family;
		const char *head;
	} errors[] = {
		{"frag needed", 4, "0304 0000 0000 0578"},
		{"host unreachable", 4, "0301 0000 0000 0000"},
		{"time exceeded", 4, "0b00 0000 0000 0000"},
		{"packet too big", 6, "0200 0000 0000 0578"},
		{"unreachable", 6, "0100 0000 0000 0000"},
		{"time exceeded", 6, "0300 0000 0000 0000"},
	};

	for (uint32_t client = first; client < first + 40; client++) {
		uint32_t owner[7] = {[4] = open_flow(4, client), [6] = open_flow(6, client)};

		for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
			struct frame in;
			struct outcome o;

			frame_error(&in, errors[i].family, client, errors[i].head);
			bench_run(&in, &o);
			if (o.counter != -1 || o.server != owner[errors[i].family])
				fail_msg("%s: counter %d, server %u", errors[i].what, o.counter,
					 o.server);
			assert_int_equal(o.action, XDP_TX);
			expect_forwarded(&in, &o);
		}
	}
}

static void test_C11_C12_an_error_goes_to_the_server_that_owns_the_flow(void **state)
{
	(void)state;
	errors_go_to_the_owner(3000);
}

static void test_C11_C12_through_its_tunnel_if_it_has_one(void **state)
{
	(void)state;
	bench_forward(4);
	errors_go_to_the_owner(3100);
	bench_forward(6);
	errors_go_to_the_owner(3200);
	bench_forward(0);
}

static void test_C11_an_error_about_a_flow_without_entry_goes_by_the_ring(void **state)
{
	(void)state;
	for (uint32_t client = 4000; client < 4040; client++) {
		struct frame in, segment;
		struct outcome o, placed;

		frame_error(&in, 4, client, "0304 0000 0000 0578");
		bench_run(&in, &o);
		assert_int_equal(o.counter, -1);
		frame_syn(&segment, 4, 25, client);
		bench_run(&segment, &placed);
		assert_int_equal(o.server, placed.server);
	}
}

static void test_C13_what_is_no_error_about_a_flow_of_the_VIP_is_passed_or_dropped_and_counted(
	void **state)
{
	static const struct {
		const char *what;
		unsigned at;
		const char *hex;
		unsigned cut;
	} bad[] = {
		{"quotes another source", 34 + 8 + 12, "cb007105", 0},
		{"quotes UDP", 34 + 8 + 9, "11", 0},
		{"quotes a later fragment", 34 + 8 + 6, "0001", 0},
		{"quotes version 6", 34 + 8, "65", 0},
		{"quotes a header of 16 bytes", 34 + 8, "44", 0},
		{"quotes options it does not have", 34 + 8, "4f", 0},
		{"about a port that no service has", 34 + 8 + 20, "0050", 0},
		{"quotes 7 bytes of TCP", 0, "", 34 + 8 + 27},
		{"quotes half an IP header", 0, "", 34 + 8 + 10},
		{"quotes nothing", 0, "", 34 + 8},
		{"a redirect", 34, "05", 0},
		{"a timestamp request", 34, "0d", 0},
		{"an echo reply", 34, "00", 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct outcome o;
		struct frame in;
		bool is_error;

		frame_error(&in, 4, 3000, "0304 0000 0000 0578");
		frame_set(&in, bad[i].at, bad[i].hex);
		if (!*bad[i].hex)
			memcpy(in.b, our_mac, 6);
		if (bad[i].cut) {
			in.len = bad[i].cut;
			in.b[17] = in.len - 14;
			frame_fix_ip_checksum(&in);
		}
		bench_run(&in, &o);
		is_error = in.b[34] == 3;
		if (o.action != (is_error ? XDP_PASS : XDP_DROP) ||
		    o.counter != (is_error ? (int)MXLB_COUNT_icmp_unknown : (int)MXLB_COUNT_icmp))
			fail_msg("%s: action %d, counter %d", bad[i].what, o.action, o.counter);
	}
}

static void test_C13_every_truncation_of_an_error_is_dropped_or_passed(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct outcome o;
		struct frame in;
		unsigned whole;

		frame_error(&in, family, 3000,
			    family == 4 ? "0304 0000 0000 0578" : "0200 0000 0000 0578");
		whole = in.len;
		for (in.len = 14; in.len < whole; in.len++) {
			bench_run(&in, &o);
			assert_true(o.action == XDP_DROP || o.action == XDP_PASS);
		}
	}
}

static void test_C10_a_flood_of_pings_is_limited_by_source(void **state)
{
	struct frame in;

	(void)state;
	frame_icmp(&in, 4, "0800 0000 1234 0001");
	in.b[29] = 200;
	frame_fix_ip_checksum(&in);
	expect_limited(&in, MXLB_COUNT_echo_reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C10_a_ping_of_the_VIP_is_answered_with_its_own_bytes),
		cmocka_unit_test(test_C11_C12_an_error_goes_to_the_server_that_owns_the_flow),
		cmocka_unit_test(test_C11_C12_through_its_tunnel_if_it_has_one),
		cmocka_unit_test(test_C11_an_error_about_a_flow_without_entry_goes_by_the_ring),
		cmocka_unit_test(
			test_C13_what_is_no_error_about_a_flow_of_the_VIP_is_passed_or_dropped_and_counted),
		cmocka_unit_test(test_C13_every_truncation_of_an_error_is_dropped_or_passed),
		cmocka_unit_test(test_C10_a_flood_of_pings_is_limited_by_source),
	};

	return cmocka_run_group_tests_name("icmp", tests, bench_up, bench_down);
}
