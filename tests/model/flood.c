// SPDX-License-Identifier: BSD-2-Clause
/* The random numbers, and the packets forged in the last seconds. */
#include "flood.h"
#include "mxlb/hash.h"

#define SAID	   100	/* bytes of a segment */
#define LATER_S	   3	/* after which a forged flow is touched again */
#define FORGED_MAX 4096 /* a second */

const struct flood_kind flood_kinds[FLOOD_KINDS] = {
	{.name = "pairs of SYN and ACK", .handshake = true},
	{.name = "pairs, touched once more", .handshake = true, .later = true},
	{.name = "pairs with data", .handshake = true, .data = 1},
	{.name = "pairs with data twice", .handshake = true, .data = 2},
	{.name = "pairs with data, and data later",
	 .handshake = true,
	 .data = 1,
	 .later = true,
	 .later_data = true},
	{.name = "data without a SYN, and data later",
	 .data = 2,
	 .later = true,
	 .later_data = true},
};

static uint64_t dice;
static struct forgery_flow forged[LATER_S][FORGED_MAX];
static unsigned n_forged[LATER_S];

static uint32_t draw(void)
{
	dice += 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(mxlb_mix(dice) >> 32);
}

static uint32_t send(const struct forgery_world *w, struct forgery_flow *f, bool syn, uint32_t data)
{
	struct flowmodel_segment s = {
		.tuple = f->tuple, .syn = syn, .ack = !syn, .seq = f->next, .data = data};

	f->next += syn + data;
	return w->send(&s);
}

/* The first second of a sender: a handshake, EHLO, STARTTLS. */
static void begin(const struct forgery_world *w, struct forgery_flow *f)
{
	f->next = draw();
	f->server = send(w, f, true, 0);
	send(w, f, false, 0);
	send(w, f, false, SAID);
	send(w, f, false, SAID);
}

/* Returns the number of packets. */
static unsigned forge(const struct forgery_world *w, const struct flood_kind *kind,
		      const struct flowmodel_tuple *like, struct forgery_flow *f)
{
	uint32_t address = draw();

	*f = (struct forgery_flow){.tuple = *like, .next = draw()};
	for (unsigned i = 0; i < 4; i++)
		f->tuple.client[i] = address >> i * 8;
	f->tuple.port = 1024 + draw() % 64512;
	if (kind->handshake) {
		send(w, f, true, 0);
		send(w, f, false, 0);
	}
	for (unsigned i = 0; i < kind->data; i++)
		send(w, f, false, SAID);
	return 2 * kind->handshake + kind->data;
}

static void flood_second(const struct forgery_world *w, const struct flood_kind *kind,
			 const struct flowmodel_tuple *like, unsigned t, unsigned packets)
{
	unsigned *n = &n_forged[t % LATER_S], sent = 0;

	for (unsigned i = 0; kind->later && i < *n; i++, sent++)
		send(w, &forged[t % LATER_S][i], false, kind->later_data ? SAID : 0);
	for (*n = 0; sent < packets && *n < FORGED_MAX; (*n)++)
		sent += forge(w, kind, like, &forged[t % LATER_S][*n]);
	w->second();
}

static void flood(const struct forgery_world *w, const struct flood_kind *kind,
		  const struct flowmodel_tuple *like, unsigned seconds, unsigned packets)
{
	for (unsigned i = 0; i < LATER_S; i++)
		n_forged[i] = 0;
	for (unsigned t = 0; kind && t < seconds; t++)
		flood_second(w, kind, like, t, packets);
}

unsigned flood_play(const struct forgery_world *w, const struct flood_plan *plan,
		    struct forgery_flow *flows, unsigned n, uint64_t seed)
{
	unsigned lost = 0;

	dice = seed;
	w->ring(0);
	flood(w, plan->before, &flows[0].tuple, plan->before_seconds, plan->packets);
	for (unsigned i = 0; i < n; i++)
		begin(w, &flows[i]);
	w->second();
	for (unsigned i = 0; i < n; i += 2) /* every second one is seen in one second only */
		send(w, &flows[i], false, SAID);
	flood(w, plan->kind, &flows[0].tuple, plan->seconds, plan->packets);
	w->ring(1);
	for (unsigned i = 0; i < n; i++) {
		flows[i].lost = send(w, &flows[i], false, SAID) != flows[i].server;
		lost += flows[i].lost;
	}
	return lost;
}
