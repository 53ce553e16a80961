/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What crosses from the controller to the kernel program: every map's key and value. Padding is explicit and
 * sizes are asserted; any change of these changes MXLB_LAYOUT, which is part of the pins' path.
 *
 * How each is changed while packets flow is said beside it: nothing here is ever half-written where a reader
 * could see it.
 */
#ifndef MXLB_ABI_H
#define MXLB_ABI_H

#include <linux/types.h>
#include "mxlb/counters.h"
#include "mxlb/limits.h"

#ifndef MXLB_LAYOUT /* tests build another */
#define MXLB_LAYOUT 6
#endif

/* The format of what outlives a change of the layout: lines of flows, records, control. A change of any of these, or of what
 * their numbers mean, changes this as well, and an upgrade is refused until somebody detaches: flows can't go over. */
#define MXLB_KEPT	     1

#define MXLB_RING_SLOTS	     65537 /* a prime: Maglev's table size (NSDI 2016, section 5.3) */
#define MXLB_RINGS	     80 /* one a service in force, the rest for building and for readers to leave */

#define MXLB_PORT_SLOTS	     64
#define MXLB_VIP_SLOTS	     256
#define MXLB_FRONTS	     2

#define MXLB_CACHE_LINE	     64

/* The filter that sends probes through tunnels, as tc(8) shows it: mxlbd adds it, the doctor knows it by these. */
#define MXLB_FILTER_PRIORITY 0x6d78
#define MXLB_FILTER_HANDLE   0x6d786c62

/* mxlb_vip_port and the words of MAC addresses are read so. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian machines only");

/* An interface that carries the program; or a slave of a bond that does: the program runs on the slaves. */
struct mxlb_port {
	__u32 ifindex; /* 0: free slot */
	__u16 vlan;    /* mail arrives with this 802.1Q tag, and only with it; 0: untagged */
	__u8 mac[6];   /* frames for other addresses are not ours */
	__u32 index; /* dense: 0 to MXLB_MAX_PORTS - 1; key of `ports` and mxlb_front.mac; a slave's: its bond's */
};

struct mxlb_vip_port {
	__be16 port; /* 0: free */
	__u16 service; /* index in `services`: the upper half of the pair, read as one little-endian word */
};

#define MXLB_VIP_OWN 0x80

/* A VIP. One cache line. */
struct mxlb_vip {
	__u8 address[16]; /* IPv4 in the last four bytes, the rest zero */
	__u8 family; /* 4, 6; 0: free slot; with MXLB_VIP_OWN: no VIP, but an address of this box */
	__u8 pad[3];
	__u32 advertise; /* where ARP/ND is answered: the interface's dense index + 1; 0: nowhere */
	struct mxlb_vip_port ports[MXLB_MAX_VIP_PORTS];
	__u8 pad2[8];
};

/* How frames leave by an interface. */
struct mxlb_exit {
	__u8 mac[6]; /* their source */
	__u16 vlan;  /* their tag; 0: none */
};

/*
 * What faces the clients: interfaces and VIPs, each in a perfect hash table (the factor is searched by the
 * controller), so that finding one is a multiplication and one comparison however many there are. Changed by
 * filling the other copy and switching mxlb_control.front.
 */
struct mxlb_front {
	__u64 vip_factor;
	__u32 port_factor;
	__u32 n_peers;
	struct mxlb_port ports[MXLB_PORT_SLOTS];
	struct mxlb_vip vips[MXLB_VIP_SLOTS];
	struct mxlb_exit exits[MXLB_MAX_PORTS]; /* by dense index */
	__u8 peers[MXLB_MAX_PEERS][16];		/* whose tunnels end here; IPv4 as ::ffff:a.b.c.d */
};

/* mxlb_service.ring: below MXLB_RING_FIRST a decision, from there on an index in `rings` plus MXLB_RING_FIRST. */
enum mxlb_ring_word {
	MXLB_RING_NOT_READY, /* cold start: drop */
	MXLB_RING_RESET,     /* nobody: RST */
	MXLB_RING_DROP,	     /* nobody: silence */
	MXLB_RING_FIRST,
};

/* A service. One cache line. The seed is set before its VIP appears in the front; .ring is one store. */
struct mxlb_service {
	__u64 seed;
	__u32 ring;
	__u32 allow_set;       /* which prefixes may open connections; 0: everyone */
	__u32 syn_interval_ns; /* between two SYNs of one source prefix; 0: no limit */
	__u8 allow_observe;    /* count what the set would deny, deny nothing */
	__u8 pad[43];
};

/* A ring: backend indices. Never written while any service names it, or could have within the last tens of ms. */
struct mxlb_ring {
	__u16 slot[MXLB_RING_SLOTS];
	__u16 pad[3];
};

#define MXLB_BACKEND_NEXT_HOP (1 << 0) /* .mac is known */
#define MXLB_BACKEND_DOWN \
	(1 << 1) /* down, in maint or unreachable: SYN retransmissions go elsewhere */
#define MXLB_BACKEND_RESET    (1 << 2) /* segments of its flows are answered with RST */
#define MXLB_BACKEND_TUNNEL   (1 << 3) /* forward: ipip */
#define MXLB_BACKEND_SOURCE_1 (1 << 4) /* which of the tunnel's two sources */

/* A backend's way: eight bytes, replaced by one store, so that no reader sees half a next hop. */
union mxlb_way {
	struct {
		__u8 mac[6];
		__u8 port; /* dense index of the interface */
		__u8 flags;
	};
	__u64 word;
};

/*
 * A backend. One cache line. Index 0 is nobody. Of a tunnel the target is fixed as long as the way says that there is
 * one; a new source is written into the copy that the way does not name, then the way is switched; the MTU is one store.
 * IPv4 addresses lie in the first four bytes.
 */
struct mxlb_backend {
	union mxlb_way way;
	__u8 target[16];
	__u8 source[2][16];
	__u16 mtu;   /* of outer packets: the most bytes from their IP header on */
	__u8 family; /* of the outer header: 4, 6 */
	__u8 pad[5];
};

/* What a backend was sent; per CPU. One cache line. */
struct mxlb_traffic {
	__u64 packets;
	__u64 bytes;	  /* frames as they came */
	__u64 syn;	  /* of the packets: SYNs that the ring placed */
	__u64 retransmit; /* SYNs seen before: a hint that the backend does not answer */
	__u64 miss;	  /* segments without an entry: placed by the ring */
	__u64 promoted;	  /* notes that became entries */
	__u64 evicted;	  /* live entries that had to give way to one of this backend's */
	__u64 unplaced;	  /* flows that got no entry, for their line was full of better ones */
};

/*
 * The flow table: an array of lines for each address family, indexed by the lower half of the flow's hash. A line has
 * places for entries, and one for a note of a SYN. bpf/flow.h has the rules.
 *
 * An entry's word is taken by compare-and-swap to "busy" and published by one store; epoch and seq_marks are stores
 * to their own bytes in between.
 */
#define MXLB_LINE_PLACES  3
#define MXLB_ENTRY_BUSY	  0xffff

#define MXLB_MARK_CLOSED  (1 << 0) /* a FIN or RST just where the flow goes on was seen */
#define MXLB_MARK_BY_MISS (1 << 1) /* made without a note */
#define MXLB_MARK_DATA \
	(1 << 2) /* its client has sent data; before, this bit meant used in two epochs */
#define MXLB_MARK_BESIDE (1 << 3) /* promoted while another live entry of its tuple was there */
#define MXLB_MARK_SETTLED \
	(1 << 4) /* never displaced while it is used; at most FLOW_SETTLED of a line */

union mxlb_entry {
	struct {
		__u16 backend; /* 0: free; MXLB_ENTRY_BUSY: being written */
		__u16 epoch;   /* when it was last used */
		union {
			struct {
				__u32 marks : 8; /* MXLB_MARK_* */
				__u32 seq : 24; /* upper bits of the number behind the last segment */
			};
			__u32 seq_marks; /* both, for one store */
		};
	};
	__u64 word;
};

/* A SYN that was placed by the ring; .backend 0: none. */
union mxlb_note {
	struct {
		__u32 expect; /* the sequence number behind the SYN: what the handshake's last segment bears */
		__u16 len; /* of the SYN's data (TCP Fast Open, RFC 7413) */
		__u16 backend;
	};
	__u64 word;
};

/* Whose: the client's address and port as on the wire, and the service. */
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

/* The counters of packets that were not forwarded; per CPU. Key: service * stride + enum mxlb_counter; the service
 * MXLB_MAX_SERVICES is "none". */
#define MXLB_COUNT_STRIDE 32

/* The longest match of a client in a set. IPv4 as ::ffff:a.b.c.d, so that its prefixes are 96 longer. */
struct mxlb_allow_key {
	__u32 prefixlen; /* of set and address: 32 more than the address's own */
	__u32 set;
	__u8 address[16];
};
#define MXLB_ALLOW_LEN 160

/* One token bucket: when it would be full again, in ns of CLOCK_MONOTONIC (GCRA; ITU-T I.371, annex A). */
#define MXLB_BUCKETS   4096

/* Switches and facts of the whole. */
struct mxlb_control {
	__u32 front; /* the copy in force */
	__u16 epoch; /* steps once a second while mxlbd runs; never catches up after a stop */
	__u16 pad;
	__u64 hash_key[2]; /* made once when the configuration has none */
	__u64 secret;	   /* seed of the buckets' hash: never leaves the box */
};

/* What the next mxlbd needs to know of a backend; written and read by the controller alone. */
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
	__u8 mac[8];  /* the last one known; zero: none */
	/* What operators said; times in s since 1970, until 0: for good. All zero in a record of before there were any. */
	__u32 admin_since, admin_until;
	__u32 forced_since,
		forced_until; /* the service's, in each of its backends' records, as the next two */
	__u16 forced_tier, active_tier;
	char admin_who[22], forced_who[22];
};

#define MXLB_RECORD_FORCED (1 << 0) /* .forced_tier is one */
#define MXLB_RECORD_ACTIVE (1 << 1) /* .active_tier is one */
#define MXLB_RECORD_DRAIN  (1 << 2) /* when the time of .admin is up: drain */
#define MXLB_RECORD_MAINT  (1 << 3) /* maint; neither: ready */

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
MXLB_ASSERT_SIZE(struct mxlb_control, 32);
MXLB_ASSERT_SIZE(struct mxlb_record, 256);

#endif
