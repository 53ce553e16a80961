// SPDX-License-Identifier: BSD-2-Clause
/* Owns the maps' memory. The front is made by the controller's own code; rings alternate between the two backends. */
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "datapath/datapath_internal.h"
#include "nativesite.h"

enum { BACKEND_A = 11, BACKEND_B, BACKEND_LOST };

static const uint8_t our_mac[6] = {0x02, 0, 0, 0, 0, 0x05};
static struct native_site site;
static struct mxlb_control control;

static void fail(const uint8_t *frame, unsigned len, unsigned linear, const char *what)
{
	fprintf(stderr, "%s: %u bytes, %u linear:\n", what, len, linear);
	for (unsigned i = 0; i < len; i++)
		fprintf(stderr, "%02x", frame[i]);
	fputc('\n', stderr);
	abort();
}

static void *some(size_t n, size_t size)
{
	void *at = calloc(n, size);

	if (!at)
		abort();
	return at;
}

static void front_fill(void)
{
	struct datapath *dp = some(1, sizeof(*dp));
	static const struct {
		const char *vip;
		uint16_t port;
		uint32_t ring;
	} rows[] = {
		{"203.0.113.25", 25, MXLB_RING_FIRST},
		{"2001:db8:113::25", 25, MXLB_RING_FIRST},
		{"203.0.113.25", 2525, MXLB_RING_RESET},
		{"203.0.113.25", 2526, MXLB_RING_DROP},
		{"203.0.113.25", 2527, MXLB_RING_NOT_READY},
		{"203.0.113.25", 2528, MXLB_RING_FIRST + 1},
	};
	struct plan_service s[6] = {0};
	struct plan plan = {.services = s, .n_services = 6};

	dp->ports[0].ifindex = NATIVESITE_INGRESS;
	memcpy(dp->ports[0].mac.b, our_mac, 6);
	for (unsigned i = 0; i < 6; i++) {
		s[i] = (struct plan_service){
			.id = i, .port = rows[i].port, .mode = PLAN_RING, .advertise = true};
		site.services[i].ring = rows[i].ring;
		site.services[i].seed = 4711 + i;
		if (addr_parse(rows[i].vip, &s[i].vip))
			abort();
	}
	if (front_build(dp, &plan, site.fronts))
		abort();
	free(dp);
}

void nativesite_up(uint32_t lines)
{
	site = (struct native_site){
		.fronts = some(MXLB_FRONTS, sizeof(struct mxlb_front)),
		.services = some(MXLB_MAX_SERVICES, sizeof(struct mxlb_service)),
		.rings = some(MXLB_RINGS, sizeof(struct mxlb_ring)),
		.backends = some(MXLB_MAX_BACKENDS, sizeof(struct mxlb_backend)),
		.control = &control,
		.lines = lines};
	front_fill();
	for (unsigned i = 0; i < MXLB_RING_SLOTS; i++) {
		site.rings[0].slot[i] = i % 2 ? BACKEND_A : BACKEND_B;
		site.rings[1].slot[i] = BACKEND_LOST;
	}
	for (int i = BACKEND_A; i <= BACKEND_B; i++)
		site.backends[i].way = (union mxlb_way){.mac = {0x02, 0, 0, 0, 0, i},
							.flags = MXLB_BACKEND_NEXT_HOP};
	native_up(&site);
}

void nativesite_down(void)
{
	free(site.fronts);
	free(site.services);
	free(site.rings);
	free(site.backends);
}

void nativesite_run(const uint8_t *frame, unsigned len, unsigned linear, struct native_outcome *o)
{
	const char *wrong = NULL;

	native_run(frame, len, linear, NATIVESITE_INGRESS, o);
	if (o->fates != 1)
		wrong = "not one fate";
	else if (o->action != XDP_DROP && o->action != XDP_PASS && o->action != XDP_TX)
		wrong = "an action that is none";
	else if (o->action == XDP_PASS && (o->len != len || memcmp(o->frame, frame, len)))
		wrong = "passed, but changed";
	else if (o->action == XDP_TX && memcmp(o->frame + 6, our_mac, 6))
		wrong = "sent, but not from our MAC address";
	else if (o->counter == NATIVE_FORWARDED && (o->len != len || o->frame[5] != o->backend))
		wrong = "forwarded, but not whole to its backend";
	else if (o->counter == MXLB_COUNT_error && linear >= len && len <= 3520)
		wrong = "a helper refused";
	if (wrong)
		fail(frame, len, linear, wrong);
}
