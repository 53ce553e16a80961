// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rows of docs/conformance.md section 1 that sweep a field, or are about packets that are not for mxlb: C07, C09, C14
 * to C22, C27, C28, C35, C36, C43.
 */
#include <linux/if_link.h>
#include <stdatomic.h>
#include <string.h>
#include "rows.h"

/* --- fields, all their values --- */

static void test_C14_C15_every_header_length_leads_to_the_same_server_or_to_a_drop(void **state)
{
	(void)state;
	plan_in_force(TO_BOTH, TO_BOTH, NULL);
	for (uint32_t client = 0; client < 12; client++) {
		uint32_t plain = send_segment(4, 25, client, SYN, 0);

		for (unsigned ihl = 0; ihl < 16; ihl++) {
			unsigned options = ihl > 5 ? ihl * 4 - 20 : 0;
			struct outcome o;
			struct frame f;

			frame_syn(&f, 4, 25, client);
			memmove(f.b + 34 + options, f.b + 34, f.len - 34);
			memset(f.b + 34, 1, options);
			f.len += options;
			f.b[14] = 0x40 | ihl;
			f.b[17] += options;
			frame_fix_ip_checksum(&f);
			bench_run(&f, &o);
			if (ihl < 5) {
				assert_int_equal(o.action, XDP_DROP);
				assert_int_equal(o.counter, MXLB_COUNT_malformed);
			} else {
				expect_forwarded(&f, &o);
				assert_int_equal(o.server, plain);
			}
		}
	}
}

static void test_C15_every_other_version_is_malformed(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (unsigned version = 0; version < 16; version++) {
			struct frame f;

			frame_syn(&f, family, 25, 1);
			f.b[14] = version << 4 | (f.b[14] & 15);
			assert_int_equal(counter_of(&f), version == (unsigned)family
								 ? -1
								 : (int)MXLB_COUNT_malformed);
		}
	}
}

static void test_C16_every_bit_of_the_offset_and_MF_make_a_fragment_and_DF_none(void **state)
{
	(void)state;
	for (int bit = -1; bit < 14; bit++) {
		for (unsigned top = 0; top < 4; top++) { /* with DF, the reserved bit, both */
			unsigned word = top << 14 | (bit < 0 ? 0 : 1 << bit);
			struct frame f;

			frame_syn(&f, 4, 25, 1);
			f.b[20] = word >> 8;
			f.b[21] = word;
			frame_fix_ip_checksum(&f);
			assert_int_equal(counter_of(&f), bit < 0 ? -1 : (int)MXLB_COUNT_fragment);
		}
	}
}

static void test_C17_first_later_and_atomic_fragments_of_IPv6_are_dropped(void **state)
{
	static const char *const headers[] = {
		"0600000100000007", /* first */
		"0600000900000007", /* later, more */
		"0600000800000007", /* last */
		"0600000000000007", /* atomic (RFC 6946) */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct frame f;

		frame_syn(&f, 6, 25, 1);
		memmove(f.b + 62, f.b + 54, f.len - 54);
		frame_set(&f, 54, headers[i]);
		f.len += 8;
		f.b[19] += 8;
		f.b[20] = 44;
		assert_int_equal(counter_of(&f), MXLB_COUNT_fragment);
	}
}

static void test_C19_C20_bytes_behind_the_packet_stay_where_they_are(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (unsigned pad = 0; pad < 64; pad += 3) {
			struct outcome o;
			struct frame f;

			frame_syn(&f, family, 25, 1);
			memset(f.b + f.len, 0xee, pad);
			f.len += pad;
			bench_run(&f, &o);
			expect_forwarded(&f, &o);
		}
	}
}

static void test_C20_a_length_beyond_the_frame_or_short_of_the_headers_is_malformed(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (uint32_t len = 0; len < 0x10000; len = len < 70 ? len + 1 : len * 3 / 2) {
			uint32_t tcp = family == 4 ? len - 20 : len; /* the SYN has 32 bytes */
			unsigned at = family == 4 ? 16 : 18;
			struct frame f;

			frame_syn(&f, family, 25, 1);
			f.b[at] = len >> 8;
			f.b[at + 1] = len;
			if (family == 4)
				frame_fix_ip_checksum(&f);
			assert_int_equal(counter_of(&f),
					 tcp == 32 ? -1 : (int)MXLB_COUNT_malformed);
		}
	}
}

static void test_C21_every_TCP_header_length_that_fits_is_forwarded_and_no_other(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (unsigned doff = 0; doff < 16; doff++) {
			struct frame f;

			frame_syn(&f, family, 25, 1);
			f.b[tcp_at(family) + 12] = doff << 4;
			assert_int_equal(counter_of(&f),
					 doff >= 5 && doff <= 8 ? -1 : (int)MXLB_COUNT_malformed);
		}
	}
}

static void test_C22_of_all_flags_only_a_SYN_is_placed_and_only_contradictions_are_dropped(
	void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (unsigned six = 0; six < 64; six++) {
			unsigned flags = six | (six % 5 << 6); /* ECE, CWR: all the same */
			bool dropped = !six || ((six & SYN) && (six & (FIN | RST))) ||
				       (six & ~(RST | SYN)) == (FIN | PSH | URG);
			struct outcome o;
			struct frame f;

			frame_segment(&f, family, 25, 3000 + six, flags, 0);
			bench_run(&f, &o);
			assert_int_equal(o.counter, dropped ? (int)MXLB_COUNT_flags : -1);
			if (!dropped)
				assert_int_equal(o.syns, (six & (SYN | ACK)) == SYN);
		}
	}
}

static void test_C27_every_time_to_live_is_one_less_afterwards_and_the_last_is_the_end(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (unsigned hops = 0; hops < 256; hops += hops < 4 ? 1 : 21) {
			struct outcome o;
			struct frame f;

			frame_syn(&f, family, 25, 1);
			f.b[family == 4 ? 22 : 21] = hops;
			if (family == 4)
				frame_fix_ip_checksum(&f);
			bench_run(&f, &o);
			if (hops > 1) {
				expect_forwarded(&f, &o);
				assert_true(frame_checksums_ok(&o.out));
			} else {
				assert_int_equal(o.counter, MXLB_COUNT_ttl);
			}
		}
	}
}

static void test_C28_C43_wrong_checksums_and_whatever_is_in_TCP_stay_as_they_are(void **state)
{
	static const char *const options[] = {
		"0101050a 00000001 00000009", /* SACK */
		"0101080a 00000001 00000002", /* timestamps */
		"1e0c0081 01020304 05060708", /* MPTCP */
		"1d0c0001 01020304 05060708", /* TCP-AO */
		"ffffffff ffffffff ffffffff", /* nonsense */
	};

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
			struct outcome o;
			struct frame f;

			frame_syn(&f, family, 25, 1);
			frame_set(&f, tcp_at(family) + 20, options[i]);
			frame_set(&f, tcp_at(family) + 16, "dead");
			if (family == 4)
				frame_set(&f, 24, "beef");
			bench_run(&f, &o);
			expect_forwarded(&f, &o);
		}
	}
}

/* --- what is not ours --- */

static void test_C07_other_protocols_than_TCP_and_ICMP_are_dropped_or_passed_and_never_sent(
	void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (unsigned protocol = 0; protocol < 256; protocol += 3) {
			struct outcome o;
			struct frame f;

			if (protocol == 6 || protocol == (family == 4 ? 1 : 58))
				continue;
			frame_syn(&f, family, 25, 1);
			f.b[family == 4 ? 23 : 20] = protocol;
			if (family == 4)
				frame_fix_ip_checksum(&f);
			bench_run(&f, &o);
			assert_true(o.action == XDP_DROP || o.action == XDP_PASS);
			assert_memory_equal(o.out.b, f.b, f.len);
		}
	}
}

static void test_C09_what_this_box_says_to_its_neighbours_passes(void **state)
{
	static const struct {
		const char *what;
		int family;
		uint16_t port;
		const char *dst;
		uint8_t protocol; /* 0: TCP */
	} rows[] = {
		{"BGP", 4, 179, "cb007105", 0},
		{"BGP, IPv6", 6, 179, "20010db8011300000000000000000005", 0},
		{"BFD", 4, 3784, "cb007105", 17},
		{"BFD, IPv6", 6, 3784, "20010db8011300000000000000000005", 17},
		{"VRRP for IPv6", 6, 0, "ff020000000000000000000000000012", 112},
		{"SSH to this box", 4, 22, "cb007105", 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome o;
		struct frame f;

		frame_syn(&f, rows[i].family, rows[i].port, 1);
		frame_set(&f, rows[i].family == 4 ? 30 : 38, rows[i].dst);
		if (rows[i].protocol)
			f.b[rows[i].family == 4 ? 23 : 20] = rows[i].protocol;
		bench_run(&f, &o);
		if (o.action != XDP_PASS || o.counter != MXLB_COUNT_not_ours)
			fail_msg("%s: action %d, counter %d", rows[i].what, o.action, o.counter);
		assert_memory_equal(o.out.b, f.b, f.len);
	}
}

static void test_C09_neighbour_discovery_that_is_not_about_a_VIP_passes(void **state)
{
	static const char *const messages[] = {
		"87 00 0000 00000000 20010db8011300000000000000000005 0101020000000001", /* this box */
		"87 00 0000 00000000 20010db8011300000000000000000026 0101020000000001", /* no VIP */
		"88 00 0000 60000000 20010db8011300000000000000000001 0201020000000001", /* advert */
		"86 00 0000 40000708 00000000 00000000 0101020000000001", /* router advert */
		"85 00 0000 00000000 0101020000000001",			  /* router solicitation */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct frame f = {.len = 0};
		struct outcome o;

		frame_set(&f, 0, "333300000001 020000000001 86dd 60000000 0000 3a ff");
		frame_set(&f, 22, "fe800000000000000000000000000001");
		frame_set(&f, 38, "ff020000000000000000000000000001");
		frame_set(&f, 54, messages[i]);
		f.b[19] = f.len - 54;
		bench_run(&f, &o);
		assert_int_equal(o.action, XDP_PASS);
		assert_int_equal(o.counter, MXLB_COUNT_not_ours);
		assert_memory_equal(o.out.b, f.b, f.len);
	}
}

static void test_C35_C36_a_frame_of_this_box_itself_that_comes_back_is_not_sent_again(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (int port = 24; port <= 25; port++) {
			struct outcome o;
			struct frame f;

			frame_syn(&f, family, port, 1);
			memcpy(f.b + 6, our_mac, 6);
			bench_run(&f, &o);
			assert_int_equal(o.action, XDP_DROP);
			assert_int_equal(o.counter, MXLB_COUNT_martian);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_C14_C15_every_header_length_leads_to_the_same_server_or_to_a_drop),
		cmocka_unit_test(test_C15_every_other_version_is_malformed),
		cmocka_unit_test(
			test_C16_every_bit_of_the_offset_and_MF_make_a_fragment_and_DF_none),
		cmocka_unit_test(test_C17_first_later_and_atomic_fragments_of_IPv6_are_dropped),
		cmocka_unit_test(test_C19_C20_bytes_behind_the_packet_stay_where_they_are),
		cmocka_unit_test(
			test_C20_a_length_beyond_the_frame_or_short_of_the_headers_is_malformed),
		cmocka_unit_test(
			test_C21_every_TCP_header_length_that_fits_is_forwarded_and_no_other),
		cmocka_unit_test(
			test_C22_of_all_flags_only_a_SYN_is_placed_and_only_contradictions_are_dropped),
		cmocka_unit_test(
			test_C27_every_time_to_live_is_one_less_afterwards_and_the_last_is_the_end),
		cmocka_unit_test(
			test_C28_C43_wrong_checksums_and_whatever_is_in_TCP_stay_as_they_are),
		cmocka_unit_test(
			test_C07_other_protocols_than_TCP_and_ICMP_are_dropped_or_passed_and_never_sent),
		cmocka_unit_test(test_C09_what_this_box_says_to_its_neighbours_passes),
		cmocka_unit_test(test_C09_neighbour_discovery_that_is_not_about_a_VIP_passes),
		cmocka_unit_test(
			test_C35_C36_a_frame_of_this_box_itself_that_comes_back_is_not_sent_again),
	};

	return cmocka_run_group_tests_name("fields", tests, bench_up, bench_down);
}
