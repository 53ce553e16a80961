// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rows of conformance.md section 1 that sweep a field, or that are about more than one packet: C05 to C09, C14 to C28, C35, C37
 * and C45.
 */
#include <linux/if_link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "bench.h"

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10, URG = 0x20 };
enum { TO_A = 1, TO_B = 2, TO_BOTH = 3, TO_NOBODY = 0 };

static uint64_t now_ms = 1000000;
static bool a_is_down;

/* Who the services on the VIPs' ports 25, and 587, send to; prefixes that may connect to port 25, NULL: all. */
static void plan_in_force(int to_25, int to_587, const char *allow)
{
	static const char *const vips[] = {"203.0.113.25", "2001:db8:113::25"};
	struct maglev_member both[] = {{"a", BACKEND_A, 1}, {"b", BACKEND_B, 1}};
	struct plan_backend backends[] = {{.id = BACKEND_A, .down = a_is_down}, {.id = BACKEND_B}};
	struct plan_service s[4];
	struct prefix prefix;
	struct plan plan = {.services = s, .n_services = 4, .backends = backends, .n_backends = 2};

	for (int i = 0; i < 2; i++)
		memcpy(backends[i].mac.b, backend_mac[backends[i].id], 6);
	for (int i = 0; i < 4; i++) {
		int to = i < 2 ? to_25 : to_587;

		s[i] = (struct plan_service){.id = i,
					     .name = (const char *[]){"m4", "m6", "s4", "s6"}[i],
					     .port = i < 2 ? 25 : 587,
					     .mode = to ? PLAN_RING : PLAN_RESET,
					     .members = to == TO_B ? both + 1 : both,
					     .n_members = to == TO_BOTH ? 2 : !!to,
					     .advertise = true};
		assert_int_equal(addr_parse(vips[i % 2], &s[i].vip), 0);
		if (allow && i < 2) {
			assert_int_equal(addr_parse_prefix(allow, &prefix), 0);
			s[i].allow = &prefix;
			s[i].n_allow = 1;
		}
	}
	for (int ret = 1; ret; now_ms += ret) {
		ret = datapath_apply(bench_datapath(), &plan, now_ms);
		assert_true(ret >= 0);
	}
}

static unsigned tcp_at(int family)
{
	return family == 4 ? 34 : 54;
}

/* A segment of a client's: behind its SYN, so many bytes on. */
static void frame_segment(struct frame *f, int family, uint16_t port, uint32_t client,
			  unsigned flags, uint8_t on)
{
	frame_syn(f, family, port, client);
	f->b[tcp_at(family) + 7] += on;
	f->b[tcp_at(family) + 13] = flags;
}

static uint32_t send_segment(int family, uint16_t port, uint32_t client, unsigned flags, uint8_t on)
{
	struct outcome o;
	struct frame f;

	frame_segment(&f, family, port, client, flags, on);
	bench_run(&f, &o);
	if (o.counter < 0)
		expect_forwarded(&f, &o);
	return o.backend;
}

/* A handshake; who has the flow. */
static uint32_t open_flow(int family, uint16_t port, uint32_t client)
{
	uint32_t backend = send_segment(family, port, client, SYN, 0);

	assert_int_equal(send_segment(family, port, client, ACK, 1), backend);
	return backend;
}

static int counter_of(const struct frame *f)
{
	struct outcome o;

	bench_run(f, &o);
	return o.counter;
}

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
				assert_int_equal(o.backend, plain);
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

/* --- flows --- */

static void test_C05_C06_ports_of_one_VIP_have_tables_of_their_own(void **state)
{
	(void)state;
	plan_in_force(TO_A, TO_B, NULL);
	for (int family = 4; family <= 6; family += 2) {
		for (uint32_t client = 20000; client < 20060; client++) {
			assert_int_equal(open_flow(family, 25, client), BACKEND_A);
			assert_int_equal(open_flow(family, 587, client), BACKEND_B);
		}
	}
	plan_in_force(TO_B, TO_A, NULL); /* what is open stays, by its own port */
	for (int family = 4; family <= 6; family += 2) {
		for (uint32_t client = 20000; client < 20060; client++) {
			assert_int_equal(send_segment(family, 25, client, ACK, 1), BACKEND_A);
			assert_int_equal(send_segment(family, 587, client, ACK, 1), BACKEND_B);
		}
	}
	for (int port = 1; port < 1024; port += 51) {
		struct outcome o;
		struct frame f;

		frame_syn(&f, 4, port, port);
		bench_run(&f, &o);
		if (port != 25 && port != 587)
			assert_int_equal(o.counter, MXLB_COUNT_not_our_port);
	}
}

static void test_C23_a_segment_of_a_known_flow_follows_it_when_the_ring_has_changed(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		plan_in_force(TO_A, TO_A, NULL);
		for (uint32_t client = 5000; client < 5030; client++)
			assert_int_equal(open_flow(family, 25, client), BACKEND_A);
		plan_in_force(TO_B, TO_B, NULL);
		for (uint32_t client = 5000; client < 5030; client++) {
			assert_int_equal(send_segment(family, 25, client, ACK | PSH, 2), BACKEND_A);
			assert_int_equal(send_segment(family, 25, client + 1000, SYN, 0),
					 BACKEND_B);
		}
	}
}

static uint64_t misses(void)
{
	struct traffic a, b;

	datapath_traffic(bench_datapath(), BACKEND_A, &a);
	datapath_traffic(bench_datapath(), BACKEND_B, &b);
	return a.misses + b.misses;
}

static void test_C24_a_segment_of_an_unknown_flow_goes_by_the_ring_and_is_counted(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct outcome o;
		struct frame f;

		plan_in_force(TO_BOTH, TO_BOTH, NULL);
		for (uint32_t client = 7000; client < 7030; client++) {
			uint64_t before = misses();
			uint32_t backend = send_segment(family, 25, client, ACK, 77);

			assert_int_equal(misses(), before + 1);
			assert_int_equal(send_segment(family, 25, client, SYN, 0), backend);
		}
		plan_in_force(TO_NOBODY, TO_NOBODY, NULL);
		frame_segment(&f, family, 25, 9999, ACK, 1);
		bench_run(&f, &o);
		assert_int_equal(o.action, XDP_TX);
		assert_int_equal(o.counter, MXLB_COUNT_no_backend);
		assert_int_equal(o.out.b[tcp_at(family) + 13], RST);
	}
}

static void test_C25_a_SYN_that_reuses_the_tuple_of_a_dead_servers_flow_goes_to_a_living_one(
	void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		a_is_down = false;
		plan_in_force(TO_A, TO_A, NULL);
		for (uint32_t client = 11000; client < 11030; client++)
			assert_int_equal(open_flow(family, 25, client), BACKEND_A);
		a_is_down = true;
		plan_in_force(TO_B, TO_B, NULL);
		for (uint32_t client = 11000; client < 11030; client++) {
			assert_int_equal(send_segment(family, 25, client, SYN, 200), BACKEND_B);
			assert_int_equal(send_segment(family, 25, client, ACK, 201), BACKEND_B);
		}
	}
	a_is_down = false;
}

static void test_C26_behind_a_FIN_or_RST_what_still_comes_goes_to_the_same_server(void **state)
{
	static const unsigned ends[] = {FIN | ACK, RST, RST | ACK};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		int family = i % 2 ? 4 : 6;
		unsigned end = ends[i / 2];

		plan_in_force(TO_A, TO_A, NULL);
		for (uint32_t client = 0; client < 20; client++) {
			assert_int_equal(open_flow(family, 25, 13000 + i * 64 + client), BACKEND_A);
			assert_int_equal(send_segment(family, 25, 13000 + i * 64 + client, end, 1),
					 BACKEND_A);
		}
		plan_in_force(TO_B, TO_B, NULL);
		for (uint32_t client = 0; client < 20; client++) {
			assert_int_equal(send_segment(family, 25, 13000 + i * 64 + client, end, 1),
					 BACKEND_A);
			assert_int_equal(send_segment(family, 25, 13000 + i * 64 + client, ACK, 2),
					 BACKEND_A);
		}
	}
}

/* --- two at once --- */

static atomic_bool swapping;

static void *swap_plans(void *arg)
{
	unsigned *swaps = arg;

	while (atomic_load(&swapping)) {
		plan_in_force(TO_A, TO_BOTH, "198.51.0.0/17");
		plan_in_force(TO_B, TO_A, "198.51.64.0/18");
		*swaps += 2;
	}
	return NULL;
}

/* Clients 198.51.100.x are in both lists, 198.51.200.x in none. */
static void test_C45_while_plans_are_swapped_every_packet_sees_the_old_or_the_new_one(void **state)
{
	unsigned swaps = 0;
	pthread_t thread;

	(void)state;
	plan_in_force(TO_A, TO_BOTH, "198.51.0.0/17");
	atomic_store(&swapping, true);
	assert_int_equal(pthread_create(&thread, NULL, swap_plans, &swaps), 0);
	for (uint32_t i = 0; i < 60000; i++) {
		uint32_t client = i % 4 ? 100 << 8 | i % 251 : 200 << 8 | i % 251;
		struct frame f;

		frame_syn(&f, 4, 25, client);
		f.b[34] = i >> 8;
		f.b[35] = i;
		if (bench_send(&f) != (i % 4 ? XDP_TX : XDP_DROP)) {
			atomic_store(&swapping, false);
			pthread_join(thread, NULL);
			fail_msg("SYN %u of client %x after %u swaps", i, client, swaps);
		}
	}
	atomic_store(&swapping, false);
	pthread_join(thread, NULL);
	assert_true(swaps > 4);
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
		cmocka_unit_test(test_C05_C06_ports_of_one_VIP_have_tables_of_their_own),
		cmocka_unit_test(
			test_C23_a_segment_of_a_known_flow_follows_it_when_the_ring_has_changed),
		cmocka_unit_test(
			test_C24_a_segment_of_an_unknown_flow_goes_by_the_ring_and_is_counted),
		cmocka_unit_test(
			test_C25_a_SYN_that_reuses_the_tuple_of_a_dead_servers_flow_goes_to_a_living_one),
		cmocka_unit_test(
			test_C26_behind_a_FIN_or_RST_what_still_comes_goes_to_the_same_server),
		cmocka_unit_test(
			test_C45_while_plans_are_swapped_every_packet_sees_the_old_or_the_new_one),
	};

	return cmocka_run_group_tests_name("rows", tests, bench_up, bench_down);
}
