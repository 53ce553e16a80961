/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core/diff.c: the lines about what a configuration would change; that the comparison changes nothing; and the
 * share of new connections that would move, compared with Maglev's promise.
 */
#include "core/diff.h"
#include "model_fixture.h"

/* Returns the plan's lines and asserts that the model is unchanged. Valid until the next call. */
static const char *plan_of(struct model *m, const struct config *next)
{
	static char text[4096];
	struct buf out = {0};
	uint64_t seq = m->events.next_seq;
	char before[256];

	snprintf(before, sizeof(before), "%s", ring(m));
	assert_int_equal(compare_config(m, next, NULL, 0, at(9000), &out), 0);
	snprintf(text, sizeof(text), "%s", out.data ?: "");
	buf_free(&out);
	assert_string_equal(ring(m), before);
	assert_int_equal(m->events.next_seq, seq);
	return text;
}

static void an_unchanged_configuration_moves_no_connection(void **state)
{
	struct config *c = oxford(), *next = oxford();
	struct model *m = running(c);

	(void)state;
	assert_string_equal(plan_of(m, next), "");
	model_free(m);
	free_config(c);
	free_config(next);
}

/* As a reload does: with the overrides of servers that come back, and before new ones are up. */
static void a_plan_has_the_tier_and_the_overrides_that_a_reload_would_have(void **state)
{
	struct model_adopted left = adopted("oxford-c", 14, 9, VERDICT_UP, REASON_ok);
	const struct server_conf more[] = {server("oxford-a", 11, 10), server("oxford-b", 12, 10),
					   server("oxford-c", 14, 10), server("nuneaton", 13, 20)};
	struct config *c = oxford(), *next = make_config(more, 4), *manual = oxford();
	struct model *m = running(c);
	struct buf out = {0};

	(void)state;
	left.admin = left.admin_after = ADMIN_MAINT;
	assert_int_equal(compare_config(m, next, &left, 1, at(9000), &out), 0);
	assert_non_null(strstr(out.data, " 0.0 % of new connections"));
	buf_free(&out);

	/* the only server of the active tier becomes one of a better tier, and another takes its place */
	manual->services[0].failback = FAILBACK_MANUAL;
	manual->services[0].servers[0] = server("nuneaton", 13, 10);
	manual->services[0].servers[1] = server("oxford-a", 11, 10);
	manual->services[0].servers[2] = server("oxford-d", 15, 20);
	m->services[0].tier.active = 20;
	assert_non_null(strstr(plan_of(m, manual), "tier 10 would be active, now 20"));
	model_free(m);
	free_config(c);
	free_config(next);
	free_config(manual);
}

static void each_setting_and_server_that_differs_is_a_line(void **state)
{
	struct config *c = oxford(), *next = oxford();
	struct service_conf *s = &next->services[0];
	struct model *m;

	(void)state;
	strcpy(c->probes[0].name, "exo");
	m = running(c);
	m->services[0].servers[1].traffic.flows = 12;
	s->min_up = 2;
	s->failback_hold_ms = 0;
	strcpy(next->probes[0].name, "other");
	s->servers[1] = server("oxford-b", 99, 10); /* another address: another server */
	s->servers[2].weight = 7;
	assert_string_equal(
		plan_of(m, next),
		"service hybrid-mail: min-up changes\n"
		"service hybrid-mail: failback-hold changes\n"
		"service hybrid-mail: probe other, now exo\n"
		"server hybrid-mail/oxford-b (192.0.2.12): removed; its 12 open connections stay with it\n"
		"server hybrid-mail/oxford-b (192.0.2.99): added to tier 10, weight 1\n"
		"server hybrid-mail/nuneaton: weight 7, now 1\n"
		"service hybrid-mail: 50.0 % of new connections would go to another server\n");
	model_free(m);
	free_config(c);
	free_config(next);
}

static void services_come_and_go_and_tiers_change(void **state)
{
	struct config *c = oxford(), *next = oxford();
	struct model *m = running(c);

	(void)state;
	next->services[0].servers[0].preference = next->services[0].servers[1].preference = 10;
	next->services[0].port = 587;
	assert_string_equal(
		plan_of(m, next),
		"service hybrid-mail (192.0.2.25, port 25): removed; its VIP is no longer answered\n"
		"service hybrid-mail (192.0.2.25, port 587): added, 3 servers\n");
	free_config(next);
	next = oxford();
	next->services[0].servers[2].preference = 5;
	model_free(m);
	m = running(c);
	assert_non_null(strstr(plan_of(m, next), "server hybrid-mail/nuneaton: tier 5, now 20\n"));
	model_free(m);
	free_config(c);
	free_config(next);
}

/* Removes one of five: its fifth moves, and almost nothing of the others' (NSDI 2016, section 5.3). */
static void a_removed_server_moves_its_own_share_and_hardly_more(void **state)
{
	const struct server_conf five[] = {server("a", 11, 10), server("b", 12, 10),
					   server("c", 13, 10), server("d", 14, 10),
					   server("e", 15, 10)};
	struct config *c = make_config(five, 5), *next = make_config(five, 4);
	struct model *m = running(c);
	const char *line;
	double share;

	(void)state;
	line = strstr(plan_of(m, next), "service hybrid-mail: ");
	assert_non_null(line);
	assert_int_equal(sscanf(line, "service hybrid-mail: %lf %%", &share), 1);
	assert_true(share >= 19.9 && share < 25);
	model_free(m);
	free_config(c);
	free_config(next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unchanged_configuration_moves_no_connection),
		cmocka_unit_test(a_plan_has_the_tier_and_the_overrides_that_a_reload_would_have),
		cmocka_unit_test(each_setting_and_server_that_differs_is_a_line),
		cmocka_unit_test(services_come_and_go_and_tiers_change),
		cmocka_unit_test(a_removed_server_moves_its_own_share_and_hardly_more),
	};

	return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
