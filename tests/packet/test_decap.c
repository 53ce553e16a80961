// SPDX-License-Identifier: BSD-2-Clause
/* The far end of a tunnel: row C32 of docs/conformance.md, and the fields of RFC 6040. */
#include <linux/if_link.h>
#include "wrapped.h"

enum { V4 = 4, V6 = 6 };

#define EACH_FAMILY(f) for (int f = V4; f <= V6; f += 2)

static void test_C32_a_VIPs_packet_in_a_tunnel_is_served_as_if_it_had_come_so(void **state)
{
	static const struct {
		const char *what;
		uint16_t port;
		struct {
			unsigned at;
			const char *hex;
		} change[2]; /* of IPv4; .hex NULL: as it is */
	} rows[] = {
		{"SYN", 25, {{0, NULL}}},
		{"segment", 25, {{47, "18"}}},
		{"time to live used up", 25, {{22, "01"}}},
		{"one hop left to go", 25, {{22, "02"}}},
		{"fragment", 25, {{20, "2000"}}},
		{"UDP", 25, {{23, "11"}}},
		{"ping", 25, {{23, "01"}, {34, "0800f7ff00000000"}}},
		{"from a group", 25, {{26, "e0000001"}}},
		{"Xmas", 25, {{47, "29"}}},
		{"TCP header beyond the packet", 25, {{46, "f0"}}},
		{"options", 25, {{14, "46"}}},
		{"port of no service", 24, {{0, NULL}}},
		{"nobody", 2525, {{0, NULL}}},
		{"nobody: silence", 2526, {{0, NULL}}},
		{"cold start", 2527, {{0, NULL}}},
		{"no next hop", 2528, {{0, NULL}}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EACH_FAMILY(outer)
		{
			struct outcome bare, o;
			struct frame in, wrapped;

			frame_syn(&in, V4, rows[i].port, 100 + i);
			for (int c = 0; c < 2 && rows[i].change[c].hex; c++)
				frame_set(&in, rows[i].change[c].at, rows[i].change[c].hex);
			frame_fix_ip_checksum(&in);
			bench_run(&in, &bare);
			frame_tunnel(&wrapped, outer, &in);
			bench_run(&wrapped, &o);
			if (o.action != bare.action || o.counter != bare.counter ||
			    o.server != bare.server || o.out.len != bare.out.len ||
			    memcmp(o.out.b, bare.out.b, o.out.len))
				fail_msg("%s: action %d, counter %d", rows[i].what, o.action,
					 o.counter);
		}
	}
}

static void test_C32_all_four_kinds_are_stripped_and_forwarded(void **state)
{
	(void)state;
	EACH_FAMILY(outer)
	EACH_FAMILY(inner)
	{
		struct frame in, wrapped;
		struct outcome o;

		frame_syn(&in, inner, 25, 10);
		frame_tunnel(&wrapped, outer, &in);
		bench_run(&wrapped, &o);
		assert_int_equal(o.action, XDP_TX);
		assert_int_equal(o.counter, -1);
		expect_forwarded(&in, &o);
	}
}

/* A sender that forges a peer's address reaches only the VIPs. */
static void test_C32_what_is_for_no_VIP_of_this_box_passes_as_it_came(void **state)
{
	(void)state;
	EACH_FAMILY(outer)
	EACH_FAMILY(inner)
	{
		struct frame in, wrapped;

		frame_own(&in, inner);
		frame_tunnel(&wrapped, outer, &in);
		expect_untouched("for the own stack", &wrapped);
		frame_set(&wrapped, wrapped.len, "00");
		expect_untouched("for the own stack, with padding", &wrapped);
	}
}

static void test_C32_a_tunnel_in_a_tunnel_stays(void **state)
{
	(void)state;
	EACH_FAMILY(outer)
	EACH_FAMILY(middle)
	EACH_FAMILY(inner)
	{
		struct frame in, once, twice;

		frame_syn(&in, inner, 25, 10);
		frame_tunnel(&once, middle, &in);
		frame_tunnel(&twice, outer, &once);
		expect_untouched("a tunnel in a tunnel", &twice);
	}
}

/* Otherwise two boxes that are each other's last tier would send it back and forth until its hop limit is used up. */
static void test_what_came_by_a_tunnel_is_sent_into_none(void **state)
{
	(void)state;
	EACH_FAMILY(outer)
	EACH_FAMILY(inner)
	{
		struct frame in, wrapped;
		struct outcome bare, o;

		bench_forward(4);
		bench_plan();
		frame_syn(&in, inner, 25, 700);
		bench_run(&in, &bare);
		assert_int_equal(bare.counter, -1); /* by itself it is */
		frame_tunnel(&wrapped, outer, &in);
		bench_run(&wrapped, &o);
		assert_int_equal(o.action, XDP_TX);
		assert_int_equal(o.counter, MXLB_COUNT_tunnel_loop);
		assert_int_equal(o.out.b[(inner == V4 ? 34 : 54) + 13] & 4, 4); /* a RST */
		bench_forward(0);
		bench_plan();
		bench_run(&wrapped, &o);
		assert_int_equal(o.counter, -1); /* forwarded to a server of this network */
		expect_forwarded(&in, &o);
	}
}

struct row {
	const char *what;
	int outer, inner;
	struct {
		unsigned at;
		const char *hex;
	} change[2];
};

static void test_C32_what_is_not_surely_a_peers_sound_packet_passes_untouched(void **state)
{
	static const struct row rows[] = {
		{"no peer", V4, V4, {{29, "06"}}},
		{"no peer, IPv6", V6, V4, {{37, "06"}}},
		{"no peer, first half", V6, V6, {{22, "21"}}},
		{"from the place of no peer", V6, V6, {{22, "0000000000000000 0000000000000000"}}},
		{"a peer's bytes in an IPv6 address",
		 V6,
		 V4,
		 {{22, "0000000000000000 00000000" PEER4}}},
		{"a peer's IPv4 address, mapped",
		 V6,
		 V4,
		 {{22, "0000000000000000 0000ffff" PEER4}}},
		{"to another MAC address", V4, V4, {{0, "020000000099"}}},
		{"to a group's MAC address", V6, V6, {{0, "333300000001"}}},
		{"first fragment", V4, V4, {{20, "2000"}}},
		{"later fragment", V4, V6, {{20, "0010"}}},
		{"fragment, IPv6", V6, V4, {{20, "2c"}}},
		{"options", V4, V4, {{14, "46"}}},
		{"GRE", V4, V4, {{23, "2f"}}},
		{"GRE, IPv6", V6, V6, {{20, "2f"}}},
		{"outer header of another version", V4, V4, {{14, "65"}}},
		{"outer header of another version, IPv6", V6, V4, {{14, "40"}}},
		{"outer length beyond the frame", V4, V4, {{17, "49"}}},
		{"outer length below its header", V4, V4, {{16, "0013"}}},
		{"outer length beyond the frame, IPv6", V6, V4, {{19, "35"}}},
		{"inside: another version", V4, V4, {{34, "65"}}},
		{"inside: IPv4 for IPv6", V6, V6, {{54, "45"}}},
		{"inside: a header length below 5", V4, V4, {{34, "44"}}},
		{"inside: shorter than its header", V4, V4, {{36, "0013"}}},
		{"inside: longer than the outer says", V4, V4, {{36, "0035"}}},
		{"inside: longer, in IPv6", V6, V4, {{56, "0035"}}},
		{"inside: IPv6, longer than the outer says", V4, V6, {{38, "0021"}}},
		{"inside: IPv6, longer, in IPv6", V6, V6, {{58, "ffff"}}},
		{"inside: as if from this link", V4, V4, {{42, "ff"}}},
		{"inside: as if from this link, IPv6", V4, V6, {{41, "ff"}}},
		{"inside: to a group", V4, V4, {{50, "e0000001"}}},
		{"inside: to all", V6, V4, {{70, "ffffffff"}}},
		{"inside: to a group, IPv6", V4, V6, {{58, "ff02"}}},
		{"inside: to an address of the link", V6, V6, {{78, "fe80"}}},
		{"inside: from an address of the link", V4, V6, {{42, "febf"}}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame in, wrapped;

		frame_syn(&in, rows[i].inner, 25, 10);
		frame_tunnel(&wrapped, rows[i].outer, &in);
		for (int c = 0; c < 2 && rows[i].change[c].hex; c++)
			frame_set(&wrapped, rows[i].change[c].at, rows[i].change[c].hex);
		expect_untouched(rows[i].what, &wrapped);
	}
}

static void test_C32_to_a_VIP_it_is_dropped_as_every_protocol_but_TCP(void **state)
{
	(void)state;
	EACH_FAMILY(outer)
	{
		struct frame in, wrapped;
		struct outcome o;

		frame_own(&in, V4);
		frame_tunnel(&wrapped, outer, &in);
		frame_set(&wrapped, outer == V4 ? 33 : 53, outer == V4 ? "19" : "25");
		bench_run(&wrapped, &o);
		assert_int_equal(o.action, XDP_DROP);
		assert_int_equal(o.counter, MXLB_COUNT_protocol);
	}
}

/* Truncated at each byte, with the outer length unchanged. */
static void test_C32_every_truncation_passes_untouched(void **state)
{
	(void)state;
	EACH_FAMILY(outer)
	EACH_FAMILY(inner)
	{
		struct frame in, wrapped;
		unsigned whole;

		frame_syn(&in, inner, 25, 10);
		frame_tunnel(&wrapped, outer, &in);
		whole = wrapped.len;
		for (wrapped.len = 14; wrapped.len < whole; wrapped.len++)
			expect_untouched("cut", &wrapped);
	}
}

/* Truncated at each byte, with the outer length or both lengths adapted. */
static void test_C32_every_length_that_the_headers_admit_is_passed_or_dropped(void **state)
{
	(void)state;
	EACH_FAMILY(outer)
	EACH_FAMILY(inner)
	{
		unsigned header = inner == V4 ? 20 : 40;
		struct frame in, wrapped, cut;
		struct outcome o;

		frame_syn(&in, inner, 25, 10);
		for (unsigned len = 14; len < in.len; len++) {
			cut = in;
			cut.len = len;
			frame_tunnel(&wrapped, outer, &cut);
			wrapped.b[outer == V4 ? 23 : 20] = inner == V4 ? 4 : 41;
			if (outer == V4)
				frame_fix_ip_checksum(&wrapped);
			expect_untouched("cut, the outer length with it", &wrapped);
			if (len < 14 + header)
				continue;
			wrapped.b[14 + (outer == V4 ? 20 : 40) + (inner == V4 ? 3 : 5)] =
				inner == V4 ? len - 14 : len - 14 - header;
			bench_run(&wrapped, &o);
			assert_int_equal(o.action, XDP_DROP);
			assert_int_equal(o.counter, MXLB_COUNT_malformed);
		}
	}
}

static void expect_stripped(const struct frame *wrapped, const struct frame *want)
{
	struct outcome o;

	bench_run(wrapped, &o);
	assert_int_equal(o.action, XDP_PASS);
	assert_int_equal(o.counter, MXLB_COUNT_decapsulated);
	assert_int_equal(o.out.len, want->len);
	assert_memory_equal(o.out.b, want->b, want->len);
}

static void set_ecn(struct frame *f, unsigned ip, uint8_t ecn)
{
	if (f->b[ip] >> 4 == 4)
		f->b[ip + 1] = 0xb8 | ecn; /* EF: that stays */
	else
		f->b[ip + 1] = 0x80 | ecn << 4 | 5; /* and the flow label */
}

/* RFC 6040, figure 4; rows: inside, columns: outer. X: drop. */
static void expect_marks_handed_on(void)
{
	enum { NOT, ECT1, ECT0, CE, X };
	static const uint8_t merged[4][4] = {
		[NOT] = {[NOT] = NOT, [ECT0] = NOT, [ECT1] = NOT, [CE] = X},
		[ECT0] = {[NOT] = ECT0, [ECT0] = ECT0, [ECT1] = ECT1, [CE] = CE},
		[ECT1] = {[NOT] = ECT1, [ECT0] = ECT1, [ECT1] = ECT1, [CE] = CE},
		[CE] = {[NOT] = CE, [ECT0] = CE, [ECT1] = CE, [CE] = CE},
	};

	for (unsigned i = 0; i < 64; i++) {
		int outer = i & 1 ? V4 : V6, inner = i & 2 ? V4 : V6;
		unsigned out = i >> 2 & 3, in = i >> 4;
		struct frame f, wrapped, want;
		struct outcome o;

		frame_own(&f, inner);
		set_ecn(&f, 14, in);
		if (inner == V4)
			frame_fix_ip_checksum(&f);
		frame_tunnel(&wrapped, outer, &f);
		set_ecn(&wrapped, 14, out);
		if (merged[in][out] == X) {
			bench_run(&wrapped, &o);
			assert_int_equal(o.action, XDP_DROP);
			assert_int_equal(o.counter, MXLB_COUNT_congestion);
			continue;
		}
		want = f;
		set_ecn(&want, 14, merged[in][out]);
		if (inner == V4)
			frame_fix_ip_checksum(&want);
		expect_stripped(&wrapped, &want);
	}
}

/* On a mail server without VIPs of its own. */
static void expect_only_mail_stripped(void)
{
	static const struct {
		const char *what;
		int inner;
		bool stripped;
		struct {
			unsigned at;
			const char *hex;
		} change[2];
	} rows[] = {
		{"TCP", V4, true, {{0, NULL}}},
		{"TCP, IPv6", V6, true, {{0, NULL}}},
		{"UDP", V4, false, {{23, "11"}}},
		{"UDP, IPv6", V6, false, {{20, "11"}}},
		{"a fragment", V4, false, {{20, "2000"}}},
		{"a later fragment", V4, false, {{20, "0010"}}},
		{"a ping", V4, false, {{23, "01"}, {34, "0800"}}},
		{"a packet too big", V4, true, {{23, "01"}, {34, "0304"}}},
		{"neighbour discovery", V6, false, {{20, "3a"}, {54, "8700"}}},
		{"a packet too big, IPv6", V6, true, {{20, "3a"}, {54, "0200"}}},
		{"GRE", V4, false, {{23, "2f"}}},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EACH_FAMILY(outer)
		{
			struct frame in, wrapped;

			frame_syn(&in, rows[i].inner, 25, 10);
			for (int c = 0; c < 2 && rows[i].change[c].hex; c++)
				frame_set(&in, rows[i].change[c].at, rows[i].change[c].hex);
			if (rows[i].inner == V4)
				frame_fix_ip_checksum(&in);
			frame_tunnel(&wrapped, outer, &in);
			if (rows[i].stripped)
				expect_stripped(&wrapped, &in);
			else
				expect_untouched(rows[i].what, &wrapped);
		}
	}
}

static void test_C32_without_peers_or_without_VIPs_all_else_goes_on(void **state)
{
	struct plan no_services = {.peers = bench_peers, .n_peers = bench_n_peers};
	struct frame in, wrapped, own, wrapped_own;
	struct outcome o;

	(void)state;
	frame_syn(&in, V4, 25, 10);
	frame_tunnel(&wrapped, V6, &in);
	frame_own(&own, V6);
	frame_tunnel(&wrapped_own, V4, &own);
	for (uint64_t now = 1000000, again_ms = 1; again_ms; now += again_ms)
		assert_int_equal(datapath_apply(bench_datapath(), &no_services, now, &again_ms), 0);
	expect_stripped(&wrapped, &in); /* the former VIP is an address of this mail server */
	expect_untouched("a mail to what was a VIP", &in);
	expect_marks_handed_on();
	expect_only_mail_stripped();

	bench_n_peers = 0;
	bench_datapath()->front_free_ms = 0;
	bench_plan();
	expect_untouched("from nobody's peer", &wrapped);
	expect_untouched("from nobody's peer", &wrapped_own);
	bench_run(&in, &o);
	assert_int_equal(o.action, XDP_TX);
	peers_up();
	bench_run(&wrapped, &o);
	expect_forwarded(&in, &o);
}

static int up(void **state)
{
	int err = bench_up(state);

	if (!err)
		peers_up();
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C32_all_four_kinds_are_stripped_and_forwarded),
		cmocka_unit_test(test_C32_a_VIPs_packet_in_a_tunnel_is_served_as_if_it_had_come_so),
		cmocka_unit_test(test_C32_what_is_for_no_VIP_of_this_box_passes_as_it_came),
		cmocka_unit_test(test_what_came_by_a_tunnel_is_sent_into_none),
		cmocka_unit_test(test_C32_a_tunnel_in_a_tunnel_stays),
		cmocka_unit_test(test_C32_what_is_not_surely_a_peers_sound_packet_passes_untouched),
		cmocka_unit_test(test_C32_to_a_VIP_it_is_dropped_as_every_protocol_but_TCP),
		cmocka_unit_test(test_C32_every_truncation_passes_untouched),
		cmocka_unit_test(test_C32_every_length_that_the_headers_admit_is_passed_or_dropped),
		cmocka_unit_test(test_C32_without_peers_or_without_VIPs_all_else_goes_on),
	};

	return cmocka_run_group_tests_name("decap", tests, up, bench_down);
}
