/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration: plain values with all defaults, checked by conf/ before anything else sees them. Read-only once
 * conf_load() has returned it. Owned by the daemon, freed by config_free().
 */
#ifndef MXLB_CONFIG_H
#define MXLB_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include "core/dns.h"
#include "core/tlsa.h"
#include "mxlb/limits.h"
#include "util/addr.h"

#define CONFIG_NAME_SIZE     64	 /* names of services, servers, probes, with NUL */
#define CONFIG_TEXT_SIZE     256 /* HELO, SNI, TLS domain */
#define CONFIG_PATH_SIZE     256
#define CONFIG_SOCKET_SIZE   108  /* sun_path */
#define CONFIG_WHY_SIZE	     384  /* one sentence about a file */
#define CONFIG_CERTNAME_SIZE 1088 /* two names as Windows prints them */
#define CONFIG_COMMAND_SIZE  512  /* of notify */
#define CONFIG_MAX_TLSA	     8
#define CONFIG_MAX_PROBES    64
#define CONFIG_MAX_OPERATORS 32
#define CONFIG_MAX_RESOLVERS 8
#define CONFIG_MAX_ANCHORS   4
#define CONFIG_MAX_INSECURE  16

enum xdp_mode { XDP_MODE_AUTO, XDP_MODE_NATIVE, XDP_MODE_GENERIC };
enum forward_mode { FORWARD_L2, FORWARD_IPIP };
enum probe_target { PROBE_TARGET_VIP, PROBE_TARGET_REAL };
enum probe_depth { DEPTH_CONNECT, DEPTH_BANNER, DEPTH_EHLO, DEPTH_STARTTLS, DEPTH_MAIL_FROM };
enum tls_policy {
	TLS_NONE,
	TLS_ENCRYPTION_ONLY,
	TLS_CERTIFICATE_VALIDATION,
	TLS_DOMAIN_VALIDATION,
	TLS_DANE,
};
enum advertise { ADVERTISE_ARP, ADVERTISE_NONE, ADVERTISE_ROUTE };
enum withdraw { WITHDRAW_DOWN, WITHDRAW_NEVER };
enum ha_role { HA_ROLE_ACTIVE, HA_ROLE_STANDBY, HA_ROLE_KEEPALIVED };
enum tier_mode { TIER_MODE_SWITCH, TIER_MODE_ADD };
enum failback { FAILBACK_AUTO, FAILBACK_MANUAL };
enum all_down { ALL_DOWN_RESET, ALL_DOWN_DROP };
enum on_unreachable { ON_UNREACHABLE_RESET, ON_UNREACHABLE_KEEP };
enum panic_mode { PANIC_MODE_KEEP, PANIC_MODE_OFF };
enum allow_mode { ALLOW_ENFORCE, ALLOW_OBSERVE };

struct interface_conf {
	char name[IF_NAMESIZE];
	enum xdp_mode mode;
	uint16_t vlan; /* 802.1Q tag that mail arrives with; 0: none */
};

struct datapath_conf {
	char pin[CONFIG_PATH_SIZE];
	uint32_t flows; /* established flows per address family */
	char hash_key[CONFIG_TEXT_SIZE];
	uint32_t mark, mark_mask; /* a probe's socket mark is mark | server id */
	uint32_t table;		  /* a probe's routing table is table + server id */
	uint32_t priority;	  /* of the probes' rules */
};

struct listen_conf { /* where a TCP socket listens */
	struct addr address;
	uint16_t port; /* 0: nowhere */
};

struct control_conf {
	char socket[CONFIG_SOCKET_SIZE];
	char group[CONFIG_NAME_SIZE];
	char operators[CONFIG_MAX_OPERATORS][CONFIG_NAME_SIZE];
	unsigned n_operators;
	struct listen_conf http; /* /metrics and the status page */
};

struct ha_conf {    /* this box among several; docs/high-availability.md */
	bool given; /* the file has the section */
	char name[CONFIG_NAME_SIZE];
	enum ha_role role;
	char fifo[CONFIG_PATH_SIZE];	      /* keepalived's vrrp_notify_fifo */
	char instance[CONFIG_NAME_SIZE];      /* empty: the only one */
	char priority_file[CONFIG_PATH_SIZE]; /* keepalived's track_file */
	bool preempt;
	uint64_t lease_ms;   /* 0: no limit */
	uint64_t refresh_ms; /* 0: VIPs are not announced again */
	struct ha_route_conf {
		uint32_t table, metric;
		uint16_t protocol; /* of rtnetlink: who made the route */
	} route;
};

struct dns_conf {					    /* docs/zone.md */
	struct listen_conf resolvers[CONFIG_MAX_RESOLVERS]; /* none: those of /etc/resolv.conf */
	unsigned n_resolvers;
	enum dnssec dnssec;
	char anchors[CONFIG_MAX_ANCHORS][CONFIG_PATH_SIZE]; /* none: the system's */
	unsigned n_anchors;
	char insecure[CONFIG_MAX_INSECURE][DNS_NAME_SIZE]; /* as dns_canonical() */
	unsigned n_insecure;
	uint64_t refresh_min_ms, refresh_max_ms;
};

struct cert_conf {		       /* what a probe asks of a certificate besides its policy */
	char domain[CONFIG_TEXT_SIZE]; /* tls-domain; empty: none */
	char name
		[CONFIG_CERTNAME_SIZE]; /* tls-certificate-name; empty: none. certname_parse_pair() takes it */
	struct tlsa tlsa[CONFIG_MAX_TLSA];
	unsigned n_tlsa; /* with tlsa-name: those of DNS that are in force; none: encryption-only */
};

struct probe_conf {
	char name[CONFIG_NAME_SIZE];
	uint32_t interval_ms, fast_interval_ms, timeout_ms, connect_timeout_ms;
	uint32_t fall, rise;
	enum probe_target target;
	enum probe_depth depth;
	enum tls_policy tls;
	char helo[CONFIG_TEXT_SIZE];   /* never empty once loaded */
	char sender[CONFIG_TEXT_SIZE]; /* of MAIL FROM; empty: the null sender */
	char sni[CONFIG_TEXT_SIZE];    /* empty: none sent */
	struct cert_conf cert;
	char tlsa_name
		[CONFIG_TEXT_SIZE]; /* whose TLSA records are .cert.tlsa; empty: the file's are */
	char ca_file[CONFIG_PATH_SIZE]; /* the bundle that the policy needs; empty: it needs none */
	uint64_t expiry_warn_ms;	/* 0: never */
	uint16_t min_tls_version;	/* 0x0303 is TLS 1.2, as on the wire */
};

struct server_conf {
	char name[CONFIG_NAME_SIZE];
	struct addr address;
	uint16_t preference; /* its tier; lower is better */
	uint16_t weight;     /* 0 to MXLB_MAX_WEIGHT; 0 takes no new connections */
	enum forward_mode forward;
};

struct zone_server_conf {	       /* what the zone cannot say about an exchanger */
	char exchanger[DNS_NAME_SIZE]; /* the whole name, as dns_canonical() */
	struct addr address;	       /* zero: from DNS */
	uint16_t weight;
	enum forward_mode forward;
};

struct zone_conf {		/* of a service whose servers are in DNS */
	char mx[DNS_NAME_SIZE]; /* as dns_canonical(); empty: it has tiers */
	struct prefix
		*within; /* that addresses from DNS must be in; none: the interfaces' networks */
	unsigned n_within;
	struct zone_server_conf *servers;
	unsigned n_servers;
};

struct service_conf {
	char name[CONFIG_NAME_SIZE];
	struct addr address;
	uint16_t port;
	unsigned interface; /* index into config.interfaces */
	unsigned probe;	    /* index into config.probes */
	enum advertise advertise;
	enum withdraw withdraw; /* with ADVERTISE_ROUTE */
	uint32_t min_up;
	enum tier_mode tier_mode;
	enum failback failback;
	uint32_t failback_hold_ms;
	enum all_down all_down;
	enum on_unreachable on_unreachable;
	enum panic_mode panic;
	/*
	 * Which sources may connect: the prefixes of the VIP's family from `allow` and from the file, sorted, none
	 * inside another. None: everyone. With a file there is at least one.
	 */
	struct prefix *allow;
	unsigned n_allow;
	char allow_file[CONFIG_PATH_SIZE]; /* empty: none */
	/* The prefixes of the file alone: a later file is compared with them, and they replace an invalid one. */
	struct prefix *from_file;
	unsigned n_from_file;
	char file_trouble
		[CONFIG_WHY_SIZE]; /* why they differ from the file's present content; empty: they do not */
	enum allow_mode allow_mode;
	bool log_connections;
	uint32_t syn_limit; /* SYNs a second and source prefix (/24, /64); 0: none */
	struct zone_conf zone;
	/* By preference, then as in the file. Of a zone: those in force, which the daemon fills in. */
	struct server_conf *servers;
	unsigned n_servers;
};

struct config {
	char file[CONFIG_PATH_SIZE];
	bool from_zone; /* a copy with other servers or TLSA records from DNS; the file was not read again */
	char notify
		[CONFIG_COMMAND_SIZE]; /* a program and its arguments, with blanks between; empty: none */
	struct interface_conf interfaces[MXLB_MAX_PORTS];
	unsigned n_interfaces;
	struct datapath_conf datapath;
	struct control_conf control;
	struct ha_conf ha;
	struct dns_conf dns;
	struct probe_conf probes[CONFIG_MAX_PROBES];
	unsigned n_probes;
	struct service_conf services[MXLB_MAX_SERVICES];
	unsigned n_services;
	struct addr decap[MXLB_MAX_PEERS]; /* whose tunnels end here */
	unsigned n_decap;
};

void config_free(struct config *c); /* NULL is fine */
/* With all that it owns. NULL: no memory. */
struct config *config_copy(const struct config *c);
/* The policy in force: dane asks for no more than encryption while DNS has no records. */
enum tls_policy config_policy(const struct probe_conf *p);
/* Does anything of it come from DNS? */
bool config_needs_dns(const struct config *c);
/* What a service owns, not the struct itself. */
void config_free_service(struct service_conf *s);

#endif
