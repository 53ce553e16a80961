// SPDX-License-Identifier: BSD-2-Clause
/* The random numbers. */
#include "forgery.h"
#include "mxlb/hash.h"

#define SECONDS 60
#define DATA	100

static uint64_t dice;

static uint32_t draw(void)
{
	dice += 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(mxlb_mix(dice) >> 32);
}

static uint32_t send_syn(const struct forgery_world *w, const struct forgery_flow *f, uint32_t seq)
{
	struct flowmodel_segment s = {.tuple = f->tuple, .syn = true, .seq = seq};

	return w->send(&s);
}

static uint32_t send_ack(const struct forgery_world *w, const struct forgery_flow *f, uint32_t seq,
			 uint32_t data)
{
	struct flowmodel_segment s = {.tuple = f->tuple, .ack = true, .seq = seq, .data = data};

	return w->send(&s);
}

static void begin(const struct forgery_world *w, struct forgery_flow *f)
{
	f->next = draw();
	f->server = send_syn(w, f, f->next++);
	send_ack(w, f, f->next, 0);
	send_ack(w, f, f->next, DATA);
	f->next += DATA;
}

static void forge_pair(const struct forgery_world *w, const struct forgery_flow *f)
{
	uint32_t isn = draw();

	send_syn(w, f, isn);
	send_ack(w, f, isn + 1, 0);
}

static void forge_others(const struct forgery_world *w, const struct forgery_flow *f)
{
	struct flowmodel_segment fin = {.tuple = f->tuple, .ack = true, .fin = true, .seq = draw()};
	struct flowmodel_segment rst = {.tuple = f->tuple, .rst = true, .seq = draw()};

	w->send(&fin);
	w->send(&rst);
	send_ack(w, f, draw(), DATA);
}

unsigned forgery_play(const struct forgery_world *w, struct forgery_flow *flows, unsigned n,
		      uint64_t seed)
{
	unsigned lost = 0, ring = 0;

	dice = seed;
	w->ring(ring++);
	for (unsigned i = 0; i < n; i++)
		begin(w, &flows[i]);
	w->second();
	for (unsigned i = 0; i < n; i += 2) {
		send_ack(w, &flows[i], flows[i].next, DATA);
		flows[i].next += DATA;
	}
	for (unsigned t = 0; t < SECONDS; t++) {
		w->second();
		w->ring(ring++);
		for (unsigned i = 0; i < n; i++) {
			forge_pair(w, &flows[i]);
			forge_others(w, &flows[i]);
		}
	}
	w->ring(ring);
	for (unsigned i = 0; i < n; i++) {
		flows[i].lost = send_ack(w, &flows[i], flows[i].next, DATA) != flows[i].server;
		lost += flows[i].lost;
	}
	return lost;
}
