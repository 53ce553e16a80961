// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rules 4, 5 and 7, and resets: which segment gets a slot, which entry is displaced, what is answered. Each case
 * starts from an empty table, all servers up, every service on ring 0. Cases check the relevant part of the model's
 * answer; flowbench_run() checks that the program does the same.
 */
#include "flowsteps.h"

static void a_miss_makes_an_entry_that_stands_against_the_ring(int family)
{
	struct flowmodel_tuple t = client(family, 0);
	uint32_t server = segment(&t, ACK, ISN, 100);

	assert_int_equal(last.kind, FLOWMODEL_MISS);
	assert_int_equal(server, flowbench_placed(&t));
	assert_true(entry_of(&t)->by_miss);
	ring_away(&t, server);
	assert_int_equal(segment(&t, ACK, ISN + 100, 100), server);
	assert_int_equal(last.kind, FLOWMODEL_HIT);
}

static void a_RST_makes_no_entry(int family)
{
	struct flowmodel_tuple t = client(family, 0);

	assert_int_equal(segment(&t, RST, ISN, 0), flowbench_placed(&t));
	assert_int_equal(segment(&t, RST | ACK, ISN, 0), flowbench_placed(&t));
	assert_int_equal(entries_of(&t), 0);
	assert_false(last.unplaced);
}

/* The states in which an entry can be replaced, in rule 5's order. Times are seconds before now. */
enum { NONE, MADE, MADE_CLOSED, MADE_BY_MISS, USED };

static const struct kind {
	int at_1800, at_2, at_1;
	bool live; /* replacing it is an eviction */
} kinds[] = {
	{NONE, MADE_CLOSED, NONE, false}, /* closed and unused for two epochs */
	{MADE, NONE, NONE, false},	  /* unused for 30 minutes */
	{NONE, NONE, MADE_CLOSED, false}, /* other closed ones */
	{NONE, NONE, MADE_BY_MISS, true}, /* made by a miss */
	{NONE, NONE, MADE, true},	  /* its client has sent no data */
	{NONE, MADE, USED, true},	  /* it has */
};
#define KINDS 6

static void act(const struct flowmodel_tuple *t, int what)
{
	if (what == MADE || what == MADE_CLOSED)
		establish(t, ISN);
	if (what == MADE_CLOSED)
		segment(t, FIN | ACK, ISN + 1, 0);
	if (what == MADE_BY_MISS || what == USED)
		segment(t, ACK, ISN + 1, 100);
}

/* A line with three entries of these kinds; their tuples are clients 0, 1 and 2. */
static void fill_line(int family, const struct kind *of[3])
{
	flowbench_clear(0x1f000);
	for (unsigned i = 0; i < 3; i++) {
		struct flowmodel_tuple t = client(family, i);

		act(&t, of[i]->at_1800);
	}
	flowbench_epochs(1798);
	for (unsigned i = 0; i < 3; i++) {
		struct flowmodel_tuple t = client(family, i);

		act(&t, of[i]->at_2);
	}
	flowbench_epochs(1);
	for (unsigned i = 0; i < 3; i++) {
		struct flowmodel_tuple t = client(family, i);

		act(&t, of[i]->at_1);
		assert_int_equal(entries_of(&t), 1);
	}
	flowbench_epochs(1);
}

static void of_a_full_line_the_lowest_rank_gives_way(int family)
{
	struct flowmodel_tuple t[4];

	for (unsigned i = 0; i < 4; i++)
		t[i] = client(family, i);
	for (unsigned low = 0; low < KINDS; low++) {
		for (unsigned high = low + 1; high < KINDS; high++) {
			for (unsigned at = 0; at < 3; at++) {
				const struct kind *of[3] = {&kinds[high], &kinds[high],
							    &kinds[high]};

				of[at] = &kinds[low];
				fill_line(family, of);
				establish(&t[3], ISN);
				assert_int_equal(last.evicted, kinds[low].live);
				for (unsigned i = 0; i < 4; i++)
					assert_int_equal(entries_of(&t[i]), i != at);
			}
		}
	}
}

static void of_one_rank_the_longest_unused_gives_way(int family)
{
	for (unsigned at = 0; at < 3; at++) {
		struct flowmodel_tuple t;

		flowbench_clear(0x1fff0);
		for (unsigned i = 0; i < 3; i++) {
			t = client(family, i);
			establish(&t, ISN);
		}
		for (unsigned i = 1; i <= 3;
		     i++) { /* `at` is the first of them that is used again */
			t = client(family, (at + i - 1) % 3);
			flowbench_epochs(1);
			segment(&t, ACK, ISN + 1, 0);
		}
		t = client(family, 3);
		establish(&t, ISN);
		assert_true(last.evicted);
		t = client(family, at);
		assert_int_equal(entries_of(&t), 0);
	}
}

/* Three flows of one line send data in this order. Returns the number of the one that has not settled. */
static unsigned fill_with_data(int family, const unsigned order[3])
{
	flowbench_clear(0x1f000);
	for (unsigned i = 0; i < 3; i++) {
		struct flowmodel_tuple t = client(family, order[i]);

		establish(&t, ISN);
		segment(&t, ACK, ISN + 1, 100);
		assert_int_equal(entry_of(&t)->settled, i < 2);
	}
	return order[2];
}

/* Including forged ones, whatever they contain. */
static void the_first_two_of_a_line_that_send_data_stay_whoever_comes_later(int family)
{
	static const unsigned orders[][3] = {{0, 1, 2}, {1, 2, 0}, {2, 0, 1}};

	for (unsigned o = 0; o < 3; o++) {
		unsigned last_one = fill_with_data(family, orders[o]);

		for (unsigned n = 3; n < 13; n++) {
			struct flowmodel_tuple t = client(family, n);

			establish(&t, ISN);
			assert_true(last.evicted);
			segment(&t, ACK, ISN + 1, 100);
			flowbench_epochs(100);
			segment(&t, ACK, ISN + 101, 100);
			assert_false(entry_of(&t)->settled);
		}
		for (unsigned i = 0; i < 3; i++) {
			struct flowmodel_tuple t = client(family, i);

			assert_int_equal(entries_of(&t), i != last_one);
		}
	}
}

static void what_is_closed_or_unused_for_30_minutes_lets_the_next_one_settle(int family)
{
	static const unsigned order[3] = {0, 1, 2};
	struct flowmodel_tuple first = client(family, 0), second = client(family, 1),
			       third = client(family, 2), next = client(family, 3);

	fill_with_data(family, order);
	segment(&first, FIN | ACK, ISN + 101, 0);
	assert_false(entry_of(&first)->settled);
	segment(&third, ACK, ISN + 101, 100);
	assert_true(entry_of(&third)->settled);
	segment(&first, ACK, ISN + 102,
		100); /* it was not its own FIN; the real one comes too late */
	assert_false(entry_of(&first)->closed);
	assert_false(entry_of(&first)->settled);
	flowbench_epochs(1799);
	segment(&third, ACK, ISN + 201, 100);
	segment(&first, ACK, ISN + 202, 100);
	assert_false(entry_of(&first)->settled);
	flowbench_epochs(1); /* the second is old now */
	segment(&first, ACK, ISN + 302, 100);
	assert_true(entry_of(&first)->settled);
	segment(&second, ACK, ISN + 101, 100); /* and back: two have settled */
	assert_false(entry_of(&second)->settled);
	establish(&next, ISN);
	assert_int_equal(entries_of(&second), 0);
}

static void what_a_miss_made_settles_as_soon_as_its_client_sends_more(int family)
{
	struct flowmodel_tuple t = client(family, 0), new;

	segment(&t, ACK, ISN, 100);
	assert_false(entry_of(&t)->data);
	segment(&t, ACK, ISN + 100, 0);
	assert_false(entry_of(&t)->data);
	segment(&t, ACK, ISN + 100, 100);
	assert_true(entry_of(&t)->settled);
	for (unsigned n = 1; n < 10; n++) {
		new = client(family, n);
		establish(&new, ISN);
	}
	assert_int_equal(entries_of(&t), 1);
}

static void far_data_shows_nothing(int family)
{
	struct flowmodel_tuple t = client(family, 0);

	establish(&t, ISN);
	segment(&t, ACK, FAR, 100);
	segment(&t, FIN | ACK, ISN + 1 + MIB, 100);
	assert_false(entry_of(&t)->data);
}

static void a_miss_takes_no_place_of_a_flow_that_had_its_handshake(int family)
{
	struct flowmodel_tuple t = client(family, 3);

	for (unsigned k = 0; k < KINDS; k++) {
		const struct kind *of[3] = {&kinds[k], &kinds[k], &kinds[k]};

		fill_line(family, of);
		assert_int_equal(segment(&t, ACK, ISN, 100),
				 flowbench_placed(&t)); /* in any case */
		assert_int_equal(last.kind, FLOWMODEL_MISS);
		assert_int_equal(last.unplaced, k >= 4);
		assert_int_equal(entries_of(&t), k < 4);
	}
}

static void a_flow_of_a_server_to_be_reset_draws_RST_and_a_new_SYN_does_not(int family)
{
	struct flowmodel_tuple t = client(family, 0), half = client(family, 1);
	uint32_t server = establish(&t, ISN);

	while (flowbench_placed(&half) != server)
		half = client(family, half.port % 64 + 1);
	syn(&half, ISN);
	put_state(server, FLOWBENCH_RESET);
	segment(&t, RST, FAR, 0);
	assert_int_equal(last.action, FLOWMODEL_DROP); /* never to a RST */
	segment(&t, ACK, FAR, 100);
	assert_int_equal(last.action, FLOWMODEL_RESET);
	assert_false(entry_of(&t)->closed); /* it may have been forged */
	segment(&t, ACK, ISN + 1, 100);
	assert_int_equal(last.action, FLOWMODEL_RESET);
	assert_int_equal(last.seq, ACK_SEQ);
	assert_false(last.ack);
	assert_true(entry_of(&t)->closed);
	segment(&t, FIN, ISN + 1, 10);
	assert_int_equal(last.action, FLOWMODEL_RESET);
	assert_int_equal(last.ack_seq, ISN + 12);
	assert_true(last.ack);
	segment(&half, ACK, ISN + 1, 0);
	assert_int_equal(last.action, FLOWMODEL_RESET);
	ring_away(&t, server);
	assert_int_equal(syn(&t, FAR), flowbench_placed(&t));
	assert_int_equal(segment(&t, ACK, FAR + 1, 0), flowbench_placed(&t));
}

static void when_nobody_is_there_flows_go_on_and_SYNs_are_turned_away(int family)
{
	struct flowmodel_tuple t = client(family, 0), other = client(family, 1);
	uint32_t server = establish(&t, ISN);

	for (unsigned why = 0; why <= FLOWMODEL_SILENCE; why++) {
		flowbench_ring(t.service, FLOWBENCH_RINGS + why);
		assert_int_equal(syn(&other, ISN), 0);
		assert_int_equal(segment(&other, ACK, ISN + 1, 0), 0);
		assert_int_equal(segment(&t, ACK, ISN + 1, 100), server);
		assert_int_equal(entries_of(&other), 0);
	}
}

static void a_flow_counts_until_closed_or_unused_for_15_minutes(int family)
{
	struct flowmodel_tuple t = client(family, 0), closed = client(family, 1);

	establish(&t, ISN);
	establish(&closed, ISN);
	segment(&t, ACK, ISN + 1, 100);
	segment(&closed, ACK, ISN + 1, 100);
	flowbench_compare();
	segment(&closed, FIN | ACK, ISN + 101, 0);
	flowbench_compare();
	flowbench_epochs(899);
	assert_true(flowmodel_counts(entry_of(&t), flowbench_epoch()));
	flowbench_compare();
	flowbench_epochs(1);
	assert_false(flowmodel_counts(entry_of(&t), flowbench_epoch()));
	flowbench_compare();
}

static void a_flow_whose_client_has_sent_nothing_counts_for_a_minute(int family)
{
	struct flowmodel_tuple t = client(family, 0), miss = client(family, 1);

	establish(&t, ISN);
	segment(&miss, ACK, ISN, 100);
	flowbench_epochs(59);
	assert_true(flowmodel_counts(entry_of(&t), flowbench_epoch()));
	assert_true(flowmodel_counts(entry_of(&miss), flowbench_epoch()));
	flowbench_compare();
	flowbench_epochs(1);
	assert_false(flowmodel_counts(entry_of(&t), flowbench_epoch()));
	assert_false(flowmodel_counts(entry_of(&miss), flowbench_epoch()));
	flowbench_compare();
}

#define CASE(name)          \
	{                   \
#name, name \
	}

const struct flowcase flowcases_places[] = {
	CASE(a_miss_makes_an_entry_that_stands_against_the_ring),
	CASE(a_RST_makes_no_entry),
	CASE(of_a_full_line_the_lowest_rank_gives_way),
	CASE(of_one_rank_the_longest_unused_gives_way),
	CASE(the_first_two_of_a_line_that_send_data_stay_whoever_comes_later),
	CASE(what_is_closed_or_unused_for_30_minutes_lets_the_next_one_settle),
	CASE(what_a_miss_made_settles_as_soon_as_its_client_sends_more),
	CASE(far_data_shows_nothing),
	CASE(a_miss_takes_no_place_of_a_flow_that_had_its_handshake),
	CASE(a_flow_of_a_server_to_be_reset_draws_RST_and_a_new_SYN_does_not),
	CASE(when_nobody_is_there_flows_go_on_and_SYNs_are_turned_away),
	CASE(a_flow_counts_until_closed_or_unused_for_15_minutes),
	CASE(a_flow_whose_client_has_sent_nothing_counts_for_a_minute),
	{0},
};
