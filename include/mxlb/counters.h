/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Every packet that is not forwarded ends in exactly one of these reasons; a forwarded packet is counted with its server
 * (struct mxlb_traffic). The names appear in JSON and metrics and must not change from 1.0 on.
 */
#ifndef MXLB_COUNTERS_H
#define MXLB_COUNTERS_H

/* name, meaning: the packet is dropped, some after an answer */
#define MXLB_DROPS(X)                                                                    \
	X(malformed, "invalid header fields or lengths")                                 \
	X(fragment, "a fragment of a packet to a VIP")                                   \
	X(protocol, "to a VIP, but neither TCP nor ICMP")                                \
	X(icmp, "ICMP to a VIP that is neither a ping nor an error")                     \
	X(martian, "a source address that no client can have")                           \
	X(flags, "TCP flags that no client sends together")                              \
	X(ttl, "the time to live or hop limit has run out")                              \
	X(not_our_port, "TCP to a port of the VIP without a service; answered with RST") \
	X(not_ready, "to a service whose servers have no verdicts yet")                  \
	X(no_backend, "no server takes it: answered with RST or dropped (all-down)")     \
	X(unreachable, "of a flow whose server is unreachable; answered with RST")       \
	X(no_next_hop, "the server's MAC address is not known")                          \
	X(too_big, "too large for the tunnel; answered with ICMP (too big)")             \
	X(congestion, "congestion marked on a tunnel's header only (RFC 6040)")          \
	X(rate_limited, "reply suppressed by the per-source rate limit")                 \
	X(denied, "a SYN from a source outside the service's allow-list")                \
	X(syn_limit, "a SYN above its source's syn-limit")                               \
	X(error, "an operation of the program failed in the kernel")                     \
	X(tunnel_loop, "from one tunnel, to be sent into another; answered with RST")

/* The packet is passed to the kernel, unchanged unless stated. */
#define MXLB_PASSES(X)                                                                      \
	X(not_ours, "not for a VIP")                                                        \
	X(not_our_mac, "to a VIP, but to another host's MAC address")                       \
	X(vip_conflict, "another host claims the VIP by ARP")                               \
	X(decapsulated, "from a peer's tunnel, for this box; the outer header was removed") \
	X(icmp_unknown, "an ICMP error to a VIP that belongs to none of its flows")

/* The packet was turned into its answer. */
#define MXLB_ANSWERS(X)                                         \
	X(arp_reply, "ARP request for a VIP")                   \
	X(neighbour_advert, "neighbour solicitation for a VIP") \
	X(echo_reply, "a ping of a VIP")

/* In addition to the packet's outcome. */
#define MXLB_NOTES(X) X(would_deny, "a SYN that allow-mode: enforce would have dropped")

/* Of these the drops by which a sender of mail is turned away, and what people call that: counter, class. */
#define MXLB_REJECTS(X)           \
	X(denied, denied)         \
	X(syn_limit, limited)     \
	X(malformed, malformed)   \
	X(fragment, malformed)    \
	X(martian, malformed)     \
	X(flags, malformed)       \
	X(ttl, malformed)         \
	X(not_ready, no_server)   \
	X(no_backend, no_server)  \
	X(unreachable, no_server) \
	X(no_next_hop, no_server)

enum mxlb_drop {
#define X(name, text) MXLB_DROP_##name,
	MXLB_DROPS(X)
#undef X
		MXLB_DROP_COUNT
};

/* Drops come first, so an mxlb_drop is also an index of the counters. Notes come last; outcomes end at MXLB_COUNT_FATES. */
enum mxlb_counter {
#define X(name, text) MXLB_COUNT_##name,
	MXLB_DROPS(X) MXLB_PASSES(X) MXLB_ANSWERS(X) MXLB_NOTES(X)
#undef X
		MXLB_COUNT_COUNT
};

/* The end of each part. */
#define X(name, text) +1
enum {
	MXLB_COUNT_DROPS = 0 MXLB_DROPS(X),
	MXLB_COUNT_PASSES = MXLB_COUNT_DROPS MXLB_PASSES(X),
	MXLB_COUNT_FATES = MXLB_COUNT_PASSES MXLB_ANSWERS(X),
};
#undef X

/* MXLB_REJECTS, a bit each. */
#define X(name, kind) | 1U << MXLB_DROP_##name
enum { MXLB_REJECTED_REASONS = 0U MXLB_REJECTS(X) };
#undef X

#endif
