/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Hashes on which the kernel program and mxlbd must agree. Plain arithmetic, without helpers or memory.
 *
 * mxlb_mix is a keyed multiply-xorshift finaliser (constants: Stafford's variant 13 of the MurmurHash3 finaliser). It
 * is not a MAC, but a client that does not know the seed cannot choose its slot better than by trial.
 */
#ifndef MXLB_HASH_H
#define MXLB_HASH_H

#include <linux/types.h>
#include "mxlb/abi.h"

static inline __attribute__((always_inline)) __u64 mxlb_mix(__u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/*
 * Hashes a flow: the client's address and port as on the wire, seeded per service; hi is 0 for IPv4 only. The port is
 * spread by a multiplication, so that the owner of a prefix cannot trade bits of the address for bits of the port.
 */
static inline __attribute__((always_inline)) __u64 mxlb_flow_hash(__u64 seed, __u64 hi, __u64 lo,
								  __be16 port)
{
	if (!hi)
		return mxlb_mix((lo | (__u64)port << 32) ^ seed);
	return mxlb_mix((mxlb_mix(lo ^ seed) + port * 0x9e3779b97f4a7c15ULL) ^ hi);
}

/* The slot of `rejected` for this client, service and reason. */
static inline __attribute__((always_inline)) __u32 mxlb_rejected_slot(__u64 secret, __u64 hi,
								      __u64 lo, __u32 service,
								      __u32 counter)
{
	return mxlb_flow_hash(secret + counter, hi, lo, (__be16)service) % MXLB_REJECTED;
}

/* The upper half of a flow's hash gives its slot by multiply-shift, without a division: 0 to MXLB_RING_SLOTS - 1. */
static inline __attribute__((always_inline)) __u32 mxlb_ring_slot(__u64 hash)
{
	return (__u32)(((hash >> 32) * MXLB_RING_SLOTS) >> 32);
}

/* Perfect hashing of VIPs and interfaces: mxlbd searches for a factor without collisions. */
_Static_assert(MXLB_VIP_SLOTS == 1 << (64 - 56) && MXLB_PORT_SLOTS == 1 << (32 - 26), "shifts");

static inline __attribute__((always_inline)) __u32 mxlb_vip_slot(__u64 factor, __u64 hi, __u64 lo)
{
	return (__u32)(((hi * 0x9e3779b97f4a7c15ULL + lo) * factor) >> 56);
}

static inline __attribute__((always_inline)) __u32 mxlb_port_slot(__u32 factor, __u32 ifindex)
{
	return (ifindex * factor) >> 26;
}

#endif
