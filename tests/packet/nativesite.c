// SPDX-License-Identifier: BSD-2-Clause
/*
 * The maps' memory. The front is made by mxlbd's own code; the ring alternates between the kinds of next hop (ways.h),
 * with a server for each.
 */
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "datapath/datapath_internal.h"
#include "nativesite.h"
#include "ways.h"

enum { SERVER_FIRST = 11, SERVER_LOST = SERVER_FIRST + WAYS };

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
	struct addr peers[2];
	struct plan plan = {.services = s, .n_services = 6, .peers = peers, .n_peers = 2};

	dp->services = site.services;
	dp->ports[0].ifindex = NATIVESITE_INGRESS;
	memcpy(dp->ports[0].mac.b, WAYS_FIRST_MAC, 6);
	dp->ports[1].ifindex = NATIVESITE_SECOND;
	memcpy(dp->ports[1].mac.b, WAYS_SECOND_MAC, 6);
	dp->ports[1].vlan = WAYS_VLAN;
	if (addr_parse("203.0.113.1", &peers[0]) || addr_parse("2001:db8:113::1", &peers[1]))
		abort();
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
	site = (struct native_site){.fronts = some(MXLB_FRONTS, sizeof(struct mxlb_front)),
				    .services =
					    some(MXLB_MAX_SERVICES, sizeof(struct mxlb_service)),
				    .rings = some(MXLB_RINGS, sizeof(struct mxlb_ring)),
				    .backends = some(MXLB_MAX_SERVERS, sizeof(struct mxlb_backend)),
				    .control = &control,
				    .lines = lines,
				    .exits = 3};
	front_fill();
	for (unsigned i = 0; i < MXLB_RING_SLOTS; i++) {
		site.rings[0].slot[i] = SERVER_FIRST + i % WAYS;
		site.rings[1].slot[i] = SERVER_LOST;
	}
	for (unsigned i = 0; i < WAYS; i++) {
		const uint8_t mac[6] = {0x02, 0, 0, 0, 0, SERVER_FIRST + i};

		ways_set(&site.backends[SERVER_FIRST + i], mac, i);
	}
	native_up(&site);
}

static const char *what_is_wrong(const struct ways_trip *t, unsigned linear,
				 const struct native_outcome *o)
{
	if (o->fates != 1)
		return "not one fate";
	if (o->counter == MXLB_COUNT_error)
		return linear >= t->in_len && t->in_len <= 3400 ? "a helper refused" : NULL;
	if (o->counter == NATIVE_FORWARDED)
		return o->action == (t->in_port == t->server->way.port ? XDP_TX : XDP_REDIRECT)
			       ? ways_forwarded_wrong(t)
			       : "forwarded, but by another way";
	if (o->action == XDP_PASS)
		return ways_passed_wrong(t, o->counter == MXLB_COUNT_decapsulated);
	if (o->action == XDP_TX)
		return memcmp(o->frame + 6, t->in_port ? WAYS_SECOND_MAC : WAYS_FIRST_MAC, 6)
			       ? "sent, but not from our MAC address"
			       : NULL;
	return o->action == XDP_DROP ? NULL : "an action that is none";
}

void nativesite_run(const uint8_t *frame, unsigned len, unsigned linear, bool second,
		    struct native_outcome *o)
{
	const char *wrong;

	native_run(frame, len, linear, second ? NATIVESITE_SECOND : NATIVESITE_INGRESS, o);
	wrong = what_is_wrong(&(struct ways_trip){.in = frame,
						  .out = o->frame,
						  .in_len = len,
						  .out_len = o->len,
						  .in_port = second,
						  .server = &site.backends[o->server]},
			      linear, o);
	if (wrong)
		fail(frame, len, linear, wrong);
}
