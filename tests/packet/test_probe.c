// SPDX-License-Identifier: BSD-2-Clause
/* Probes on egress: a packet with the mark of an ipip server gets the outer header of that server's mail. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <string.h>
#include "bench.h"
#include "util/log.h"

enum { L2_SERVER = 21, TUNNEL4, TUNNEL6, TUNNEL4_SOURCE_1, TUNNEL6_SOURCE_1 };

#define MARK	     0x6d780000 /* as in the bench's configuration */
#define ETHER_HEADER 14

struct tunnel {
	uint32_t id;
	int family;
	const char *source, *target;
};

static const struct tunnel tunnels[] = {
	{TUNNEL4, 4, "203.0.113.5", "192.0.2.13"},
	{TUNNEL6, 6, "2001:db8:113::5", "2001:db8:2::13"},
	{TUNNEL4_SOURCE_1, 4, "203.0.113.6", "192.0.2.13"},
	{TUNNEL6_SOURCE_1, 6, "2001:db8:113::6", "2001:db8:2::13"},
};
#define N_TUNNELS (sizeof(tunnels) / sizeof(tunnels[0]))

static void to_bytes(const char *text, uint8_t out[16])
{
	memset(out, 0, 16);
	assert_int_equal(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, out), 1);
}

static int probe_bench_up(void **state)
{
	struct mxlb_backend *b;

	if (bench_up(state))
		return -1;
	for (unsigned i = 0; i < N_TUNNELS; i++) {
		const struct tunnel *t = &tunnels[i];
		bool second = t->id == TUNNEL4_SOURCE_1 || t->id == TUNNEL6_SOURCE_1;

		b = &bench_datapath()->backends[t->id];
		b->way.flags = MXLB_BACKEND_TUNNEL | (second ? MXLB_BACKEND_SOURCE_1 : 0);
		b->family = t->family;
		to_bytes(t->source, b->source[second]);
		to_bytes(t->target, b->target);
	}
	bench_datapath()->backends[L2_SERVER].way.flags = MXLB_BACKEND_NEXT_HOP;
	return 0;
}

static int send_marked(const struct frame *in, uint32_t mark, struct frame *out)
{
	struct __sk_buff ctx = {.mark = mark};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->b, .data_size_in = in->len,
		    .data_out = out->b, .data_size_out = sizeof(out->b), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx));

	assert_int_equal(
		bpf_prog_test_run_opts(bpf_program__fd(bench_datapath()->skel->progs.probe), &opts),
		0);
	out->len = opts.data_size_out;
	return opts.retval;
}

static void expect_same(const struct frame *in, uint32_t mark)
{
	struct frame out;

	assert_int_equal(send_marked(in, mark, &out), TC_ACT_UNSPEC);
	assert_int_equal(out.len, in->len);
	assert_memory_equal(out.b, in->b, in->len);
}

/* The outer header byte by byte, written from the RFCs, with the TOS of the inner packet. */
static unsigned outer_header(const struct tunnel *t, int inner, unsigned len, uint8_t tos,
			     uint8_t out[40])
{
	uint8_t protocol = inner == 4 ? 4 : 41;

	memset(out, 0, 40);
	if (t->family == 4) {
		memcpy(out,
		       (uint8_t[]){0x45, tos, (len + 20) >> 8, (len + 20) & 0xff, 0, 0, 0x40, 0, 64,
				   protocol},
		       10);
		inet_pton(AF_INET, t->source, out + 12);
		inet_pton(AF_INET, t->target, out + 16);
		return 20;
	}
	memcpy(out,
	       (uint8_t[]){0x60 | tos >> 4, tos << 4, 0, 0, len >> 8, len & 0xff, protocol, 64}, 8);
	inet_pton(AF_INET6, t->source, out + 8);
	inet_pton(AF_INET6, t->target, out + 24);
	return 40;
}

static uint32_t header_sum(const struct frame *f)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += frame_get16(f, ETHER_HEADER + i);
	return (sum & 0xffff) + (sum >> 16);
}

static void expect_wrapped(const struct tunnel *t, const struct frame *in, int inner, uint8_t tos)
{
	uint8_t header[40];
	unsigned more = outer_header(t, inner, in->len - ETHER_HEADER, tos, header);
	struct frame out;

	assert_int_equal(send_marked(in, MARK | t->id, &out), TC_ACT_UNSPEC);
	assert_int_equal(out.len, in->len + more);
	assert_memory_equal(out.b, in->b, 12);
	assert_int_equal(frame_get16(&out, 12), t->family == 4 ? 0x0800 : 0x86dd);
	if (t->family == 4) {
		assert_int_equal(header_sum(&out), 0xffff);
		memset(out.b + ETHER_HEADER + 10, 0, 2);
	}
	assert_memory_equal(out.b + ETHER_HEADER, header, more);
	assert_memory_equal(out.b + ETHER_HEADER + more, in->b + ETHER_HEADER,
			    in->len - ETHER_HEADER);
}

static void test_probes_of_either_family_go_into_tunnels_of_either_family(void **state)
{
	struct frame f;

	(void)state;
	for (int inner = 4; inner <= 6; inner += 2)
		for (unsigned i = 0; i < N_TUNNELS; i++) {
			frame_syn(&f, inner, 25, 1);
			expect_wrapped(&tunnels[i], &f, inner, 0);
		}
}

static void test_dscp_and_ecn_show_outside_as_they_are_inside(void **state)
{
	struct frame f;

	(void)state;
	for (unsigned i = 0; i < N_TUNNELS; i++)
		for (unsigned tos = 0; tos < 256; tos += 17) {
			frame_syn(&f, 4, 25, 1);
			f.b[ETHER_HEADER + 1] = tos;
			frame_fix_ip_checksum(&f);
			expect_wrapped(&tunnels[i], &f, 4, tos);
			frame_syn(&f, 6, 25, 1);
			f.b[ETHER_HEADER] = 0x60 | tos >> 4;
			f.b[ETHER_HEADER + 1] = (tos & 0xf) << 4;
			expect_wrapped(&tunnels[i], &f, 6, tos);
		}
}

static void test_what_is_not_the_probe_of_a_tunnels_server_is_left_alone(void **state)
{
	struct frame f;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		frame_syn(&f, family, 25, 1);
		expect_same(&f, 0);
		expect_same(&f, TUNNEL4);
		expect_same(&f, 0x6d790000 | TUNNEL4);
		expect_same(&f, 0xed780000 | TUNNEL4);
		expect_same(&f, MARK);
		expect_same(&f, MARK | L2_SERVER);
		expect_same(&f, MARK | (MXLB_MAX_SERVERS + 5));
	}
}

static void test_what_has_a_probes_mark_and_cant_be_wrapped_is_lost(void **state)
{
	struct frame f, out;

	(void)state;
	frame_syn(&f, 4, 25, 1);
	frame_set(&f, 12, "0806");
	assert_int_equal(send_marked(&f, MARK | TUNNEL4, &out), TC_ACT_SHOT);
	frame_set(&f, 12, "8100");
	assert_int_equal(send_marked(&f, MARK | TUNNEL6, &out), TC_ACT_SHOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probes_of_either_family_go_into_tunnels_of_either_family),
		cmocka_unit_test(test_dscp_and_ecn_show_outside_as_they_are_inside),
		cmocka_unit_test(test_what_is_not_the_probe_of_a_tunnels_server_is_left_alone),
		cmocka_unit_test(test_what_has_a_probes_mark_and_cant_be_wrapped_is_lost),
	};

	return cmocka_run_group_tests_name("probe", tests, probe_bench_up, bench_down);
}
