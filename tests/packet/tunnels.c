// SPDX-License-Identifier: BSD-2-Clause
#include "tunnels.h"

const struct pair pairs[PAIRS] = {{4, 4}, {6, 6}, {4, 6}, {6, 4}};

void put16(struct frame *f, unsigned at, unsigned value)
{
	f->b[at] = value >> 8;
	f->b[at + 1] = value;
}

void frame_data(struct frame *f, int family, uint32_t client, unsigned len)
{
	unsigned tcp = family == 4 ? 34 : 54;

	frame_syn(f, family, 25, client);
	f->b[tcp + 13] = 0x18;
	for (unsigned i = f->len; i < 14 + len; i++)
		f->b[i] = i * 7 + client;
	f->len = 14 + len;
	put16(f, family == 4 ? 16 : 18, family == 4 ? len : len - 40);
	if (family == 4)
		frame_fix_ip_checksum(f);
}

void plan_one(struct plan_server *b, uint64_t now_ms, uint64_t *again_ms)
{
	struct maglev_member member = {"a", SERVER_A, 1};
	struct plan_service s[2];
	struct plan plan = {.services = s, .n_services = 2, .servers = b, .n_servers = 1};

	for (int i = 0; i < 2; i++) {
		s[i] = (struct plan_service){.id = i,
					     .name = i ? "mail6" : "mail",
					     .port = 25,
					     .mode = PLAN_RING,
					     .members = &member,
					     .n_members = 1};
		assert_int_equal(addr_parse(i ? "2001:db8:113::25" : "203.0.113.25", &s[i].vip), 0);
	}
	if (!again_ms) {
		bench_apply(&plan);
		return;
	}
	assert_int_equal(datapath_apply(bench_datapath(), &plan, now_ms, again_ms), 0);
}

struct plan_server server_a(int outer)
{
	struct plan_server b = {.id = SERVER_A};

	bench_server(&b, outer);
	return b;
}

void narrow(int outer, uint16_t mtu)
{
	struct plan_server b = server_a(outer);

	b.mtu = mtu;
	plan_one(&b, 0, NULL);
}
