// SPDX-License-Identifier: BSD-2-Clause
/*
 * The flow table: each rule by itself (flowcases.c, flowbeside.c, flowplaces.c), for both families, a game of forgeries, then
 * all of them under random traffic. Everything that is sent here goes to the program and to the model (flowbench.h).
 *
 * MXLB_SEED and MXLB_PACKETS choose the random run; `make model` makes a long one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "flowbench.h"
#include "flowcases.h"
#include "flowtraffic.h"

#define SEED	 20261123
#define PACKETS	 300000
#define LONG_RUN 1000000 /* from here on the counts are printed */

static uint64_t number_from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void the_program_does_as_the_model_under_random_traffic(void **state)
{
	uint64_t seed = number_from_env("MXLB_SEED", SEED);
	uint64_t packets = number_from_env("MXLB_PACKETS", PACKETS);
	unsigned never = 0;

	(void)state;
	print_message("# MXLB_SEED=%" PRIu64 " MXLB_PACKETS=%" PRIu64 "\n", seed, packets);
	flowbench_start("random traffic", seed);
	flowtraffic_run(seed, packets);
	for (unsigned i = 0; i < FLOWMODEL_RULE_COUNT; i++) {
		uint64_t times = flowbench_times(i);

		never += !times;
		if (!times || packets >= LONG_RUN)
			print_message("# %10" PRIu64 "  %s\n", times, flowmodel_rule_text(i));
	}
	if (packets >= PACKETS)
		assert_int_equal(never, 0);
}

static void run_case(void **state)
{
	const struct flowcase *c = *state;

	for (int family = 4; family <= 6; family += 2) {
		flowbench_start(c->name, family);
		flowbench_clear(0x1fff0); /* the epoch's lower 16 bits wrap during the run */
		c->run(family);
		flowbench_compare();
	}
}

/* The number of cases added. */
static unsigned add(const struct flowcase *from, struct CMUnitTest *to)
{
	unsigned n = 0;

	for (; from[n].name; n++)
		to[n] = (struct CMUnitTest){.name = from[n].name,
					    .test_func = run_case,
					    .initial_state = (void *)&from[n]};
	return n;
}

int main(void)
{
	struct CMUnitTest tests[FLOWCASES_MAX + 1] = {0};
	unsigned n = 0;

	n += add(flowcases_notes, tests + n);
	n += add(flowcases_beside, tests + n);
	n += add(flowcases_places, tests + n);
	n += add(flowcases_forgery, tests + n);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(
		the_program_does_as_the_model_under_random_traffic);
	return _cmocka_run_group_tests("flows", tests, n, flowbench_up, flowbench_down);
}
