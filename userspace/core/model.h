/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The running state: config inside state, verdicts, tiers, events. Pure: every function takes the time, none
 * does I/O. The daemon feeds what happened, then asks plan_build() for what should be. control/ reads it.
 *
 * Times: now.mono_ms is CLOCK_MONOTONIC, now.wall_ms is ms since 1970, for people.
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

struct now {
	uint64_t mono_ms;
	int64_t wall_ms;
};

enum nexthop_state { NEXTHOP_UNRESOLVED, NEXTHOP_RESOLVED, NEXTHOP_FAILED };

struct nexthop { /* what rtnetlink says about the way to a backend */
	enum nexthop_state state;
	bool has_mac; /* the last MAC stays until a probe fails */
	struct mac mac;
	unsigned interface; /* index into config.interfaces */
	bool routed;	    /* behind a router: that it answers says nothing of the host */
	struct addr
		source; /* this box's address on the way there; zero: not known. Stays, like the MAC */
	uint16_t mtu; /* of the way, as the kernel knows it; 0: not known. Stays, like the MAC */
};

struct traffic { /* summed over CPUs, filled by the daemon from the datapath's counters */
	uint64_t flows, new_flows, packets, bytes;
	uint64_t
		empty; /* open, but the client has sent no data yet; flows has those of the last minute */
	/* of the packets: SYNs seen before, segments without an entry, notes that became entries; and entries that gave way
	 * for one of this backend's, flows that got no entry */
	uint64_t retransmits, misses, promoted, evicted, unplaced;
};

#define ORDER_WHO_SIZE	 22 /* as mxlb_record has it */
#define ORDER_FOR_MAX_MS (366 * 86400 * 1000ull)

struct order { /* what an operator said: who, when, until when. Kept over restarts, by the wall clock */
	char who[ORDER_WHO_SIZE];	      /* cut; empty: nobody said anything */
	int64_t since_wall_ms, until_wall_ms; /* until 0: for good */
	uint64_t until_ms;		      /* monotonic; 0: for good */
};

#define WARNING_WORDS_SIZE 64

struct warning { /* the server refuses the probe, and its verdict does not follow from that */
	enum reason reason; /* reason_is_client(); not_probed: there is none */
	char text[PROBE_TEXT_SIZE];
	int64_t since_wall_ms;
	bool confirmed; /* clients met the refusal, too; until a probe is not refused */
	uint32_t good;	/* probes in a row that were not refused */
	char disproved[WARNING_WORDS_SIZE]; /* words of a refusal that clients did not meet */
};

struct backend {
	struct backend_conf conf;
	uint32_t id; /* index in the datapath's maps, and in marks and tables; 1.. */
	struct health health;
	int64_t since_wall_ms; /* when the verdict last changed */
	enum admin_state admin;
	enum admin_state admin_after; /* when .order's time is up: what was last said for good */
	struct order order;	      /* of .admin */
	struct probe_result last;
	int64_t last_wall_ms;		 /* when .last ended; 0: never */
	struct cert_told {		 /* what was last said of its certificate */
		uint64_t identity;	 /* a hash of issuer and subject; 0: none was seen */
		int64_t not_after, days; /* of the last warning; 0, 0: none */
	} cert;
	struct warning warning;
	/* for panic.c, monotonic: the first result in a row that was not up; when it was up no longer; when a client's
	 * connection was last established, and the first SYN since then; 0: not, or never */
	uint64_t began_ms, failed_ms, opened_ms, tried_ms;
	bool was_up; /* by a probe of this mxlbd, or adopted */
	struct nexthop nexthop;
	bool gone; /* unreachable, and a second question to its next hop said so: its flows are lost */
	bool in_ring;
	uint16_t weight; /* in force: .conf's, until an operator says another */
	struct traffic traffic;
	struct backend_tally tally;
};

struct service {
	struct service_conf conf; /* .backends is NULL here: they are below */
	struct probe_conf probe;
	uint32_t id;
	struct tier_state tier;
	bool has_forced;
	uint16_t forced;       /* the tier that the operator wants */
	struct order order;    /* of .forced */
	uint64_t ask_again_ms; /* monotonic, when tier_choose() wants to be asked again; 0: never */
	struct backend *backends; /* by preference, then as in the file */
	unsigned n_backends;
	struct service_tally tally;
	struct tier_view *views; /* scratch of tier_choose(), n_backends each */
	bool *chosen;
	struct panic_view *panic; /* of panic_judge() */
};

struct model_slot { /* where a backend id leads; NULL: a free id */
	struct service *service;
	struct backend *backend;
};

struct model {
	const struct config *config; /* borrowed, until model_reload() replaces it */
	struct service *services;
	unsigned n_services;
	struct model_slot by_id[MXLB_MAX_BACKENDS];
	/* Ids that no backend has but flows may name: set when a backend goes, cleared by who reads the flow table. */
	bool held[MXLB_MAX_BACKENDS];
	uint32_t last_id; /* given out last; the search for a free one starts behind it */
	uint32_t blind;	  /* a bit for each of config's interfaces: model_blind() */
	struct event_log events;
	struct problems problems; /* of this box: filled by the daemon, for everybody to see */
};

/* What an earlier mxlbd left in the pinned maps. */
struct model_adopted {
	char service[CONFIG_NAME_SIZE];
	char backend[CONFIG_NAME_SIZE];
	struct addr address;
	uint32_t service_id, backend_id;
	enum verdict verdict; /* unknown: only the ids are taken */
	enum reason reason;
	enum admin_state admin;
	struct mac mac;	    /* zero: none */
	unsigned interface; /* that it was behind: an index into config.interfaces */
	enum admin_state admin_after;
	struct order order;	     /* until_ms is not read */
	bool has_active, has_forced; /* the service's */
	uint16_t active, forced;
	struct order forced_order;
};

/*
 * Builds the state for a config. Ids of adopted backends (same service, name and address) are kept; those of
 * adopted backends that the config no longer has are given to nobody. 0, -ENOMEM, -ENOSPC (no free id).
 */
int model_create(const struct config *config, const struct model_adopted *adopted,
		 unsigned n_adopted, struct now now, struct model **out);
/*
 * Takes over a new config: state of services (same name, VIP and port) and of their backends (same name and
 * address) is kept. No new backend gets an id that the old config used. On error (-ENOMEM, -ENOSPC) nothing
 * has changed. The caller frees the old config afterwards. Pointers into the model are stale, ids are not.
 */
int model_reload(struct model *m, const struct config *config, struct now now);
/* The same, and a backend that comes back (same service, name and address) while flows name its id gets that id again,
 * with what was known of it. who: asked for it, "" for nobody. */
int model_reload_adopting(struct model *m, const struct config *config,
			  const struct model_adopted *adopted, unsigned n_adopted, const char *who,
			  struct now now);
/* What model_reload() would make of it, were every new backend up: a model of its own, without its events. */
int model_preview(const struct model *m, const struct config *config, struct now now,
		  struct model **out);
void model_free(struct model *m);

struct backend *model_backend(struct model *m, uint32_t backend_id,
			      struct service **service_or_null);
struct backend *model_find(struct model *m, const char *service, const char *backend);
/* Is all known that a packet to it needs: a MAC, and for a tunnel its source and MTU? */
bool model_has_way(const struct backend *b);

/* What happened. Each returns true when the plan may differ from before. */
bool model_probe_result(struct model *m, uint32_t backend_id, const struct probe_result *r,
			struct now now);

struct clients_seen { /* what the datapath saw of a server's clients while its probe was refused */
	enum passive_finding passive;
	bool coming; /* clients connect to it */
	bool waited; /* for their evidence, long enough */
};

/* Clients were seen to connect to it, or to try in vain. */
void model_clients(struct model *m, uint32_t backend_id, bool opened, bool tried, uint64_t now_ms);
/* Whom a refusal by a server that was up blames. */
enum blame_act model_blame(struct model *m, uint32_t backend_id, const struct probe_result *r,
			   const struct clients_seen *seen);
/* As model_probe_result(), for a result that was judged so. Nothing changes by BLAME_WAITS. */
bool model_judged(struct model *m, uint32_t backend_id, const struct probe_result *r,
		  enum blame_act act, struct now now);
bool model_nexthop(struct model *m, uint32_t backend_id, const struct nexthop *nh, struct now now);
bool model_admin(struct model *m, uint32_t backend_id, enum admin_state admin, const char *who,
		 struct now now);
/* The same for so long, at most ORDER_FOR_MAX_MS; 0: for good. Then what was last said for good holds again. */
bool model_admin_for(struct model *m, uint32_t backend_id, enum admin_state admin, const char *who,
		     uint64_t for_ms, struct now now);
/* Makes a tier the active one (tier.c, rule 7), for so long; 0: until model_auto(). False: the service has no such tier. */
bool model_force(struct model *m, uint32_t service_id, uint16_t preference, const char *who,
		 uint64_t for_ms, struct now now);
/* Nothing is forced any more, and the best tier is active without a hold: so it is the way back by hand, too. */
bool model_auto(struct model *m, uint32_t service_id, const char *who, struct now now);
/* A weight of 0 to MXLB_MAX_WEIGHT, until the next reload or start. */
bool model_weight(struct model *m, uint32_t backend_id, uint16_t weight, const char *who,
		  struct now now);
/*
 * The program does not see what arrives on this interface of the configuration (or does again): its services are "blind",
 * whoever is up. What the datapath should be does not change. name: the interface's. True: a state changed.
 */
bool model_blind(struct model *m, unsigned interface, bool blind, const char *name, struct now now);
/* The second question to an unreachable backend's next hop has failed too: its flows are to be reset. */
bool model_gone(struct model *m, uint32_t backend_id);
bool model_tick(struct model *m, struct now now);
/* When model_tick() is next needed, monotonic ms; 0: not at all. */
uint64_t model_next_tick(const struct model *m);

/* Chooses anew for every service, after the model was made or remade; for model.c. */
void model_decide(struct model *m, const char *cause, struct now now);

/* cert.c: days until not_after, rounded down: below zero once it has passed. */
int64_t model_days_left(int64_t not_after_s, int64_t now_wall_ms);
/* cert.c, for change.c: what the certificate in .last is worth an event for. */
void model_certificate(struct model *m, const struct service *s, struct backend *b, struct now now);

#endif
