/* SPDX-License-Identifier: BSD-2-Clause */
/* core/override.c: operators' weights: the resulting ring, what ends them, and what a plan shows in advance. */
#include "model_fixture.h"
#include "core/diff.h"
#include "core/maglev.h"

/* This server's share of the first service's ring, in percent. */
static unsigned share(const struct model *m, uint32_t id)
{
	uint16_t *slots = calloc(MAGLEV_SLOTS, sizeof(*slots));
	unsigned n = 0;
	struct plan p;

	assert_int_equal(plan_build(m, &p), 0);
	assert_int_equal(maglev_fill(slots, p.services[0].members, p.services[0].n_members, 1), 0);
	for (unsigned i = 0; i < MAGLEV_SLOTS; i++)
		n += slots[i] == id;
	plan_free(&p);
	free(slots);
	return (n * 100 + MAGLEV_SLOTS / 2) / MAGLEV_SLOTS;
}

static void a_weight_is_a_servers_share_and_0_is_none(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);

	(void)state;
	assert_int_equal(share(m, 1), 50);
	assert_true(model_weight(m, 1, 3, "alice", at(2000)));
	assert_int_equal(share(m, 1), 75);
	assert_true(model_weight(m, 1, 0, "alice", at(2000)));
	assert_string_equal(ring(m), "oxford-b");
	assert_true(model_weight(m, 2, 0, "alice", at(2000))); /* none left: the next tier */
	assert_string_equal(ring(m), "nuneaton");
	assert_true(model_weight(m, 1, 1, "alice", at(2000)));
	model_tick(m, at(2000 + 30000));
	assert_string_equal(ring(m), "oxford-a");
	model_free(m);
	free_config(c);
}

static void a_plan_tells_of_the_weight_that_is_in_force(void **state)
{
	struct config *c = oxford();
	struct model *m = running(c);
	struct buf out = {0};

	(void)state;
	model_weight(m, 1, 3, "alice", at(2000));
	assert_int_equal(compare_config(m, c, at(2000), &out), 0);
	assert_non_null(strstr(out.data, "server hybrid-mail/oxford-a: weight 1, now 3\n"));
	assert_non_null(strstr(out.data, "service hybrid-mail: 2"));
	assert_non_null(strstr(out.data, "% of new connections "));
	buf_free(&out);
	model_free(m);
	free_config(c);
}

static void an_operators_weight_ends_with_a_reload_which_reports_it(void **state)
{
	struct config *c = oxford(), *d = oxford();
	struct model *m = running(c);
	uint64_t seq;

	(void)state;
	assert_true(model_weight(m, 1, 100, "alice", at(2000)));
	assert_false(model_weight(m, 1, 100, "alice", at(2000)));
	assert_false(model_weight(m, 1, 257, "alice", at(2000)));
	assert_false(model_weight(m, 99, 1, "alice", at(2000)));
	assert_true(model_weight(m, 2, 7, "alice", at(2000)));
	seq = m->events.next_seq;
	d->services[0].servers[1].weight = 7; /* now also in the file */
	assert_int_equal(fixture_reload(m, d, at(3000)), 0);
	assert_int_equal(model_server(m, 1, NULL)->weight, 1);
	assert_int_equal(model_server(m, 2, NULL)->weight, 7);
	check_events(m, seq,
		     "event=backend_weight service=hybrid-mail backend=oxford-a from=100 to=1 "
		     "cause=\"reload\"\n"
		     "event=config cause=\"1 services, 3 servers in force: 0 servers added, 0 "
		     "removed\"\n");
	model_free(m);
	free_config(c);
	free_config(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_weight_is_a_servers_share_and_0_is_none),
		cmocka_unit_test(a_plan_tells_of_the_weight_that_is_in_force),
		cmocka_unit_test(an_operators_weight_ends_with_a_reload_which_reports_it),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
