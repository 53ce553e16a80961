// SPDX-License-Identifier: BSD-2-Clause
/* The plan in force, and the time of its changes. */
#include "rows.h"

#include <string.h>

static uint64_t now_ms = 1000000;
bool rows_a_is_down;

void plan_in_force(int to_25, int to_587, const char *allow)
{
	static const char *const vips[] = {"203.0.113.25", "2001:db8:113::25"};
	struct maglev_member both[] = {{"a", SERVER_A, 1}, {"b", SERVER_B, 1}};
	struct plan_server servers[] = {{.id = SERVER_A, .down = rows_a_is_down}, {.id = SERVER_B}};
	struct plan_service s[4];
	struct prefix prefix;
	struct plan plan = {.services = s, .n_services = 4, .servers = servers, .n_servers = 2};

	for (int i = 0; i < 2; i++)
		memcpy(servers[i].mac.b, server_mac[servers[i].id], 6);
	for (int i = 0; i < 4; i++) {
		int to = i < 2 ? to_25 : to_587;

		s[i] = (struct plan_service){.id = i,
					     .name = (const char *[]){"m4", "m6", "s4", "s6"}[i],
					     .port = i < 2 ? 25 : 587,
					     .mode = to ? PLAN_RING : PLAN_RESET,
					     .members = to == TO_B ? both + 1 : both,
					     .n_members = to == TO_BOTH ? 2 : !!to,
					     .advertise = true};
		assert_int_equal(addr_parse(vips[i % 2], &s[i].vip), 0);
		if (allow && i < 2) {
			assert_int_equal(addr_parse_prefix(allow, &prefix), 0);
			s[i].allow = &prefix;
			s[i].n_allow = 1;
		}
	}
	for (uint64_t again_ms = 1; again_ms; now_ms += again_ms)
		assert_int_equal(datapath_apply(bench_datapath(), &plan, now_ms, &again_ms), 0);
}

unsigned tcp_at(int family)
{
	return family == 4 ? 34 : 54;
}

void frame_segment(struct frame *f, int family, uint16_t port, uint32_t client, unsigned flags,
		   uint8_t on)
{
	frame_syn(f, family, port, client);
	f->b[tcp_at(family) + 7] += on;
	f->b[tcp_at(family) + 13] = flags;
}

uint32_t send_segment(int family, uint16_t port, uint32_t client, unsigned flags, uint8_t on)
{
	struct outcome o;
	struct frame f;

	frame_segment(&f, family, port, client, flags, on);
	bench_run(&f, &o);
	if (o.counter < 0)
		expect_forwarded(&f, &o);
	return o.server;
}

uint32_t open_flow(int family, uint16_t port, uint32_t client)
{
	uint32_t server = send_segment(family, port, client, SYN, 0);

	assert_int_equal(send_segment(family, port, client, ACK, 1), server);
	return server;
}

int counter_of(const struct frame *f)
{
	struct outcome o;

	bench_run(f, &o);
	return o.counter;
}
