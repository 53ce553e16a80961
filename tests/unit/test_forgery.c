/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flow table's rules against blind forgery: the model alone, in a table of the default size. tests/packet/ plays
 * the same with the program. Two forged flows that share a line have four entries for three slots: rule 5 decides, and
 * the one longest unused may be a flow's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "../model/forgery.h"
#include "mxlb/hash.h"

#define FLOWS	 1000
#define LOST_MAX 2 /* of those alone in their lines: after enough guesses some succeed */
#define LINES	 131072
#define SERVERS	 6

static struct flowmodel parts[FLOWS / FLOWMODEL_MAX_LINES + 1]; /* the lines that have flows */
static uint64_t line_of[FLOWS];
static struct forgery_flow flows[FLOWS];
static struct flowmodel_world world;
static unsigned ring_now;

static uint64_t hash_of(const struct flowmodel_tuple *t)
{
	uint64_t address = 0;

	memcpy(&address, t->client, 4);
	return mxlb_flow_hash(1, 0, address, t->port);
}

/* The number of the flow that is alone in its line, or the first one in it. */
static unsigned first_of(const struct flowmodel_tuple *t)
{
	unsigned i = 0;

	while (line_of[i] != hash_of(t) % LINES)
		i++;
	return i;
}

static uint32_t send_one(const struct flowmodel_segment *s)
{
	unsigned line = first_of(&s->tuple);
	struct flowmodel_result result;

	world.line = line % FLOWMODEL_MAX_LINES;
	world.ring = 1 + ((hash_of(&s->tuple) >> 32) + ring_now) % SERVERS;
	flowmodel_run(&parts[line / FLOWMODEL_MAX_LINES], &world, s, &result);
	return result.action == FLOWMODEL_FORWARD ? result.server : 0;
}

static void pass_second(void)
{
	world.epoch++;
}

/* Ring 0 is in force only at the beginning: later flows are placed by another. */
static void change_ring(unsigned n)
{
	ring_now = n ? 1 + n % (SERVERS - 1) : 0;
}

static void make_flows(void)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flowmodel_tuple t = {.family = 4, .client = {198, 51, i >> 8, i}};

		t.port = 1024 + i * 7;
		flows[i] = (struct forgery_flow){.tuple = t};
		line_of[i] = hash_of(&t) % LINES;
	}
}

static bool shares_line(unsigned flow)
{
	for (unsigned i = 0; i < FLOWS; i++)
		if (i != flow && line_of[i] == line_of[flow])
			return true;
	return false;
}

static void a_sender_that_knows_no_sequence_moves_no_flow(void **state)
{
	static const struct forgery_world game = {send_one, pass_second, change_ring};
	struct flowmodel_server servers[SERVERS + 1];
	unsigned shared = 0, lost_shared = 0, lost;

	(void)state;
	for (unsigned i = 0; i <= SERVERS; i++)
		servers[i] = (struct flowmodel_server){.next_hop = true};
	world.servers = servers;
	make_flows();
	lost = forgery_play(&game, flows, FLOWS, 20261123);
	for (unsigned i = 0; i < FLOWS; i++) {
		shared += shares_line(i);
		lost_shared += shares_line(i) && flows[i].lost;
	}
	print_message("# %u of %u flows went elsewhere; %u of the %u that share a line\n", lost,
		      FLOWS, lost_shared, shared);
	assert_in_range(lost - lost_shared, 0, LOST_MAX);
	assert_int_equal(lost_shared, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sender_that_knows_no_sequence_moves_no_flow),
	};

	return cmocka_run_group_tests_name("forgery", tests, NULL, NULL);
}
