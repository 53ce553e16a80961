/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core/plan.c: what the datapath is given: next hops, tunnels and flows. It is compiled in here so that each of its
 * allocations can be made to fail.
 */
#include "model_fixture.h"

#define calloc failing_calloc
#include "core/plan.c"
#undef calloc

/* ---- next hops ---- */

static void a_server_without_a_mac_gets_nothing_until_it_has_one(void **state)
{
	struct config *c = oxford();
	struct model *m = create(c, 1000);
	uint64_t seq;

	(void)state;
	for (uint32_t id = 1; id <= 3; id++)
		result(m, id, REASON_ok, 1100);
	assert_string_equal(ring(m), "not-ready");
	assert_true(resolve(m, 2, 1200));
	assert_string_equal(ring(m), "oxford-b");
	seq = m->events.next_seq;
	assert_true(resolve(m, 1, 1300));
	assert_false(resolve(m, 1, 1400));
	assert_string_equal(ring(m), "oxford-a oxford-b");
	check_events(m, seq,
		     "event=backend_nexthop service=hybrid-mail backend=oxford-a from=unresolved "
		     "to=resolved cause=\"mac 02:00:00:00:00:01\"\n");
	model_free(m);
	free_config(c);
}

static void a_failed_neighbour_keeps_its_last_mac_and_its_place(void **state)
{
	const struct nexthop failed = {.state = NEXTHOP_FAILED, .interface = 7};
	struct config *c = oxford();
	struct model *m = running(c);
	struct nexthop moved;

	(void)state;
	assert_false(model_nexthop(m, 1, &failed, at(2000)));
	assert_int_equal(m->services[0].servers[0].nexthop.state, NEXTHOP_FAILED);
	assert_string_equal(ring(m), "oxford-a oxford-b");
	assert_int_equal(planned(m, 1).mac.b[5], 1);
	assert_int_equal(planned(m, 1).interface, 0);

	moved = m->services[0].servers[0].nexthop;
	moved.state = NEXTHOP_RESOLVED;
	moved.mac.b[5] = 99;
	assert_true(model_nexthop(m, 1, &moved, at(2100)));
	assert_int_equal(planned(m, 1).mac.b[5], 99);
	model_free(m);
	free_config(c);
}

static void assert_addr(struct addr got, struct addr want)
{
	assert_memory_equal(&got, &want, sizeof(want));
}

static void a_tunnel_gets_nothing_until_its_source_and_mtu_are_known(void **state)
{
	struct nexthop nh = {
		.state = NEXTHOP_RESOLVED, .has_mac = true, .mac = {{2, 0, 0, 0, 0, 3}}};
	struct config *c = oxford();
	struct model *m;
	uint64_t seq;

	(void)state;
	c->services[0].servers[0].forward = FORWARD_IPIP;
	m = running(c);
	assert_string_equal(ring(m), "oxford-b");
	nh.source = address(5);
	assert_false(model_nexthop(m, 1, &(struct nexthop){.state = NEXTHOP_RESOLVED}, at(1990)));
	assert_true(model_nexthop(m, 1, &nh, at(2000)));
	assert_string_equal(ring(m), "oxford-b");
	assert_int_equal(planned(m, 1).mtu, 0);
	seq = m->events.next_seq;
	nh.mtu = 1500;
	assert_true(model_nexthop(m, 1, &nh, at(2000)));
	assert_false(model_nexthop(m, 1, &nh, at(2000)));
	assert_string_equal(ring(m), "oxford-a oxford-b");
	assert_true(planned(m, 1).tunnel && !planned(m, 2).tunnel);
	assert_addr(planned(m, 1).source, nh.source);
	assert_addr(planned(m, 1).target, c->services[0].servers[0].address);
	assert_int_equal(planned(m, 1).mtu, 1500);
	check_events(m, seq,
		     "event=backend_nexthop service=hybrid-mail backend=oxford-a from=resolved "
		     "to=resolved cause=\"mac 02:00:00:00:00:03, source 192.0.2.5, mtu 1500\"\n");
	model_free(m);
	free_config(c);
}

static void a_tunnel_follows_its_way_and_keeps_the_last_one_without_a_route(void **state)
{
	struct nexthop nh = {.state = NEXTHOP_RESOLVED,
			     .has_mac = true,
			     .mac = {{2, 0, 0, 0, 0, 3}},
			     .routed = true,
			     .source = address(5),
			     .mtu = 1500};
	struct config *c = oxford();
	struct model *m;

	(void)state;
	c->services[0].servers[0].forward = FORWARD_IPIP;
	m = running(c);
	assert_true(model_nexthop(m, 1, &nh, at(2000)));
	nh.mtu = 1400;
	assert_true(model_nexthop(m, 1, &nh, at(2100)));
	assert_int_equal(planned(m, 1).mtu, 1400);
	nh.source = address(6);
	assert_true(model_nexthop(m, 1, &nh, at(2200)));
	assert_addr(planned(m, 1).source, nh.source);
	assert_false(model_nexthop(m, 1, &(struct nexthop){.interface = 7}, at(2300)));
	assert_string_equal(ring(m), "oxford-a oxford-b");
	assert_int_equal(planned(m, 1).mtu, 1400);
	assert_int_equal(planned(m, 1).interface, 0);
	assert_addr(planned(m, 1).source, nh.source);
	model_free(m);
	free_config(c);
}

static void of_a_way_by_layer_2_the_mtu_changes_nothing_and_a_router_is_an_event(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	struct nexthop nh = m->services[0].servers[0].nexthop;
	uint64_t seq = m->events.next_seq;

	(void)state;
	nh.mtu = 1400;
	nh.source = address(5);
	assert_false(model_nexthop(m, 1, &nh, at(2000)));
	check_events(m, seq, "");
	nh.routed = true;
	assert_false(model_nexthop(m, 1, &nh, at(2100)));
	check_events(m, seq,
		     "event=backend_nexthop service=hybrid-mail backend=oxford-a from=resolved "
		     "to=resolved cause=\"mac 02:00:00:00:00:01, a router's: forward: l2 needs a "
		     "server on the same network\"\n");
	assert_string_equal(ring(m), "oxford-a oxford-b");
	model_free(m);
	free_config(c);
}

/* ---- the plan for the datapath ---- */

static void flows_are_reset_only_while_the_host_is_gone_and_the_config_wants_it(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	result(m, 1, REASON_refused, 2000);
	assert_false(model_gone(m, 1)); /* the host lives */
	assert_true(planned(m, 1).down && !planned(m, 1).reset_flows);
	result(m, 1, REASON_unreachable, 2100);
	assert_true(planned(m, 1).down && !planned(m, 1).reset_flows); /* asked once */
	assert_true(model_gone(m, 1));
	assert_false(model_gone(m, 1));
	assert_true(planned(m, 1).down && planned(m, 1).reset_flows);
	result(m, 1, REASON_local_carrier, 2200);
	assert_true(planned(m, 1).down && !planned(m, 1).reset_flows);
	result(m, 1, REASON_unreachable, 2300);
	assert_false(planned(m, 1).reset_flows); /* to be asked again */
	assert_true(model_gone(m, 1));
	m->services[0].conf.on_unreachable = ON_UNREACHABLE_KEEP;
	assert_true(planned(m, 1).down && !planned(m, 1).reset_flows);
	result(m, 2, REASON_mail_421, 2400);
	assert_false(planned(m, 2).down);
	model_free(m);
	free_config(c);
}

static void flows_of_a_server_adopted_as_up_are_not_reset_whatever_reason_was_left(void **state)
{
	struct model_adopted row = {.service = "hybrid-mail",
				    .server = "oxford-a",
				    .address = address(11),
				    .server_id = 1,
				    .verdict = VERDICT_UP,
				    .reason = REASON_unreachable};
	struct config *c = oxford();
	struct model *m;

	(void)state;
	assert_int_equal(model_create(c, &row, 1, at(1000), &m), 0);
	assert_false(planned(m, 1).down || planned(m, 1).reset_flows);
	model_free(m);
	free_config(c);
}

/* The neighbour entry may be missing when mxlbd starts again, and appear a moment later. */
static void an_adopted_mac_is_behind_the_interface_that_it_was_behind(void **state)
{
	struct model_adopted row = {.service = "hybrid-mail",
				    .server = "oxford-a",
				    .address = address(11),
				    .server_id = 1,
				    .verdict = VERDICT_UP,
				    .mac = {{2, 0, 0, 0, 0, 1}},
				    .interface = 1};
	struct config *c = oxford();
	struct model *m;

	(void)state;
	strcpy(c->interfaces[1].name, "eth1");
	c->n_interfaces = 2;
	assert_int_equal(model_create(c, &row, 1, at(1000), &m), 0);
	model_nexthop(m, 1, &(struct nexthop){.interface = 1}, at(1100));
	assert_int_equal(planned(m, 1).mac.b[5], 1);
	assert_int_equal(planned(m, 1).interface, 1);
	model_free(m);
	c->n_interfaces = 1;
	assert_int_equal(model_create(c, &row, 1, at(1000), &m), 0);
	assert_int_equal(planned(m, 1).interface, 0); /* the place of none */
	model_free(m);
	free_config(c);
}

static void without_a_server_up_syns_are_reset_or_dropped_as_configured(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	for (uint32_t id = 1; id <= 3; id++)
		result(m, id, REASON_refused, 2000);
	assert_string_equal(ring(m), "reset");
	m->services[0].conf.all_down = ALL_DOWN_DROP;
	assert_string_equal(ring(m), "drop");
	model_free(m);
	free_config(c);
}

static void a_plan_names_the_vip_and_each_members_weight(void **state)
{
	struct config *c = oxford();
	struct model *m;
	struct plan p;

	(void)state;
	c->services[0].servers[1].weight = 200;
	c->services[0].advertise = ADVERTISE_NONE;
	m = running(c);
	assert_int_equal(plan_build(m, &p), 0);
	assert_int_equal(p.n_services, 1);
	assert_int_equal(p.n_servers, 3);
	assert_string_equal(p.services[0].name, "hybrid-mail");
	assert_true(addr_equal(&p.services[0].vip, &c->services[0].address));
	assert_int_equal(p.services[0].port, 25);
	assert_false(p.services[0].advertise);
	assert_int_equal(p.services[0].members[1].id, 2);
	assert_int_equal(p.services[0].members[1].weight, 200);
	plan_free(&p);
	model_free(m);
	free_config(c);
}

static void a_plan_that_finds_no_memory_leaves_nothing_behind(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	struct plan p;

	(void)state;
	for (fail_at = 1;; fail_at++) {
		int err;

		allocated = 0;
		err = plan_build(m, &p);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(p.services);
		assert_int_equal(p.n_servers, 0);
	}
	assert_int_equal(fail_at, 4); /* services, servers, members; then it fits */
	fail_at = 0;
	plan_free(&p);
	model_free(m);
	free_config(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_without_a_mac_gets_nothing_until_it_has_one),
		cmocka_unit_test(a_failed_neighbour_keeps_its_last_mac_and_its_place),
		cmocka_unit_test(a_tunnel_gets_nothing_until_its_source_and_mtu_are_known),
		cmocka_unit_test(a_tunnel_follows_its_way_and_keeps_the_last_one_without_a_route),
		cmocka_unit_test(
			of_a_way_by_layer_2_the_mtu_changes_nothing_and_a_router_is_an_event),
		cmocka_unit_test(
			flows_are_reset_only_while_the_host_is_gone_and_the_config_wants_it),
		cmocka_unit_test(
			flows_of_a_server_adopted_as_up_are_not_reset_whatever_reason_was_left),
		cmocka_unit_test(an_adopted_mac_is_behind_the_interface_that_it_was_behind),
		cmocka_unit_test(without_a_server_up_syns_are_reset_or_dropped_as_configured),
		cmocka_unit_test(a_plan_names_the_vip_and_each_members_weight),
		cmocka_unit_test(a_plan_that_finds_no_memory_leaves_nothing_behind),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
