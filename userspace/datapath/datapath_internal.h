/* SPDX-License-Identifier: BSD-2-Clause */
/* What load.c, attach.c, pin_guard.c, apply.c, vip_table.c, probetunnel.c and counters.c share. Other folders do not include this. */
#ifndef MXLB_DATAPATH_INTERNAL_H
#define MXLB_DATAPATH_INTERNAL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "mxlb/abi.h"
#include "mxlb/hash.h"
#include "mxlb.skel.h"
#include "datapath/datapath.h"

/* How long after a switch a reader may still look at the old copy: far more than any packet takes. */
#define GRACE_MS 50

struct ring_built { /* what the ring in force was made from */
	struct {
		uint32_t id, weight;
	} * members;
	unsigned n;
	uint32_t word; /* as this process stored it: the map may be written by others */
	uint64_t sum;  /* of the ring */
	bool known;    /* false: adopted, not built by us */
};

enum {
	VERIFIED_FRONT = 4,
	VERIFIED_RING,
	VERIFIED_ALLOW,
	VERIFIED_ROLE,
	VERIFIED_BUCKETS,
	VERIFIED_FLOWS,
	VERIFIED_KINDS
}; /* behind the regions that are copied */

struct verified { /* verify.c: a copy of what was in force when a plan wholly was */
	bool known;
	uint32_t front_index;
	struct mxlb_front front;
	struct mxlb_service services[MXLB_MAX_SERVICES];
	struct mxlb_backend backends[MXLB_MAX_SERVERS];
	uint64_t keys[3]; /* hash_key and secret */
	uint64_t said_ms[VERIFIED_KINDS];
	uint64_t allow_ms; /* when allow-lists were looked at */
};

struct allow_set {	 /* a service's prefixes as they stand in the trie */
	uint32_t number; /* 0: none */
	struct prefix *prefixes;
	unsigned n;
	uint64_t free_ms; /* of a replaced one: when it may be deleted */
	bool foreign;	  /* another process wrote to the trie, so it has to be rewritten */
};

struct probetunnel { /* of an interface: what is known of the probes' filter there */
	bool known, wanted;
	int err; /* as last logged */
};

struct sight {	       /* sight.c: of an interface */
	int fds[2];    /* sockets that count ARP and ND; -1: none */
	int ifindex;   /* of the device that they are on; 0: none */
	uint64_t seen; /* the program's counter */
	unsigned missed,
		turns; /* frames that the kernel had since that moved, and in how many seconds */
	enum sight_state is;
	int err; /* as last logged */
};

#define PINS_PATH_SIZE (CONFIG_PATH_SIZE + 16)

struct datapath {
	char pins[CONFIG_PATH_SIZE]; /* datapath.pin */
	char dir[PINS_PATH_SIZE];    /* <pin>/v<layout> */
	char old[PINS_PATH_SIZE];    /* another layout's, whose links are to be moved; or "" */
	bool read_only;		     /* a view: nothing may be written */
	bool unfilled;		     /* the maps are new, to be filled before links are moved */
	int lock_fd;
	uint64_t keep_said_ms;
	int keep_err; /* why pins could not be put back, as last logged */
	unsigned mount_looks;
	bool followed, unmounted; /* the pins' mount followed one outside; and does no more */
	struct mxlb_bpf *skel;
	bool adopted;	   /* the maps were there already */
	bool was_attached; /* and a link */
	int n_cpus;
	void *cpu_values; /* room for DATAPATH_BATCH values of a per-CPU map, of every CPU */

	/* the maps, mapped */
	struct mxlb_front *fronts;
	struct mxlb_service *services;
	struct mxlb_ring *rings;
	struct mxlb_backend *backends;
	struct mxlb_record *records;
	__u64 *role, *pulse;
	__u64 *buckets, *syn_buckets;
	struct mxlb_rejected *rejected;
	struct mxlb_line4 *flows4;
	struct mxlb_line6 *flows6;
	struct mxlb_control *control;
	uint32_t lines; /* of each of the two flow tables */

	struct allow_set allow[MXLB_MAX_SERVICES], allow_old[MXLB_MAX_SERVICES];
	uint32_t allow_last; /* the set number given last */
	bool allow_stale;    /* an earlier mxlbd's sets may be left */
	uint64_t allow_sum;  /* of what the trie has, if .allow_sum_known */
	bool allow_sum_known;
	bool removed[MXLB_MAX_SERVERS]; /* not in the plan, but flows may name it */
	bool doomed[MXLB_MAX_SERVERS];	/* of these: what the sweep that is under way frees */

	struct {
		uint64_t free_ms; /* when what its way does not name may be written */
		bool known;	  /* this process has known the whole of it */
	} tunnels[MXLB_MAX_SERVERS];

	struct ring_built built[MXLB_MAX_SERVICES];
	bool ring_used[MXLB_RINGS];
	uint64_t ring_free_ms[MXLB_RINGS];
	uint64_t front_free_ms; /* when the copy not in force may be written */
	struct verified *verified;
	uint64_t maps_changed;	     /* how often foreign writes were found */
	bool role_set, foreign_role; /* another process has stored another value */
	__u64 role_word;	     /* as this process stored it */
	/* entries that the program can't have written, since the last look */
	uint64_t foreign_flows;

	struct {
		int ifindex, link_fd;
		int attached; /* the ifindex that link_fd belongs to */
		bool fresh;   /* there was no program before this process */
		int err;      /* why it could not be attached, as last logged */
		struct mac mac;
		uint16_t vlan;
		int slaves[MXLB_MAX_SLAVES]; /* of a bond: where the program runs */
		unsigned n_slaves;
		struct probetunnel tunnel;
		struct sight sight;
		int offload_err; /* of offload_keep_tags(), as last logged */
	} ports[MXLB_MAX_PORTS];
};

/* vip_table.c: fills *out from plan and ports; -EEXIST when no perfect hash was found. */
int front_build(const struct datapath *dp, const struct plan *plan, struct mxlb_front *out);

/* migrate.c, in this order; 0 or -errno, logged. */
int migrate_begin(struct datapath *dp); /* before maps are loaded */
int migrate_keys(struct datapath *dp);	/* before they are used */
void migrate_end(struct datapath *dp);	/* all links are moved */
bool migrate_has_links(const char *dir);

/* load_refusal.c: keeps what libbpf and the verifier say, for refusal_explain(). */
void refusal_listen(void);
/* 0, or -ENOEXEC, logged: what may load is missing. */
int refusal_capabilities(void);
/* Logs why a load failed with err: its last lines, the cause, the next step. -ENOEXEC: it will never work; else err. */
int refusal_explain(int err);

/* load.c: maps what is read and written through memory. 0 or -errno, logged. */
int pins_map_all(struct datapath *dp, int protection);

/* pins.c */

#define PINS_KEPT      3
#define PINS_LINK_SIZE (CONFIG_PATH_SIZE + 48)

extern const char
	*const pins_kept[PINS_KEPT]; /* the maps that outlive a layout, but for "control" */

/* Is this the name of a layout's directory? */
bool pins_layout(const char *name, unsigned *layout);
/* Where a map of this name is pinned. */
void pins_path(const struct datapath *dp, const char *name, char *path, size_t size);
/* The same of this map. False: it is not pinned. */
bool pins_of_map(const struct datapath *dp, const struct bpf_map *map, char *path, size_t size);
const char *pins_of_link(const struct datapath *dp, int ifindex, char pin[PINS_LINK_SIZE]);
/* Whether the link still has this device. It has none after the deletion of the device or a forced detach. */
bool pins_link_is_alive(int fd, int ifindex);

/* verify.c */
/* Puts back what differs from the copies, logged. */
void verify_restore(struct datapath *dp);
/* A plan is wholly in force; one is being brought into force. */
void verify_note(struct datapath *dp);
void verify_forget(struct datapath *dp);
/* The next hop of a removed server was cleared. Only that is noted: what others wrote meanwhile must still be found. */
void verify_freed(struct datapath *dp, uint32_t server_id);
uint64_t verify_sum(const struct mxlb_ring *ring);

/* probetunnel.c: takes the probes' filter off an interface. 0 or -errno. */
int probetunnel_remove(int ifindex);

/* sight.c: nothing is known of the interface any more. close: its sockets go too. */
void sight_reset(struct sight *s, bool close_sockets);

/* offload.c: has the interface, and a bond's slaves, leave tags on the frames. */
void offload_keep_tags(struct datapath *dp, unsigned interface, const struct interface_conf *conf);
/* What offload_keep_tags() changed and pinned a mark of in this directory is put back. False: the entry is no such mark. */
bool offload_restore(const char *dir, const char *entry);
/* The same for devices that need it no longer; the marks of another layout's directory are kept in ours. */
void offload_tidy(struct datapath *dp);

/* The plan must be applied again in this many ms; of several parts the longest time counts. */
static inline void again_in(uint64_t *again_ms, uint64_t ms)
{
	if (ms > *again_ms)
		*again_ms = ms;
}

/* allow_map.c: a service's list. 0 or -errno; *again_ms as again_in(). */
int allow_apply(struct datapath *dp, const struct plan_service *plan, uint64_t now_ms,
		uint64_t *again_ms);
void allow_forget(struct datapath *dp, uint32_t service_id);
void allow_purge(struct datapath *dp);
/* False: another process has written to the trie; all sets are written again by the next apply. A system call a prefix. */
bool allow_is_sound(struct datapath *dp);
void allow_free_all(struct datapath *dp);

#endif
