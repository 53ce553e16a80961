// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rules 0 to 3: sequence numbers, half-open entries, promotions; flowbeside.c has reused tuples. Each case starts from
 * an empty table, all servers up, every service on ring 0. Cases check the relevant part of the model's answer;
 * flowbench_run() checks that the program does the same.
 */
#include "flowsteps.h"

static void a_SYN_is_placed_by_the_ring_and_makes_no_entry(int family)
{
	struct flowmodel_tuple t = client(family, 0);

	assert_int_equal(syn(&t, ISN), flowbench_placed(&t));
	assert_int_equal(entries_of(&t), 0);
	ring_away(&t, last.server);
	assert_int_equal(syn(&t, ISN + 1), flowbench_placed(&t)); /* another ISN: another SYN */
}

static void a_SYN_changes_no_entry_of_its_tuple(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = establish(&t, ISN);
	struct flowmodel_entry before = *entry_of(&t);

	flowbench_epochs(1);
	ring_away(&t, server);
	assert_int_equal(syn(&t, FAR), flowbench_placed(&t));
	assert_memory_equal(&before, entry_of(&t), sizeof(before));
	assert_int_equal(segment(&t, ACK, ISN + 1, 100), server);
}

static void a_SYN_again_follows_its_note_after_a_ring_change(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = syn(&t, ISN);

	ring_away(&t, server);
	assert_int_equal(syn(&t, ISN), server);
	assert_int_equal(last.kind, FLOWMODEL_RETRANSMIT);
	assert_int_equal(segment(&t, ACK, ISN + 1, 0), server);
}

static void a_SYN_again_is_placed_anew_when_its_server_is_down(int family)
{
	static const enum flowbench_state states[] = {FLOWBENCH_DOWN, FLOWBENCH_RESET,
						      FLOWBENCH_LOST, FLOWBENCH_STARTING};

	for (unsigned i = 0; i < 4; i++) {
		struct flowmodel_tuple t = client(family, i);
		uint32_t server = syn(&t, ISN), other;

		ring_away(&t, server);
		put_state(server, states[i]);
		other = syn(&t, ISN);
		assert_int_equal(other, flowbench_placed(&t));
		assert_int_equal(last.kind, FLOWMODEL_RETRANSMIT);
		put_state(server, FLOWBENCH_UP);
		assert_int_equal(syn(&t, ISN), other); /* by its half-open entry now */
		assert_int_equal(segment(&t, ACK, ISN + 1, 0), other);
	}
}

static void a_SYN_that_nobody_takes_leaves_the_note_of_the_line_alone(int family)
{
	struct flowmodel_tuple a = client(family, 0), b = client(family, 1);
	uint32_t server = syn(&a, ISN);

	flowbench_ring(a.service, FLOWBENCH_RINGS + FLOWMODEL_REFUSE);
	assert_int_equal(syn(&b, ISN), 0);
	assert_int_equal(last.action, FLOWMODEL_RESET);
	assert_int_equal(segment(&a, ACK, ISN + 1, 0), server);
}

static void the_segment_behind_the_SYN_promotes_its_note_for_good(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = syn(&t, ISN);

	ring_away(&t, server);
	assert_int_equal(segment(&t, ACK, ISN + 1, 20), server);
	assert_int_equal(last.kind, FLOWMODEL_PROMOTED);
	assert_int_equal(entry_of(&t)->server, server);
	assert_false(entry_of(&t)->by_miss);
	assert_int_equal(segment(&t, ACK, ISN + 21, 20), server);
	assert_int_equal(last.kind, FLOWMODEL_HIT);
}

static void a_segment_within_the_data_of_a_SYN_promotes_its_note(int family)
{
	for (uint32_t taken = 0; taken <= 100; taken += 50) {
		struct flowmodel_tuple t = client(family, taken);
		uint32_t server = segment(&t, SYN, ISN, 100);

		ring_away(&t, server);
		assert_int_equal(segment(&t, ACK, ISN + 1 + 101, 0), server);
		assert_int_equal(last.kind, FLOWMODEL_HIT);
		assert_int_equal(entries_of(&t), 0);
		assert_int_equal(segment(&t, ACK, ISN + 1 + taken, 0), server);
		assert_int_equal(last.kind, FLOWMODEL_PROMOTED);
	}
}

static void up_to_64_KiB_behind_the_SYN_its_note_is_followed_but_not_promoted(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = syn(&t, ISN);

	ring_away(&t, server);
	assert_int_equal(segment(&t, ACK, ISN + 1 + 1, 100), server);
	assert_int_equal(segment(&t, ACK, ISN + 1 + 64 * KIB, 100), server);
	assert_int_equal(entries_of(&t), 0);
	assert_int_equal(segment(&t, ACK, ISN + 1 + 64 * KIB + 1, 100), flowbench_placed(&t));
	assert_int_equal(last.kind, FLOWMODEL_MISS);
}

static void a_segment_before_the_SYN_is_not_its_notes(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = syn(&t, ISN);

	ring_away(&t, server);
	assert_int_equal(segment(&t, ACK, ISN, 0), flowbench_placed(&t));
	assert_int_equal(last.kind, FLOWMODEL_MISS);
}

static void what_has_no_ACK_or_has_SYN_or_RST_promotes_nothing(int family)
{
	static const unsigned flags[] = {0, FIN, RST, RST | ACK, SYN | ACK};

	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct flowmodel_tuple t = client(family, i);
		uint32_t server = syn(&t, ISN);

		ring_away(&t, server);
		assert_int_equal(segment(&t, flags[i], ISN + 1, 0), flowbench_placed(&t));
		assert_int_equal(last.kind, FLOWMODEL_MISS);
	}
}

static void a_note_is_followed_where_the_entry_is_closed_or_far(int family)
{
	struct flowmodel_tuple closed = client(family, 0), far = client(family, 1);
	uint32_t server = establish(&closed, ISN), other;

	segment(&closed, FIN | ACK, ISN + 1, 0);
	ring_away(&closed, server);
	other = syn(&closed, ISN + 100 * KIB);
	assert_int_equal(segment(&closed, ACK, ISN + 100 * KIB + 50, 10), other);
	assert_true(entry_of(&closed)->closed);

	server = establish(&far, ISN);
	ring_away(&far, server);
	other = syn(&far, FAR);
	assert_int_equal(segment(&far, ACK, FAR + 50, 10), other);
	assert_int_equal(entry_of(&far)->server, server);
}

static void a_note_is_not_followed_where_a_live_entry_is_near(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = establish(&t, ISN);

	ring_away(&t, server);
	assert_int_not_equal(syn(&t, ISN + MIB), server);
	assert_int_equal(segment(&t, ACK, ISN + MIB + 50, 10), server);
	assert_int_not_equal(syn(&t, ISN + 2 * MIB), server); /* the entry is 1 MiB before it now */
	assert_int_equal(segment(&t, ACK, ISN + 2 * MIB + 50, 10), server);
	assert_int_not_equal(syn(&t, ISN + 3 * MIB + 256), server);
	assert_int_not_equal(segment(&t, ACK, ISN + 3 * MIB + 256 + 50, 10), server);
}

static void forged_segments_of_a_guessed_sequence_change_nothing(int family)
{
	static const uint32_t off[] = {FAR - ISN, 2 * MIB, 0U - 2 * MIB, 0x80000000U};
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = establish(&t, ISN), block;

	flowbench_epochs(1);
	segment(&t, ACK, ISN + 1, 100);
	block = entry_of(&t)->block;
	ring_away(&t, server);
	for (unsigned i = 0; i < 4; i++) {
		uint32_t seq = ISN + off[i];

		assert_int_equal(segment(&t, RST, seq, 0), server);
		assert_int_equal(segment(&t, RST | ACK, seq, 0), server);
		assert_int_equal(segment(&t, FIN | ACK, seq, 0), server);
		assert_int_equal(segment(&t, SYN | ACK, seq, 0), server);
		assert_int_equal(segment(&t, ACK, seq, 1000), server);
		assert_false(entry_of(&t)->closed);
		assert_int_equal(entry_of(&t)->block, block);
	}
	for (unsigned i = 0; i < 4; i++) { /* pairs: their entry is made beside another */
		establish(&t, ISN + off[i]);
		assert_int_equal(segment(&t, ACK, ISN + 101, 100), server);
	}
	assert_int_equal(segment(&t, FIN | ACK, ISN + 201, 0), server);
}

static void a_FIN_or_RST_closes_within_512_bytes_only(int family)
{
	static const unsigned flags[] = {FIN | ACK, FIN, RST, RST | ACK};
	static const int off[] = {0, 256, 512, -256, -512, 768, -768};

	for (unsigned f = 0; f < 4; f++) {
		for (unsigned i = 0; i < 7; i++) {
			struct flowmodel_tuple t = client(family, f * 7 + i);

			establish(&t, ISN);
			segment(&t, flags[f], ISN + off[i], 0);
			assert_int_equal(entry_of(&t)->closed, i < 5);
		}
	}
}

static void a_FIN_or_RST_closes_behind_the_last_segment_however_long_that_was(int family)
{
	static const unsigned flags[] = {FIN | ACK, RST};

	for (unsigned i = 0; i < 2; i++) {
		struct flowmodel_tuple t = client(family, i);

		establish(&t, ISN);
		segment(&t, ACK, ISN + 1, 1400);
		segment(&t, flags[i], ISN + 1, 0); /* where that one began: too far back now */
		assert_false(entry_of(&t)->closed);
		segment(&t, ACK, ISN + 1, 1400);
		segment(&t, flags[i], ISN + 1401, 0);
		assert_true(entry_of(&t)->closed);
	}
}

static void later_data_within_1_MiB_unmarks_a_closed_entry(int family)
{
	static const struct {
		uint32_t off, data;
		bool closed;
	} rows[] = {
		{0, 0, true},	      {0, 1, false},	{MIB, 1, false},
		{MIB + 256, 1, true}, {-MIB, 1, false}, {-MIB - 256, 1, true},
	};

	for (unsigned i = 0; i < 6; i++) {
		struct flowmodel_tuple t = client(family, i);

		establish(&t, ISN);
		segment(&t, FIN | ACK, ISN + 1, 0);
		segment(&t, ACK, ISN + rows[i].off, rows[i].data);
		assert_int_equal(entry_of(&t)->closed, rows[i].closed);
	}
}

static void padding_is_no_data(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	struct flowmodel_segment s = {.tuple = t, .ack = true, .seq = ISN + 2};

	establish(&t, ISN);
	segment(&t, FIN | ACK, ISN + 1, 0);
	flowbench_run(&s, 6, &last);
	assert_true(entry_of(&t)->closed);
}

static void an_entry_knows_the_number_behind_the_segment_data_and_FIN_counted(int family)
{
	static const struct {
		unsigned flags;
		uint32_t data, steps;
	} rows[] = {
		{ACK, 0, 0},	   {ACK, 255, 0},	{ACK, 256, 1},	     {ACK, 1400, 5},
		{FIN | ACK, 0, 0}, {FIN | ACK, 255, 1}, {FIN | ACK, 254, 0},
	};

	for (unsigned i = 0; i < 7; i++) {
		struct flowmodel_tuple t = client(family, i), new = client(family, 10 + i);

		flowbench_clear(0x1fff0);
		establish(&t, 0x00ffffff);
		segment(&t, rows[i].flags, 0x01000000, rows[i].data);
		assert_int_equal(entry_of(&t)->block, 0x010000 + rows[i].steps);
		syn(&new, 0x00ffffff); /* and so does the segment that makes the entry */
		segment(&new, rows[i].flags, 0x01000000, rows[i].data);
		assert_int_equal(entry_of(&new)->block, 0x010000 + rows[i].steps);
	}
}

static void an_entry_follows_its_sequence_in_steps_of_up_to_1_MiB(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t seq = 0xffe00000, block;

	establish(&t, seq);
	for (int i = 0; i < 4; i++) { /* across the wrap of the sequence number */
		seq += MIB;
		segment(&t, ACK, seq, 100);
		assert_int_equal(entry_of(&t)->block, seq >> 8);
	}
	block = entry_of(&t)->block;
	segment(&t, ACK, seq + MIB + 256, 100);
	assert_int_equal(entry_of(&t)->block, block);
	segment(&t, ACK, seq - MIB, 100);
	assert_int_equal(entry_of(&t)->block, block - 4096);
}

#define CASE(name)          \
	{                   \
#name, name \
	}

const struct flowcase flowcases_notes[] = {
	CASE(a_SYN_is_placed_by_the_ring_and_makes_no_entry),
	CASE(a_SYN_changes_no_entry_of_its_tuple),
	CASE(a_SYN_again_follows_its_note_after_a_ring_change),
	CASE(a_SYN_again_is_placed_anew_when_its_server_is_down),
	CASE(a_SYN_that_nobody_takes_leaves_the_note_of_the_line_alone),
	CASE(the_segment_behind_the_SYN_promotes_its_note_for_good),
	CASE(a_segment_within_the_data_of_a_SYN_promotes_its_note),
	CASE(up_to_64_KiB_behind_the_SYN_its_note_is_followed_but_not_promoted),
	CASE(a_segment_before_the_SYN_is_not_its_notes),
	CASE(what_has_no_ACK_or_has_SYN_or_RST_promotes_nothing),
	CASE(a_note_is_followed_where_the_entry_is_closed_or_far),
	CASE(a_note_is_not_followed_where_a_live_entry_is_near),
	CASE(forged_segments_of_a_guessed_sequence_change_nothing),
	CASE(a_FIN_or_RST_closes_within_512_bytes_only),
	CASE(a_FIN_or_RST_closes_behind_the_last_segment_however_long_that_was),
	CASE(later_data_within_1_MiB_unmarks_a_closed_entry),
	CASE(padding_is_no_data),
	CASE(an_entry_knows_the_number_behind_the_segment_data_and_FIN_counted),
	CASE(an_entry_follows_its_sequence_in_steps_of_up_to_1_MiB),
	{0},
};
