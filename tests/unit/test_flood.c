/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flow table's rules against a blind sender's floods (tests/model/flood.h): the model alone, with a part of the default table
 * and the same part of the flood. Each rule that keeps the idle flows is then left out, to show what it is for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "../model/flood.h"
#include "mxlb/hash.h"

#define LINES	 FLOWMODEL_MAX_LINES
#define FLOWS	 32 /* each alone in its line, like 120 in 131,072 */
#define SERVERS	 6
#define PACKETS	 54  /* per second: the share of LINES in 131,072 of 110,000 */
#define SECONDS	 364 /* the time in which the whole flood has 40 million packets */
#define BEFORE_S 20

static struct flowmodel table;
static struct flowmodel_world world;
static struct forgery_flow flows[FLOWS];
static unsigned ring_now;

static uint64_t hash_of(const struct flowmodel_tuple *t)
{
	uint64_t address = 0;

	memcpy(&address, t->client, 4);
	return mxlb_flow_hash(1, 0, address, t->port);
}

static uint32_t send_one(const struct flowmodel_segment *s)
{
	struct flowmodel_result result;

	world.line = hash_of(&s->tuple) % LINES;
	world.ring = 1 + ((hash_of(&s->tuple) >> 32) + ring_now) % SERVERS;
	flowmodel_run(&table, &world, s, &result);
	return result.action == FLOWMODEL_FORWARD ? result.server : 0;
}

static void pass_second(void)
{
	world.epoch++;
}

static void change_ring(unsigned n)
{
	ring_now = n;
}

static void make_flows(void)
{
	uint16_t port = 1024;

	for (unsigned i = 0; i < FLOWS; i++) {
		flows[i] =
			(struct forgery_flow){.tuple = {.family = 4, .client = {198, 51, 100, 7}}};
		do
			flows[i].tuple.port = port++;
		while (hash_of(&flows[i].tuple) % LINES != i);
	}
}

static unsigned play(const struct flood_kind *kind, const struct flood_kind *before,
		     unsigned without)
{
	static const struct forgery_world game = {send_one, pass_second, change_ring};
	static struct flowmodel_server servers[SERVERS + 1];
	struct flood_plan plan = {.kind = kind,
				  .before = before,
				  .seconds = SECONDS,
				  .before_seconds = BEFORE_S,
				  .packets = PACKETS};

	for (unsigned i = 0; i <= SERVERS; i++)
		servers[i] = (struct flowmodel_server){.next_hop = true};
	memset(&table, 0, sizeof(table));
	world = (struct flowmodel_world){.epoch = 100000, .servers = servers, .without = without};
	make_flows();
	return flood_play(&game, &plan, flows, FLOWS, 20261129);
}

static void no_flood_of_forged_connections_takes_an_idle_flows_entry(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FLOOD_KINDS; i++)
		assert_int_equal(play(&flood_kinds[i], NULL, 0), 0);
}

static void nor_does_one_when_the_flows_began_in_another_that_shows_no_data(void **state)
{
	(void)state;
	for (unsigned before = 0; before < 2; before++)
		for (unsigned i = 0; i < FLOOD_KINDS; i++)
			assert_int_equal(play(&flood_kinds[i], &flood_kinds[before], 0), 0);
}

static void where_forged_flows_have_settled_first_new_ones_follow_the_ring(void **state)
{
	unsigned lost = play(&flood_kinds[3], &flood_kinds[3], 0);

	(void)state;
	print_message("# %u of %u flows that began in a flood with data went elsewhere\n", lost,
		      FLOWS);
	assert_in_range(lost, 1, FLOWS); /* docs/datapath.md tells so */
}

static void where_nothing_settles_idle_flows_lose_their_entries(void **state)
{
	(void)state;
	assert_int_equal(play(&flood_kinds[0], NULL, FLOWMODEL_WITHOUT_SETTLED), 0);
	for (unsigned i = 2; i < 5; i++)
		assert_in_range(play(&flood_kinds[i], NULL, FLOWMODEL_WITHOUT_SETTLED), FLOWS / 2,
				FLOWS);
}

static void where_data_is_worth_nothing_flows_that_begin_in_a_flood_lose_theirs(void **state)
{
	(void)state;
	assert_int_equal(play(&flood_kinds[1], &flood_kinds[1], 0), 0);
	assert_in_range(play(&flood_kinds[1], &flood_kinds[1],
			     FLOWMODEL_WITHOUT_DATA | FLOWMODEL_WITHOUT_SETTLED),
			FLOWS / 2, FLOWS);
}

/*
 * Entries that a flood has settled stay for half an hour: without the last slot no new connection would get an entry
 * for that long.
 */
static void where_all_places_settle_a_flood_shuts_the_table_for_newcomers(void **state)
{
	struct forgery_flow f = {0};
	unsigned lost[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		play(&flood_kinds[3], NULL, i ? FLOWMODEL_WITHOUT_LIMIT : 0);
		lost[i] = 0;
		for (unsigned n = 0; n < FLOWS;
		     n++) { /* after the flood, in lines that it filled */
			struct flowmodel_segment s = {
				.tuple = {.family = 4, .client = {198, 51, 100, 8}}};

			s.tuple.port = 1024 + n;
			s.syn = true;
			s.seq = 1000;
			f.server = send_one(&s);
			s.syn = false;
			s.ack = true;
			s.seq = 1001;
			send_one(&s);
			ring_now++;
			lost[i] += send_one(&s) != f.server;
			s.seq += 1 << 17;
			lost[i] += send_one(&s) != f.server;
		}
	}
	print_message("# lost after the flood: %u, and %u if all places settle\n", lost[0],
		      lost[1]);
	assert_int_equal(lost[0], 0);
	assert_in_range(lost[1], FLOWS / 2, FLOWS);
}

/*
 * A sender's data and FIN at each MiB of the sequence space, for flows with known addresses and ports. Returns the
 * number of closed entries.
 */
static unsigned close_known_flows(unsigned without)
{
	static struct flowmodel_server servers[SERVERS + 1];
	struct flowmodel_segment s = {0};
	unsigned closed = 0;

	for (unsigned i = 0; i <= SERVERS; i++)
		servers[i] = (struct flowmodel_server){.next_hop = true};
	memset(&table, 0, sizeof(table));
	world = (struct flowmodel_world){.epoch = 100000, .servers = servers, .without = without};
	make_flows();
	for (unsigned i = 0; i < FLOWS; i++) {
		s = (struct flowmodel_segment){
			.tuple = flows[i].tuple, .ack = true, .seq = i * 123456789, .data = 100};
		send_one(&s);
	}
	world.epoch += 2;
	for (unsigned i = 0; i < FLOWS; i++) {
		s.tuple = flows[i].tuple;
		for (unsigned n = 0; n < 4096; n++) {
			s.seq = n << 20;
			s.data = 100;
			s.fin = false;
			send_one(&s);
			s.seq += s.data;
			s.data = 0;
			s.fin = true;
			send_one(&s);
		}
		for (unsigned k = 0; k < FLOWMODEL_PLACES; k++)
			closed += flowmodel_line(&table, 4, i)->entry[k].closed;
	}
	return closed;
}

static void who_knows_addresses_and_ports_closes_no_idle_flow_with_thousands_of_packets(
	void **state)
{
	(void)state;
	assert_int_equal(close_known_flows(FLOWMODEL_WITHOUT_REST), FLOWS);
	assert_in_range(close_known_flows(0), 0, FLOWS / 8); /* one in 32 by chance */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_flood_of_forged_connections_takes_an_idle_flows_entry),
		cmocka_unit_test(nor_does_one_when_the_flows_began_in_another_that_shows_no_data),
		cmocka_unit_test(where_forged_flows_have_settled_first_new_ones_follow_the_ring),
		cmocka_unit_test(where_nothing_settles_idle_flows_lose_their_entries),
		cmocka_unit_test(
			where_data_is_worth_nothing_flows_that_begin_in_a_flood_lose_theirs),
		cmocka_unit_test(where_all_places_settle_a_flood_shuts_the_table_for_newcomers),
		cmocka_unit_test(
			who_knows_addresses_and_ports_closes_no_idle_flow_with_thousands_of_packets),
	};

	return cmocka_run_group_tests_name("flood", tests, NULL, NULL);
}
