// SPDX-License-Identifier: BSD-2-Clause
/*
 * The clients and the random numbers. A few clients share few lines, some of them in pairs that differ in one field,
 * so that lines are full, tuples recur, and forged segments meet live flows. Numbers are drawn around the rules'
 * limits.
 */
#include <string.h>
#include "flowbench.h"
#include "flowtraffic.h"
#include "mxlb/hash.h"

#define CLIENTS	      96
#define CROWDED	      4 /* lines that half of the clients share */
#define BLOCK	      256U
#define PORTS	      65536U
#define EPOCHS	      65536U
#define COMPARE_EVERY 5000

struct client {
	struct flowmodel_tuple tuple;
	uint32_t isn, next, forged;
	uint32_t data; /* on its SYN */
};

static struct client clients[CLIENTS];
static uint64_t dice;

static uint32_t draw(uint32_t sides)
{
	dice += 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(mxlb_mix(dice) >> 32) % sides;
}

static uint32_t draw_any(void)
{
	return draw(1 << 16) << 16 | draw(1 << 16);
}

#define PICK(from) ((from)[draw(sizeof(from) / sizeof((from)[0]))])

static void draw_tuple(unsigned i, struct flowmodel_tuple *t)
{
	static const uint8_t net4[] = {198, 51}, net6[] = {0x20, 0x01, 0x0d, 0xb8};

	memset(t, 0, sizeof(*t));
	t->family = i % 4 < 2 ? 4 : 6;
	t->service = draw(2) + (t->family == 4 ? 0 : 2);
	t->port = draw(PORTS);
	for (int b = 0; b < (t->family == 4 ? 4 : 16); b++)
		t->client[b] = draw(256);
	if (t->family == 4)
		memcpy(t->client, net4, sizeof(net4));
	else
		memcpy(t->client, net6, sizeof(net6));
}

/* Another tuple that differs in one field. */
static void vary(unsigned field, struct flowmodel_tuple *t)
{
	switch (field) {
	case 0:
		t->service ^= 1;
		break;
	case 1:
		t->port = draw(PORTS);
		break;
	case 2:
		t->client[t->family == 4 ? 2 : 5] = draw(256);
		break;
	default:
		t->client[t->family == 4 ? 3 : 12] = draw(256);
	}
}

static void draw_clients(void)
{
	memset(clients, 0, sizeof(clients));
	for (unsigned i = 0; i < CLIENTS; i += 2) {
		struct flowmodel_tuple *one = &clients[i].tuple, *two = &clients[i + 1].tuple;

		do {
			draw_tuple(i, one);
			*two = *one;
			vary(i / 4 % 4, two);
		} while (flowbench_line(one) != flowbench_line(two) ||
			 !memcmp(one, two, sizeof(*one)) ||
			 (i % 8 < 4 && flowbench_line(one) >= CROWDED));
	}
}

/* A sequence number near another, at the limits of "near" on either side. */
static uint32_t around(uint32_t seq)
{
	static const uint32_t blocks[] = {0,	 1,	   2,	     3,	      4,    511,
					  512,	 513,	   4095,     4096,    4097, 5000,
					  70000, 0x7fffff, 0x800000, 0x800001};
	uint32_t by = PICK(blocks) * BLOCK;

	return (draw(2) ? seq + by : seq - by) + draw(3) - 1;
}

static uint32_t draw_data(void)
{
	static const uint32_t bytes[] = {0, 1, 2, 100, FLOWBENCH_DATA_MAX};

	return PICK(bytes);
}

static void open_new(struct client *c, struct flowmodel_segment *s)
{
	c->isn = draw(2) ? draw_any() : around(c->next);
	c->data = draw(3) ? 0 : draw_data();
	c->next = c->isn + 1 + c->data;
	s->syn = true;
	s->seq = c->isn;
	s->data = c->data;
}

static void open_again(struct client *c, struct flowmodel_segment *s)
{
	s->syn = true;
	s->seq = c->isn;
	s->data = draw(4) ? c->data : 0;
}

static void shake_hands(struct client *c, struct flowmodel_segment *s)
{
	s->ack = true;
	s->seq = c->isn + 1 + (draw(2) ? 0 : c->data);
	s->data = draw(2) ? 0 : draw_data();
}

static void within_data(struct client *c, struct flowmodel_segment *s)
{
	s->ack = true;
	s->seq = c->isn + draw(c->data + 3);
	s->fin = !draw(8);
}

static void early_data(struct client *c, struct flowmodel_segment *s)
{
	static const uint32_t behind[] = {2, 100, 1400, 30000, 65534, 65535, 65536, 65537, 70000};

	s->ack = true;
	s->seq = c->isn + 1 + PICK(behind);
	s->data = draw_data();
}

static void send_data(struct client *c, struct flowmodel_segment *s)
{
	static const uint32_t unseen[] = {0, 0, 0, 1400, 30000, 65536, 200000, 3000000};

	s->ack = true;
	s->seq = c->next;
	s->data = draw_data();
	c->next += s->data + PICK(unseen);
}

static void send_again(struct client *c, struct flowmodel_segment *s)
{
	s->ack = true;
	s->seq = c->next - draw(200000);
	s->data = draw_data();
}

static void finish(struct client *c, struct flowmodel_segment *s)
{
	s->ack = s->fin = true;
	s->seq = c->next;
	s->data = draw(3) ? 0 : draw_data();
}

static void give_up(struct client *c, struct flowmodel_segment *s)
{
	s->rst = true;
	s->ack = draw(2);
	s->seq = c->next;
}

static void forge_flags(struct flowmodel_segment *s)
{
	s->syn = !draw(4);
	s->fin = !s->syn && !draw(3);
	s->rst = !s->syn && !draw(3);
	s->ack = draw(2);
	s->data = draw(2) ? 0 : draw_data();
}

static void forge_blindly(struct client *c, struct flowmodel_segment *s)
{
	(void)c;
	forge_flags(s);
	s->seq = draw_any();
}

static void forge_nearby(struct client *c, struct flowmodel_segment *s)
{
	forge_flags(s);
	s->seq = around(draw(4) ? c->next : c->isn);
}

static void forge_syn(struct client *c, struct flowmodel_segment *s)
{
	c->forged = draw(4) ? draw_any() : around(c->next);
	s->syn = true;
	s->seq = c->forged;
}

static void forge_ack(struct client *c, struct flowmodel_segment *s)
{
	s->ack = true;
	s->seq = c->forged + 1;
}

/* At the same distance from two of the line's entries. */
static void halfway(struct client *c, struct flowmodel_segment *s)
{
	uint32_t from = flowbench_entry(&c->tuple, draw(FLOWMODEL_PLACES))->block;
	uint32_t to = flowbench_entry(&c->tuple, draw(FLOWMODEL_PLACES))->block;

	s->ack = true;
	s->seq = (from + (to - from) / 2) * BLOCK;
	s->data = draw_data();
}

/* Exactly at one of the line's entries. */
static void finish_one(struct client *c, struct flowmodel_segment *s)
{
	s->ack = s->fin = true;
	s->seq = flowbench_entry(&c->tuple, draw(FLOWMODEL_PLACES))->block * BLOCK;
}

static void draw_segment(struct client *c, struct flowmodel_segment *s)
{
	static const struct {
		unsigned weight;
		void (*make)(struct client *, struct flowmodel_segment *);
	} kinds[] = {
		{10, open_new},	 {6, open_again},    {14, shake_hands}, {4, within_data},
		{4, early_data}, {30, send_data},    {6, send_again},	{4, finish},
		{2, give_up},	 {4, forge_blindly}, {8, forge_nearby}, {4, forge_syn},
		{4, forge_ack},	 {8, halfway},	     {3, finish_one},
	};
	unsigned of = 0, i = 0, n;

	for (n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++)
		of += kinds[n].weight;
	for (n = draw(of); n >= kinds[i].weight; i++)
		n -= kinds[i].weight;
	*s = (struct flowmodel_segment){.tuple = c->tuple};
	kinds[i].make(c, s);
	if (s->ack)
		s->ack_seq = draw_any();
}

static void pass_time(void)
{
	static const uint32_t jumps[] = {2,   3,    30,	  898,	899,  900,
					 901, 1798, 1799, 1800, 1801, 2500};
	uint32_t steps = 0;

	if (!draw(4000))
		steps = PICK(jumps);
	else if (!draw(40))
		steps = 1 + draw(2);
	flowbench_epochs(steps);
}

static void change_world(void)
{
	pass_time();
	if (!draw(100))
		flowbench_ring(draw(FLOWBENCH_SERVICES),
			       draw(6) ? draw(FLOWBENCH_RINGS)
				       : FLOWBENCH_RINGS + draw(FLOWMODEL_SILENCE + 1));
	if (!draw(150))
		flowbench_server(draw(FLOWBENCH_SERVERS),
				 draw(3) ? FLOWBENCH_UP : draw(FLOWBENCH_STATES));
}

/* A new table: the epoch's 16 bits start at random, so that they wrap in some runs. */
static uint32_t begin(void)
{
	uint32_t epoch = EPOCHS + draw(EPOCHS);

	flowbench_clear(epoch);
	draw_clients();
	return epoch;
}

void flowtraffic_run(uint64_t seed, uint64_t packets)
{
	struct flowmodel_result result;
	struct flowmodel_segment s;
	struct client *c = clients;
	uint32_t began;

	dice = seed;
	began = begin();
	for (uint64_t n = 1; n <= packets; n++) {
		change_world();
		if (!draw(6))
			c = &clients[draw(CLIENTS)];
		draw_segment(c, &s);
		flowbench_run(&s, draw(8) ? 0 : 6, &result);
		if (n % COMPARE_EVERY && n != packets)
			continue;
		flowbench_compare();
		if (flowbench_epoch() - began > FLOWBENCH_EPOCH_MAX)
			began = begin();
	}
}
