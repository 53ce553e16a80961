/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The running state: configuration, verdicts, tiers, events. Pure: every function is given the time, none does I/O.
 * The daemon reports what happened, then calls plan_build() for what the datapath should contain. control/ reads the
 * model.
 */
#ifndef MXLB_MODEL_H
#define MXLB_MODEL_H

#include "core/blame.h"
#include "core/config.h"
#include "core/event.h"
#include "core/health.h"
#include "core/panic.h"
#include "core/problem.h"
#include "core/tally.h"
#include "core/tier.h"
#include "util/clock.h"

enum nexthop_state { NEXTHOP_UNRESOLVED, NEXTHOP_RESOLVED, NEXTHOP_FAILED };

struct nexthop { /* the next hop of a server, from rtnetlink */
	enum nexthop_state state;
	bool has_mac; /* the last MAC stays until a probe fails */
	struct mac mac;
	unsigned interface; /* index into config.interfaces */
	bool routed;	    /* behind a router: its answer says nothing about the host */
	struct addr
		source; /* this box's address on the way there; zero: not known. Stays, like the MAC */
	uint16_t mtu; /* of the way, as the kernel knows it; 0: not known. Stays, like the MAC */
};

struct traffic { /* summed over CPUs, filled by the daemon from the datapath's counters */
	uint64_t flows, new_flows, packets, bytes;
	uint64_t
		empty; /* open, but the client has sent no data yet; flows has those of the last minute */
	/*
	 * of the packets: retransmitted SYNs, segments without an entry, notes promoted to entries; and entries
	 * displaced by this server's flows, flows without an entry
	 */
	uint64_t retransmits, misses, promoted, evicted, unplaced;
};

#define ORDER_WHO_SIZE	 22 /* as in struct mxlb_record */
#define ORDER_FOR_MAX_MS (366 * 86400 * 1000ull)

struct order { /* an operator's override: by whom, since when, until when. Survives restarts, by the wall clock */
	char who[ORDER_WHO_SIZE];	      /* truncated; empty: no override */
	int64_t since_wall_ms, until_wall_ms; /* until 0: permanent */
	uint64_t until_ms;		      /* monotonic; 0: permanent */
};

#define WARNING_WORDS_SIZE 64

struct warning {	    /* the server refuses the probe, without an effect on its verdict */
	enum reason reason; /* reason_is_client(); not_probed: there is none */
	char text[PROBE_TEXT_SIZE];
	int64_t since_wall_ms;
	bool confirmed; /* clients met the refusal, too; until a probe is not refused */
	uint32_t good;	/* probes in a row that were not refused */
	char disproved[WARNING_WORDS_SIZE]; /* words of a refusal that clients did not meet */
};

struct server_cause {		/* of a verdict that is not up: the last such result */
	enum probe_stage stage; /* NONE: not known */
	uint16_t code;		/* of the server's reply; 0: there was none */
};

struct server {
	struct server_conf conf;
	uint32_t id; /* index in the datapath's maps, and in marks and tables; 1.. */
	struct health health;
	int64_t since_wall_ms; /* when the verdict last changed */
	enum admin_state admin;
	enum admin_state admin_after; /* after the expiry of .order: the last permanent setting */
	struct order order;	      /* of .admin */
	struct probe_result last;
	int64_t last_wall_ms;		 /* when .last ended; 0: never */
	uint64_t last_ms;		 /* the same, monotonic */
	struct cert_told {		 /* the last event about its certificate */
		uint64_t identity;	 /* a hash of issuer and subject; 0: none was seen */
		int64_t not_after, days; /* of the last warning; 0, 0: none */
	} cert;
	struct warning warning;
	struct server_cause cause;
	struct reason_told { /* events about a reason that changed without the verdict */
		uint64_t since_ms;
		unsigned n, muted; /* since .since_ms; not logged since the last event */
	} reason_told;
	/*
	 * for panic.c, monotonic: the first of the consecutive probes that did not reach it; when it stopped being up;
	 * when a probe last reached it; when a client's connection was last established, and the first two SYNs since
	 * then and since a probe reached it; 0: never
	 */
	uint64_t began_ms, failed_ms, reached_ms, opened_ms, tried_ms, again_ms;
	bool was_up; /* by a probe of this mxlbd, or adopted */
	struct nexthop nexthop;
	bool gone; /* unreachable, and its next hop has failed a second time: its flows are lost */
	bool in_ring;
	uint16_t weight; /* in force: .conf's, or an operator's */
	struct traffic traffic;
	struct server_tally tally;
};

struct service {
	struct service_conf conf; /* .servers is NULL here: they are below */
	struct probe_conf probe;
	uint32_t id;
	struct tier_state tier;
	bool has_forced;
	uint16_t forced;	/* the tier that the operator wants */
	struct order order;	/* of .forced */
	uint64_t ask_again_ms;	/* monotonic time of the next call of tier_choose(); 0: none */
	bool panic_asks;	/* that call is for panic.c */
	struct server *servers; /* by preference, then as in the file */
	unsigned n_servers;
	struct service_tally tally;
	struct tier_view *views; /* scratch of tier_choose(), n_servers each */
	bool *chosen;
	struct panic_view *panic; /* of panic_judge() */
};

struct model_slot { /* the server of each id; NULL: the id is free */
	struct service *service;
	struct server *server;
};

struct model {
	const struct config *config; /* borrowed, until model_reload() replaces it */
	struct service *services;
	unsigned n_services;
	struct model_slot by_id[MXLB_MAX_SERVERS];
	/*
	 * Ids without a server to which flows may still refer: set when a server is removed, cleared by the reader of
	 * the flow table.
	 */
	bool held[MXLB_MAX_SERVERS];
	uint32_t last_id; /* the last id assigned; the search for a free one starts after it */
	uint32_t blind;	  /* a bit for each of config's interfaces: model_blind() */
	struct event_log events;
	struct problems problems; /* problems of this box, filled by the daemon */
};

/* What an earlier mxlbd left in the pinned maps. */
struct model_adopted {
	char service[CONFIG_NAME_SIZE];
	char server[CONFIG_NAME_SIZE];
	struct addr address;
	uint32_t service_id, server_id;
	enum verdict verdict; /* unknown: only the ids are reserved */
	enum reason reason;
	struct server_cause cause; /* of the verdict; stage NONE: not known */
	enum admin_state admin;
	bool kept;	    /* panic mode kept it in the ring */
	struct mac mac;	    /* zero: none */
	unsigned interface; /* its interface: an index into config.interfaces */
	enum admin_state admin_after;
	struct order order;	     /* until_ms is not read */
	bool has_active, has_forced; /* the service's */
	uint16_t active, forced;
	struct order forced_order;
};

/*
 * Builds the state for a configuration. Adopted servers (same service, name and address) keep their ids; ids of
 * adopted servers that are no longer configured are not reused. Returns 0, -ENOMEM, or -ENOSPC (no free id).
 */
int model_create(const struct config *config, const struct model_adopted *adopted,
		 unsigned n_adopted, struct now now, struct model **out);
/*
 * Applies a new configuration. Services (same name, VIP and port) and their servers (same name and address) keep their
 * state. A server that comes back (same service, name and address) while flows refer to its id gets that id and its
 * overrides again, if it is among those to adopt. No other new server gets an id that the old configuration used. who:
 * the user who asked for it, "" for none. On error (-ENOMEM, -ENOSPC) nothing has changed. The caller frees the old
 * configuration afterwards. Pointers into the model become invalid, ids do not.
 */
int model_reload(struct model *m, const struct config *config, const struct model_adopted *adopted,
		 unsigned n_adopted, const char *who, struct now now);
/* The result of model_reload() once every new server is up: a separate model, without events. */
int model_preview(const struct model *m, const struct config *config,
		  const struct model_adopted *adopted, unsigned n_adopted, struct now now,
		  struct model **out);
void model_free(struct model *m);

struct server *model_server(struct model *m, uint32_t server_id, struct service **service_or_null);
struct server *model_find(struct model *m, const char *service, const char *server);
/* Whether everything needed to send it a packet is known: a MAC address, and for a tunnel its source and MTU. */
bool model_has_way(const struct server *b);
/* Whether another server of its service is up, reachable, ready and has a weight. */
bool model_has_other(struct model *m, uint32_t id);

/* By panic mode, or until it is decided, whatever the service's state. A server with a bad certificate needs neither. */
bool model_is_kept(const struct server *b);
/* Whether mail goes to it and is accepted, as far as is known: also while this box cannot probe it, or is at fault. */
bool model_takes_mail(const struct server *b);

/* Events. Each function returns true if the plan may have changed. */
bool model_probe_result(struct model *m, uint32_t server_id, const struct probe_result *r,
			struct now now);

struct clients_seen { /* what the datapath saw of a server's clients while its probe was refused */
	enum passive_finding passive;
	bool coming; /* clients connect to it */
	bool waited; /* the wait for evidence is over */
};

/* Clients connected to it, or tried without success. */
void model_clients(struct model *m, uint32_t server_id, bool opened, bool tried, uint64_t now_ms);
/* What a refusal by a server that was up is evidence about. */
enum blame_act model_blame(struct model *m, uint32_t server_id, const struct probe_result *r,
			   const struct clients_seen *seen);
/* As model_probe_result(), for a result that has been judged. BLAME_WAITS changes nothing. */
bool model_judged(struct model *m, uint32_t server_id, const struct probe_result *r,
		  enum blame_act act, struct now now);
bool model_nexthop(struct model *m, uint32_t server_id, const struct nexthop *nh, struct now now);
bool model_admin(struct model *m, uint32_t server_id, enum admin_state admin, const char *who,
		 struct now now);
/*
 * The same for a limited time, at most ORDER_FOR_MAX_MS; 0: permanently. Afterwards the last permanent setting applies
 * again.
 */
bool model_admin_for(struct model *m, uint32_t server_id, enum admin_state admin, const char *who,
		     uint64_t for_ms, struct now now);
/*
 * The same from before a reboot: o has by whom, since and until when; of one whose time is over, `after` is left, the
 * last permanent setting.
 */
void model_admin_restore(struct model *m, uint32_t server_id, enum admin_state admin,
			 enum admin_state after, const struct order *o, struct now now);
/* Makes a tier the active one (tier.c, rule 7) for a limited time; 0: until model_auto(). False: there is no such tier. */
bool model_force(struct model *m, uint32_t service_id, uint16_t preference, const char *who,
		 uint64_t for_ms, struct now now);
/* Ends a forced tier and activates the best tier without a hold; so it is also the manual failback. */
bool model_auto(struct model *m, uint32_t service_id, const char *who, struct now now);
/* The wall clock may have been set. True: the expiry of an override, by the wall clock, has changed. */
bool model_follow_clock(struct model *m, struct now now);
/* This box takes over: what its peer has not served for failback-hold yet is held here from now on. */
void model_restart_holds(struct model *m, struct now now);
/* A weight of 0 to MXLB_MAX_WEIGHT, until the next reload or start. */
bool model_weight(struct model *m, uint32_t server_id, uint16_t weight, const char *who,
		  struct now now);
/*
 * The program does not see packets that arrive on this interface (or does again): its services are "blind", even if
 * servers are up. The plan does not change. name: the interface's name. True: a state changed.
 */
bool model_blind(struct model *m, unsigned interface, bool blind, const char *name, struct now now);
/* The next hop of an unreachable server has failed a second time: its flows are to be reset. */
bool model_gone(struct model *m, uint32_t server_id);
bool model_tick(struct model *m, struct now now);
/* When model_tick() is next needed, monotonic ms; 0: not at all. */
uint64_t model_next_tick(const struct model *m);

/* cert.c: days until not_after, rounded down: below zero once it has passed. */
int64_t model_days_left(int64_t not_after_s, int64_t now_wall_ms);
/* cert.c, for change.c: adds the events about the certificate in .last. */
void model_certificate(struct model *m, const struct service *s, struct server *b, struct now now);

#endif
