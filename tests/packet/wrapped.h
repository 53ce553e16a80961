/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames in tunnels and with tags, and the configuration of a tunnel's far end. */
#ifndef PACKET_WRAPPED_H
#define PACKET_WRAPPED_H

#include <string.h>
#include "bench.h"

#define PEER4 "c0000205" /* 192.0.2.5 */
#define PEER6 "20010db8000500000000000000000005"

/* *out: the packet of *in inside one of that family from a peer to this box (203.0.113.5 or its IPv6 counterpart). */
static inline void frame_tunnel(struct frame *out, int family, const struct frame *in)
{
	unsigned packet = in->len - 14, header = family == 4 ? 20 : 40;
	int is_v4 = in->b[12] == 0x08;

	memset(out, 0, sizeof(*out));
	memcpy(out->b, in->b, 12);
	if (family == 4) {
		frame_set(out, 12, "0800 4500 0000 0000 4000 40 04 0000" PEER4 "cb007105");
		out->b[23] = is_v4 ? 4 : 41;
		out->b[16] = (packet + header) >> 8;
		out->b[17] = packet + header;
		frame_fix_ip_checksum(out);
	} else {
		frame_set(out, 12, "86dd 60000000 0000 04 40" PEER6);
		frame_set(out, 38, "20010db8011300000000000000000005");
		out->b[20] = is_v4 ? 4 : 41;
		out->b[18] = packet >> 8;
		out->b[19] = packet;
	}
	memcpy(out->b + 14 + header, in->b + 14, packet);
	out->len = in->len + header;
}

/* A SYN to this box itself, not to a VIP. */
static inline void frame_own(struct frame *f, int family)
{
	frame_syn(f, family, 25, 10);
	frame_set(f, family == 4 ? 33 : 53, "05");
	if (family == 4)
		frame_fix_ip_checksum(f);
}

static inline void frame_tag(struct frame *out, const struct frame *in, uint16_t tci)
{
	memcpy(out->b, in->b, 12);
	memcpy(out->b + 16, in->b + 12, in->len - 12);
	frame_set(out, 12, "8100");
	out->b[14] = tci >> 8;
	out->b[15] = tci;
	out->len = in->len + 4;
}

static inline void peers_up(void)
{
	static struct addr peers[MXLB_MAX_PEERS];

	for (unsigned i = 0; i < MXLB_MAX_PEERS; i++)
		assert_int_equal(addr_parse("198.18.0.1", &peers[i]), 0);
	assert_int_equal(addr_parse("192.0.2.5", &peers[0]), 0);
	assert_int_equal(addr_parse("2001:db8:5::5", &peers[MXLB_MAX_PEERS - 1]), 0);
	bench_peers = peers;
	bench_n_peers = MXLB_MAX_PEERS;
	bench_plan();
}

static inline void expect_untouched(const char *what, const struct frame *in)
{
	struct outcome o;

	bench_run(in, &o);
	if (o.action != XDP_PASS || o.counter != MXLB_COUNT_not_ours || o.out.len != in->len ||
	    memcmp(o.out.b, in->b, in->len))
		fail_msg("%s: action %d, counter %d, %u bytes", what, o.action, o.counter,
			 o.out.len);
}

#endif
