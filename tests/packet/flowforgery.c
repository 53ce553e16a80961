// SPDX-License-Identifier: BSD-2-Clause
/* The game of tests/model/forgery.h with the program: 16 flows at a time, each in a line of its own. */
#include "flowsteps.h"
#include "../model/forgery.h"

#define ROUNDS	 32
#define LOST_MAX 1 /* of 512 flows: after enough guesses some succeed */

static uint32_t send_one(const struct flowmodel_segment *s)
{
	flowbench_run(s, 0, &last);
	return last.action == FLOWMODEL_FORWARD ? last.server : 0;
}

static void pass_second(void)
{
	flowbench_epochs(1);
}

static void change_ring(unsigned n)
{
	for (unsigned i = 0; i < FLOWBENCH_SERVICES; i++)
		flowbench_ring(i, n % FLOWBENCH_RINGS);
}

static void a_sender_that_knows_no_sequence_moves_no_flow(int family)
{
	static const struct forgery_world game = {send_one, pass_second, change_ring};
	struct forgery_flow flows[FLOWBENCH_LINES] = {0};
	unsigned lost = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		flowbench_clear(0x1fff0);
		for (unsigned i = 0; i < FLOWBENCH_LINES; i++) {
			struct flowmodel_tuple *t = &flows[i].tuple;

			*t = client(family, 0);
			for (t->port = round * 2000 + 1; flowbench_line(t) != i; t->port++)
				;
		}
		lost += forgery_play(&game, flows, FLOWBENCH_LINES, round * 10 + family);
	}
	print_message("# %u of %u flows went elsewhere\n", lost, ROUNDS * FLOWBENCH_LINES);
	assert_in_range(lost, 0, LOST_MAX);
}

const struct flowcase flowcases_forgery[] = {
	{"a_sender_that_knows_no_sequence_moves_no_flow",
	 a_sender_that_knows_no_sequence_moves_no_flow},
	{0},
};
