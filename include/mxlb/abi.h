/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The interface between mxlbd and the kernel program: the key and value of every map. Padding is explicit and sizes
 * are asserted. Any change requires another MXLB_LAYOUT, which is part of the pins' path.
 *
 * Beside each value stands how it is changed while packets flow: a reader never sees a half-written one.
 */
#ifndef MXLB_ABI_H
#define MXLB_ABI_H

#include <linux/types.h>
#include "mxlb/counters.h"
#include "mxlb/limits.h"

#ifndef MXLB_LAYOUT /* tests build another */
#define MXLB_LAYOUT 6
#endif

/*
 * The format of the data that survive a change of layout: flow table lines, records and control. If one of these or
 * the meaning of their numbers changes, this number changes too, and an upgrade is refused until the datapath is
 * detached, because flows cannot be carried over.
 */
#define MXLB_KEPT	1

#define MXLB_RING_SLOTS 65537 /* a prime: Maglev's table size (NSDI 2016, section 5.3) */
#define MXLB_RINGS \
	80 /* one per service in force; the rest for building, and for readers to leave */

#define MXLB_PORT_SLOTS	     64
#define MXLB_VIP_SLOTS	     256
#define MXLB_FRONTS	     2

#define MXLB_CACHE_LINE	     64

/* The filter that sends probes through tunnels, as shown by tc(8). mxlbd adds it; doctor identifies it by these values. */
#define MXLB_FILTER_PRIORITY 0x6d78
#define MXLB_FILTER_HANDLE   0x6d786c62

/* mxlb_vip_port and MAC addresses are read as little-endian words. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian machines only");

/* An interface with the program, or a slave of such a bond, because the program runs on the slaves. */
struct mxlb_port {
	__u32 ifindex; /* 0: free slot */
	__u16 vlan;    /* the 802.1Q tag with which mail arrives; 0: untagged */
	__u8 mac[6];   /* frames for other addresses are ignored; read with .vlan as one word */
	__u32 index; /* dense: 0 to MXLB_MAX_PORTS - 1; key of `ports` and of mxlb_front.exits; a slave has its bond's */
};

struct mxlb_vip_port {
	__be16 port; /* 0: free */
	__u16 service; /* index in `services`: the upper half of the pair, read as one little-endian word */
};

#define MXLB_VIP_OWN 0x80

/* A VIP. One cache line. */
struct mxlb_vip {
	__u8 address[16]; /* IPv4 in the last four bytes, the rest zero */
	__u8 family; /* 4, 6; 0: free slot; with MXLB_VIP_OWN: an address of this box, not a VIP */
	__u8 pad[3];
	__u32 advertise; /* dense index + 1 of the interface where ARP/ND is answered; 0: nowhere */
	struct mxlb_vip_port ports[MXLB_MAX_VIP_PORTS];
	__u64 seed; /* of the service on ports[0], for the fast path; 0: the VIP has no fast path */
};

/* How frames leave by an interface. */
struct mxlb_exit {
	__u8 mac[6]; /* their source */
	__u16 vlan;  /* their tag; 0: none */
};

/*
 * Interfaces and VIPs, each in a perfect hash table (mxlbd searches for the factor), so that a look-up is one
 * multiplication and one comparison, whatever their number. Changed by filling the other copy and switching
 * mxlb_control.front.
 */
struct mxlb_front {
	__u64 vip_factor;
	__u32 port_factor;
	__u32 n_peers;
	struct mxlb_port ports[MXLB_PORT_SLOTS];
	struct mxlb_vip vips[MXLB_VIP_SLOTS];
	struct mxlb_exit exits[MXLB_MAX_PORTS]; /* by dense index */
	__u8 peers[MXLB_MAX_PEERS][16]; /* peers whose tunnels end here; IPv4 as ::ffff:a.b.c.d */
};

/* mxlb_service.ring: a decision, or from MXLB_RING_FIRST on an index in `rings` plus MXLB_RING_FIRST. */
enum mxlb_ring_word {
	MXLB_RING_NOT_READY, /* cold start: drop */
	MXLB_RING_RESET,     /* no server: RST */
	MXLB_RING_DROP,	     /* no server: drop */
	MXLB_RING_FIRST,
};

/* A service. One cache line. The seed is set before its VIP appears in the front; .ring is one store. */
struct mxlb_service {
	__u64 seed;
	__u32 ring;
	__u32 allow_set;       /* which prefixes may open connections; 0: everyone */
	__u32 syn_interval_ns; /* between two SYNs of one source prefix; 0: no limit */
	__u8 allow_observe;    /* count denied SYNs, but do not drop them */
	__u8 pad[43];
};

/* A ring: indices of servers. Never written while a service refers to it, or did within the last tens of ms. */
struct mxlb_ring {
	__u16 slot[MXLB_RING_SLOTS];
	__u16 pad[3];
};

#define MXLB_BACKEND_NEXT_HOP (1 << 0) /* .mac is known */
#define MXLB_BACKEND_DOWN \
	(1 << 1) /* down, in maint or unreachable: SYN retransmissions go elsewhere */
#define MXLB_BACKEND_RESET    (1 << 2) /* its flows' segments are answered with RST */
#define MXLB_BACKEND_TUNNEL   (1 << 3) /* forward: ipip */
#define MXLB_BACKEND_SOURCE_1 (1 << 4) /* which of the tunnel's two sources */

/* The next hop of a server: eight bytes, replaced by one store, so that no reader sees half of it. */
union mxlb_way {
	struct {
		__u8 mac[6];
		__u8 port; /* dense index of the interface */
		__u8 flags;
	};
	__u64 word;
};

/*
 * A server. One cache line. Index 0 means none. The target of a tunnel does not change while the way has
 * MXLB_BACKEND_TUNNEL. A new source is written into the copy that the way does not select, then the way is switched;
 * the MTU is one store. IPv4 addresses are in the first four bytes.
 */
struct mxlb_backend {
	union mxlb_way way;
	__u8 target[16];
	__u8 source[2][16];
	__u16 mtu;   /* of outer packets, from their IP header on */
	__u8 family; /* of the outer header: 4, 6 */
	__u8 pad[5];
};

/* Traffic to a server; per CPU. One cache line. */
struct mxlb_traffic {
	__u64 packets;
	__u64 bytes;	  /* of frames as they arrived */
	__u64 syn;	  /* SYNs placed by the ring */
	__u64 retransmit; /* retransmitted SYNs: a hint that the server does not answer */
	__u64 miss;	  /* segments without an entry, placed by the ring */
	__u64 promoted;	  /* notes promoted to entries */
	__u64 evicted;	  /* live entries displaced by this server's flows */
	__u64 unplaced;	  /* flows that got no entry because the line was full */
};

/*
 * The flow table: an array of lines per address family, indexed by the lower half of the flow's hash. A line has slots
 * for entries and one for the note of a SYN. docs/datapath.md has the rules.
 *
 * An entry's word is claimed by compare-and-swap to "busy" and published by one store; epoch and seq_marks are stores
 * to their own bytes in between.
 */
#define MXLB_LINE_PLACES  3
#define MXLB_ENTRY_BUSY	  0xffff

#define MXLB_MARK_CLOSED  (1 << 0) /* a FIN or RST at the flow's current sequence number was seen */
#define MXLB_MARK_BY_MISS (1 << 1) /* made without a note */
#define MXLB_MARK_DATA \
	(1 << 2) /* its client has sent data; in earlier versions: used in two epochs */
#define MXLB_MARK_BESIDE  (1 << 3) /* promoted while the tuple had another live entry */
#define MXLB_MARK_SETTLED (1 << 4) /* not displaced while in use; at most FLOW_SETTLED per line */

union mxlb_entry {
	struct {
		__u16 backend; /* 0: free; MXLB_ENTRY_BUSY: being written */
		__u16 epoch;   /* when it was last used */
		union {
			struct {
				__u32 marks : 8; /* MXLB_MARK_* */
				__u32 seq : 24; /* upper bits of the number behind the last segment */
			};
			__u32 seq_marks; /* both, to store them at once */
		};
	};
	__u64 word;
};

/* A SYN placed by the ring; .backend 0: none. */
union mxlb_note {
	struct {
		__u32 expect; /* the sequence number after the SYN, with which the handshake ends */
		__u16 len;    /* of the SYN's data (TCP Fast Open, RFC 7413) */
		__u16 backend;
	};
	__u64 word;
};

/* The tuple: the client's address and port as on the wire, and the service. */
struct mxlb_key4 {
	__be32 address;
	__be16 port;
	__u16 service;
};

struct mxlb_key6 {
	__u64 hi, lo;
	__be16 port;
	__u16 service;
	__u32 pad;
};

struct mxlb_line4 { /* one cache line */
	union mxlb_entry entry[MXLB_LINE_PLACES];
	struct mxlb_key4 key[MXLB_LINE_PLACES];
	union mxlb_note note;
	struct mxlb_key4 note_key;
};

struct mxlb_line6 { /* two, neighbours */
	union mxlb_entry entry[MXLB_LINE_PLACES];
	struct mxlb_key6 key[MXLB_LINE_PLACES];
	union mxlb_note note;
	struct mxlb_key6 note_key;
};

/*
 * Counters of packets that were not forwarded; per CPU. Key: service * stride + enum mxlb_counter; MXLB_MAX_SERVICES
 * stands for no service.
 */
#define MXLB_COUNT_STRIDE 32

/*
 * The key of the longest match of a source in an allow-list. IPv4 as ::ffff:a.b.c.d, so its prefix lengths are 96
 * larger.
 */
struct mxlb_allow_key {
	__u32 prefixlen; /* of set and address: 32 more than the address's */
	__u32 set;
	__u8 address[16];
};
#define MXLB_ALLOW_LEN		  160

/* One token bucket: the time at which it is full again, in ns of CLOCK_MONOTONIC (GCRA; ITU-T I.371, annex A). */
#define MXLB_BUCKETS		  4096
/* syn_buckets: that time in units of 1,024 ns (48 bits last for nine years), and whose it is in the upper 16 bits. */
#define MXLB_SYN_BUCKET_TIME_BITS 48
#define MXLB_SYN_BUCKET_UNIT_BITS 10
#define MXLB_SYN_BUCKET_MASK	  ((1ULL << MXLB_SYN_BUCKET_TIME_BITS) - 1)

/* A client that was turned away (bpf/reject_record.h), in the slot that mxlb_rejected_slot() says. */
#define MXLB_REJECTED		  1024

struct mxlb_rejected {
	__u64 hi, lo;  /* its address, as struct packet has it: hi is 0 for IPv4 */
	__u64 last_ns; /* CLOCK_MONOTONIC; 0: free */
	__u32 packets; /* since it has the slot */
	__u16 service; /* MXLB_MAX_SERVICES: not known, as of a malformed packet */
	__u8 counter;  /* enum mxlb_counter */
	__u8 family;   /* 4, 6 */
};

/* Global switches and values. */
struct mxlb_control {
	__u32 front; /* the copy in force */
	__u16 epoch; /* steps once a second while mxlbd runs; never catches up after a stop */
	__u16 pad;
	__u64 hash_key[2]; /* random if the configuration has none */
	__u64 secret;	   /* seed of the buckets' hash; never leaves the box */
};

/* What the next mxlbd adopts of a server; written and read by mxlbd alone. */
struct mxlb_record {
	char service[64];
	char backend[64];
	char reason[32];
	__u8 address[16];
	__u32 service_id;
	__u8 used;    /* 0: free */
	__u8 verdict; /* enum verdict */
	__u8 admin;   /* enum admin_state */
	__u8 flags;   /* MXLB_RECORD_* */
	__u8 mac[6];  /* the last one known; zero: none */
	/* Of the result that made it not up: enum probe_stage and the first digit of the reply. 0, 0: not known. */
	__u8 cause_stage, cause_digit;
	/* Operators' overrides; times in s since 1970, until 0: permanent. All zero in records of older versions. */
	__u32 admin_since, admin_until;
	__u32 forced_since,
		forced_until; /* of the service, repeated in the records of all of its servers; also the next two */
	__u16 forced_tier, active_tier;
	char admin_who[22], forced_who[22];
};

#define MXLB_RECORD_FORCED (1 << 0) /* .forced_tier is valid */
#define MXLB_RECORD_ACTIVE (1 << 1) /* .active_tier is valid */
#define MXLB_RECORD_DRAIN  (1 << 2) /* state after the expiry of .admin: drain */
#define MXLB_RECORD_MAINT  (1 << 3) /* maint; if neither is set: ready */
#define MXLB_RECORD_KEPT   (1 << 4) /* panic mode keeps it in the ring */

_Static_assert(MXLB_COUNT_COUNT <= MXLB_COUNT_STRIDE, "counters");

#define MXLB_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
MXLB_ASSERT_SIZE(struct mxlb_port, 16);
MXLB_ASSERT_SIZE(struct mxlb_vip, MXLB_CACHE_LINE);
MXLB_ASSERT_SIZE(struct mxlb_front, 16 + 16 * MXLB_PORT_SLOTS + 64 * MXLB_VIP_SLOTS +
					    8 * MXLB_MAX_PORTS + 16 * MXLB_MAX_PEERS);
MXLB_ASSERT_SIZE(struct mxlb_service, MXLB_CACHE_LINE);
MXLB_ASSERT_SIZE(struct mxlb_allow_key, 24);
MXLB_ASSERT_SIZE(struct mxlb_ring, 131080);
MXLB_ASSERT_SIZE(union mxlb_way, 8);
MXLB_ASSERT_SIZE(struct mxlb_backend, MXLB_CACHE_LINE);
MXLB_ASSERT_SIZE(struct mxlb_traffic, MXLB_CACHE_LINE);
MXLB_ASSERT_SIZE(union mxlb_entry, 8);
MXLB_ASSERT_SIZE(union mxlb_note, 8);
MXLB_ASSERT_SIZE(struct mxlb_line4, MXLB_CACHE_LINE);
MXLB_ASSERT_SIZE(struct mxlb_line6, 2 * MXLB_CACHE_LINE);
MXLB_ASSERT_SIZE(struct mxlb_rejected, 32);
MXLB_ASSERT_SIZE(struct mxlb_control, 32);
MXLB_ASSERT_SIZE(struct mxlb_record, 256);

#endif
