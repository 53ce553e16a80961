// SPDX-License-Identifier: BSD-2-Clause
/*
 * forward: ipip. Rows C01 to C04, C28, C34, C37, C45, C46 of docs/conformance.md that a tunnel changes; and what
 * datapath_apply() may write of one while packets flow. test_packets.c, test_extensions.c and test_icmp.c run their rows
 * through tunnels, too.
 */
#include <linux/if_link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tunnels.h"

static void test_C01_C02_C03_every_inner_family_goes_through_every_outer_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PAIRS; i++) {
		bench_forward(pairs[i].outer);
		for (unsigned len = 80; len <= TUNNEL_MTU - HEAD(pairs[i].outer); len += 71) {
			struct outcome o;
			struct frame in;

			frame_data(&in, pairs[i].inner, 100 + len, len);
			bench_run(&in, &o);
			assert_int_equal(o.action, XDP_TX);
			assert_int_equal(o.counter, -1);
			expect_forwarded(&in, &o);
		}
	}
	bench_forward(0);
}

static void test_C04_DSCP_and_ECN_are_copied_whatever_they_are(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PAIRS; i++) {
		bench_forward(pairs[i].outer);
		for (unsigned tos = 0; tos < 256; tos++) {
			struct outcome o;
			struct frame in;

			frame_syn(&in, pairs[i].inner, 25, 300);
			if (pairs[i].inner == 4) {
				in.b[15] = tos;
				frame_fix_ip_checksum(&in);
			} else {
				in.b[14] |= tos >> 4;
				in.b[15] = tos << 4 | 5; /* and a flow label */
			}
			bench_run(&in, &o);
			expect_forwarded(&in, &o);
		}
	}
	bench_forward(0);
}

static void test_C28_the_outer_checksum_is_right_and_wrong_inner_ones_stay_as_wrong(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PAIRS; i++) {
		bench_forward(pairs[i].outer);
		for (unsigned n = 0; n < 200; n++) { /* lengths and sums of all kinds */
			struct outcome o;
			struct frame in;

			frame_data(&in, pairs[i].inner, n * 331, 80 + n * 6);
			if (pairs[i].inner == 4)
				put16(&in, 24, n * 0x147);
			put16(&in, pairs[i].inner == 4 ? 50 : 70, n);
			bench_run(&in, &o);
			expect_forwarded(&in, &o);
		}
	}
	bench_forward(0);
}

static void test_C37_a_flow_keeps_its_outer_flow_label_and_flows_have_different_ones(void **state)
{
	uint32_t first = 0;
	int differ = 0;

	(void)state;
	bench_forward(6);
	for (unsigned client = 400; client < 420; client++) {
		uint32_t label[2];

		for (unsigned n = 0; n < 2; n++) {
			struct outcome o;
			struct frame in;

			frame_data(&in, 4, client, 100 + n);
			bench_run(&in, &o);
			label[n] = (o.out.b[15] & 15) << 16 | frame_get16(&o.out, 16);
		}
		assert_int_equal(label[0], label[1]);
		differ += label[0] != first;
		first = label[0];
	}
	assert_true(differ >= 19);
	bench_forward(0);
}

static void test_C34_a_tunnel_that_is_not_known_whole_gets_nothing(void **state)
{
	static const char *const what[] = {"no source", "no mtu", "no mac", "an mtu of nothing",
					   "a source of the other family"};

	(void)state;
	for (unsigned i = 0; i < 2 * 5; i++) {
		struct plan_server whole = server_a(i % 2 ? 6 : 4), b = whole,
				   other = server_a(i % 2 ? 4 : 6);
		struct outcome o;
		struct frame in;

		if (i / 2 == 0)
			memset(&b.source, 0, sizeof(b.source));
		if (i / 2 == 1 || i / 2 == 3)
			b.mtu = i / 2 == 1 ? 0 : 107;
		if (i / 2 == 2)
			memset(&b.mac, 0, sizeof(b.mac));
		if (i / 2 == 4)
			b.source = other.source;
		for (int before = 0; before < 2;
		     before++) { /* from no record, and from a complete one */
			plan_one(&b, 0, NULL);
			frame_syn(&in, 4, 25, 1200 + i);
			bench_run(&in, &o);
			if (o.counter != (int)MXLB_COUNT_no_next_hop)
				fail_msg("%s: counter %d", what[i / 2], o.counter);
			plan_one(&whole, 0, NULL);
			bench_run(&in, &o);
			assert_int_equal(o.counter, -1);
		}
	}
	bench_plan();
}

static void test_C46_a_tunnel_by_another_interface_leaves_there(void **state)
{
	struct datapath *dp = bench_datapath();
	static const uint8_t other_mac[6] = {2, 0, 0, 0, 1, 5};
	uint32_t index = 1, loopback = 1;

	(void)state;
	dp->ports[1].ifindex = 2;
	memcpy(dp->ports[1].mac.b, other_mac, 6);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(dp->skel->maps.ports), &index, &loopback, 0), 0);
	for (unsigned i = 0; i < PAIRS; i++) {
		struct plan_server b = server_a(pairs[i].outer);
		struct outcome o;
		struct frame in;

		b.interface = 1;
		plan_one(&b, 0, NULL);
		frame_syn(&in, pairs[i].inner, 25, 1300);
		bench_run(&in, &o);
		assert_int_equal(o.action, XDP_REDIRECT);
		assert_int_equal(o.counter, -1);
		assert_memory_equal(o.out.b, server_mac[SERVER_A], 6);
		assert_memory_equal(o.out.b + 6, other_mac, 6);
		assert_int_equal(o.out.len, in.len + HEAD(pairs[i].outer));
	}
	dp->ports[1].ifindex = 0;
	bench_plan();
}

static void test_a_source_that_a_way_names_is_not_written(void **state)
{
	struct mxlb_backend *at = &bench_datapath()->backends[SERVER_A], before;
	struct plan_server b = server_a(6);
	uint64_t now = 1000000;
	unsigned named;
	uint64_t again_ms;

	(void)state;
	plan_one(&b, now, &again_ms);
	for (unsigned n = 0; n < 4; n++) {
		now += 1000;
		before = *at;
		named = !!(before.way.flags & MXLB_BACKEND_SOURCE_1);
		b.source.b[15] = 0x50 + n;
		b.mac.b[4] = n;
		plan_one(&b, now, &again_ms); /* written to the other copy, then switched */
		assert_int_equal(again_ms, 0);
		assert_int_equal(!!(at->way.flags & MXLB_BACKEND_SOURCE_1), !named);
		assert_memory_equal(at->source[named], before.source[named], 16);
		assert_int_equal(at->source[!named][15], 0x50 + n);
		before = *at;
		b.source.b[15] = 0x60 + n;
		b.mac.b[4] = 0x10 + n;
		b.down = true;
		plan_one(&b, now + 20, &again_ms); /* a reader may still use the first copy */
		assert_in_range(again_ms, 1, 30);
		assert_memory_equal(at->source, before.source, sizeof(at->source));
		assert_memory_equal(at->way.mac, before.way.mac, 6);
		assert_int_equal(at->way.flags, before.way.flags | MXLB_BACKEND_DOWN);
		plan_one(&b, now + 20 + again_ms, &again_ms);
		assert_int_equal(again_ms, 0);
		assert_int_equal(at->source[named][15], 0x60 + n);
		assert_int_equal(at->way.mac[4], 0x10 + n);
		b.down = false;
	}
	bench_plan();
}

static void test_a_target_is_written_only_when_no_way_has_named_it_for_a_while(void **state)
{
	struct mxlb_backend *at = &bench_datapath()->backends[SERVER_A], before;
	struct plan_server l2 = server_a(0), four = server_a(4), six = server_a(6);
	uint64_t now = 2000000, again_ms;

	(void)state;
	plan_one(&four, now, &again_ms);
	now += 1000;
	plan_one(&l2, now, &again_ms); /* at once; back to another target only later */
	assert_int_equal(again_ms, 0);
	assert_false(at->way.flags & MXLB_BACKEND_TUNNEL);
	before = *at;
	plan_one(&six, now + 10, &again_ms);
	assert_int_equal(again_ms, 40);
	assert_memory_equal(at, &before, sizeof(before));
	plan_one(&six, now + 50, &again_ms);
	assert_int_equal(again_ms, 0);
	assert_true(at->way.flags & MXLB_BACKEND_TUNNEL);
	assert_int_equal(at->family, 6);
	before = *at;
	plan_one(&four, now + 60, &again_ms); /* nothing is sent during the change */
	assert_in_range(again_ms, 1, 50);
	assert_int_equal(at->way.flags, 0);
	assert_memory_equal(at->target, before.target, 16);
	plan_one(&four, now + 60 + again_ms, &again_ms);
	assert_int_equal(again_ms, 0);
	assert_int_equal(at->family, 4);
	assert_int_equal(at->target[4] | at->target[15], 0);
	bench_plan();
}

static void test_the_next_mxlbd_keeps_the_tunnels_that_it_finds_until_it_knows_the_way(void **state)
{
	struct plan_server whole = server_a(6), blind = whole;
	struct mxlb_backend before, *at;
	struct outcome o;
	struct frame in;

	(void)state;
	plan_one(&whole, 0, NULL);
	before = bench_datapath()->backends[SERVER_A];
	bench_adopt();
	at = &bench_datapath()->backends[SERVER_A];
	blind.mtu = 0; /* the MAC address is in the records */
	memset(&blind.source, 0, sizeof(blind.source));
	plan_one(&blind, 0, NULL);
	assert_memory_equal(at, &before, sizeof(before));
	frame_syn(&in, 4, 25, 1400);
	bench_run(&in, &o);
	assert_int_equal(o.counter, -1);
	plan_one(&whole, 0, NULL);
	assert_memory_equal(at, &before, sizeof(before));
	plan_one(&blind, 0, NULL); /* it was known before */
	assert_false(at->way.flags & MXLB_BACKEND_NEXT_HOP);
	bench_plan();
}

/* C45: the last byte of the MAC address and of the source tell which of 16 next hops this is. */
struct race {
	atomic_bool stop;
	atomic_ulong sent;
};

static void *send_all_the_time(void *arg)
{
	struct race *race = arg;
	struct frame in;

	frame_syn(&in, 4, 25, 1500);
	while (!race->stop) {
		static struct frame out;
		LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in.b, .data_size_in = in.len,
			    .data_out = out.b, .data_size_out = sizeof(out.b), .repeat = 1);
		const uint8_t *source = out.b + 22;

		if (bpf_prog_test_run_opts(bpf_program__fd(bench_datapath()->skel->progs.mxlb),
					   &run) ||
		    run.retval != XDP_TX || run.data_size_out != in.len + 40)
			return "a packet was lost";
		for (unsigned i = 0; i < 16; i++)
			if (source[i] != out.b[4])
				return "half a source, or another way's";
		race->sent++;
	}
	return NULL;
}

static uint64_t real_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000 + 10000000;
}

static void test_C45_while_the_source_changes_each_packet_has_one_of_them_whole(void **state)
{
	struct plan_server b = server_a(6);
	struct race race = {.stop = false};
	void *wrong = NULL;
	pthread_t sender;
	uint64_t again_ms = 1;

	(void)state;
	memset(b.source.b, 0x20, sizeof(b.source.b));
	b.mac.b[4] = 0x20;
	plan_one(&b, real_ms(), &again_ms);
	assert_int_equal(again_ms, 0);
	assert_int_equal(pthread_create(&sender, NULL, send_all_the_time, &race), 0);
	for (unsigned n = 0; n < 20; n++) {
		unsigned long sent = race.sent;

		memset(b.source.b, 0x21 + n, sizeof(b.source.b));
		b.mac.b[4] = 0x21 + n;
		for (again_ms = 1; again_ms;) { /* it asks too early, too */
			plan_one(&b, real_ms(), &again_ms);
			usleep(again_ms * 300);
		}
		for (int i = 0; i < 5000 && race.sent == sent; i++)
			usleep(1000);
		if (race.sent == sent)
			break; /* the sender says why */
	}
	race.stop = true;
	assert_int_equal(pthread_join(sender, &wrong), 0);
	if (wrong)
		fail_msg("%s", (const char *)wrong);
	assert_true(race.sent >= 20);
	bench_plan();
}

static void test_the_next_mxlbd_learns_which_interface_a_server_was_behind(void **state)
{
	struct plan_server b = {.id = SERVER_DR, .interface = 1};
	struct plan plan = {.servers = &b, .n_servers = 1};
	struct service s = {.conf.name = "mail"};
	struct server known = {.id = SERVER_DR, .conf.name = "dr"};
	struct model_adopted *found;
	unsigned n;

	(void)state;
	bench_server(&b, 4);
	bench_apply(&plan);
	datapath_remember(bench_datapath(), &s, &known);
	bench_adopt();
	assert_int_equal(datapath_adopted(bench_datapath(), &found, &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(found->server, "dr");
	assert_int_equal(found->interface, 1);
	free(found);
	bench_plan();
}

static void test_a_server_that_is_back_is_not_swept_while_its_plan_waits(void **state)
{
	static bool held[MXLB_MAX_SERVERS];
	static uint32_t counts[MXLB_MAX_SERVERS];
	struct datapath *dp = bench_datapath();
	struct plan_server b = {.id = SERVER_DR};
	struct plan plan = {.servers = &b, .n_servers = 1};
	uint64_t way, again_ms;

	(void)state;
	bench_server(&b, 4);
	bench_apply(&plan);
	plan = (struct plan){.peers = &b.target, .n_peers = 1};
	bench_apply(&plan);
	plan = (struct plan){.servers = &b, .n_servers = 1};
	assert_int_equal(datapath_apply(dp, &plan, 0, &again_ms), 0);
	assert_true(again_ms); /* the front map has just been switched */
	way = dp->backends[b.id].way.word;
	assert_true(way);
	datapath_sweep_start(dp);
	datapath_flows(dp, counts);
	if (datapath_sweep_decide(dp, counts, held)) {
		datapath_sweep_free(dp, 0, datapath_places(dp));
		datapath_sweep_end(dp);
	}
	assert_int_equal(dp->backends[b.id].way.word, way);
	bench_plan();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C01_C02_C03_every_inner_family_goes_through_every_outer_one),
		cmocka_unit_test(test_C04_DSCP_and_ECN_are_copied_whatever_they_are),
		cmocka_unit_test(
			test_C28_the_outer_checksum_is_right_and_wrong_inner_ones_stay_as_wrong),
		cmocka_unit_test(
			test_C37_a_flow_keeps_its_outer_flow_label_and_flows_have_different_ones),
		cmocka_unit_test(test_C34_a_tunnel_that_is_not_known_whole_gets_nothing),
		cmocka_unit_test(test_C46_a_tunnel_by_another_interface_leaves_there),
		cmocka_unit_test(test_a_source_that_a_way_names_is_not_written),
		cmocka_unit_test(
			test_a_target_is_written_only_when_no_way_has_named_it_for_a_while),
		cmocka_unit_test(
			test_the_next_mxlbd_keeps_the_tunnels_that_it_finds_until_it_knows_the_way),
		cmocka_unit_test(test_the_next_mxlbd_learns_which_interface_a_server_was_behind),
		cmocka_unit_test(test_a_server_that_is_back_is_not_swept_while_its_plan_waits),
		cmocka_unit_test(
			test_C45_while_the_source_changes_each_packet_has_one_of_them_whole),
	};

	return cmocka_run_group_tests_name("tunnel", tests, bench_up, bench_down);
}
