// SPDX-License-Identifier: BSD-2-Clause
/*
 * A next hop on another interface: row C46 of docs/conformance.md, as far as one packet shows it (tests/e2e/test_redirect.py has
 * the wires). Both interfaces are of a namespace of the test's own: loopback, where test runs begin, and one end of a cable.
 */
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include "wrapped.h"

static const struct mac exit_mac = {{0x02, 0, 0, 0, 0, 0x77}};

static void set_vlans(uint16_t in, uint16_t out)
{
	struct datapath *dp = bench_datapath();

	dp->ports[0].vlan = in;
	assert_int_equal(datapath_declare(dp, 1, if_nametoindex("exit"), &exit_mac, out), 0);
	bench_plan();
}

/* *want: the frame that is sent for *in, both without tags. */
static void redirected(const struct frame *in, const struct outcome *o, struct frame *want)
{
	struct outcome bare = *o;

	expect_forwarded(in, &bare); /* and its source is: */
	*want = bare.out;
	memcpy(want->b + 6, exit_mac.b, 6);
}

static void test_C46_a_next_hop_elsewhere_is_reached_with_its_interfaces_address_and_tag(
	void **state)
{
	static const uint16_t vlans[] = {0, 5, 7};

	(void)state;
	for (unsigned i = 0; i < 3 * 3 * 2; i++) {
		uint16_t in_vlan = vlans[i % 3], out_vlan = vlans[i / 3 % 3];
		struct frame bare, in, want;
		struct outcome straight, o;

		frame_syn(&bare, i < 9 ? 4 : 6, 25, 10);
		bench_exit = 0;
		set_vlans(0, 0);
		bench_run(&bare, &straight);
		redirected(&bare, &straight, &want);

		bench_exit = 1;
		set_vlans(in_vlan, out_vlan);
		in = bare;
		if (in_vlan)
			frame_tag(&in, &bare, 0xe000 | in_vlan);
		if (out_vlan) {
			struct frame untagged = want;

			frame_tag(&want, &untagged, out_vlan);
		}
		bench_run(&in, &o);
		assert_int_equal(o.action, XDP_REDIRECT);
		assert_int_equal(o.server, straight.server);
		assert_int_equal(o.out.len, want.len);
		assert_memory_equal(o.out.b, want.b, want.len);
	}
}

static void test_C46_answers_leave_by_the_interface_that_the_question_came_by(void **state)
{
	static const uint16_t vlans[] = {0, 5};

	(void)state;
	bench_exit = 1;
	for (unsigned i = 0; i < 2; i++) {
		struct frame bare, in;
		struct outcome o;

		set_vlans(vlans[i], 7);
		frame_syn(&bare, 4, 24, 10);
		in = bare;
		if (vlans[i])
			frame_tag(&in, &bare, vlans[i]);
		bench_run(&in, &o);
		assert_int_equal(o.action, XDP_TX);
		assert_int_equal(o.counter, MXLB_COUNT_not_our_port);
		assert_memory_equal(o.out.b + 6, our_mac, 6);
		assert_int_equal(frame_get16(&o.out, 12), vlans[i] ? 0x8100 : 0x0800);
	}
}

static void test_C46_a_packet_out_of_a_tunnel_is_redirected_too(void **state)
{
	struct frame bare, wrapped, want;
	struct outcome straight, o;

	(void)state;
	frame_syn(&bare, 6, 25, 10);
	frame_tunnel(&wrapped, 4, &bare);
	bench_exit = 0;
	set_vlans(0, 0);
	bench_run(&bare, &straight);
	redirected(&bare, &straight, &want);
	bench_exit = 1;
	set_vlans(0, 0);
	bench_run(&wrapped, &o);
	assert_int_equal(o.action, XDP_REDIRECT);
	assert_int_equal(o.out.len, want.len);
	assert_memory_equal(o.out.b, want.b, want.len);
}

/* The kernel has removed it from the map by then. This is the last test, because the interface does not come back. */
static void test_C44_what_would_leave_by_an_interface_that_is_gone_is_no_traffic(void **state)
{
	struct outcome o;
	struct frame in;

	(void)state;
	bench_exit = 1;
	set_vlans(0, 0);
	assert_int_equal(system("ip link del exit"), 0);
	frame_syn(&in, 4, 25, 10);
	bench_run(&in, &o);
	assert_int_equal(o.action, XDP_DROP);
	assert_int_equal(o.counter, MXLB_COUNT_error);
}

static int up(void **state)
{
	if (unshare(CLONE_NEWNET) || system("ip link add exit type veth peer name far"))
		return -1;
	if (bench_up(state))
		return -1;
	peers_up();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_C46_a_next_hop_elsewhere_is_reached_with_its_interfaces_address_and_tag),
		cmocka_unit_test(test_C46_answers_leave_by_the_interface_that_the_question_came_by),
		cmocka_unit_test(test_C46_a_packet_out_of_a_tunnel_is_redirected_too),
		cmocka_unit_test(
			test_C44_what_would_leave_by_an_interface_that_is_gone_is_no_traffic),
	};

	return cmocka_run_group_tests_name("redirect", tests, up, bench_down);
}
