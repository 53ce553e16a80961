/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The servers of a service from the MX records of a name: what an answer does to the set in force (zone.c), and which
 * server each exchanger is (zonemap.c). An exchanger is a name in an MX record. Pure.
 */
#ifndef MXLB_ZONE_H
#define MXLB_ZONE_H

#include "core/config.h"
#include "core/dns.h"
#include "core/event.h"

#define ZONE_MAX_EXCHANGERS 64
#define ZONE_MAX_ADDRESSES  16
#define ZONE_MAX_SERVERS    255
#define ZONE_WHY_SIZE	    448

enum zone_state { ZONE_CURRENT, ZONE_KEPT, ZONE_HELD, ZONE_REFUSED, ZONE_STATES };

struct zone_absence {	  /* of something in force from the last answers */
	unsigned lookups; /* in a row; 0: it is in the answer */
	uint64_t since_ms;
};

enum zone_naming { ZONE_UNNAMED, ZONE_BARE, ZONE_SUFFIXED };

struct zone_address {
	struct addr addr;
	enum zone_naming
		naming; /* its server has the exchanger's name, or the address behind it; zonemap.c, rule 4 */
	struct zone_absence absent;
};

struct zone_exchanger {
	char name[DNS_NAME_SIZE];
	uint16_t preference;
	bool alias;		/* it was followed, against RFC 2181 section 10.3 */
	enum dns_result result; /* of its address lookups; DNS_OK too when none was needed */
	struct zone_absence absent;
	struct zone_address addresses[ZONE_MAX_ADDRESSES];
	unsigned n;
	bool cut; /* it has more of the family in use, of which these are the lowest */
};

struct zone_set {
	struct zone_exchanger list[ZONE_MAX_EXCHANGERS]; /* by preference, then by name */
	unsigned n;
};

struct zone_answer { /* of all lookups for a service */
	enum dns_result mx;
	bool secure;	/* all of them */
	uint32_t ttl_s; /* the lowest */
	char why[DNS_CAUSE_SIZE];
	struct zone_set set;
};

struct zone_box { /* what addresses from DNS are judged by, of this box and its configuration */
	const struct addr *vips, *locals;
	const struct prefix *networks; /* of the interfaces: `within` by default */
	unsigned n_vips, n_locals, n_networks;
};

struct zone_map {				      /* the servers that a set gives */
	struct server_conf servers[ZONE_MAX_SERVERS]; /* by preference, then by name */
	unsigned n;
	/* by exchanger: why it is (in part) not used; "": it is. */
	char unmapped[ZONE_MAX_EXCHANGERS][ZONE_WHY_SIZE];
};

struct zone { /* of a service */
	enum zone_state state;
	char why[ZONE_WHY_SIZE]; /* "": the zone is in force */
	bool has_set;
	struct zone_set in_force;
	int64_t set_wall_ms; /* when an answer last was (or became) the set in force */
	bool has_answer;     /* since the start */
	struct zone_set answer;
	bool secure;
	int64_t answer_wall_ms; /* 0: there was none */
	uint64_t lookups[DNS_RESULTS];
	enum dns_result last; /* of the last lookup */
	unsigned failures;    /* in a row */
	uint64_t due_ms;      /* the next lookup; 0: at once */
	uint64_t again_ms;    /* zone_consider() is to be called; 0: not */
	uint64_t changed_ms;  /* the last change of the set in force; 0: none */
	uint64_t told_ms;     /* of the last event */
};

struct zone_view { /* what a decision is made with */
	const struct service_conf *service;
	const struct dns_conf *dns;
	const struct zone_box *box;
	const struct server_conf *takers; /* the servers that take mail: model_takes_mail() */
	unsigned n_takers;
	unsigned n_unknown; /* servers that have no verdict yet */
	unsigned room;	    /* for servers: what other services leave of MXLB_MAX_SERVERS */
	uint64_t now_ms;
	int64_t wall_ms;
	uint32_t random;
};

enum zone_act {
	ZONE_TELL = 1,	 /* an event: .state and .why */
	ZONE_APPLY = 2,	 /* the servers of the map are to come into force */
	ZONE_REMIND = 4, /* with ZONE_TELL: it has been told before */
};

const char *zone_state_name(enum zone_state s);

/*
 * An answer has come. Flags of enum zone_act; *map: the servers in force, then those from now on. They are not made from the
 * set again, because which exchanger has an address that two of them share depends on what is missing by now.
 */
unsigned zone_answered(struct zone *z, const struct zone_answer *a, const struct zone_view *v,
		       struct zone_map *map);
/* .again_ms is there. */
unsigned zone_consider(struct zone *z, const struct zone_view *v, struct zone_map *map);
/* Applies what is held back. 0: nothing is, or it gives no server. */
unsigned zone_accept(struct zone *z, const struct zone_view *v, struct zone_map *map);
/* A service that has servers is not left without. */
bool zone_may_have(const struct service_conf *conf, const struct zone_map *map);
/* The set as it would be after zone_accept(). False: nothing is held back. */
bool zone_held(const struct zone *z, struct zone_set *out);
/* Does the set in force differ from the zone, or is that not known? */
bool zone_differs(const struct zone *z);
void zone_sort(struct zone_set *s);
const struct zone_exchanger *zone_find(const struct zone_set *s, const char *name);

/* What Exchange Online does with the zone as it was last answered. */
const char *zone_exchange_online(const struct zone *z);

/* zonemap.c. Names addresses that have none yet. */
void zone_servers(struct zone_set *s, const struct service_conf *conf, const struct zone_box *box,
		  unsigned room, struct zone_map *out);
/* Why no server may have this address, whatever `within` is: "an address of this box"; NULL: one may. */
const char *zone_unusable(const struct zone_box *box, const struct addr *a);
/* What is set for this exchanger below `servers`; NULL: nothing. */
const struct zone_server_conf *zone_server_conf(const struct zone_conf *z, const char *exchanger);
/* Each server of b is in a. */
bool zone_has_servers(const struct zone_map *a, const struct zone_map *b);
bool zone_same_servers(const struct zone_map *a, const struct zone_map *b);
/* "added oxford-c (tier 10), removed oxford-b, nuneaton: tier 10, was 20" */
void zone_describe(const struct zone_map *was, const struct zone_map *is, char *out, size_t size);

#endif
