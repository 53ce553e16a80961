/* SPDX-License-Identifier: BSD-2-Clause */
/* core/build.c: the numbers that identify services and servers in the maps, over restarts and reloads. */
#include <errno.h>
#include "model_fixture.h"

static void ids_that_an_earlier_mxlbd_used_for_others_are_not_assigned(void **state)
{
	struct model_adopted rows[] = {adopted("gone", 50, 1, VERDICT_UP, REASON_ok),
				       adopted("gone-too", 51, 3, VERDICT_UP, REASON_ok)};
	struct config *c = oxford();
	struct model *m;

	(void)state;
	assert_int_equal(model_create(c, rows, 2, at(1000), &m), 0);
	assert_int_equal(m->services[0].servers[0].id, 2);
	assert_int_equal(m->services[0].servers[1].id, 4);
	assert_int_equal(m->services[0].servers[2].id, 5);
	model_free(m);
	free_config(c);
}

static void an_id_adopted_and_then_removed_comes_round_again_only_after_all_others(void **state)
{
	struct model_adopted rows[] = {adopted("oxford-a", 11, 1, VERDICT_UP, REASON_ok),
				       adopted("oxford-b", 12, 2, VERDICT_UP, REASON_ok),
				       adopted("nuneaton", 13, 3, VERDICT_UP, REASON_ok)};
	const struct server_conf fewer[] = {server("oxford-a", 11, 10), server("nuneaton", 13, 20)};
	struct config *c = oxford(), *without = make_config(fewer, 2), *again = oxford();
	struct model *m;

	(void)state;
	assert_int_equal(model_create(c, rows, 3, at(1000), &m), 0);
	assert_int_equal(fixture_reload(m, without, at(2000)), 0);
	assert_int_equal(fixture_reload(m, again, at(3000)), 0);
	assert_int_equal(m->services[0].servers[1].id, 4); /* flows may still name 2 */
	model_free(m);
	free_config(c);
	free_config(without);
	free_config(again);
}

static void a_service_keeps_its_id_when_the_one_before_it_goes(void **state)
{
	struct config *c = two_services(), *d = two_services();
	struct model *m = create(c, 1000);

	(void)state;
	assert_int_equal(m->services[1].id, 1);
	free(d->services[0].servers);
	d->services[0] = d->services[1];
	d->n_services = 1;
	assert_int_equal(fixture_reload(m, d, at(3000)), 0);
	free_config(c);
	assert_string_equal(m->services[0].conf.name, "relay");
	assert_int_equal(m->services[0].id, 1);
	assert_int_equal(m->services[0].servers[0].id, 4);
	model_free(m);
	free_config(d);
}

static void an_id_comes_round_again_after_all_others_and_when_no_flow_names_it(void **state)
{
	struct config *c = oxford();
	struct model *m = create(c, 1000);

	(void)state;
	for (uint32_t expected = 4; expected < MXLB_MAX_SERVERS; expected++) {
		struct config *d = oxford();

		d->services[0].servers[1].address = address(expected % 2 ? 100 : 101);
		assert_int_equal(fixture_reload(m, d, at(1000)), 0);
		free_config(c);
		c = d;
		assert_int_equal(m->services[0].servers[1].id, expected);
	}
	for (unsigned i = 0; i < 2; i++) { /* 1 and 3 are in use; 2 is the first free one */
		struct config *d = oxford();

		d->services[0].servers[1].address = address(102 + i);
		if (!i) /* flows may refer to every other ID: none is available */
			assert_int_equal(fixture_reload(m, d, at(1000)), -ENOSPC);
		assert_true(m->held[i ? 4 : 2]);
		m->held[i ? 4 : 2] = false;
		assert_int_equal(fixture_reload(m, d, at(1000)), 0);
		free_config(c);
		c = d;
		assert_int_equal(m->services[0].servers[1].id, i ? 4 : 2);
	}
	model_free(m);
	free_config(c);
}

static void a_server_that_comes_back_while_flows_name_its_id_gets_that_id_again(void **state)
{
	struct config *c = oxford(), *without = oxford(), *again = oxford();
	struct model *m = create(c, 1000);
	struct model_adopted left = {
		.verdict = VERDICT_UP, .reason = REASON_ok, .admin = ADMIN_MAINT};

	(void)state;
	left.service_id = m->services[0].id;
	left.server_id = m->services[0].servers[1].id;
	left.address = m->services[0].servers[1].conf.address;
	strcpy(left.service, m->services[0].conf.name);
	strcpy(left.server, m->services[0].servers[1].conf.name);
	without->services[0].servers[1].address = address(99);
	assert_int_equal(fixture_reload(m, without, at(2000)), 0);
	assert_int_not_equal(m->services[0].servers[1].id, left.server_id);
	assert_true(m->held[left.server_id]);
	assert_int_equal(model_reload(m, again, &left, 1, "", at(3000)), 0);
	assert_int_equal(m->services[0].servers[1].id, left.server_id);
	assert_int_equal(m->services[0].servers[1].admin, ADMIN_MAINT);
	assert_int_equal(m->services[0].servers[1].health.verdict, VERDICT_UNKNOWN);
	assert_false(m->held[left.server_id]);
	model_free(m);
	free_config(c);
	free_config(without);
	free_config(again);
}

static void a_reload_without_free_ids_leaves_everything_as_it_was(void **state)
{
	const unsigned n = MXLB_MAX_SERVERS - 1;
	struct server_conf *many = calloc(n + 1, sizeof(*many));
	struct config *c = oxford(), *d, *e;
	struct model *m = running(c);
	struct snapshot *before = snapshot_take(m);

	(void)state;
	assert_non_null(many);
	for (unsigned i = 0; i <= n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "mx-%u", i);
		many[i] = server(name, 200, 10);
	}
	d = make_config(many, n - 2); /* all but three IDs are free, which is one too few */
	assert_int_equal(fixture_reload(m, d, at(3000)), -ENOSPC);
	check_same(before, m);
	e = make_config(many, n - 3);
	assert_int_equal(fixture_reload(m, e, at(3000)), 0);
	model_free(m);
	free_config(c);
	free_config(d);
	free_config(e);

	c = make_config(many, n + 1);
	assert_int_equal(model_create(c, NULL, 0, at(1000), &m), -ENOSPC);
	free_config(c);
	c = make_config(many, n);
	m = create(c, 1000);
	assert_int_equal(m->services[0].servers[n - 1].id, n);
	model_free(m);
	free_config(c);
	free(many);
}

static void a_new_service_gets_no_id_that_the_old_config_used(void **state)
{
	struct config *c = oxford(), *other = oxford();
	struct model *m = create(c, 1000);
	uint32_t id = m->services[0].id;

	(void)state;
	strcpy(other->services[0].name, "newmail");
	assert_int_equal(fixture_reload(m, other, at(2000)), 0);
	assert_int_not_equal(m->services[0].id, id);
	model_free(m);
	free_config(c);
	free_config(other);
}

static void every_service_and_server_id_in_use_is_unique_after_any_reload(void **state)
{
	const struct server_conf one = server("mx", 11, 10);
	struct config *c = make_config(&one, 1);
	struct model *m = create(c, 1000);
	unsigned seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct config *d = make_config(&one, 1);
		bool seen[MXLB_MAX_SERVICES] = {false}, used[MXLB_MAX_SERVERS] = {false};

		d->n_services = 0;
		for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
			struct service_conf *s = &d->services[d->n_services];

			seed = seed * 1103515245 + 12345;
			if (i && seed >> 16 & 1)
				continue;
			if (i) {
				*s = d->services[0];
				s->port = 1000 + i;
				s->servers = calloc(1, sizeof(*s->servers));
				assert_non_null(s->servers);
				*s->servers = one;
			}
			d->n_services++;
		}
		assert_int_equal(fixture_reload(m, d, at(2000)), 0);
		free_config(c);
		c = d;
		for (unsigned i = 0; i < m->n_services; i++) {
			assert_in_range(m->services[i].id, 0, MXLB_MAX_SERVICES - 1);
			assert_in_range(m->services[i].servers[0].id, 1, MXLB_MAX_SERVERS - 1);
			assert_false(seen[m->services[i].id]);
			assert_false(used[m->services[i].servers[0].id]);
			seen[m->services[i].id] = used[m->services[i].servers[0].id] = true;
			assert_ptr_equal(model_server(m, m->services[i].servers[0].id, NULL),
					 m->services[i].servers);
		}
	}
	model_free(m);
	free_config(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_that_an_earlier_mxlbd_used_for_others_are_not_assigned),
		cmocka_unit_test(
			an_id_adopted_and_then_removed_comes_round_again_only_after_all_others),
		cmocka_unit_test(a_service_keeps_its_id_when_the_one_before_it_goes),
		cmocka_unit_test(
			an_id_comes_round_again_after_all_others_and_when_no_flow_names_it),
		cmocka_unit_test(
			a_server_that_comes_back_while_flows_name_its_id_gets_that_id_again),
		cmocka_unit_test(a_reload_without_free_ids_leaves_everything_as_it_was),
		cmocka_unit_test(a_new_service_gets_no_id_that_the_old_config_used),
		cmocka_unit_test(every_service_and_server_id_in_use_is_unique_after_any_reload),
	};

	return cmocka_run_group_tests_name("ids", tests, NULL, NULL);
}
