/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * In place of libbpf's header where the program is built natively (../../native.c): maps are objects whose address is
 * their name, helpers are functions of native.c.
 */
#ifndef NATIVE_BPF_HELPERS_H
#define NATIVE_BPF_HELPERS_H

#define SEC(name)
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define barrier()	  asm volatile("" ::: "memory")
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif

static void *bpf_map_lookup_elem(void *map, const void *key);
static __u64 bpf_ktime_get_ns(void);
static __u64 bpf_ktime_get_coarse_ns(void);
static __u32 bpf_get_prandom_u32(void);
static __s64 bpf_csum_diff(const __be32 *from, __u32 from_size, const __be32 *to, __u32 to_size,
			   __u32 seed);
static long bpf_redirect_map(void *map, __u64 key, __u64 flags);
static long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta);
static long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta);
static __u64 bpf_xdp_get_buff_len(struct xdp_md *ctx);
static long bpf_xdp_load_bytes(struct xdp_md *ctx, __u32 offset, void *to, __u32 len);
static long bpf_fib_lookup(struct xdp_md *ctx, struct bpf_fib_lookup *params, int len, __u32 flags);
static long bpf_xdp_store_bytes(struct xdp_md *ctx, __u32 offset, void *from, __u32 len);

#endif
