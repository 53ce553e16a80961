// SPDX-License-Identifier: BSD-2-Clause
/* Keeps only the last result. */
#include <string.h>
#include "flowsteps.h"

struct flowmodel_result last;

uint32_t segment(const struct flowmodel_tuple *t, unsigned flags, uint32_t seq, uint32_t data)
{
	struct flowmodel_segment s = {
		.tuple = *t,
		.syn = flags & SYN,
		.ack = flags & ACK,
		.rst = flags & RST,
		.fin = flags & FIN,
		.seq = seq,
		.ack_seq = flags & ACK ? ACK_SEQ : 0,
		.data = data,
	};

	flowbench_run(&s, 0, &last);
	return last.action == FLOWMODEL_FORWARD ? last.server : 0;
}

uint32_t syn(const struct flowmodel_tuple *t, uint32_t isn)
{
	return segment(t, SYN, isn, 0);
}

uint32_t establish(const struct flowmodel_tuple *t, uint32_t isn)
{
	uint32_t server = syn(t, isn);

	assert_int_equal(segment(t, ACK, isn + 1, 0), server);
	assert_int_equal(last.kind, FLOWMODEL_PROMOTED);
	return server;
}

struct flowmodel_tuple client(int family, unsigned n)
{
	struct flowmodel_tuple t = {.family = family, .service = family == 4 ? 0 : 2};
	static const uint8_t net4[] = {198, 51, 100, 7};
	static const uint8_t net6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};

	memcpy(t.client, family == 4 ? net4 : net6, family == 4 ? sizeof(net4) : sizeof(net6));
	for (t.port = 1024; flowbench_line(&t) != 5 || n--; t.port++)
		;
	return t;
}

void ring_away(const struct flowmodel_tuple *t, uint32_t from)
{
	for (unsigned r = 0; r < FLOWBENCH_RINGS; r++) {
		flowbench_ring(t->service, r);
		if (flowbench_placed(t) != from)
			return;
	}
	fail();
}

void put_state(uint32_t server, enum flowbench_state s)
{
	for (unsigned i = 0; i < FLOWBENCH_SERVERS; i++)
		if (flowbench_server_id[i] == server)
			flowbench_server(i, s);
}

unsigned entries_of(const struct flowmodel_tuple *t)
{
	unsigned n = 0;

	for (int i = 0; i < FLOWMODEL_PLACES; i++) {
		const struct flowmodel_entry *e = flowbench_entry(t, i);

		n += e->used && e->tuple.port == t->port;
	}
	return n;
}

const struct flowmodel_entry *entry_of(const struct flowmodel_tuple *t)
{
	assert_int_equal(entries_of(t), 1);
	for (int i = 0; i < FLOWMODEL_PLACES; i++)
		if (flowbench_entry(t, i)->used && flowbench_entry(t, i)->tuple.port == t->port)
			return flowbench_entry(t, i);
	return NULL;
}
