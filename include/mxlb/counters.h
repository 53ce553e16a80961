/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What becomes of a packet: one list. Each packet ends in exactly one reason of this list, or is forwarded
 * and counted with its backend (struct mxlb_traffic). Names are part of the contract: JSON, metrics.
 */
#ifndef MXLB_COUNTERS_H
#define MXLB_COUNTERS_H

/* name, what it means: the packet goes no further (some draw an answer first) */
#define MXLB_DROPS(X)                                                                        \
	X(malformed, "headers contradict each other or the frame")                           \
	X(fragment, "a fragment of a packet to a VIP")                                       \
	X(protocol, "to a VIP, but neither TCP nor anything answered for it")                \
	X(icmp, "ICMP to a VIP that is neither a ping nor an error")                         \
	X(martian, "a source address that no client can have")                               \
	X(flags, "TCP flags that no client sends together")                                  \
	X(ttl, "time to live, or hop limit, is used up")                                     \
	X(not_our_port, "TCP to a port of the VIP that no service has; answered with RST")   \
	X(not_ready, "cold start: no verdict yet, so neither answered nor served")           \
	X(no_backend, "nobody takes it: RST or silence, as all-down says")                   \
	X(unreachable, "of a flow whose backend is gone; answered with RST")                 \
	X(no_next_hop, "the backend's MAC address is not known")                             \
	X(too_big, "does not fit into the tunnel; answered with ICMP that says what does")   \
	X(congestion, "a tunnel's header says congested, the packet in it can't (RFC 6040)") \
	X(rate_limited, "an answer was due, but this source has had its share")              \
	X(denied, "a SYN from a source that the service does not allow")                     \
	X(syn_limit, "a SYN beyond what its source may send in a second")                    \
	X(error, "the kernel refused what the program asked for")                            \
	X(tunnel_loop, "came by a tunnel, its server is behind another: answered with RST")

/* The kernel gets the packet, untouched but where it says so. */
#define MXLB_PASSES(X)                                                  \
	X(not_ours, "not about a VIP")                                  \
	X(not_our_mac, "to a VIP, but for another host's MAC address")  \
	X(vip_conflict, "another host claims the VIP by ARP")           \
	X(decapsulated, "from a peer's tunnel, for this box: stripped") \
	X(icmp_unknown, "an ICMP error to a VIP that is about no flow of it")

/* The packet was turned into its answer. */
#define MXLB_ANSWERS(X)                                         \
	X(arp_reply, "ARP request for a VIP")                   \
	X(neighbour_advert, "neighbour solicitation for a VIP") \
	X(echo_reply, "a ping of a VIP")

/* Beside the fate of a packet, which is counted as ever. */
#define MXLB_NOTES(X) X(would_deny, "a SYN that allow-mode: enforce would have denied")

enum mxlb_drop {
#define X(name, text) MXLB_DROP_##name,
	MXLB_DROPS(X)
#undef X
		MXLB_DROP_COUNT
};

/* Drops come first, so that an mxlb_drop is also an index of the counters; notes last: fates end at MXLB_COUNT_FATES. */
enum mxlb_counter {
#define X(name, text) MXLB_COUNT_##name,
	MXLB_DROPS(X) MXLB_PASSES(X) MXLB_ANSWERS(X) MXLB_NOTES(X)
#undef X
		MXLB_COUNT_COUNT
};

/* Where each of these parts ends, and the next begins. */
#define X(name, text) +1
enum {
	MXLB_COUNT_DROPS = 0 MXLB_DROPS(X),
	MXLB_COUNT_PASSES = MXLB_COUNT_DROPS MXLB_PASSES(X),
	MXLB_COUNT_FATES = MXLB_COUNT_PASSES MXLB_ANSWERS(X),
};
#undef X

#endif
