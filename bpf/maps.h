/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * All maps and their memory:
 *
 *    control           a page        switches
 *    fronts            2 x 18 KiB    interfaces and VIPs
 *    services          4 KiB
 *    rings             80 x 128 KiB  = 10.0 MiB
 *    backends          256 KiB
 *    traffic           256 KiB       per CPU
 *    counts            17 KiB        per CPU
 *    scratch           400 bytes     per CPU
 *    sights            128 bytes     per CPU
 *    flows4            8 MiB         393,216 entries and 131,072 notes, by default
 *    flows6            16 MiB        the same
 *    buckets           32 KiB
 *    syn_buckets       32 KiB
 *    allow             56 bytes per prefix, none by default
 *    records           1 MiB         for the next mxlbd
 *    role              a page        until when this box answers for its VIPs
 *   rejected          32 KiB        clients that were turned away
 *   pulse             a page        when an mxlbd last ran
 *
 * Each ring is one value of an array. Of the alternatives that were measured (a value per slot, a value per ring, one
 * global, map in map) this is the fastest to read, by a small margin (4.2, 5.5, 4.8, 4.9 ns for a random slot), the
 * smallest, and the only one that is written by plain stores into mapped memory.
 */
#ifndef MXLB_MAPS_H
#define MXLB_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "mxlb/abi.h"
#include "packet.h"

struct mxlb_control control;

#define MAP_ARRAY(name, entries, of)               \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, entries);      \
		__type(key, __u32);                \
		__type(value, of);                 \
	} name SEC(".maps")

#define MAP_PERCPU(name, entries, of)                    \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, entries);            \
		__type(key, __u32);                      \
		__type(value, of);                       \
	} name SEC(".maps")

MAP_ARRAY(fronts, MXLB_FRONTS, struct mxlb_front);
MAP_ARRAY(services, MXLB_MAX_SERVICES, struct mxlb_service);
MAP_ARRAY(rings, MXLB_RINGS, struct mxlb_ring);
MAP_ARRAY(backends, MXLB_MAX_SERVERS, struct mxlb_backend);
/* Sized at load time. The number of lines is a power of two; line_mask is one less. */
const volatile __u32 line_mask = 1;
MAP_ARRAY(flows4, 2, struct mxlb_line4);
MAP_ARRAY(flows6, 2, struct mxlb_line6);
MAP_ARRAY(buckets, MXLB_BUCKETS, __u64);
MAP_ARRAY(syn_buckets, MXLB_BUCKETS, __u64);
MAP_ARRAY(records, MXLB_MAX_SERVERS, struct mxlb_record);
/*
 * Until when this box answers for its VIPs: 0 always, 1 never, else a CLOCK_MONOTONIC time in ns. Read by ARP and
 * neighbour discovery only.
 */
MAP_ARRAY(role, 1, __u64);
MAP_ARRAY(rejected, MXLB_REJECTED, struct mxlb_rejected);
/* When an mxlbd last ran, in ms since 1970, written once a second: for mxlbctl while none runs. The program does not read it. */
MAP_ARRAY(pulse, 1, __u64);
/* Not pinned: holds the current packet only. */
MAP_PERCPU(scratch, 1, struct packet);
/*
 * ARP and neighbour discovery frames seen on each interface's network, by the interface's dense index. mxlbd compares
 * them with what the kernel received there (datapath/sight.c). Not pinned: each mxlbd counts from zero.
 */
MAP_PERCPU(sights, MXLB_MAX_PORTS, __u64);
MAP_PERCPU(traffic, MXLB_MAX_SERVERS, struct mxlb_traffic);
MAP_PERCPU(counts, (MXLB_MAX_SERVICES + 1) * MXLB_COUNT_STRIDE, __u64);

/* Has room for two generations of all prefixes, so that a new list is complete before the old one is deleted. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * MXLB_MAX_PREFIXES);
	__type(key, struct mxlb_allow_key);
	__type(value, __u32);
} allow SEC(".maps");

/*
 * The target of frames that leave by another interface. Not pinned, but filled by each mxlbd: the kernel adds a flag
 * to a devmap (BPF_F_RDONLY_PROG), so libbpf would take a pinned one for another map.
 */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, MXLB_MAX_PORTS);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

static const volatile __u32 key_scratch;

/* The per-CPU record of the current packet, without a service. Never NULL, but the verifier cannot know. */
static __always_inline struct packet *packet_new(void)
{
	struct packet *p = bpf_map_lookup_elem(&scratch, (const void *)&key_scratch);

	if (p)
		p->service = NO_SERVICE;
	return p;
}

#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))

#endif
