/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's network state, by rtnetlink (libmnl): the configured interfaces, the next hop of each server, and the
 * rules and tables of the probes. It follows changes, and dumps everything again after ENOBUFS. The last MAC address
 * of a next hop stays known while the kernel resolves it again.
 */
#ifndef MXLB_NETLINK_H
#define MXLB_NETLINK_H

#include <ev.h>
#include "core/config.h"
#include "core/model.h"

struct netlink;

struct netlink_link { /* one of config.interfaces */
	int ifindex;  /* 0: does not exist */
	struct mac mac;
	uint32_t mtu;
	bool up;      /* IFF_UP */
	bool carrier; /* IFF_LOWER_UP */
	/* Monotonic: when up and carrier last became true; 0 at start when they were. */
	uint64_t up_since_ms;
	char renamed[IF_NAMESIZE]; /* its present name; "": as in the configuration */
};

enum probe_way {
	PROBE_WAY_WHOLE,
	PROBE_WAY_DISTURBED, /* complete again */
	PROBE_WAY_VIP_LOCAL, /* the VIP is an address of this box: whatever listens here would answer */
	PROBE_WAY_ASTRAY,     /* another rule or route comes first, or ours cannot be restored */
	PROBE_WAY_NO_ADDRESS, /* the interface has no IPv6 address: no neighbour can be asked */
};

/* What other programs may remove, and is restored. */
enum own_kind {
	OWN_RULES,
	OWN_ROUTES,
	OWN_NEIGHBOURS,
	OWN_TIMERS,
	OWN_GROUPS,
	OWN_FILTERS, /* the datapath's */
	OWN_KINDS
};

struct netlink_callbacks {
	void (*on_link)(void *ctx, unsigned interface, const struct netlink_link *link);
	/* anything of a server's next hop changed */
	void (*on_nexthop)(void *ctx, uint32_t server_id, const struct nexthop *nh);
	/* a router on the path to a tunnel's far end reports that packets do not arrive; may be forged */
	void (*on_unreachable)(void *ctx, uint32_t server_id);
	/* number of this kind that others removed or changed, and that are restored */
	void (*on_put_back)(void *ctx, enum own_kind kind, unsigned n);
	/* addresses of this box have changed */
	void (*on_address)(void *ctx);
	/* a filter or a queueing discipline of some device was removed */
	void (*on_filter_gone)(void *ctx);
	void *ctx;
};

/*
 * loop may be NULL for a caller that only asks (no changes are followed and nothing can be watched then). 0 or
 * -errno, logged. Interfaces are those of config, in its order; what is needed of config is copied. A config with
 * other interfaces or marks needs a new one.
 * Callbacks come from the loop only, never from inside a call; they may call all below but netlink_free().
 * netlink_free() leaves rules, routes and timers of the kernel as they are; groups are left with it.
 */
int netlink_new(struct ev_loop *loop, const struct config *config,
		const struct netlink_callbacks *cb, struct netlink **out);
void netlink_free(struct netlink *n);

const struct netlink_link *netlink_link(const struct netlink *n, unsigned interface);
/* The device that the interface's IP runs on: itself, or the VLAN device above it; its ifindex is 0 if there is none. */
int netlink_ip_device(const struct netlink *n, unsigned interface);
/* The slaves of an interface that is a bond: their ifindexes, MXLB_MAX_SLAVES at most. How many. A change calls on_link. */
unsigned netlink_slaves(const struct netlink *n, unsigned interface, int out[MXLB_MAX_SLAVES]);
/* Whether this is an address of this box (local table). 0 or -errno. */
int netlink_is_local(struct netlink *n, const struct addr *a, bool *local);

/*
 * Follows the next hop towards address for this server (asks for route and neighbour, starts resolution). Replaces
 * what was followed under the same id; with the same address it only asks again. The first answer to each call is
 * reported by on_nexthop. A next hop behind an undeclared interface is UNRESOLVED without a MAC address. 0 or -errno.
 */
int netlink_watch(struct netlink *n, uint32_t server_id, const struct addr *address);
void netlink_unwatch(struct netlink *n, uint32_t server_id);
/*
 * Does the pending work now instead of in the loop: asks and calls back, so that the first plan knows what the kernel
 * knows.
 */
void netlink_settle(struct netlink *n);
/*
 * From now on (or no longer) "too big" errors about packets that this box tunnels lower the MTU of the kernel's route to
 * their target, for net.ipv4.route.mtu_expires or net.ipv6.route.mtu_expires seconds (600 by default), and so that of
 * the next hop. Idempotent. Needs CAP_NET_RAW; what fails is logged once and changes nothing else.
 */
void netlink_follow_mtu(struct netlink *n, bool follow);
/*
 * Asks the neighbour again (NUD_PROBE; resolution from the start where there is no usable entry). 0: exactly one
 * on_nexthop with the outcome follows, RESOLVED or FAILED, also when nothing changed; a call while one is under way
 * joins it. FAILED takes 0.7 s with netlink_fast_neighbours(), else 3 s, and 8 s at most. A permanent entry
 * counts as RESOLVED. -ENOENT: not watched, -ENETUNREACH: no next hop, or -errno: no outcome will come.
 */
int netlink_reprobe(struct netlink *n, uint32_t server_id);

/*
 * The probe's own way: rule "fwmark mark/mask lookup table" and, in the table, a route to vip by the server's
 * next hop (IPv4: via the server; IPv6: via a permanent link-local neighbour with its MAC). Idempotent:
 * adopts what is there. From then on it follows the next hop, its MAC and the interface, and is restored if another
 * program removes it. tunnel: its packets get an outer header (probetunnel.c), so the route's MTU is smaller. 0 or
 * -errno (-ENOENT: not watched; -ENETUNREACH: next hop not known yet, installed when it is). If the route disappears
 * with its link, the "prohibit" behind it keeps a probe from taking another path: connect() fails with EACCES.
 */
int netlink_probe_route(struct netlink *n, uint32_t server_id, const struct addr *vip, bool tunnel);
/*
 * Whether a probe of this server takes its intended path, and has done so since that time (netlink's clock,
 * CLOCK_MONOTONIC; 0: only now). look: ask the kernel now and restore what is missing; otherwise use what is known.
 */
enum probe_way netlink_probe_way(struct netlink *n, uint32_t server_id, bool look,
				 uint64_t since_ms);
int netlink_probe_route_remove(struct netlink *n, uint32_t server_id);
/* Removes every rule, table and neighbour that any mxlbd with these marks made; puts retrans_time back: to what it
 * was where this process changed it, to the table's default where an earlier one did (still 200). */
int netlink_detach_all(struct netlink *n);

/*
 * A VIP's route for BIRD or FRR, in ha.route's table. Idempotent. 0 or -errno (-ENODEV: no such interface, -ENETDOWN: it
 * is down; the kernel has removed the route then).
 */
int netlink_vip_route_add(struct netlink *n, const struct ha_route_conf *conf, unsigned interface,
			  const struct addr *vip, uint32_t metric);
/* removed (may be NULL): there was one. 0 or -errno. */
int netlink_vip_route_del(struct netlink *n, const struct ha_route_conf *conf,
			  const struct addr *vip, uint32_t metric, bool *removed);
/* FRR's zebra has taken this VIP's route over from that table: it installs a copy of its own in the main table. */
bool netlink_frr_imports(struct netlink *n, const struct addr *vip);
/* Removes every route of that protocol in that table. */
int netlink_vip_routes_purge(struct netlink *n, const struct ha_route_conf *conf);

/* Sets retrans_time_ms of the config's interfaces to 200 (v4 and v6), remembering the old value. */
int netlink_fast_neighbours(struct netlink *n);

/*
 * For IPv6 VIPs with advertise: arp: joins the VIP's solicited-node group on that interface (RFC 4291 2.7.1). Joining
 * twice is the same as once. On an interface that is recreated, or does not exist yet, the group is joined when it
 * appears.
 */
int netlink_join_solicited(struct netlink *n, unsigned interface, const struct addr *vip);
int netlink_leave_solicited(struct netlink *n, unsigned interface, const struct addr *vip);
/* Gratuitous ARP (request and reply, RFC 5227 section 3) or unsolicited NA (RFC 4861 7.2.6) for a VIP or
 * an address of this box. */
int netlink_announce(struct netlink *n, unsigned interface, const struct addr *vip);
/*
 * Asks whether another host has this IPv4 VIP, by an ARP probe (RFC 5227 section 2.1.1): the program counts an answer
 * as vip_conflict.
 */
int netlink_ask_owner(struct netlink *n, unsigned interface, const struct addr *vip);

#endif
