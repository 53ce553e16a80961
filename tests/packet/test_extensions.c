// SPDX-License-Identifier: BSD-2-Clause
/* IPv6 extension headers on the way to a VIP: row C18 of docs/conformance.md. */
#include <linux/if_link.h>
#include <string.h>
#include "bench.h"

/* Inserts these bytes between the IPv6 header and TCP. first: the next header value that announces them. */
static void insert_extensions(struct frame *f, uint8_t first, const char *hex)
{
	uint8_t tcp[32];
	unsigned grown;

	memcpy(tcp, f->b + 54, sizeof(tcp));
	f->len = 54;
	frame_set(f, 54, hex);
	grown = f->len - 54;
	memcpy(f->b + f->len, tcp, sizeof(tcp));
	f->len += sizeof(tcp);
	f->b[19] = grown + sizeof(tcp);
	f->b[20] = first;
}

static void test_C18_extension_headers_are_walked_and_what_is_no_TCP_is_dropped(void **state)
{
	static const struct {
		const char *what;
		uint8_t first;
		const char *hex;
		int counter; /* -1: forwarded */
	} chains[] = {
		{"hop-by-hop", 0, "0600010400000000", -1},
		{"destination options of 16 bytes", 60, "0601010c000000000000000000000000", -1},
		{"routing, at its end", 43, "0600040000000000", -1},
		{"four in a row", 0,
		 "3c00010400000000 3c00010400000000 2b00010400000000 0600040000000000", -1},
		{"five in a row", 0,
		 "3c00010400000000 3c00010400000000 3c00010400000000 2b00010400000000 0600040000000000",
		 MXLB_COUNT_protocol},
		{"routing, not at its end", 43, "0600040100000000", MXLB_COUNT_protocol},
		{"fragment behind hop-by-hop", 0, "2c00010400000000 0600000100000000",
		 MXLB_COUNT_fragment},
		{"authentication header", 51, "0604000000000000", MXLB_COUNT_protocol},
		{"ESP", 50, "0000000000000000", MXLB_COUNT_protocol},
		{"no next header", 59, "0000000000000000", MXLB_COUNT_protocol},
		{"longer than the packet", 0, "06ff010400000000", MXLB_COUNT_malformed},
		{"leads to UDP", 0, "1100010400000000", MXLB_COUNT_protocol},
	};

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(chains) / sizeof(chains[0]); i++) {
		unsigned row = i / 2;
		struct outcome o;
		struct frame in;

		bench_forward(i % 2 ? 6 : 0);
		frame_syn(&in, 6, 25, 10);
		insert_extensions(&in, chains[row].first, chains[row].hex);
		bench_run(&in, &o);
		if (o.counter != chains[row].counter)
			fail_msg("%s: action %d, counter %d", chains[row].what, o.action,
				 o.counter);
		if (o.counter < 0)
			expect_forwarded(&in, &o);
	}
	bench_forward(0);
}

static void test_C18_every_truncation_of_a_chain_is_dropped_or_passed(void **state)
{
	struct frame whole, in;
	struct outcome o;

	(void)state;
	frame_syn(&whole, 6, 25, 10);
	insert_extensions(&whole, 0, "3c00010400000000 2b00010400000000 0600040000000000");
	in = whole;
	for (in.len = 14; in.len < whole.len; in.len++) {
		bench_run(&in, &o);
		assert_true(o.action == XDP_DROP || o.action == XDP_PASS);
		if (in.len < 54 + 20)
			continue;
		in.b[19] = in.len - 54; /* with a matching length */
		bench_run(&in, &o);
		assert_true(o.action == XDP_DROP || o.action == XDP_PASS);
		in.b[19] = whole.b[19];
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_C18_extension_headers_are_walked_and_what_is_no_TCP_is_dropped),
		cmocka_unit_test(test_C18_every_truncation_of_a_chain_is_dropped_or_passed),
	};

	return cmocka_run_group_tests_name("extensions", tests, bench_up, bench_down);
}
