// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rules 2 and 3 for a tuple that already has an entry: late SYNs, reused tuples, forged pairs. Each case starts from
 * an empty table, all servers up, every service on ring 0. Cases check the relevant part of the model's answer;
 * flowbench_run() checks that the program does the same.
 */
#include "flowsteps.h"

#define BLOCK 256 /* bytes: the resolution of an entry's sequence number */

/* A SYN of another tuple takes the line's only slot for half-open entries. */
static void overwrite_note(int family)
{
	struct flowmodel_tuple t = client(family, 9);

	syn(&t, ISN);
	assert_int_equal(last.kind, FLOWMODEL_SYN);
}

/* The tuple's entry that was made beside another one, or that other one. */
static const struct flowmodel_entry *one_of(const struct flowmodel_tuple *t, bool beside)
{
	assert_int_equal(entries_of(t), 2);
	for (int i = 0; i < FLOWMODEL_PLACES; i++) {
		const struct flowmodel_entry *e = flowbench_entry(t, i);

		if (e->used && e->tuple.port == t->port && e->beside == beside)
			return e;
	}
	fail();
	return NULL;
}

static void a_late_SYN_follows_its_note_after_promotion_and_a_ring_change(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = establish(&t, ISN);

	for (int i = 0; i < 3; i++) {
		ring_away(&t, server);
		assert_int_equal(syn(&t, ISN), server);
		assert_int_equal(last.kind, FLOWMODEL_RETRANSMIT);
		assert_int_equal(segment(&t, ACK, ISN + 1, 0), server);
		assert_int_equal(last.kind, FLOWMODEL_HIT);
		assert_int_equal(entries_of(&t), 1);
	}
}

static void a_late_SYN_without_note_follows_its_entry_and_writes_nothing(int family)
{
	struct flowmodel_tuple t = client(family, 0), other = client(family, 9);
	uint32_t server = establish(&t, ISN);
	struct flowmodel_entry before = *entry_of(&t);

	overwrite_note(family);
	flowbench_epochs(1);
	ring_away(&t, server);
	assert_int_equal(syn(&t, ISN), server);
	assert_int_equal(last.kind, FLOWMODEL_RETRANSMIT);
	assert_memory_equal(&before, entry_of(&t), sizeof(before));
	assert_int_equal(segment(&t, ACK, ISN + 1, 0), server);
	segment(&other, ACK, ISN + 1, 0); /* whose note has stayed */
	assert_int_equal(last.kind, FLOWMODEL_PROMOTED);
}

static void a_late_SYN_follows_its_entry_within_128_KiB_only(int family)
{
	static const int blocks[] = {0, 1, 512, -1, -512, 513, -513};

	for (unsigned i = 0; i < 7; i++) {
		struct flowmodel_tuple t = client(family, i);
		uint32_t server = establish(&t, ISN), to;

		overwrite_note(family);
		ring_away(&t, server);
		to = syn(&t, ISN + blocks[i] * BLOCK);
		assert_int_equal(to, i < 5 ? server : flowbench_placed(&t));
		assert_int_equal(last.kind, i < 5 ? FLOWMODEL_RETRANSMIT : FLOWMODEL_SYN);
	}
}

static void a_late_SYN_is_placed_anew_when_its_flow_is_closed_or_its_server_down(int family)
{
	static const enum flowbench_state states[] = {
		FLOWBENCH_DOWN, FLOWBENCH_RESET, FLOWBENCH_LOST, FLOWBENCH_STARTING, FLOWBENCH_UP};

	for (unsigned i = 0; i < 5; i++) {
		struct flowmodel_tuple t = client(family, i);
		uint32_t server = establish(&t, ISN);

		if (states[i] == FLOWBENCH_UP)
			segment(&t, FIN | ACK, ISN + 1, 0);
		overwrite_note(family);
		ring_away(&t, server);
		put_state(server, states[i]);
		assert_int_equal(syn(&t, ISN), flowbench_placed(&t));
		assert_int_equal(last.kind, FLOWMODEL_SYN);
		assert_int_equal(syn(&t, ISN), flowbench_placed(&t)); /* it is noted now */
		assert_int_equal(last.kind, FLOWMODEL_RETRANSMIT);
		put_state(server, FLOWBENCH_UP);
	}
}

static void a_closed_flow_whose_note_is_there_follows_its_entry_and_keeps_it_in_use(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = establish(&t, ISN);

	ring_away(&t, server);
	segment(&t, FIN | ACK, ISN + 1, 100);
	flowbench_epochs(5);
	assert_int_equal(segment(&t, ACK, ISN + 102, 0),
			 server); /* half closed: the client only receives */
	assert_true(entry_of(&t)->closed);
	assert_int_equal(entry_of(&t)->epoch, flowbench_epoch());
	assert_int_equal(segment(&t, ACK, ISN + 1, 0), server);
	assert_int_equal(last.kind, FLOWMODEL_HIT);
	assert_true(entry_of(&t)->closed);
	assert_int_equal(segment(&t, ACK, ISN + 1, 10), server);
	assert_false(entry_of(&t)->closed);
}

static void a_note_is_promoted_within_128_KiB_of_an_entry_of_another_server_or_further(int family)
{
	static const int blocks[] = {512, -512, 513, -513};

	for (unsigned i = 0; i < 4; i++) {
		struct flowmodel_tuple t = client(family, i);
		uint32_t server = establish(&t, ISN), isn = ISN + blocks[i] * BLOCK;

		segment(&t, FIN | ACK, ISN + 1, 0); /* so that no SYN is late */
		assert_int_equal(syn(&t, isn), server);
		segment(&t, ACK, isn + 1, 0);
		assert_int_equal(last.kind, i < 2 ? FLOWMODEL_HIT : FLOWMODEL_PROMOTED);
		assert_int_equal(entry_of(&t)->closed, i < 2);
		ring_away(&t, server);
		segment(&t, FIN | ACK, isn + 1, 0);
		assert_int_not_equal(syn(&t, isn - 1), server);
		segment(&t, ACK, isn, 0);
		assert_int_equal(last.kind, FLOWMODEL_PROMOTED);
		assert_int_not_equal(entry_of(&t)->server, server);
	}
}

/* SYN and ACK at `off` from the flow's sequence number, repeatedly. */
static void forge_pairs(const struct flowmodel_tuple *t, uint32_t server, uint32_t seq,
			uint32_t off)
{
	for (uint32_t i = 0; i < 20; i++) {
		flowbench_epochs(1);
		ring_away(t, i % 2 ? server : 0);
		syn(t, seq + off + i * 5);
		segment(t, ACK, seq + off + i * 5 + 1, i % 3 ? 0 : 100);
		assert_in_range(entries_of(t), 1, 2);
	}
}

static void forged_pairs_on_an_idle_flow_replace_only_each_other(int family)
{
	static const uint32_t off[] = {FAR - ISN, 0x80000000U,	  17 * MIB,  0U - 17 * MIB,
				       2 * MIB,	  0U - 2 * MIB,	  MIB,	     0U - MIB,
				       192 * KIB, 0U - 192 * KIB, 128 * KIB, 64 * KIB};
	struct flowmodel_tuple t = client(family, 0), neighbour = client(family, 1);
	uint32_t server, other, seq = ISN + 1;

	for (unsigned used = 1; used <= 2; used++) { /* in one epoch, in two */
		flowbench_clear(0x1fff0);
		other = establish(&neighbour, ISN);
		server = establish(&t, ISN);
		if (used == 2)
			flowbench_epochs(1);
		segment(&t, ACK, seq, 100);
		for (unsigned i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
			forge_pairs(&t, server, seq, off[i]);
			assert_false(last.evicted);
		}
		ring_away(&t, server);
		assert_int_equal(segment(&t, ACK, seq + 100, 100), server);
		assert_int_equal(segment(&t, FIN | ACK, seq + 200, 0), server);
		ring_away(&neighbour, other);
		assert_int_equal(segment(&neighbour, ACK, seq, 100), other);
	}
}

static void a_tuple_used_again_without_FIN_goes_beside_and_the_nearest_wins(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = establish(&t, ISN), other;

	assert_false(entry_of(&t)->beside);
	ring_away(&t, server);
	other = establish(&t, FAR);
	assert_int_not_equal(other, server);
	assert_int_equal(one_of(&t, true)->server, other);
	assert_int_equal(one_of(&t, false)->server, server);
	assert_int_equal(segment(&t, ACK, ISN + 1, 100), server);
	assert_int_equal(segment(&t, ACK, FAR + 1, 100), other);
	assert_int_equal(segment(&t, ACK, ISN + 100 * MIB, 100), server);
	assert_int_equal(segment(&t, ACK, FAR - 100 * MIB, 100), other);
	flowbench_epochs(1);
	for (uint32_t seq = FAR; seq - FAR < 100 * MIB; seq += MIB)
		assert_int_equal(segment(&t, ACK, seq, 100), other);
	assert_true(one_of(&t, true)->data);
	segment(&t, FIN | ACK, FAR + 99 * MIB + 100, 0);
	assert_true(one_of(&t, true)->closed);
	assert_false(one_of(&t, false)->closed);
}

static void a_tuple_used_once_more_takes_the_place_of_the_one_beside(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = establish(&t, ISN), other;

	ring_away(&t, server);
	for (unsigned i = 0; i < 10; i++) {
		uint32_t isn = i % 2 ? FAR + i * 20 * MIB : ISN + (i + 1) * MIB;

		flowbench_epochs(1);
		other = establish(&t, isn);
		assert_false(last.evicted);
		assert_int_equal(one_of(&t, true)->block, (isn + 1) >> 8);
		assert_int_equal(one_of(&t, false)->block, ISN >> 8);
		assert_int_equal(segment(&t, ACK, isn + 1, 100), other);
		assert_int_equal(segment(&t, ACK, ISN + 1, 100), server);
	}
}

static void a_tuple_used_again_takes_the_place_of_its_closed_entry_first(int family)
{
	struct flowmodel_tuple t = client(family, 0), two = client(family, 1);
	uint32_t server = establish(&t, ISN), other;

	segment(&t, FIN | ACK, ISN + 1, 0);
	ring_away(&t, server);
	other = establish(&t, FAR);
	assert_int_not_equal(other, server);
	assert_int_equal(entry_of(&t)->server, other);
	assert_false(entry_of(&t)->closed);
	assert_false(entry_of(&t)->beside);
	assert_false(last.evicted);

	establish(&two, ISN);
	establish(&two, FAR);
	segment(&two, FIN | ACK, ISN + 1, 0);
	establish(&two,
		  FAR + 100 * MIB); /* FAR is nearer, and made beside another; but it is alive */
	assert_int_equal(entries_of(&two), 2);
	assert_int_equal(flowbench_entry(&two, 1)->block, (FAR + 100 * MIB) >> 8);
	assert_true(flowbench_entry(&two, 1)->beside);
	assert_int_equal(flowbench_entry(&two, 2)->block, FAR >> 8);
}

static void of_two_closed_entries_the_nearest_is_taken(int family)
{
	for (unsigned i = 0; i < 2; i++) {
		struct flowmodel_tuple t = client(family, i);
		uint32_t isn = i ? FAR + 300 * MIB : ISN + 300 * MIB;

		flowbench_clear(0x1fff0);
		establish(&t, ISN);
		establish(&t, FAR);
		segment(&t, FIN | ACK, ISN + 1, 0);
		segment(&t, FIN | ACK, FAR + 1, 0);
		establish(&t, isn);
		assert_int_equal(entries_of(&t), 2);
		assert_int_equal(flowbench_entry(&t, i)->block, isn >> 8);
		assert_false(flowbench_entry(&t, i)->beside); /* no other is alive */
	}
}

static void of_two_entries_beside_the_nearest_is_taken(int family)
{
	for (unsigned i = 0; i < 2; i++) {
		struct flowmodel_tuple t = client(family, i);
		uint32_t isn = i ? FAR + 300 * MIB : ISN + 300 * MIB;

		flowbench_clear(0x1fff0);
		establish(&t, ISN);
		establish(&t, FAR);
		segment(&t, FIN | ACK, ISN + 1, 0);
		establish(&t, ISN + 3 * MIB); /* in the closed one's place, beside FAR */
		establish(&t, isn);
		assert_int_equal(entries_of(&t), 2);
		assert_int_equal(flowbench_entry(&t, i)->block, isn >> 8);
		assert_true(flowbench_entry(&t, i)->beside);
	}
}

static void what_rule_5_puts_in_place_of_its_own_tuple_is_not_beside(int family)
{
	struct flowmodel_tuple t = client(family, 0);

	establish(&t, ISN);
	for (unsigned i = 1; i <= 2; i++) {
		struct flowmodel_tuple other = client(family, i);

		establish(&other, ISN);
	}
	flowbench_epochs(1);
	establish(&t, FAR); /* three used in one epoch: the first is replaced */
	assert_true(last.evicted);
	assert_int_equal(entry_of(&t)->block, FAR >> 8);
	assert_false(entry_of(&t)->beside);
}

static void of_two_entries_equally_near_the_one_that_is_not_beside_wins(int family)
{
	struct flowmodel_tuple t = client(family, 0), before = client(family, 1),
			       behind = client(family, 2);
	uint32_t server = establish(&t, 0x10000000), other;

	ring_away(&t, server);
	assert_int_not_equal(establish(&t, 0x20000000), server);
	assert_int_equal(segment(&t, ACK, 0x18000000, 100), server);

	flowbench_clear(0x1fff0); /* now the one that was made beside is the first in the line */
	establish(&before, ISN);
	server = establish(&t, 0x10000000);
	establish(&behind, ISN);
	segment(&before, FIN | ACK, ISN + 1, 0);
	ring_away(&t, server);
	other = establish(&t, 0x20000000);
	assert_int_not_equal(other, server);
	assert_true(flowbench_entry(&t, 0)->beside);
	assert_int_equal(segment(&t, ACK, 0x18000000, 100), server);
	assert_int_equal(segment(&t, ACK, 0x18000100, 100), other);
}

static void of_two_entries_equally_near_and_both_beside_the_first_wins(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = establish(&t, 0x10000000), first;

	establish(&t, 0x20000000);
	segment(&t, FIN | ACK, 0x10000001, 0);
	ring_away(&t, server);
	first = establish(&t, 0x10000000 + MIB); /* in the closed one's place */
	assert_int_not_equal(first, server);
	assert_true(flowbench_entry(&t, 0)->beside);
	assert_true(flowbench_entry(&t, 1)->beside);
	assert_int_equal(segment(&t, ACK, 0x18000000 + MIB / 2, 100), first);
}

#define CASE(name)          \
	{                   \
#name, name \
	}

const struct flowcase flowcases_beside[] = {
	CASE(a_late_SYN_follows_its_note_after_promotion_and_a_ring_change),
	CASE(a_late_SYN_without_note_follows_its_entry_and_writes_nothing),
	CASE(a_late_SYN_follows_its_entry_within_128_KiB_only),
	CASE(a_late_SYN_is_placed_anew_when_its_flow_is_closed_or_its_server_down),
	CASE(a_closed_flow_whose_note_is_there_follows_its_entry_and_keeps_it_in_use),
	CASE(a_note_is_promoted_within_128_KiB_of_an_entry_of_another_server_or_further),
	CASE(forged_pairs_on_an_idle_flow_replace_only_each_other),
	CASE(a_tuple_used_again_without_FIN_goes_beside_and_the_nearest_wins),
	CASE(a_tuple_used_once_more_takes_the_place_of_the_one_beside),
	CASE(a_tuple_used_again_takes_the_place_of_its_closed_entry_first),
	CASE(of_two_closed_entries_the_nearest_is_taken),
	CASE(of_two_entries_beside_the_nearest_is_taken),
	CASE(what_rule_5_puts_in_place_of_its_own_tuple_is_not_beside),
	CASE(of_two_entries_equally_near_the_one_that_is_not_beside_wins),
	CASE(of_two_entries_equally_near_and_both_beside_the_first_wins),
	{0},
};
