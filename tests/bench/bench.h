/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * make bench: the cost of a packet. bench.c measures, sender.c sends the packets, subject.c holds the program under
 * test, cpus.c uses two CPUs at the same time, rings.c times the ring and sums the maps, report.c prints. The only assertion is that a measured packet took
 * the path that it is named after.
 */
#ifndef BENCH_H
#define BENCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/capability.h>
#include "datapath/datapath_internal.h"
#include "job.h"

/* Set by SIGINT and SIGTERM: end soon, so that no pins are left. */
extern volatile sig_atomic_t bench_stopped;

#define FLOWS_STEPS 4 /* 1, 1k, 100k, 1M */

enum path_kind {
	PATH_BARE,
	PATH_BARE4, /* and adds an outer header of that family, which the wrapper removes */
	PATH_BARE6,
	PATH_FLOOR,
	PATH_LRU,
	PATH_INSERT, /* into the kernel's LRU hash */
	PATH_ESTABLISHED,
	PATH_SYN,
	PATH_MISS,
	PATH_NOT_OURS
};

struct path {
	const char *name, *text;
	enum path_kind kind;
	int family;
	int outer;  /* how the servers are reached: 0 at layer 2, 4 or 6 through such tunnels */
	bool allow; /* the services have allow-lists */
};
#define PATHS 21
#define ALLOW 1000 /* prefixes in each list, including the clients' */
extern const struct path paths[PATHS];
extern const uint32_t flows_steps[FLOWS_STEPS];

/* Packets back to back, or one at a time with a barrier in between (see bench.bpf.c). */
enum { COLUMN_PLAIN, COLUMN_APART, COLUMNS };

struct column {
	const char *name;
	unsigned sender; /* enum sender */
};
extern const struct column columns[COLUMNS];

/* The baseline and the kernel's LRU hash: programs of the benchmark itself. */
bool path_is_own(const struct path *path);

struct cost {
	double ns,
		bare; /* of a packet, and of the loop and the wrapper alone: minimum of all rounds */
	double bare_head; /* of a packet through a tunnel: of loop and wrapper, with the head moved there and back */
	/* The numbers of packets that took the path, and of those that found no slot for an entry. */
	double share, unplaced;
};

#define RING_STEPS 3 /* 2, 100, 1,000 servers */

struct ring_time {
	unsigned servers;
	double build_ms, apply_ms; /* maglev_fill(); datapath_apply(), which calls it */
};

/* ns a packet including the wrapper, which two CPUs slow down as well: the least of some rounds. */
struct cpus_time {
	const char *text;
	double alone, own,
		same; /* one CPU; two, each with a flow of its own; two with the same flow */
};
#define CPUS_PATHS 4

struct bench_results {
	unsigned rounds, packets, steps;   /* steps: of flows_steps, from the first */
	struct cpus_time cpus[CPUS_PATHS]; /* .text is NULL: there is one CPU only */
	/* How far the clock of an emulated CPU moves with each instruction; 0: it is real, and the unit is ns. */
	unsigned instruction_ns;
	struct cost cost[PATHS][FLOWS_STEPS][COLUMNS];
	struct ring_time ring[RING_STEPS];
	uint64_t map_bytes; /* with the default configuration */
};

/* sender.c: the benchmark's kernel side. */

enum sender {
	SENDER_PLAIN,
	SENDER_APART,  /* with a barrier between packets, see bench.bpf.c */
	SENDER_BESIDE, /* for a second CPU, while another uses the first */
	SENDERS
};

int sender_open(uint32_t flows); /* 0 or -errno */
void sender_close(void);
/* The fd of a program of the benchmark itself. family: of the packets. */
int sender_own_target(enum path_kind kind, int family);
/* ns per packet including the wrapper, or -errno as a number. */
double sender_time(const struct path *path, int target_fd, enum sender from, uint32_t flows,
		   unsigned packets);
/*
 * Two CPUs at the same time: one sends packets of flow 0, the other of this one. .ns: the mean of both, including the wrapper;
 * .both: the share of the time in which both ran. Pins the calling thread to the second CPU. 0 or -errno.
 */
int sender_time_two(const struct path *path, int target_fd, const int cpus[2], uint32_t other,
		    unsigned packets, double *ns, double *both);
/* Sends SYN and ACK of each flow. Returns 0 or -errno. */
int sender_walk(int family, int target_fd, uint32_t flows);

/* subject.c: the program under test. */

/*
 * Reduces the effective capabilities to CAP_BPF and CAP_NET_ADMIN, and CAP_PERFMON if asked for. Returns the previous
 * ones for subject_caps_back(), or NULL.
 */
cap_t subject_caps(bool perfmon);
int subject_caps_back(cap_t before);

/*
 * Opens the datapath as in production, with a flow table for this many flows, pinned under its own name. NULL: failed,
 * logged.
 */
struct datapath *subject_open(uint32_t flows);
/* Closes it and removes its pins. NULL is fine. */
void subject_close(struct datapath *dp);
/* The plan for the subject: one IPv4 and one IPv6 service, both with these servers. */
struct subject_shape {
	unsigned n;
	uint32_t weight; /* of the first server; the others have 1 */
	int outer;	 /* as in struct path */
	bool allow;
};
/* 0 or -errno. */
int subject_plan(struct datapath *dp, const struct subject_shape *shape);
extern const uint8_t subject_mac[6];

struct subject_counts {
	struct traffic traffic;
	uint64_t not_ours;
};
void subject_count(struct datapath *dp, struct subject_counts *out);

/* cpus.c. 0 or -errno. */
int cpus_measure(struct bench_results *r);

/* rings.c. 0 or -errno. */
int rings_measure(struct bench_results *r);

/* ns or instructions a packet, net. */
double cost_net(const struct path *path, const struct cost *cost);

/* report.c. 0 or -errno. */
void report_table(const struct bench_results *r, FILE *to);
int report_json(const struct bench_results *r, const char *file);

#endif
