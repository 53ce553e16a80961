// SPDX-License-Identifier: BSD-2-Clause
/* Rows of docs/conformance.md section 1 that are about more than one packet: C05, C06, C23 to C26, C45. */
#include <linux/if_link.h>
#include <pthread.h>
#include <stdatomic.h>
#include "rows.h"

/* --- flows --- */

static void test_C05_C06_ports_of_one_VIP_have_tables_of_their_own(void **state)
{
	(void)state;
	plan_in_force(TO_A, TO_B, NULL);
	for (int family = 4; family <= 6; family += 2) {
		for (uint32_t client = 20000; client < 20060; client++) {
			assert_int_equal(open_flow(family, 25, client), SERVER_A);
			assert_int_equal(open_flow(family, 587, client), SERVER_B);
		}
	}
	plan_in_force(TO_B, TO_A, NULL); /* open flows stay, by their own ports */
	for (int family = 4; family <= 6; family += 2) {
		for (uint32_t client = 20000; client < 20060; client++) {
			assert_int_equal(send_segment(family, 25, client, ACK, 1), SERVER_A);
			assert_int_equal(send_segment(family, 587, client, ACK, 1), SERVER_B);
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
			assert_int_equal(open_flow(family, 25, client), SERVER_A);
		plan_in_force(TO_B, TO_B, NULL);
		for (uint32_t client = 5000; client < 5030; client++) {
			assert_int_equal(send_segment(family, 25, client, ACK | PSH, 2), SERVER_A);
			assert_int_equal(send_segment(family, 25, client + 1000, SYN, 0), SERVER_B);
		}
	}
}

static uint64_t misses(void)
{
	struct traffic a, b;

	datapath_traffic(bench_datapath(), SERVER_A, &a);
	datapath_traffic(bench_datapath(), SERVER_B, &b);
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
			uint32_t server = send_segment(family, 25, client, ACK, 77);

			assert_int_equal(misses(), before + 1);
			assert_int_equal(send_segment(family, 25, client, SYN, 0), server);
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
		rows_a_is_down = false;
		plan_in_force(TO_A, TO_A, NULL);
		for (uint32_t client = 11000; client < 11030; client++)
			assert_int_equal(open_flow(family, 25, client), SERVER_A);
		rows_a_is_down = true;
		plan_in_force(TO_B, TO_B, NULL);
		for (uint32_t client = 11000; client < 11030; client++) {
			assert_int_equal(send_segment(family, 25, client, SYN, 200), SERVER_B);
			assert_int_equal(send_segment(family, 25, client, ACK, 201), SERVER_B);
		}
	}
	rows_a_is_down = false;
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
			assert_int_equal(open_flow(family, 25, 13000 + i * 64 + client), SERVER_A);
			assert_int_equal(send_segment(family, 25, 13000 + i * 64 + client, end, 1),
					 SERVER_A);
		}
		plan_in_force(TO_B, TO_B, NULL);
		for (uint32_t client = 0; client < 20; client++) {
			assert_int_equal(send_segment(family, 25, 13000 + i * 64 + client, end, 1),
					 SERVER_A);
			assert_int_equal(send_segment(family, 25, 13000 + i * 64 + client, ACK, 2),
					 SERVER_A);
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
