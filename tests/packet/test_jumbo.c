// SPDX-License-Identifier: BSD-2-Clause
/*
 * Frames in several buffers: row C30 of docs/conformance.md. However few bytes are in the linear part, the frame is
 * forwarded whole or passes unchanged. (tests/e2e/test_redirect.py shows that the program can be attached to an
 * interface with jumbo frames.)
 */
#include <errno.h>
#include <linux/if_link.h>
#include "wrapped.h"

#define JUMBO 9014

struct jumbo {
	uint8_t b[JUMBO];
};

/* The frame's headers, with the lengths of a jumbo frame and data after them. */
static void jumbo_fill(struct jumbo *j, struct frame *f, int family, unsigned ip)
{
	for (unsigned i = 0; i < JUMBO; i++)
		j->b[i] = i * 7;
	f->b[ip + (family == 4 ? 2 : 4)] = (JUMBO - ip - (family == 4 ? 0 : 40)) >> 8;
	f->b[ip + (family == 4 ? 3 : 5)] = (JUMBO - ip - (family == 4 ? 0 : 40)) & 0xff;
	if (ip == 14 && family == 4)
		frame_fix_ip_checksum(f);
	memcpy(j->b, f->b, f->len);
}

/* Returns the action; -1: this kernel can't set the length of the linear part (needs Linux 6.18). */
static int run(const struct jumbo *in, unsigned linear, struct jumbo *out, unsigned *out_len)
{
	struct xdp_md ctx = {.data_end = linear};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = sizeof(*in),
		    .data_out = out, .data_size_out = sizeof(*out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);
	int err =
		bpf_prog_test_run_opts(bpf_program__fd(bench_datapath()->skel->progs.mxlb), &opts);

	if (err == -EINVAL)
		return -1;
	assert_int_equal(err, 0);
	*out_len = opts.data_size_out;
	return opts.retval;
}

/* With this linear length: the frame becomes `want`, of want_len bytes, if enough is linear, and is unchanged otherwise. */
static void sweep(const struct jumbo *in, unsigned enough, int action, const struct jumbo *want,
		  unsigned want_len)
{
	static struct jumbo out;
	unsigned len;

	for (unsigned linear = 14; linear < 3000; linear += linear < 130 ? 1 : 500) {
		int got = run(in, linear, &out, &len);

		if (got < 0)
			skip();
		if (got != (linear < enough ? XDP_PASS : action))
			fail_msg("%u bytes linear: action %d", linear, got);
		if (linear < enough) {
			assert_int_equal(len, JUMBO);
			assert_memory_equal(out.b, in->b, JUMBO);
		} else {
			assert_int_equal(len, want_len);
			assert_memory_equal(out.b, want->b, want_len);
		}
	}
}

/*
 * *want: the frame that *in, with its packet at ip, becomes when forwarded; it is sent once in one piece to learn the
 * server.
 */
static void forwarded(const struct frame *headers, struct jumbo *want)
{
	int is_v4 = headers->b[12] == 0x08;
	struct frame f = *headers, small;
	struct outcome o;

	frame_syn(&small, is_v4 ? 4 : 6, 25, 10);
	bench_run(&small, &o);
	expect_forwarded(&small, &o);
	memcpy(f.b, o.out.b, 12);
	f.b[is_v4 ? 22 : 21]--;
	if (is_v4)
		frame_fix_ip_checksum(&f);
	memcpy(want->b, f.b, f.len);
}

static void test_C30_a_jumbo_is_forwarded_whole_or_passes_untouched(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		static struct jumbo in, want;
		struct frame f;

		frame_syn(&f, family, 25, 10);
		jumbo_fill(&in, &f, family, 14);
		want = in;
		forwarded(&f, &want);
		sweep(&in, family == 4 ? 54 : 74, XDP_TX, &want, JUMBO);
	}
}

static void test_C30_a_jumbo_with_options_is_forwarded_whole_or_passes_untouched(void **state)
{
	static struct jumbo in, want;
	struct frame f;

	(void)state;
	frame_syn(&f, 4, 25, 10);
	frame_set(&f, 14, "46");
	frame_set(&f, 34, "01010100 9c40 0019 11223344 00000000 8002 faf0 0000 0000");
	frame_set(&f, 58, "020405b4 01010402 01030307");
	jumbo_fill(&in, &f, 4, 14);
	want = in;
	forwarded(&f, &want);
	sweep(&in, 54, XDP_TX, &want, JUMBO);
}

static void test_C30_a_jumbo_out_of_a_tunnel_is_whole_too(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		int outer = i & 1 ? 4 : 6, inner = i & 2 ? 4 : 6;
		unsigned header = outer == 4 ? 20 : 40, linear = header + (inner == 4 ? 54 : 74);
		static struct jumbo in, want;
		struct frame f, wrapped;

		frame_syn(&f, inner, 25, 10);
		frame_tunnel(&wrapped, outer, &f);
		jumbo_fill(&in, &wrapped, inner, 14 + header);
		jumbo_fill(&in, &wrapped, outer, 14);
		memcpy(f.b + 14, in.b + 14 + header, 20); /* its length has changed */
		if (inner == 4)
			frame_fix_ip_checksum(&f);
		memcpy(in.b + 14 + header, f.b + 14, 20);
		memcpy(want.b, in.b, 12);
		want.b[12] = inner == 4 ? 0x08 : 0x86;
		want.b[13] = inner == 4 ? 0x00 : 0xdd;
		memcpy(want.b + 14, in.b + 14 + header, JUMBO - 14 - header);
		memcpy(f.b, want.b, f.len);
		forwarded(&f, &want);
		sweep(&in, linear, XDP_TX, &want, JUMBO - header);
	}
}

static void test_C30_a_jumbo_for_no_service_draws_a_small_RST(void **state)
{
	static struct jumbo in, out;
	struct frame f;
	unsigned len;
	int action;

	(void)state;
	frame_syn(&f, 4, 24, 10);
	jumbo_fill(&in, &f, 4, 14);
	action = run(&in, 100, &out, &len);
	if (action < 0)
		skip();
	assert_int_equal(action, XDP_TX);
	assert_int_equal(len, 54);
	f.len = len;
	memcpy(f.b, out.b, len);
	assert_true(frame_checksums_ok(&f));
}

static int up(void **state)
{
	int err = bench_up(state);

	if (!err)
		peers_up();
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C30_a_jumbo_is_forwarded_whole_or_passes_untouched),
		cmocka_unit_test(
			test_C30_a_jumbo_with_options_is_forwarded_whole_or_passes_untouched),
		cmocka_unit_test(test_C30_a_jumbo_out_of_a_tunnel_is_whole_too),
		cmocka_unit_test(test_C30_a_jumbo_for_no_service_draws_a_small_RST),
	};

	return cmocka_run_group_tests_name("jumbo", tests, up, bench_down);
}
