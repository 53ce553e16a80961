/* SPDX-License-Identifier: BSD-2-Clause */
/* For test_zone.c, test_zonemap.c and test_zone_store.c: a zone whose answers are written as "a 10 203.0.113.11; b 20 203.0.113.12". */
#ifndef MXLB_ZONE_FIXTURE_H
#define MXLB_ZONE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/zone.h"
#define M 30000ull /* refresh-min */

static struct service_conf service;
static struct dns_conf dns;
static struct zone_box box;
static struct addr vips[1], locals[1];
static struct prefix networks[1];
static struct zone zone;
static struct zone_map map;
static struct zone_view view;
static struct server_conf takers[8];

static struct addr ip(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static int begin(void **state)
{
	(void)state;
	memset(&service, 0, sizeof(service));
	memset(&zone, 0, sizeof(zone));
	memset(&view, 0, sizeof(view));
	memset(&map, 0, sizeof(map));
	strcpy(service.name, "mail");
	strcpy(service.zone.mx, "h.example.net");
	service.address = vips[0] = ip("203.0.113.25");
	locals[0] = ip("203.0.113.5");
	addr_parse_prefix("203.0.113.0/24", &networks[0]);
	dns = (struct dns_conf){.refresh_min_ms = M, .refresh_max_ms = 120 * M};
	box = (struct zone_box){vips, locals, networks, 1, 1, 1};
	view = (struct zone_view){.service = &service,
				  .dns = &dns,
				  .box = &box,
				  .takers = takers,
				  .room = 255,
				  .now_ms = 1000000,
				  .wall_ms = 1700000000000};
	zone.state = ZONE_KEPT;
	return 0;
}

/* "oxford-a 10 203.0.113.11,203.0.113.12; nuneaton 20 -". A name without a dot is below the zone's; "!": the lookup failed. */
static struct zone_answer *answer(const char *text)
{
	static struct zone_answer a;
	char copy[2048], *save, *each, *comma;

	memset(&a, 0, sizeof(a));
	a.mx = DNS_OK;
	a.secure = true;
	a.ttl_s = 300;
	snprintf(copy, sizeof(copy), "%s", text);
	for (each = strtok_r(copy, ";", &save); each; each = strtok_r(NULL, ";", &save)) {
		struct zone_exchanger *e = &a.set.list[a.set.n++];
		char name[200], addresses[400], *at;
		unsigned preference;

		assert_int_equal(sscanf(each, " %199s %u %399s", name, &preference, addresses), 3);
		snprintf(e->name, sizeof(e->name), "%s%s", name,
			 strchr(name, '.') ? "" : ".h.example.net");
		e->preference = (uint16_t)preference;
		if (*addresses == '!')
			e->result = DNS_SERVFAIL;
		if (*addresses == '!' || *addresses == '-')
			continue;
		for (at = strtok_r(addresses, ",", &comma); at; at = strtok_r(NULL, ",", &comma))
			e->addresses[e->n++].addr = ip(at);
	}
	zone_sort(&a.set);
	return &a;
}

static inline struct zone_answer *failure(enum dns_result r)
{
	struct zone_answer *a = answer("");

	a->mx = r;
	a->set.n = 0;
	return a;
}

/* The servers of the map: "oxford-a 10 11, nuneaton 20 13": name, tier, the address's last number. */
static const char *servers(void)
{
	static char text[2048];
	char address[ADDR_TEXT_SIZE];

	text[0] = '\0';
	for (unsigned i = 0; i < map.n; i++) {
		const char *a = addr_text(&map.servers[i].address, address);
		const char *last = strrchr(a, '.') ?: strrchr(a, ':');

		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %u %s",
			 i ? ", " : "", map.servers[i].name, map.servers[i].preference, last + 1);
	}
	return text;
}

static unsigned give(struct zone_answer *a, uint64_t after_ms)
{
	view.now_ms += after_ms;
	view.wall_ms += (int64_t)after_ms;
	return zone_answered(&zone, a, &view, &map);
}

static inline unsigned wait(uint64_t ms)
{
	view.now_ms += ms;
	return zone_consider(&zone, &view, &map);
}

#define ARTICLE	 "oxford-a 10 203.0.113.11; oxford-b 10 203.0.113.12; nuneaton 20 203.0.113.13"
#define ARTICLE_ "oxford-a 10 11, oxford-b 10 12, nuneaton 20 13"

static inline void take(const char *name)
{
	for (unsigned i = 0; i < map.n; i++)
		if (!strcmp(map.servers[i].name, name))
			takers[view.n_takers++] = map.servers[i];
}

static void start(const char *text)
{
	assert_int_equal(give(answer(text), 0), ZONE_TELL | ZONE_APPLY);
	assert_int_equal(zone.state, ZONE_CURRENT);
}

#endif
