// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The kernel program, broken on purpose: it reads a frame without checking its end, which every verifier rejects.
 * `make refused` builds an mxlbd around it with which the tests of its messages run.
 */
#define mxlb mxlb_whole
#include "mxlb.bpf.c"
#undef mxlb

SEC("xdp.frags")
int mxlb(struct xdp_md *ctx)
{
	const __u8 *frame = (void *)(long)ctx->data;

	return frame[0] ? XDP_PASS : XDP_DROP;
}
