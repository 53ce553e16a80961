// SPDX-License-Identifier: BSD-2-Clause
/*
 * A bond's native program runs on the slaves, and ingress_ifindex is theirs. Loopback, where test runs begin, plays the slave of
 * a bond that has another number. And the counter by which mxlbd knows that the program sees: datapath_sight() reads it.
 */
#include <linux/if_link.h>
#include "bench.h"

#define LOOPBACK 1
#define BOND	 4242
#define ARP_VIP                                                                      \
	"ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 cb007101 " \
	"000000000000 cb007119"

static uint64_t sights(uint32_t interface)
{
	struct datapath *dp = bench_datapath();
	uint64_t *cpu = dp->cpu_values, n = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(dp->skel->maps.sights), &interface, cpu),
			 0);
	for (int i = 0; i < dp->n_cpus; i++)
		n += cpu[i];
	return n;
}

/* n_slaves 0: loopback is not configured. */
static void set_bond(unsigned n_slaves, uint16_t vlan)
{
	static const int slaves[] = {LOOPBACK, 77};
	struct datapath *dp = bench_datapath();

	dp->ports[0].ifindex = BOND;
	dp->ports[0].vlan = vlan;
	datapath_declare_slaves(dp, 0, slaves, n_slaves);
	bench_plan();
}

static void expect(const struct frame *in, int action, int counter)
{
	struct outcome o;

	bench_run(in, &o);
	assert_int_equal(o.action, action);
	assert_int_equal(o.counter, counter);
}

static void mail_that_arrives_on_a_slave_is_the_bonds(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct outcome o;
		struct frame in;

		frame_syn(&in, family, 25, 10);
		set_bond(0, 0);
		expect(&in, XDP_PASS, MXLB_COUNT_not_ours);
		set_bond(2, 0);
		bench_run(&in, &o);
		expect_forwarded(&in, &o);
	}
}

static void the_VIP_is_answered_for_on_a_slave_and_own_announcements_are_no_conflict(void **state)
{
	struct frame in = {.len = 0};

	(void)state;
	frame_set(&in, 0, ARP_VIP);
	set_bond(0, 0);
	expect(&in, XDP_PASS, MXLB_COUNT_not_ours);
	set_bond(2, 0);
	expect(&in, XDP_TX, MXLB_COUNT_arp_reply);
	frame_set(&in, 28, "cb007119");
	expect(&in, XDP_PASS, MXLB_COUNT_vip_conflict);
	memcpy(in.b + 6, our_mac,
	       6); /* the active slave sent it, the switch brings it to the passive one */
	expect(&in, XDP_PASS, MXLB_COUNT_not_ours);
}

static void what_is_seen_is_counted_by_interface_and_tag_alone(void **state)
{
	struct frame arp = {.len = 0}, broken, syn;
	struct outcome o;
	uint64_t before;

	(void)state;
	frame_set(&arp, 0, ARP_VIP);
	frame_syn(&syn, 4, 25, 10);
	broken = arp;
	frame_set(&broken, 14,
		  "ffff"); /* as the kernel's own counter has it, whether valid or not */
	set_bond(2, 0);
	before = sights(0);
	bench_run(&arp, &o);
	bench_run(&broken, &o);
	bench_run(&syn, &o);
	assert_int_equal(sights(0) - before, 2);
	set_bond(2, 7); /* the tag is stripped before the program runs */
	bench_run(&arp, &o);
	set_bond(0, 0); /* the program runs elsewhere */
	bench_run(&arp, &o);
	assert_int_equal(sights(0) - before, 2);
}

static void more_slaves_than_fit_are_left_out_and_the_rest_work(void **state)
{
	int slaves[MXLB_MAX_SLAVES + 1] = {LOOPBACK};
	struct outcome o;
	struct frame in;

	(void)state;
	for (int i = 1; i <= MXLB_MAX_SLAVES; i++)
		slaves[i] = 1000 + 7 * i;
	assert_true(datapath_declare_slaves(bench_datapath(), 0, slaves, MXLB_MAX_SLAVES + 1));
	assert_false(datapath_declare_slaves(bench_datapath(), 0, slaves, MXLB_MAX_SLAVES));
	bench_plan();
	frame_syn(&in, 4, 25, 10);
	bench_run(&in, &o);
	expect_forwarded(&in, &o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mail_that_arrives_on_a_slave_is_the_bonds),
		cmocka_unit_test(
			the_VIP_is_answered_for_on_a_slave_and_own_announcements_are_no_conflict),
		cmocka_unit_test(what_is_seen_is_counted_by_interface_and_tag_alone),
		cmocka_unit_test(more_slaves_than_fit_are_left_out_and_the_rest_work),
	};

	return cmocka_run_group_tests_name("bond", tests, bench_up, bench_down);
}
