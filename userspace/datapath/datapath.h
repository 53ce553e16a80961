/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mxlbd's view of the kernel side: load, pin, attach, apply a plan, read counters.
 *
 * The pins: <pin>/v<MXLB_LAYOUT>/ holds every map under its name ("control" is the program's globals; maps that
 * survive a change of layout have _<MXLB_KEPT> appended) and link_<ifindex> for each interface. flock() on <pin> keeps
 * a second mxlbd out, whatever its layout. The holder of the lock adopts existing maps, loads its own program and puts
 * it into the links in place of the old one. Nothing is unpinned at exit: the kernel continues to forward.
 */
#ifndef MXLB_DATAPATH_H
#define MXLB_DATAPATH_H

#include "core/config.h"
#include "core/flow_values.h"
#include "core/model.h"
#include "core/plan.h"
#include "core/rejected.h"
#include "mxlb/counters.h"

struct datapath;
struct netlink;

/* Whether this process may load the program; if not, the names of the missing capabilities. */
#define DATAPATH_MISSING_SIZE 64
bool datapath_may_load(char *missing, size_t size);

struct datapath_program {
	const char *name;
	uint32_t verified;     /* instructions processed by the verifier */
	uint32_t bytes, jited; /* translated and compiled size; 0: not reported by the kernel */
};

/*
 * Loads the program with maps of its own and releases it; fn (may be NULL) is called for each of its parts. 0 or
 * -errno, logged; -ENOEXEC as datapath_open().
 */
int datapath_try(void (*fn)(void *ctx, const struct datapath_program *p), void *ctx);

/*
 * Locks, loads, pins. Returns 0 or -errno, with a log line that names the remedy: -ENOEXEC (this kernel, or a process
 * with these capabilities, can never load the program), -ENOTDIR (no bpffs there), -EBUSY (a second mxlbd). The only
 * function that loads a program, so the only one that needs CAP_PERFMON. The caller ends it with datapath_close().
 */
int datapath_open(const struct datapath_conf *conf, struct datapath **out);
/* Only locks, which suffices for datapath_detach() and datapath_close(). As above. */
int datapath_lock(const struct datapath_conf *conf, struct datapath **out);
/*
 * Opens the pinned maps read-only, while no mxlbd runs: the counters, flows, records and rings. 0 or -errno, not
 * logged; -ENOENT: no maps of this layout are pinned.
 */
int datapath_view(const struct datapath_conf *conf, struct datapath **out);
/* Is the program on that interface, by the pinned link? */
bool datapath_view_attached(const struct datapath *dp, int ifindex);
/* The servers that get new connections of a service, by the ring in force. False: none. */
bool datapath_ring_members(const struct datapath *dp, uint32_t service_id,
			   bool members[MXLB_MAX_SERVERS]);
/* If no server does: true if the service has just started, so that it does not answer; false if all-down applies. */
bool datapath_is_not_ready(const struct datapath *dp, uint32_t service_id);
/* Unlocks; everything stays in force. NULL is fine. */
void datapath_close(struct datapath *dp);

/* Reads what an earlier mxlbd left. The caller frees *out, which may be NULL with *n 0. 0 or -ENOMEM. */
int datapath_adopted(struct datapath *dp, struct model_adopted **out, unsigned *n);

/*
 * Declares an interface (index of config.interfaces); all are declared before the first is attached. 0 or -errno,
 * logged.
 */
int datapath_declare(struct datapath *dp, unsigned interface, int ifindex, const struct mac *mac,
		     uint16_t vlan);
/* Sets the slaves of a bond. True: they have changed, and a plan must be applied. */
bool datapath_declare_slaves(struct datapath *dp, unsigned interface, const int *ifindexes,
			     unsigned n);
/*
 * Attaches to a declared interface, or adopts the link pinned for it; does nothing if that is done. -EBUSY: another
 * XDP program is attached. Otherwise -errno; logged, once per cause.
 */
int datapath_attach(struct datapath *dp, unsigned interface, const struct interface_conf *conf);
/* Whether the program is still attached; another process may have detached it. */
bool datapath_is_attached(const struct datapath *dp, unsigned interface);
/*
 * Every second: restores pins that were removed, and the lock with their directory, because without them the kernel
 * would stop forwarding with this process. Failures are logged, once per cause.
 */
void datapath_keep_pins(struct datapath *dp);
/* Why the pins may not outlive this process; NULL: they do. */
const char *datapath_pins_trouble(const struct datapath *dp);
/*
 * Every second: undoes foreign writes to the maps. False: a ring was written to; the next datapath_apply() builds it
 * again.
 */
bool datapath_verify(struct datapath *dp);
/* How often that was found; each map counts once per check. */
uint64_t datapath_maps_changed(const struct datapath *dp);
/* Whether another layout's links will be adopted: then a plan must be applied before the first is attached. */
bool datapath_migrates(const struct datapath *dp);
/* For a refused start: detaches from interfaces that had no program before this process. */
void datapath_detach_new(struct datapath *dp);
/*
 * After all are attached: detaches from interfaces that an earlier mxlbd used and that are no longer declared; removes
 * the other layout. fn is called for each.
 */
void datapath_detach_undeclared(struct datapath *dp, void (*fn)(void *ctx, int ifindex), void *ctx);
/*
 * Removes everything that this mxlbd or any with these pins and marks has put into the kernel, whatever its layout;
 * traffic ends. 0, or the first -errno, logged; whatever can be removed is. Only datapath_close() may follow.
 */
int datapath_detach(struct datapath *dp, struct netlink *n);
/* "native", "generic" or "detached", from the kernel. Another program counts as detached. */
const char *datapath_xdp_mode(const struct datapath *dp, unsigned interface);

/*
 * Whether the program sees arriving packets; called once per second; ip_device: netlink_ip_device(). Blind: the
 * kernel's stack keeps receiving ARP and neighbour discovery there, and the program sees none. Unknown: too little has
 * arrived, or it is not attached.
 */
enum sight_state { SIGHT_UNKNOWN, SIGHT_SEES, SIGHT_BLIND };
enum sight_state datapath_sight(struct datapath *dp, unsigned interface, int ip_device);

/*
 * Makes the kernel side equal to the plan, writing what differs. *again_ms: after how many ms it must be called again
 * because no spare copy could be written yet; 0: all is in force. Returns 0 or -errno, logged (what was in force
 * stays in force).
 */
int datapath_apply(struct datapath *dp, const struct plan *plan, uint64_t now_ms,
		   uint64_t *again_ms);

/*
 * Makes the probes of ipip servers use their tunnels: a filter on egress of the interfaces that lead to any of them.
 * Called before the plan is applied, because a probe must not travel outside the tunnel if mail does not. Failures are
 * logged once.
 */
void datapath_tunnel_probes(struct datapath *dp, const struct plan *plan);
/* Every second, and after a filter was removed: restores missing filters. Returns their number. */
unsigned datapath_keep_probes_tunnelled(struct datapath *dp);

/*
 * Until when this box answers ARP and neighbour discovery for its VIPs: 0 always, 1 never, else CLOCK_MONOTONIC in ns
 * (core/role.h). One store; it outlives mxlbd.
 */
void datapath_set_role(struct datapath *dp, uint64_t word);
uint64_t datapath_role(const struct datapath *dp);
#define DATAPATH_KEY_TEXT_SIZE 40
/* The hash key in force as datapath.hash-key may be written: "raw:" and 32 hexadecimal digits. */
void datapath_hash_key_text(const struct datapath *dp, char text[DATAPATH_KEY_TEXT_SIZE]);
/* The 16 bytes of the hash key in force. */
const uint8_t *datapath_hash_key(const struct datapath *dp);
/* Whether a program was attached before this mxlbd; else the role word in the maps says nothing. */
bool datapath_was_attached(const struct datapath *dp);

/* Records the state of a server for the next mxlbd. */
void datapath_remember(struct datapath *dp, const struct service *s, const struct server *b);

/*
 * The flow table, read through mapped memory. It may have a hundred million bytes, so each call handles one part, `n`
 * places from `first` on, and blocks the loop for as long; true: there are more places.
 *
 * datapath_count() adds the flows of each server to counts (rule 7: not closed, used within 15 minutes), and the open
 * ones whose client has sent no data to empty; both have MXLB_MAX_SERVERS elements. A sweep frees the entries of
 * removed servers: _start, a count of the whole table, _decide and, if that returned true, _free in parts and _end.
 * held[id]: flows still refer to that id, so no other server may get it. datapath_flows() counts the whole table.
 */
bool datapath_count(struct datapath *dp, uint64_t first, uint64_t n,
		    uint32_t counts[MXLB_MAX_SERVERS], uint32_t empty[MXLB_MAX_SERVERS]);
void datapath_sweep_start(struct datapath *dp);
bool datapath_sweep_decide(struct datapath *dp, const uint32_t counts[MXLB_MAX_SERVERS],
			   bool held[MXLB_MAX_SERVERS]);
bool datapath_sweep_free(struct datapath *dp, uint64_t first, uint64_t n);
void datapath_sweep_end(struct datapath *dp);
void datapath_flows(struct datapath *dp, uint32_t counts[MXLB_MAX_SERVERS]);
/* Steps the epoch: once per second, never more often to catch up. */
void datapath_step_epoch(struct datapath *dp);
/* Records that mxlbd runs; datapath_pulse() returns when it last did, 0: unknown. */
void datapath_set_pulse(struct datapath *dp, int64_t now_wall_ms);
int64_t datapath_pulse(const struct datapath *dp);

/* Calls fn for each of the clients that were turned away and are remembered. */
void datapath_each_rejected(const struct datapath *dp,
			    void (*fn)(void *ctx, const struct rejected_row *row), void *ctx);

/* Calls fn for each entry in these places. True: there are more behind them. */
bool datapath_each_flow(struct datapath *dp, uint64_t first, uint64_t n,
			void (*fn)(void *ctx, const struct flow_row *row), void *ctx);
/*
 * Calls fn for each flow in these places that was opened here and has ended: its server, seconds since, and what the
 * client sent, in units of 256 bytes.
 */
void datapath_each_ended(struct datapath *dp, uint64_t first, uint64_t n,
			 void (*fn)(void *ctx, uint64_t place, uint32_t server_id, uint16_t idle_s,
				    uint32_t units),
			 void *ctx);
/* The number of places of both families' tables; places are numbered from 0. */
uint64_t datapath_places(const struct datapath *dp);
/* The places of one family's flows, or of both families'; neither: none. */
struct flow_places {
	uint64_t first, end;
};
struct flow_places datapath_family_places(const struct datapath *dp, bool v4, bool v6);
/* Calls fn for up to n places from first on, except those that are being written; flow NULL: the place is free. */
void datapath_look(struct datapath *dp, uint64_t first, uint64_t n,
		   void (*fn)(void *ctx, uint64_t place, const struct flow_row *flow), void *ctx);
/* Where this client's packets go. 0 or -ENOENT: no such service. */
int datapath_explain(struct datapath *dp, uint32_t service_id, const struct addr *client,
		     uint16_t port, struct flow_place *out);

struct datapath_counts { /* packets that were not forwarded */
	uint64_t total[MXLB_COUNT_COUNT];
	uint64_t service[MXLB_MAX_SERVICES][MXLB_DROP_COUNT];
};

#define DATAPATH_BATCH 64

/* Sums over CPUs. What can't be read counts as zero. */
void datapath_traffic(struct datapath *dp, uint32_t server_id, struct traffic *out);
/* The same of the n <= DATAPATH_BATCH servers from first on, by one system call. 0 or -errno. */
int datapath_traffic_batch(struct datapath *dp, uint32_t first, uint32_t n, struct traffic *out);
void datapath_counts(struct datapath *dp, struct datapath_counts *out);

#endif
