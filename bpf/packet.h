/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is known about the current packet. It is in a per-CPU map (maps.h), not on the stack, because it would fill
 * most of the 512 bytes that all functions share; so are keys of look-ups. No other instance runs on the same CPU
 * meanwhile. Fields keep the previous packet's values until they are set.
 */
#ifndef MXLB_PACKET_H
#define MXLB_PACKET_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include "mxlb/abi.h"

#define NO_SERVICE MXLB_MAX_SERVICES

/* Returned by a step if the packet proceeds to the next one. Other results are its fate or the reason to drop it. */
enum { GO_ON = -1 };

/* packet.why, in addition to enum mxlb_ring_word: the source exceeds syn-limit; the source is an address of this box */
#define WHY_SYN_LIMIT (~0u)
#define WHY_MARTIAN   (~1u)

/* The tuple of a flow. IPv4 uses lo alone. */
struct flow_key {
	__u64 hi, lo, tail;
};

/* The nearest entry of a tuple in its line. */
struct flow_best {
	union mxlb_entry entry; /* .backend 0: none */
	__u32 place;
	__u32 order; /* flow_order(): the distance is half of it */
};

/* How the server was chosen, and whether an entry was displaced. */
enum flow_kind { FLOW_HIT, FLOW_SYN, FLOW_RETRANSMIT, FLOW_MISS, FLOW_PROMOTED };

struct flow_result {
	__u32 kind;
	int put; /* of a new entry: 1 it displaced a live one, 0 it did not, -1 no slot was available */
	__u32 by_entry;	 /* FLOW_HIT by .best, close enough in sequence to close it: rule 0 */
	__u32 seq_marks; /* of that entry, after this segment; for flow_close() */
};

struct icmp_head { /* the same in both (RFC 792, RFC 4443) */
	__u8 type, code;
	__u16 check;
	__u32 rest;
};

struct tcp_start { /* the part of a TCP segment that every ICMP error quotes */
	__be16 source, dest;
	__be32 seq;
};

/* The first bytes of an IPv6 extension header (RFC 8200 section 4). */
struct extension_head {
	__u8 next, len;	 /* in units of 8 bytes, not counting the first */
	__u8 type, left; /* of a routing header */
};

/* The quotation in an ICMP error made here: bytes of the packet, their sum, and the piece being copied. */
#define QUOTE_PIECE 128 /* bytes */

struct quote {
	__u32 len, sum;
	__be32 piece[QUOTE_PIECE / 4];
};

/* From the outer header of a tunnelled packet. */
struct tunnel_end {
	__u64 hi, lo; /* its sender, in the form of mxlb_front.peers */
	__u32 at;     /* offset of the inner packet in the frame */
	__u32 room;   /* bytes available for it */
	__u8 family;  /* of the inner packet */
	__u8 ecn;     /* of the outer header, then of the inner packet */
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
	__u8 hops;	 /* on arrival */
	__u8 next;	 /* IPv6: the next header */
	__u16 vlan;	 /* of the tag that was removed; 0 once it is restored */
	__u32 in;	 /* the interface's dense index */

	__u32 service;	  /* NO_SERVICE until it is known */
	__u32 line;	  /* of the flow table */
	__u32 server;	  /* the chosen server; 0: none, .why has the reason */
	__u32 why;	  /* enum mxlb_ring_word, or WHY_SYN_LIMIT */
	__u8 allowed;	  /* the source of this SYN is in the service's allow-list */
	__u8 from_tunnel; /* a peer's outer header was removed; 0 again after the packet */
	__u32 ring;
	__u32 counter;
	__u64 hash;
	struct flow_key key;
	struct flow_best best;
	struct flow_result result;
	struct tcphdr tcp; /* a copy, if it cannot be read in place */

	struct mxlb_allow_key allow; /* key of the look-up of its source */
	struct icmp_head icmp;
	struct extension_head extension;
	union {
		struct iphdr ip4;
		struct ipv6hdr ip6;
	} quoted;
	struct tcp_start quoted_tcp;

	__be32 fragments; /* second word of an outer IPv4 header */
	struct quote quote;
	struct tunnel_end tunnel;
};

#endif
