// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The benchmark's kernel side. BPF_PROG_TEST_RUN does not restore the packet between its runs, and wall time around
 * it is useless: so these wrappers undo a head that moved, write the headers again with the addresses of the
 * packet's flow, read the clock at the first and the last packet, and tail-call what is to be measured. What the
 * wrapper costs is measured around bench_bare, and subtracted.
 *
 * A CPU that misses its cache for one packet begins the next: with a driver's work between them it would not get that far.
 * So there is a barrier between packets where this is loaded without CAP_PERFMON: the kernel's own, behind a store to the
 * stack (against speculative store bypass).
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "job.h"
#include "mxlb/hash.h"

#define IP   ETH_HLEN /* offsets in the frame */
#define TCP4 (IP + 20)
#define TCP6 (IP + 40)

struct bench_job job;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

/* Each flow of the job is in it. Sized when loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct bench_key4);
	__type(value, __u64);
} lru4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct bench_key6);
	__type(value, __u64);
} lru6 SEC(".maps");

/* For insertions, of the size of mxlb's flow table by default. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct bench_key4);
	__type(value, __u64);
} fresh4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct bench_key6);
	__type(value, __u64);
} fresh6 SEC(".maps");

static __always_inline __u64 flow_number(__u64 n)
{
	if (job.order == BENCH_RANDOM)
		return job.first + ((mxlb_mix(n + job.salt) >> 32) * job.flows >> 32);
	return job.order == BENCH_FRESH ? mxlb_mix(n + job.salt) : n >> 1;
}

/* Written in the words in which the program reads them: a load that spans two recent stores would wait for both. */
static __always_inline void write_headers(void *frame, __u32 tcp)
{
	__u32 i;

#pragma unroll
	for (i = 0; i < 12; i += 4)
		*(__u32 *)(frame + i) = *(__u32 *)(job.header + i);
	*(__u16 *)(frame + 12) = *(__u16 *)(job.header + 12);
#pragma unroll
	for (i = IP; i < tcp + 20; i += 4)
		*(__u32 *)(frame + i) = *(__u32 *)(job.header + i);
}

static __always_inline void write_flow(void *frame, __u32 source, __u32 tcp, __u64 n)
{
	__u64 flow = flow_number(n);
	__u32 seq = (__u32)flow * 0x9e3779b1 + job.seq_add + job.seq_step * (__u32)n;

	*(__u32 *)(frame + source) = bpf_htonl(bench_address(flow));
	*(__u16 *)(frame + tcp) = bpf_htons(bench_port(flow));
	if (job.order == BENCH_WALK) {
		seq += n & 1;
		*(__u8 *)(frame + tcp + 13) = n & 1 ? 0x10 : 0x02; /* ACK, SYN */
	}
	*(__u32 *)(frame + tcp + 4) = bpf_htonl(seq);
}

/* source: the offset of the word of the source address that varies. */
static __always_inline int wrap(struct xdp_md *ctx, __u32 source, __u32 tcp)
{
	int moved = bpf_xdp_get_buff_len(ctx) - BENCH_FRAME;
	volatile __u32 barrier;
	__u64 n = job.sent;
	void *frame;

	if (moved && bpf_xdp_adjust_head(ctx, moved))
		return XDP_ABORTED;
	frame = (void *)(long)ctx->data;
	if (frame + BENCH_HEADERS > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	write_headers(frame, tcp);
	write_flow(frame, source, tcp, n);
	job.sent = n + 1;
	if (n == 0)
		job.start_ns = bpf_ktime_get_ns();
	if (n == job.packets)
		job.end_ns = bpf_ktime_get_ns();
	barrier = n;
	(void)barrier;
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int bench_wrap4(struct xdp_md *ctx)
{
	return wrap(ctx, IP + 12, TCP4);
}

SEC("xdp.frags")
int bench_wrap6(struct xdp_md *ctx)
{
	return wrap(ctx, IP + 8 + 12, TCP6);
}

SEC("xdp.frags")
int bench_bare(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_TX;
}

/* The wrapper's cost for a tunnel. */
SEC("xdp.frags")
int bench_bare4(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, -20) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp.frags")
int bench_bare6(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, -40) ? XDP_ABORTED : XDP_TX;
}

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
}

SEC("xdp.frags")
int bench_floor(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	swap_macs(eth);
	return XDP_TX;
}

static __always_inline struct bench_key4 key4(const void *frame)
{
	return (struct bench_key4){.address = *(__be32 *)(frame + IP + 12),
				   .port = *(__be16 *)(frame + TCP4),
				   .service = 1};
}

static __always_inline struct bench_key6 key6(const void *frame)
{
	struct bench_key6 key = {.port = *(__be16 *)(frame + TCP6), .service = 1};

	__builtin_memcpy(key.address, frame + IP + 8, sizeof(key.address));
	return key;
}

/* The baseline, and one hit in a kernel LRU hash. */
SEC("xdp.frags")
int bench_lru4(struct xdp_md *ctx)
{
	void *frame = (void *)(long)ctx->data;
	struct bench_key4 key;

	if (frame + TCP4 + 20 > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	swap_macs(frame);
	key = key4(frame);
	if (!bpf_map_lookup_elem(&lru4, &key))
		job.lru_misses++;
	return XDP_TX;
}

SEC("xdp.frags")
int bench_lru6(struct xdp_md *ctx)
{
	void *frame = (void *)(long)ctx->data;
	struct bench_key6 key;

	if (frame + TCP6 + 20 > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	swap_macs(frame);
	key = key6(frame);
	if (!bpf_map_lookup_elem(&lru6, &key))
		job.lru_misses++;
	return XDP_TX;
}

/* The baseline, and one insertion into a full kernel LRU hash, as a SYN needs in a load balancer that uses one. */
SEC("xdp.frags")
int bench_insert4(struct xdp_md *ctx)
{
	void *frame = (void *)(long)ctx->data;
	struct bench_key4 key;
	__u64 value = 1;

	if (frame + TCP4 + 20 > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	swap_macs(frame);
	key = key4(frame);
	return bpf_map_update_elem(&fresh4, &key, &value, BPF_ANY) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp.frags")
int bench_insert6(struct xdp_md *ctx)
{
	void *frame = (void *)(long)ctx->data;
	struct bench_key6 key;
	__u64 value = 1;

	if (frame + TCP6 + 20 > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	swap_macs(frame);
	key = key6(frame);
	return bpf_map_update_elem(&fresh6, &key, &value, BPF_ANY) ? XDP_ABORTED : XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
