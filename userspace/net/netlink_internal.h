/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the files behind netlink.h: the state, the request socket, and one section per file.
 *
 * Two rules keep it simple. Events only change state and set "due" flags; requests are sent and callbacks called from
 * one place, netlink_settle(), so a callback may call anything in netlink.h except netlink_free(). And events are
 * never the only source: every watch is asked again every few seconds, so a lost event costs seconds, not correctness.
 */
#ifndef MXLB_NETLINK_INTERNAL_H
#define MXLB_NETLINK_INTERNAL_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include "net/netlink.h"

#define PROBE_PROTOCOL \
	157 /* rtm_protocol of our routes and rules; unused in rtnetlink.h and rt_protos */
#define N_NEIGH_TABLES 2 /* arp_cache, ndisc_cache */

struct port { /* one of config.interfaces */
	char name[IF_NAMESIZE];
	uint16_t vlan;		    /* 0: none; else IP runs on the VLAN device above */
	struct netlink_link link;   /* up and carrier: with the VLAN device's */
	struct netlink_link below;  /* the interface's own */
	struct netlink_link tagged; /* the VLAN device's */
	bool no_vlan;		    /* logged */
	bool has_ipv6;		    /* an address, without which it can solicit no neighbour */
	bool changed;		    /* on_link is due */
	int prepared;	  /* the ifindex that groups and timers were last set on; 0: none */
	int announce_err; /* of the last announcement there, logged; 0: it went out */
	uint64_t old_retrans_ms[N_NEIGH_TABLES]; /* 0: not known, or not changed by us */
	int retrans_err;			 /* why it could not be changed, as last logged */
	int fast[N_NEIGH_TABLES]; /* the ifindex where it was fast when last looked at */
};

struct followed { /* one followed server */
	uint32_t id;
	struct addr address;
	struct addr via; /* the gateway, or address itself */
	int ifindex;	 /* of the declared interface it is behind; 0: none */
	struct nexthop nh, told;
	bool answered;		      /* the kernel has been asked once */
	bool told_once;		      /* told has been told */
	bool ask;		      /* route and neighbour are to be asked */
	bool probe;		      /* the neighbour is to be probed */
	bool report;		      /* on_nexthop is due, changed or not */
	uint64_t reprobe_deadline_ms; /* 0: no reprobe is waiting for its outcome */
	const char *trouble;	      /* why there is no next hop, as last logged */
	bool has_vip, install;	      /* a probe route is wanted; is to be installed */
	bool install_failed;	      /* logged */
	bool check;		      /* the probe's way is to be looked at */
	enum probe_way way;	      /* as last looked at */
	uint64_t
		disturbed_ms; /* when it was last found wrong, or something of it removed; 0: never */
	struct addr vip;
	bool tunnel; /* the probe's packets go in one, to .address */
};

struct group { /* an IPv6 VIP whose solicited-node group we are in */
	unsigned interface;
	struct addr vip;
};

#define N_PMTU_SOCKETS 4 /* IPv4 and IPv6 in each of IPv4 and IPv6 */

struct pmtu {		     /* errors about tunnels' outer packets, as the kernel hands them on */
	bool wanted, failed; /* failed: logged */
	int fds[N_PMTU_SOCKETS];
	struct ev_io readable[N_PMTU_SOCKETS];
};

#define SLAVES_MAX 64 /* of all bonds of this box; more are not followed */

struct slave {
	int ifindex, master; /* ifindex 0: free */
};

struct netlink {
	struct ev_loop *loop; /* NULL: only asks */
	struct netlink_callbacks cb;
	struct ev_io readable;
	struct ev_timer soon; /* netlink_settle() is due */
	struct ev_timer tick;
	unsigned ticks;
	int events;   /* subscribed, non-blocking */
	int requests; /* request and answer */
	uint32_t seq;
	char kernel_says[128]; /* the kernel's extended ack of the last request */
	bool resync;
	bool addresses_changed; /* on_address is due */
	bool filters_gone;	/* on_filter_gone is due */
	uint64_t overflow_logged_ms;
	struct pmtu pmtu;

	struct port ports[MXLB_MAX_PORTS];
	unsigned n_ports;
	struct slave slaves[SLAVES_MAX];
	uint32_t mark, mark_mask, table, priority;

	unsigned lost[OWN_KINDS]; /* removed by others since the last report */

	struct followed *watches[MXLB_MAX_SERVERS];
	uint32_t watches_end; /* one past the highest id in use */

	bool fast;
	int group_socket, packet_socket; /* -1 until needed */
	struct group groups[MXLB_MAX_SERVICES];
	unsigned n_groups;
};

/* netlink.c */

#define NETLINK_NOW	 0.0
#define NETLINK_DEBOUNCE 0.05

/* Runs netlink_settle() after this many seconds or earlier. Does nothing without a loop. */
void netlink_soon(struct netlink *n, double seconds);
/* Reads the messages that wait on the event socket; makes no callback. */
void netlink_drain(struct netlink *n);

/* rtnl_request.c */

union netlink_msg {
	struct nlmsghdr h;
	char room[512];
};

typedef void netlink_reader(const struct nlmsghdr *h, void *arg);

/* Starts a request with `extra` zeroed bytes after the header, and returns these. */
void *request_start(union netlink_msg *m, uint16_t type, uint16_t flags, size_t extra);
void request_put_addr(union netlink_msg *m, uint16_t type, const struct addr *a);
/*
 * Sends and waits for the acknowledgement, or for a dump's end (a dump that the kernel calls inconsistent is
 * begun again: reader must bear repetition). 0, the kernel's -errno, -ETIMEDOUT after 1 s of silence.
 */
int request_send(struct netlink *n, struct nlmsghdr *h, netlink_reader *reader, void *arg);
/* Of the last failed request: 'error="..."', with the kernel's own words if it gave some. */
const char *request_error(const struct netlink *n, int err, char *buf, size_t size);
int request_open(int *out);
/* Fills tb[0..max] with the attributes after `offset` bytes of payload. */
void request_attrs(const struct nlmsghdr *h, size_t offset, const struct nlattr **tb, uint16_t max);
void request_nested(const struct nlattr *nest, const struct nlattr **tb, uint16_t max);
bool request_get_addr(const struct nlattr *a, struct addr *out);

/* link.c */

int port_dump(struct netlink *n);
void port_event(struct netlink *n, const struct nlmsghdr *h);
/* Sets up what a new ifindex lost, calls on_link where due. */
void port_settle(struct netlink *n);
/* Fills has_ipv6. */
void port_addresses(struct netlink *n);
/* The port whose IP runs on this device, as an index into ports, or -1. */
int port_by_ifindex(const struct netlink *n, int ifindex);
/* The device that the port's IP runs on: itself, or its VLAN device; not there: its ifindex is 0. */
const struct netlink_link *port_ip(const struct port *p);

/* neigh.c */

struct neigh {
	int ifindex;
	struct addr address;
	uint16_t nud; /* 0: no entry */
	bool has_mac;
	struct mac mac;
};

bool neigh_parse(const struct nlmsghdr *h, struct neigh *out);
/* Asks for the entry of out->ifindex and out->address; no entry is nud 0 and success. */
int neigh_get(struct netlink *n, struct neigh *out);
/* Start or refresh resolution, as a packet would. Makes the entry if there is none. */
int neigh_use(struct netlink *n, const struct neigh *e);
int neigh_probe(struct netlink *n, const struct neigh *e);
int neigh_set_permanent(struct netlink *n, const struct neigh *e);
/* Sets retrans_time on one port, if netlink_fast_neighbours() was asked for. */
int neigh_fast_port(struct netlink *n, unsigned port);
void neigh_restore_ports(struct netlink *n);
/* Sets retrans_time again if another process changed it. */
void neigh_keep_ports(struct netlink *n);

/* nexthop.c */

void nexthop_neigh_event(struct netlink *n, const struct nlmsghdr *h);
void nexthop_route_event(struct netlink *n, const struct nlmsghdr *h);
void nexthop_ask_all(struct netlink *n);
void nexthop_tick(struct netlink *n);
/* Asks what is due, installs probe routes that are due, calls on_nexthop where due. */
void nexthop_settle(struct netlink *n);
struct followed *nexthop_watch(const struct netlink *n, uint32_t server_id);
/* Asks again for the routes to this address, with the next netlink_settle(). */
void nexthop_ask(struct netlink *n, const struct addr *to);
/* At once, from the loop. */
void nexthop_tell_unreachable(struct netlink *n, const struct addr *to);

struct route {
	int type; /* RTN_* */
	int ifindex;
	struct addr via;    /* the gateway, or the address itself */
	bool routed;	    /* there is a gateway */
	struct addr source; /* zero: none */
	uint32_t mtu;	    /* of the route or of an exception to it; 0: the link's */
};

/* Of a packet with this mark (0: without one). out->type or -errno, which is also a route's own verdict. */
int nexthop_route(struct netlink *n, const struct addr *to, uint32_t mark, struct route *out);
/* Is this what a route says by failing, and not a failure to ask? EINVAL: blackhole, EACCES: prohibit. */
bool nexthop_route_refuses(int err);

/* pmtu.c */

void pmtu_init(struct netlink *n);
/* Lets it listen again. */
void pmtu_tick(struct netlink *n);
void pmtu_close(struct netlink *n);

/* proberoute.c */

int proberoute_install(struct netlink *n, struct followed *w);
/* The id whose table this is, or 0. */
uint32_t proberoute_id(const struct netlink *n, uint32_t table);
/* The id whose rule a message is about, or 0. */
uint32_t proberoute_rule_id(const struct netlink *n, const struct nlmsghdr *h);
/* The next hop of an IPv6 probe, and the id whose next hop an address is, or 0. */
struct addr proberoute_stand_in(const struct netlink *n, uint32_t id);
uint32_t proberoute_stand_in_id(const struct netlink *n, const struct addr *a);

/* probeway.c */

/* Another program removed or changed a part of this server's probe path. */
void probeway_lost(struct netlink *n, struct followed *w, enum own_kind kind);
void probeway_rule_event(struct netlink *n, const struct nlmsghdr *h);
void probeway_neigh_event(struct netlink *n, const struct nlmsghdr *h, const struct neigh *e);
/* All are looked at with the next netlink_settle(). */
void probeway_check_all(struct netlink *n);
void probeway_check(struct netlink *n, struct followed *w);
/* Calls on_put_back for what was removed since the last call. */
void probeway_report(struct netlink *n);

/* announce.c */

/* Joins again the groups of a port that got a new ifindex. */
void announce_rejoin(struct netlink *n, unsigned port);
/* Joins again the groups that an interface has lost, with IPv6 itself for instance (an MTU below 1280). */
void announce_keep_groups(struct netlink *n);

#endif
