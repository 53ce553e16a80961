// SPDX-License-Identifier: BSD-2-Clause
/* Packets that do not fit into a tunnel, and the error that their sender gets: rows C29 and C30 of docs/conformance.md. */
#include <linux/if_link.h>
#include <string.h>
#include "tunnels.h"

static uint32_t words(const struct frame *f, unsigned at, unsigned len, uint32_t sum)
{
	for (unsigned i = 0; i < len; i++)
		sum += i % 2 ? f->b[at + i] : f->b[at + i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* RFC 1191, RFC 1812 section 4.3.2.3: from the VIP, 576 bytes at most. */
static void expect_frag_needed(const struct frame *in, const struct outcome *o, unsigned mtu)
{
	const struct frame *f = &o->out;
	unsigned quote = in->len - 14 < 548 ? in->len - 14 : 548;
	struct frame want = {.len = 0};

	frame_set(&want, 12, "0800 4500 0000 0000 4000 4001 0000");
	put16(&want, 16, 28 + quote);
	memcpy(want.b + 26, in->b + 30, 4);
	memcpy(want.b + 30, in->b + 26, 4);
	frame_fix_ip_checksum(&want);
	frame_set(&want, 34, "0304 0000 0000 0000");
	put16(&want, 40, mtu);
	memcpy(want.b + 36, f->b + 36, 2);
	assert_int_equal(f->len, 42 + quote);
	assert_memory_equal(f->b + 12, want.b + 12, 30);
	assert_memory_equal(f->b + 42, in->b + 14, quote);
	assert_int_equal(words(f, 34, f->len - 34, 0), 0xffff);
}

/* RFC 4443 sections 2.3 and 3.2: from the VIP, 1280 bytes at most. */
static void expect_packet_too_big(const struct frame *in, const struct outcome *o, unsigned mtu)
{
	const struct frame *f = &o->out;
	unsigned quote = in->len - 14 < 1232 ? in->len - 14 : 1232;
	struct frame want = {.len = 0};

	frame_set(&want, 12, "86dd 60000000 0000 3a 40");
	put16(&want, 18, 8 + quote);
	memcpy(want.b + 22, in->b + 38, 16);
	memcpy(want.b + 38, in->b + 22, 16);
	frame_set(&want, 54, "0200 0000 0000 0000");
	put16(&want, 60, mtu);
	memcpy(want.b + 56, f->b + 56, 2);
	assert_int_equal(f->len, 62 + quote);
	assert_memory_equal(f->b + 12, want.b + 12, 50);
	assert_memory_equal(f->b + 62, in->b + 14, quote);
	assert_int_equal(words(f, 54, 8 + quote, words(f, 22, 32, 58 + 8 + quote)), 0xffff);
}

static void expect_too_big(const struct frame *in, const struct outcome *o, unsigned mtu)
{
	assert_int_equal(o->action, XDP_TX);
	assert_int_equal(o->counter, MXLB_COUNT_too_big);
	assert_memory_equal(o->out.b, router_mac, 6);
	assert_memory_equal(o->out.b + 6, our_mac, 6);
	if (in->b[12] == 0x08)
		expect_frag_needed(in, o, mtu);
	else
		expect_packet_too_big(in, o, mtu);
}

static void test_C29_what_just_fits_goes_and_one_byte_more_is_answered_with_what_fits(void **state)
{
	static const uint16_t mtus[] = {1500, 1400, 1480, 9000};

	(void)state;
	for (unsigned i = 0; i < PAIRS * sizeof(mtus) / sizeof(mtus[0]); i++) {
		uint16_t mtu = mtus[i / PAIRS], fits = mtu - HEAD(pairs[i % PAIRS].outer);
		int inner = pairs[i % PAIRS].inner;

		narrow(pairs[i % PAIRS].outer, mtu);
		for (int df = 0; df < (inner == 4 ? 2 : 1); df++) {
			struct outcome o;
			struct frame in;

			for (unsigned more = 0; more < 3; more++) {
				frame_data(&in, inner, 500 + i * 8 + df, fits + more);
				if (inner == 4 && !df)
					put16(&in, 20, 0);
				if (inner == 4)
					frame_fix_ip_checksum(&in);
				bench_run(&in, &o);
				if (more)
					expect_too_big(&in, &o, fits);
				else
					assert_int_equal(o.counter, -1);
			}
		}
	}
	bench_plan();
}

static void test_C29_the_quote_ends_with_the_packet_and_not_with_the_frame(void **state)
{
	(void)state;
	narrow(4, 300);
	for (unsigned len = 281; len < 600; len += 13) {
		struct outcome o;
		struct frame in, padded;

		frame_data(&in, 4, 700 + len, len);
		padded = in;
		padded.len += 9;
		bench_run(&padded, &o);
		expect_too_big(&in, &o, 280);
	}
	bench_plan();
}

static void test_C29_no_IPv6_packet_of_1280_bytes_is_too_big(void **state)
{
	uint16_t id[2];

	(void)state;
	for (int outer = 4; outer <= 6; outer += 2) {
		narrow(outer, 1290);
		for (unsigned n = 0; n < 2; n++) {
			struct frame in, check;
			struct outcome o;

			frame_data(&in, 6, 800 + n, 1281);
			bench_run(&in, &o);
			expect_too_big(&in, &o, 1280);
			frame_data(&in, 6, 800 + n, 1280);
			bench_run(&in, &o);
			assert_int_equal(o.counter, -1);
			assert_int_equal(o.out.len, 14 + HEAD(outer) + 1280);
			assert_memory_equal(o.out.b + 14 + HEAD(outer) + 8, in.b + 22, 1272);
			if (outer == 6)
				continue;
			assert_int_equal(frame_get16(&o.out, 20), 0); /* may be fragmented */
			id[n] = frame_get16(&o.out, 18);
			check = o.out;
			frame_fix_ip_checksum(&check);
			assert_memory_equal(check.b, o.out.b, 34);
		}
		assert_int_not_equal(id[0], id[1]);
	}
	bench_plan();
}

static void test_C29_too_big_is_answered_512_times_at_once_and_others_are_not_hurt(void **state)
{
	struct frame in, other, reset;
	unsigned hurt = 0;

	(void)state;
	narrow(4, 1400);
	frame_data(&in, 4, 900, 1381);
	frame_syn(&reset, 4, 24, 900);
	expect_limited(&in, MXLB_COUNT_too_big);
	for (unsigned client = 901; client <= 904; client++) {
		frame_data(&other, 4, client, 1381);
		hurt += bench_send(&other) != XDP_TX;
	}
	assert_true(hurt <= 1);	     /* one in 1,024 has the same bucket */
	for (int i = 0; i < 50; i++) /* another kind of answer uses another bucket */
		assert_int_equal(bench_send(&reset), XDP_TX);
	bench_plan();
}

static void test_C29_an_ICMP_error_that_is_too_big_draws_no_other(void **state)
{
	struct outcome o;
	struct frame in;

	(void)state;
	narrow(4, 600);
	frame_syn(&in, 4, 25, 1000);
	frame_set(&in, 23, "01");
	frame_set(&in, 34, "0304 0000 0000 0578 4500 05dc 0000 4000 4006 0000 cb007119 c6336401");
	frame_set(&in, 62, "0019 9c40 55667788");
	in.len = 14 + 590;
	put16(&in, 16, 590);
	frame_fix_ip_checksum(&in);
	bench_run(&in, &o);
	assert_int_equal(o.action, XDP_DROP);
	assert_int_equal(o.counter, MXLB_COUNT_too_big);
	bench_plan();
}

static void test_C30_a_frame_in_several_buffers_goes_whole_or_is_quoted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PAIRS; i++) {
		struct outcome o;
		struct frame in;

		narrow(pairs[i].outer, 9000);
		frame_data(&in, pairs[i].inner, 1100 + i, 8900);
		bench_run(&in, &o);
		assert_int_equal(o.counter, -1);
		assert_int_equal(o.out.len, in.len + HEAD(pairs[i].outer));
		assert_memory_equal(o.out.b + 14 + HEAD(pairs[i].outer) + 26, in.b + 40,
				    in.len - 40);
		narrow(pairs[i].outer, 1500);
		bench_run(&in, &o);
		expect_too_big(&in, &o, 1500 - HEAD(pairs[i].outer));
	}
	bench_plan();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_C29_what_just_fits_goes_and_one_byte_more_is_answered_with_what_fits),
		cmocka_unit_test(test_C29_the_quote_ends_with_the_packet_and_not_with_the_frame),
		cmocka_unit_test(test_C29_no_IPv6_packet_of_1280_bytes_is_too_big),
		cmocka_unit_test(
			test_C29_too_big_is_answered_512_times_at_once_and_others_are_not_hurt),
		cmocka_unit_test(test_C29_an_ICMP_error_that_is_too_big_draws_no_other),
		cmocka_unit_test(test_C30_a_frame_in_several_buffers_goes_whole_or_is_quoted),
	};

	return cmocka_run_group_tests_name("toobig", tests, bench_up, bench_down);
}
