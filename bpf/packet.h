/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is known of the packet at hand. It lies in a per-CPU map (maps.h), not on the stack: it would fill most of the 512 bytes
 * that all functions share. Keys of look-ups lie here too. Nothing else runs this program on the same CPU meanwhile. Fields hold
 * the previous packet's values until they are set.
 */
#ifndef MXLB_PACKET_H
#define MXLB_PACKET_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include "mxlb/abi.h"

/* packet.why, besides enum mxlb_ring_word: the source has sent too many SYNs; it is this box's own address */
#define WHY_SYN_LIMIT (~0u)
#define WHY_MARTIAN   (~1u)

/* Whose. IPv4 uses lo alone. */
struct flow_key {
	__u64 hi, lo, tail;
};

/* The nearest entry of a tuple in its line. */
struct flow_best {
	union mxlb_entry entry; /* .backend 0: none */
	__u32 place;
	__u32 order; /* flow_order(): the distance is half of it */
};

/* What decided; and what it cost others. */
enum flow_kind { FLOW_HIT, FLOW_SYN, FLOW_RETRANSMIT, FLOW_MISS, FLOW_PROMOTED };

struct flow_result {
	__u32 kind;
	int put;	 /* of an entry: 1 a live one gave way, 0 none did, -1 there was no place */
	__u32 by_entry;	 /* FLOW_HIT: by .best, and near enough to close it: rule 0 */
	__u32 seq_marks; /* of it, now; for flow_close() */
};

struct icmp_head { /* the same in both (RFC 792, RFC 4443) */
	__u8 type, code;
	__u16 check;
	__u32 rest;
};

struct tcp_start { /* what every ICMP error quotes of the segment that it is about */
	__be16 source, dest;
	__be32 seq;
};

/* An IPv6 extension header's beginning (RFC 8200 section 4). */
struct extension_head {
	__u8 next, len;	 /* of 8 bytes, the first not counted */
	__u8 type, left; /* of a routing header */
};

/* What an ICMP error that is made here quotes: bytes of the packet, their sum, and a piece of it at a time. */
#define QUOTE_PIECE 128 /* bytes */

struct quote {
	__u32 len, sum;
	__be32 piece[QUOTE_PIECE / 4];
};

/* A tunnel's packet: what its outer header says. */
struct tunnel_end {
	__u64 hi, lo; /* who sent it, as mxlb_front.peers has it */
	__u32 at;     /* offset in the frame of what is inside */
	__u32 room;   /* bytes for it */
	__u8 family;  /* of what is inside */
	__u8 ecn;     /* of the outer header, then of what is inside */
};

/* A packet to a VIP, once parsed. Addresses and ports as on the wire. */
struct packet {
	__u64 source_hi, source_lo; /* of the client; hi is 0 for IPv4 */
	__u32 frame;		    /* bytes of the whole frame */
	__u32 tcp_at;		    /* offset of the TCP header in the frame */
	__u32 segment;		    /* bytes of the TCP header and its data */
	__be32 seq, ack;
	__be16 source, dest;
	__u8 tcp_header; /* bytes */
	__u8 flags;	 /* TCP_* */
	__u8 family;	 /* 4 or 6 */
	__u8 hops;	 /* left when it came */
	__u8 next;	 /* IPv6: the next header */
	__u16 vlan;	 /* of the tag that was taken off; 0 once it is back */
	__u32 in;	 /* the interface's dense index */

	__u32 service;	  /* NO_SERVICE until it is known */
	__u32 line;	  /* of the flow table */
	__u32 backend;	  /* that it goes to; 0: nobody, as .why says */
	__u32 why;	  /* enum mxlb_ring_word, or WHY_SYN_LIMIT */
	__u8 allowed;	  /* a SYN's source is in the service's allow-list */
	__u8 from_tunnel; /* a peer's outer header was taken off; 0 again when the packet has ended */
	__u32 ring;
	__u32 counter;
	__u64 hash;
	struct flow_key key;
	struct flow_best best;
	struct flow_result result;
	struct tcphdr tcp; /* a copy, where it can't be read in place */

	struct mxlb_allow_key allow; /* of its source, to look up */
	struct icmp_head icmp;
	struct extension_head extension;
	union {
		struct iphdr ip4;
		struct ipv6hdr ip6;
	} quoted;
	struct tcp_start quoted_tcp;

	__be32 fragments; /* of an outer IPv4 header: its second word */
	struct quote quote;
	struct tunnel_end tunnel;
};

#endif
