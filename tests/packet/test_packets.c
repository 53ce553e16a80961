// SPDX-License-Identifier: BSD-2-Clause
/*
 * One packet in, one action, one output, one counter: rows of docs/conformance.md section 1, by their IDs, as far as
 * one packet shows them. Every row starts from a valid SYN to the VIP and changes some bytes of it.
 */
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include "bench.h"

enum { V4 = 4, V6 = 6 };

struct change {
	unsigned at;
	const char *hex; /* NULL: end of the list */
};

struct row {
	const char *what;
	int family;
	uint16_t port;
	struct change changes[5];
	unsigned cut; /* the frame's length afterwards; 0: unchanged */
	bool fix_ip;  /* recompute the IPv4 header's checksum */
	int action;
	int counter; /* -1: forwarded */
};

#define DROP(name)   .action = XDP_DROP, .counter = MXLB_COUNT_##name
#define PASS(name)   .action = XDP_PASS, .counter = MXLB_COUNT_##name
#define REFUSE(name) .action = XDP_TX, .counter = MXLB_COUNT_##name
#define FORWARD	     .action = XDP_TX, .counter = -1

static const struct row rows[] = {
	{"C01 SYN to the VIP, IPv4", V4, 25, FORWARD},
	{"C02 SYN to the VIP, IPv6", V6, 25, FORWARD},
	{"C04 DSCP and ECN set, IPv4", V4, 25, {{15, "b9"}}, .fix_ip = true, FORWARD},
	{"C04 traffic class set, IPv6", V6, 25, {{14, "6b90"}}, FORWARD},
	{"C05 a port that no service has, IPv4", V4, 24, REFUSE(not_our_port)},
	{"C05 a port that no service has, IPv6", V6, 587, REFUSE(not_our_port)},
	{"C05 a RST to such a port draws nothing", V4, 26, {{47, "04"}}, DROP(not_our_port)},
	{"C05 port 0 is no service", V4, 0, REFUSE(not_our_port)},
	{"C07 UDP to VIP:25", V4, 25, {{23, "11"}}, .fix_ip = true, DROP(protocol)},
	{"C07 UDP to VIP:25, IPv6", V6, 25, {{20, "11"}}, DROP(protocol)},
	{"C08 not a VIP, IPv4", V4, 25, {{30, "cb007105"}}, .fix_ip = true, PASS(not_ours)},
	{"C08 not a VIP, IPv6", V6, 25, {{53, "05"}}, PASS(not_ours)},
	{"C08 a VIP's bytes at the end of an IPv6 address are not that VIP",
	 V6,
	 25,
	 {{38, "0000000000000000 00000000 cb007119"}},
	 PASS(not_ours)},
	{"C09 LLDP", V4, 25, {{12, "88cc"}}, PASS(not_ours)},
	{"C09 VRRP to its group",
	 V4,
	 25,
	 {{23, "70"}, {30, "e0000012"}},
	 .fix_ip = true,
	 PASS(not_ours)},
	{"C14 IPv4 options: parsed and forwarded",
	 V4,
	 25,
	 {{14, "46"},
	  {17, "38"},
	  {34, "01010100 9c40 0019 11223344 00000000 8002 faf0 0000 0000"},
	  {58, "020405b4 01010402 01030307"}},
	 .fix_ip = true,
	 FORWARD},
	{"C15 IPv4 header length below 5", V4, 25, {{14, "44"}}, DROP(malformed)},
	{"C15 IPv4 header longer than the packet",
	 V4,
	 25,
	 {{14, "4f"}, {16, "0028"}},
	 DROP(malformed)},
	{"C15 version 6 in an IPv4 frame", V4, 25, {{14, "65"}}, DROP(malformed)},
	{"C16 first fragment", V4, 25, {{20, "2000"}}, .fix_ip = true, DROP(fragment)},
	{"C16 later fragment", V4, 25, {{20, "0010"}}, .fix_ip = true, DROP(fragment)},
	{"C16 no DF alone", V4, 25, {{20, "0000"}}, .fix_ip = true, FORWARD},
	{"C17 IPv6 fragment header", V6, 25, {{20, "2c"}}, DROP(fragment)},
	{"C19 frame padded to 60 bytes",
	 V4,
	 25,
	 {{16, "0028"}, {46, "50"}, {54, "000000000000"}},
	 .cut = 60,
	 .fix_ip = true,
	 FORWARD},
	{"C20 IPv4 total length beyond the frame",
	 V4,
	 25,
	 {{16, "0035"}},
	 .fix_ip = true,
	 DROP(malformed)},
	{"C20 IPv4 total length below the header",
	 V4,
	 25,
	 {{16, "0013"}},
	 .fix_ip = true,
	 DROP(malformed)},
	{"C20 IPv6 payload length beyond the frame", V6, 25, {{18, "0021"}}, DROP(malformed)},
	{"C20 IPv6 payload too short for TCP", V6, 25, {{18, "0013"}}, DROP(malformed)},
	{"C21 TCP header length below 5", V4, 25, {{46, "40"}}, DROP(malformed)},
	{"C21 TCP header beyond the packet", V4, 25, {{46, "90"}}, DROP(malformed)},
	{"C22 no flags at all", V4, 25, {{47, "00"}}, DROP(flags)},
	{"C22 FIN, PSH, URG", V4, 25, {{47, "29"}}, DROP(flags)},
	{"C22 SYN and FIN", V4, 25, {{47, "03"}}, DROP(flags)},
	{"C22 SYN and RST", V4, 25, {{47, "06"}}, DROP(flags)},
	{"C22 SYN with ECE and CWR", V4, 25, {{47, "c2"}}, FORWARD},
	{"C22 SYN+ACK", V4, 25, {{47, "12"}}, FORWARD},
	{"C22 ACK", V6, 25, {{67, "10"}}, FORWARD},
	{"C22 FIN+ACK", V4, 25, {{47, "11"}}, FORWARD},
	{"C22 RST", V4, 25, {{47, "04"}}, FORWARD},
	{"C27 time to live 1", V4, 25, {{22, "01"}}, .fix_ip = true, DROP(ttl)},
	{"C27 time to live 0", V4, 25, {{22, "00"}}, .fix_ip = true, DROP(ttl)},
	{"C27 hop limit 1", V6, 25, {{21, "01"}}, DROP(ttl)},
	{"C27 time to live 2 is enough", V4, 25, {{22, "02"}}, .fix_ip = true, FORWARD},
	{"C28 wrong IP checksum stays as wrong", V4, 25, {{24, "dead"}}, FORWARD},
	{"C28 wrong TCP checksum", V4, 25, {{50, "dead"}}, FORWARD},
	{"C31 a tagged frame", V4, 25, {{12, "8100 0005 0800"}}, PASS(not_ours)},
	{"C33 nobody: RST", V4, 2525, REFUSE(no_backend)},
	{"C33 nobody: silence", V4, 2526, DROP(no_backend)},
	{"C33 cold start", V4, 2527, DROP(not_ready)},
	{"C34 a server without MAC address", V4, 2528, DROP(no_next_hop)},
	{"C35 from the VIP itself", V4, 25, {{26, "cb007119"}}, .fix_ip = true, DROP(martian)},
	{"C35 from 0.0.0.0", V4, 25, {{26, "00000000"}}, .fix_ip = true, DROP(martian)},
	{"C35 from 127.0.0.1", V4, 25, {{26, "7f000001"}}, .fix_ip = true, DROP(martian)},
	{"C35 from a group", V4, 25, {{26, "e0000001"}}, .fix_ip = true, DROP(martian)},
	{"C35 from broadcast", V4, 25, {{26, "ffffffff"}}, .fix_ip = true, DROP(martian)},
	{"C35 from ::1", V6, 25, {{22, "0000000000000000 0000000000000001"}}, DROP(martian)},
	{"C35 from a group, IPv6", V6, 25, {{22, "ff02"}}, DROP(martian)},
	{"C35 from the VIP itself, IPv6",
	 V6,
	 25,
	 {{22, "20010db8011300000000000000000025"}},
	 DROP(martian)},
	{"C35 for another host's MAC address", V4, 25, {{0, "020000000099"}}, PASS(not_our_mac)},
	{"C35 from a VIP to this box (a probe's reply)",
	 V4,
	 25,
	 {{26, "cb007119 cb007105"}},
	 .fix_ip = true,
	 PASS(not_ours)},
	{"C43 DSCP, id, window and options stay",
	 V4,
	 25,
	 {{15, "10"}, {18, "beef"}, {48, "0001 0000 0007"}},
	 .fix_ip = true,
	 FORWARD},
};

static void build(const struct row *r, struct frame *f)
{
	frame_syn(f, r->family, r->port, 10);
	for (const struct change *c = r->changes; c < r->changes + 5 && c->hex; c++)
		frame_set(f, c->at, c->hex);
	if (r->cut)
		f->len = r->cut;
	if (r->fix_ip)
		frame_fix_ip_checksum(f);
}

/*
 * The answer of RFC 9293 3.10.7.1 to a segment without ACK: seq 0, ack = its seq + length, RST+ACK, with addresses and
 * ports swapped.
 */
static void expect_reset(const struct frame *in, const struct outcome *o)
{
	int is_ipv4 = in->b[12] == 0x08;
	unsigned tcp = is_ipv4 ? 34 : 54;
	static const uint8_t numbers[8] = {0, 0, 0, 0, 0x11, 0x22, 0x33, 0x45};

	assert_int_equal(o->out.len, tcp + 20);
	assert_memory_equal(o->out.b, in->b + 6, 6);
	assert_memory_equal(o->out.b + 6, in->b, 6);
	assert_memory_equal(o->out.b + (is_ipv4 ? 26 : 22), in->b + (is_ipv4 ? 30 : 38),
			    is_ipv4 ? 4 : 16);
	assert_memory_equal(o->out.b + (is_ipv4 ? 30 : 38), in->b + (is_ipv4 ? 26 : 22),
			    is_ipv4 ? 4 : 16);
	assert_memory_equal(o->out.b + tcp, in->b + tcp + 2, 2);
	assert_memory_equal(o->out.b + tcp + 2, in->b + tcp, 2);
	assert_memory_equal(o->out.b + tcp + 4, numbers, 8);
	assert_int_equal(o->out.b[tcp + 12], 0x50);
	assert_int_equal(o->out.b[tcp + 13], 0x14);
	assert_true(frame_checksums_ok(&o->out));
}

static void every_row(const char *how)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome o;
		struct frame in;

		build(&rows[i], &in);
		bench_run(&in, &o);
		if (o.action != rows[i].action || o.counter != rows[i].counter)
			fail_msg("%s, %s: action %d, counter %d", rows[i].what, how, o.action,
				 o.counter);
		if (rows[i].counter < 0)
			expect_forwarded(&in, &o);
		else if (o.action == XDP_TX)
			expect_reset(&in, &o);
		else
			assert_memory_equal(o.out.b, in.b, in.len);
	}
}

static void test_every_row_has_its_action_bytes_and_counter(void **state)
{
	(void)state;
	every_row("at layer 2");
}

static void test_every_row_has_them_with_IPIP_over_IPv4_and_IPv6_too(void **state)
{
	(void)state;
	bench_forward(4);
	every_row("over IPv4");
	bench_forward(6);
	every_row("over IPv6");
	bench_forward(0);
}

static void test_C22_a_segment_with_ACK_is_refused_with_its_own_acknowledgement(void **state)
{
	static const uint8_t want[] = {0xaa, 0xbb, 0xcc, 0xdd, 0, 0, 0, 0, 0x50, 0x04};
	struct outcome o;
	struct frame in;

	(void)state;
	frame_syn(&in, 4, 2525, 10);
	frame_set(&in, 42, "aabbccdd");
	frame_set(&in, 47, "18");
	bench_run(&in, &o);
	assert_int_equal(o.action, XDP_TX);
	assert_memory_equal(o.out.b + 38, want, sizeof(want));
	assert_true(frame_checksums_ok(&o.out));
}

static void test_C33_a_SYN_with_data_is_refused_past_its_data(void **state)
{
	static const uint8_t want[] = {0, 0, 0, 0, 0x11, 0x22, 0x33, 0x49}; /* + SYN + 4 bytes */
	struct outcome o;
	struct frame in;

	(void)state;
	frame_syn(&in, 4, 2525, 10);
	frame_set(&in, in.len, "45484c4f");
	frame_set(&in, 17, "38");
	frame_fix_ip_checksum(&in);
	bench_run(&in, &o);
	assert_int_equal(o.action, XDP_TX);
	assert_memory_equal(o.out.b + 38, want, sizeof(want));
}

static void test_C19_every_truncation_is_dropped_or_passed_and_counted(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct outcome o;
		struct frame in;
		unsigned whole;

		frame_syn(&in, family, 25, 10);
		whole = in.len;
		for (in.len = 14; in.len < whole; in.len++) {
			bench_run(&in, &o); /* asserts that one counter rose */
			assert_true(o.action == XDP_DROP || o.action == XDP_PASS);
			assert_true(o.counter == MXLB_COUNT_malformed ||
				    o.counter == MXLB_COUNT_not_ours);
		}
	}
}

static void test_C09_ARP_for_the_VIP_is_answered_and_other_ARP_passes(void **state)
{
	static const struct {
		const char *what, *target, *sender, *operation;
		int action, counter;
	} arps[] = {
		{"for the VIP", "cb007119", "cb007101", "0001", XDP_TX, MXLB_COUNT_arp_reply},
		{"probe for the VIP (RFC 5227)", "cb007119", "00000000", "0001", XDP_TX,
		 MXLB_COUNT_arp_reply},
		{"for another address", "cb007105", "cb007101", "0001", XDP_PASS,
		 MXLB_COUNT_not_ours},
		{"a reply", "cb007119", "cb007101", "0002", XDP_PASS, MXLB_COUNT_not_ours},
		{"another host claims the VIP", "cb007119", "cb007119", "0001", XDP_PASS,
		 MXLB_COUNT_vip_conflict},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(arps) / sizeof(arps[0]); i++) {
		struct frame in = {.len = 0};
		struct outcome o;

		frame_set(
			&in, 0,
			"ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 cb007101 "
			"000000000000 cb007119");
		frame_set(&in, 38, arps[i].target);
		frame_set(&in, 28, arps[i].sender);
		frame_set(&in, 20, arps[i].operation);
		bench_run(&in, &o);
		if (o.action != arps[i].action || o.counter != arps[i].counter)
			fail_msg("%s: action %d, counter %d", arps[i].what, o.action, o.counter);
		if (o.action != XDP_TX)
			continue;
		memcpy(in.b + 32, in.b + 22, 10); /* the sender of the request is the target now */
		memcpy(in.b, router_mac, 6);
		memcpy(in.b + 6, our_mac, 6);
		memcpy(in.b + 22, our_mac, 6);
		frame_set(&in, 28, "cb007119");
		frame_set(&in, 20, "0002");
		assert_memory_equal(o.out.b, in.b, in.len);
	}
}

static void test_C09_neighbour_solicitation_for_the_VIP_is_answered(void **state)
{
	static const char *const from[] = {"fe800000000000000000000000000001",
					   "00000000000000000000000000000000"};
	static const char *const option[] = {"0101020000000001", ""};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct frame in = {.len = 0};
		struct outcome o;

		frame_set(&in, 0, "3333ff000025 020000000001 86dd 60000000 0020 3a ff");
		frame_set(&in, 22, from[i]);
		frame_set(&in, 38, "ff0200000000000000000001ff000025");
		frame_set(&in, 54, "87 00 0000 00000000 20010db8011300000000000000000025");
		frame_set(&in, 78, option[i]);
		in.b[19] = in.len - 54;
		bench_run(&in, &o);
		assert_int_equal(o.action, XDP_TX);
		assert_int_equal(o.counter, MXLB_COUNT_neighbour_advert);
		assert_int_equal(o.out.len, 86);
		assert_int_equal(o.out.b[54], 136);
		assert_int_equal(o.out.b[58], i ? 0x20 : 0x60);
		assert_int_equal(o.out.b[38], i ? 0xff : 0xfe);
		assert_memory_equal(o.out.b, router_mac, 6);
		assert_memory_equal(o.out.b + 6, our_mac, 6);
		assert_memory_equal(o.out.b + 22, in.b + 62, 16);
		assert_memory_equal(o.out.b + 80, our_mac, 6);
		assert_true(frame_checksums_ok(&o.out));
		in.b[21] = 254; /* arrived from another link: not answered */
		bench_run(&in, &o);
		assert_int_equal(o.action, XDP_PASS);
	}
}

static void test_C37_the_controller_knows_where_the_program_sends_a_flow(void **state)
{
	struct datapath *dp = bench_datapath();

	(void)state;
	for (uint32_t client = 0; client < 2000; client++) {
		uint32_t ring = dp->services[0].ring - MXLB_RING_FIRST;
		struct outcome o;
		struct frame in;
		uint32_t source;
		uint16_t port;
		uint64_t hash;

		frame_syn(&in, 4, 25, client);
		memcpy(&source, in.b + 26, 4);
		memcpy(&port, in.b + 34, 2);
		hash = mxlb_flow_hash(dp->services[0].seed, 0, source, port);
		bench_run(&in, &o);
		assert_int_equal(o.server, dp->rings[ring].slot[mxlb_ring_slot(hash)]);
	}
}

static void test_C06_every_address_of_a_full_front_is_found_and_no_other(void **state)
{
	struct plan_service s[MXLB_MAX_SERVICES] = {0};
	struct plan plan = {
		.services = s, .n_services = MXLB_MAX_SERVICES, .servers = NULL, .n_servers = 0};
	struct mxlb_front *front = malloc(sizeof(*front));

	(void)state;
	assert_non_null(front);
	for (uint32_t i = 0; i < MXLB_MAX_SERVICES; i++) {
		char vip[40];

		snprintf(vip, sizeof(vip), i % 2 ? "2001:db8::%x" : "192.0.2.%u", i + 1);
		s[i] = (struct plan_service){.id = i, .name = "x", .port = 25, .mode = PLAN_RESET};
		assert_int_equal(addr_parse(vip, &s[i].vip), 0);
	}
	assert_int_equal(front_build(bench_datapath(), &plan, front), 0);
	for (uint32_t i = 0, found; i < MXLB_MAX_SERVICES; i++) {
		uint64_t hi = 0, lo = 0;
		uint32_t v4;

		if (addr_is_v4(&s[i].vip)) {
			memcpy(&v4, s[i].vip.b + 12, 4);
			lo = (uint64_t)v4 << 32;
		} else {
			memcpy(&hi, s[i].vip.b, 8);
			memcpy(&lo, s[i].vip.b + 8, 8);
		}
		found = front->vips[mxlb_vip_slot(front->vip_factor, hi, lo)].ports[0].service;
		assert_int_equal(found, i);
	}
	free(front);
}

static void test_one_source_draws_512_answers_at_once_and_then_no_more(void **state)
{
	struct frame in;

	(void)state;
	frame_syn(&in, 4, 24, 77);
	expect_limited(&in, MXLB_COUNT_not_our_port);
}

/* Fills all buckets, because earlier tests may have emptied some. */
static void fill_buckets(void)
{
	uint64_t full_at = 0;

	for (uint32_t key = 0; key < MXLB_BUCKETS; key++)
		assert_int_equal(
			bpf_map_update_elem(bpf_map__fd(bench_datapath()->skel->maps.buckets), &key,
					    &full_at, 0),
			0);
}

/* 203.0.113.1 (or fe80::1) asks for the VIP. */
static void ask_for_the_vip(struct frame *f, int family)
{
	f->len = 0;
	if (family == 4) {
		frame_set(
			f, 0,
			"ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 cb007101 "
			"000000000000 cb007119");
		return;
	}
	frame_set(f, 0, "3333ff000025 020000000001 86dd 60000000 0020 3a ff");
	frame_set(f, 22, "fe800000000000000000000000000001");
	frame_set(f, 38, "ff0200000000000000000001ff000025");
	frame_set(f, 54, "87 00 0000 00000000 20010db8011300000000000000000025 0101020000000001");
}

static void test_a_flood_in_the_routers_name_does_not_silence_the_answers_to_the_router(
	void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct frame syn, who;
		int sent = 0;

		fill_buckets();
		frame_syn(&syn, family, 24, 0);
		ask_for_the_vip(&who, family);
		if (family == 4)
			memcpy(syn.b + 26, who.b + 28, 4);
		else
			memcpy(syn.b + 22, who.b + 22, 16);
		while (bench_send(&syn) == XDP_TX)
			assert_true(++sent < 100000);
		assert_true(sent >= 512);
		for (int i = 0; i < 50; i++) /* more than a slow bucket gains meanwhile */
			assert_int_equal(bench_send(&who), XDP_TX);
	}
}

/* Sets `taken` for the buckets used by many senders of such frames, which differ in the four bytes at `at`. */
static void mark_buckets(struct frame *f, unsigned at, bool *taken)
{
	int fd = bpf_map__fd(bench_datapath()->skel->maps.buckets);
	uint64_t full_at;

	fill_buckets();
	for (uint32_t sender = 0; sender < 20000; sender++) {
		memcpy(f->b + at, &(uint32_t){htobe32(0xc6330000 + sender)}, 4);
		assert_int_equal(bench_send(f), XDP_TX);
	}
	for (uint32_t key = 0; key < MXLB_BUCKETS; key++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &key, &full_at), 0);
		taken[key] = full_at;
	}
}

static void test_resets_and_answers_to_ARP_share_no_bucket_whoever_draws_them(void **state)
{
	static bool resets[MXLB_BUCKETS], answers[MXLB_BUCKETS];
	unsigned n_resets = 0, n_answers = 0;
	struct frame f;

	(void)state;
	frame_syn(&f, 4, 24, 0);
	mark_buckets(&f, 26, resets);
	ask_for_the_vip(&f, 4);
	mark_buckets(&f, 28, answers);
	for (unsigned i = 0; i < MXLB_BUCKETS; i++) {
		assert_false(resets[i] && answers[i]);
		n_resets += resets[i];
		n_answers += answers[i];
	}
	assert_true(n_resets > MXLB_BUCKETS / 5 && n_answers > MXLB_BUCKETS / 5);
}

static void test_a_ring_that_is_in_force_is_never_written(void **state)
{
	struct datapath *dp = bench_datapath();
	uint32_t before = dp->services[0].ring;

	(void)state;
	bench_plan(); /* the same plan: no change */
	assert_int_equal(dp->services[0].ring, before);
	dp->built[0].known = false;
	bench_plan();
	assert_int_not_equal(dp->services[0].ring, before);
	assert_memory_equal(&dp->rings[before - MXLB_RING_FIRST],
			    &dp->rings[dp->services[0].ring - MXLB_RING_FIRST],
			    sizeof(struct mxlb_ring));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_has_its_action_bytes_and_counter),
		cmocka_unit_test(test_every_row_has_them_with_IPIP_over_IPv4_and_IPv6_too),
		cmocka_unit_test(
			test_C22_a_segment_with_ACK_is_refused_with_its_own_acknowledgement),
		cmocka_unit_test(test_C33_a_SYN_with_data_is_refused_past_its_data),
		cmocka_unit_test(test_C19_every_truncation_is_dropped_or_passed_and_counted),
		cmocka_unit_test(test_C09_ARP_for_the_VIP_is_answered_and_other_ARP_passes),
		cmocka_unit_test(test_C09_neighbour_solicitation_for_the_VIP_is_answered),
		cmocka_unit_test(test_C37_the_controller_knows_where_the_program_sends_a_flow),
		cmocka_unit_test(test_C06_every_address_of_a_full_front_is_found_and_no_other),
		cmocka_unit_test(test_one_source_draws_512_answers_at_once_and_then_no_more),
		cmocka_unit_test(
			test_a_flood_in_the_routers_name_does_not_silence_the_answers_to_the_router),
		cmocka_unit_test(test_resets_and_answers_to_ARP_share_no_bucket_whoever_draws_them),
		cmocka_unit_test(test_a_ring_that_is_in_force_is_never_written),
	};

	return cmocka_run_group_tests_name("packets", tests, bench_up, bench_down);
}
