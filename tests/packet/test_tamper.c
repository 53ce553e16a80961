// SPDX-License-Identifier: BSD-2-Clause
/* What other processes write into the pinned maps, and the program cannot have written. Lists of prefixes: test_guard.c. */
#include <time.h>
#include "bench.h"

static union mxlb_entry *write_entry(struct datapath *dp, uint64_t line, union mxlb_entry e)
{
	dp->flows4[line].entry[1] = e;
	return &dp->flows4[line].entry[1];
}

static void what_the_program_cannot_have_written_is_taken_out(void **state)
{
	static uint32_t counts[MXLB_MAX_SERVERS], empty[MXLB_MAX_SERVERS];
	struct datapath *dp = bench_datapath();
	uint64_t known = datapath_maps_changed(dp), soon;
	union mxlb_entry *junk[] = {
		write_entry(dp, 0, (union mxlb_entry){.word = ~0ULL}),
		write_entry(dp, 1, (union mxlb_entry){.backend = MXLB_MAX_SERVERS}),
	};
	union mxlb_entry *busy = write_entry(dp, 2, (union mxlb_entry){.backend = MXLB_ENTRY_BUSY});
	struct timespec t;

	(void)state;
	bench_plan();
	datapath_count(dp, 0, datapath_places(dp), counts, empty);
	assert_int_equal(junk[0]->word | junk[1]->word, 0);
	assert_int_equal(busy->backend, MXLB_ENTRY_BUSY); /* the program may still write to it */
	busy->word = 0;
	clock_gettime(CLOCK_MONOTONIC, &t);
	soon = (uint64_t)t.tv_sec * 1000000000 + 2560000000; /* 512 at once, each 5 ms */
	dp->buckets[1] = dp->syn_buckets[1] = ~0ULL;
	dp->buckets[2] = soon;
	dp->syn_buckets[2] = 0xabcdULL << 48 | soon >> 10;
	dp->role_set = true;
	dp->role_word = 0;
	*dp->role = 1;
	assert_true(datapath_verify(dp));
	assert_int_equal(dp->buckets[1] | dp->syn_buckets[1], 0);
	assert_int_equal(dp->buckets[2], soon);
	assert_int_equal(dp->syn_buckets[2], 0xabcdULL << 48 | soon >> 10);
	assert_int_equal(*dp->role, 0);
	assert_int_equal(datapath_maps_changed(dp), known + 3);
	assert_true(datapath_verify(dp));
	assert_int_equal(datapath_maps_changed(dp), known + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_program_cannot_have_written_is_taken_out),
	};

	return cmocka_run_group_tests_name("tamper", tests, bench_up, bench_down);
}
