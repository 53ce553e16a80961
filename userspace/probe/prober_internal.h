/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the two halves of the prober: prober.c has the runs (requests and answers), helpers.c the children. For
 * these two only.
 */
#ifndef MXLB_PROBER_INTERNAL_H
#define MXLB_PROBER_INTERNAL_H

#include <ev.h>
#include <sys/queue.h>
#include "core/cost.h"
#include "probe/leaving.h"
#include "probe/prober.h"
#include "probe/spawn.h"
#include "probe/stall.h"
#include "probe/wire.h"

/* A run's id on the wire: its server (or watched probe), whether it is the fallback's connect, and a number against old answers. */
#define ID_SERVER     0x1fffu
#define ID_FALLBACK   0x2000u
#define ID_SEQUENCE   0x4000u

/* Ids beyond the servers' are watched probes. */
#define WATCHED_FIRST (MXLB_MAX_SERVERS + 1)
#define RUNS	      (WATCHED_FIRST + PROBER_WATCHED_MAX)
_Static_assert(RUNS - 1 <= ID_SERVER, "an id does not fit");

#define QUARANTINE_CHILDREN 2

#define GRACE_MS	    2000 /* a child has deadlines of its own, and the one here is later */

enum fallback_state {
	FALLBACK_UNASKED,
	FALLBACK_PENDING,
	FALLBACK_ANSWERS,
	FALLBACK_SILENT,
	FALLBACK_LOCAL, /* a fault of this box: no information about the server */
};

struct run {
	TAILQ_ENTRY(run) link;
	uint32_t id, mark, server; /* .backend: the server that bears the cost; 0: none */
	int socket;		   /* made and not yet sent; -1: none */
	struct wire_request req;
	struct prober_audience audience; /* of a watched probe; else zero */
	unsigned notes;
	struct addr fallback;
	enum fallback_state fallback_state;
	char ca_file[CONFIG_PATH_SIZE];
	struct helper *helper; /* NULL: queued */
	bool routed, answered;
	bool again;	/* its first child is gone */
	bool apart;	/* for a quarantine child */
	bool shortened; /* it stops before the configured depth */
	enum cost_reach reach;
	uint32_t stalls;
	uint64_t
		deadline_ms; /* on the awake clock, so that our own stall is not the child's fault */
	struct probe_result result; /* once answered, while the fallback is waited for */
};

TAILQ_HEAD(run_list, run);

struct helper { /* a child, and what it was asked */
	struct prober *prober;
	struct spawned proc; /* .fd -1: none */
	struct ev_io readable;
	struct run_list sent;
	uint64_t born_ms;
	bool stale; /* of a quarantine child: it has old CA files, and exits when idle */
	uint64_t step, step_cpu_us; /* what it was last seen working on, and its CPU time then */
	bool ready; /* its loop runs; before that a connect would include its start-up time */
};

struct prober {
	struct ev_loop *loop;
	struct prober_callbacks cb;
	struct stall stall;
	struct bundles bundles;			/* what the child was started with */
	struct helper helpers[2], *child, *old; /* old: it finishes, and gets nothing new */
	struct ev_io writable;
	struct helper apart[QUARANTINE_CHILDREN]; /* each has one run at most */
	struct run_list apart_queued;
	struct ev_prepare
		dispatch; /* never started: only fed, so that prober_start() makes no callback */
	struct cost costs[WATCHED_FIRST];    /* by server ... */
	struct addr costs_of[WATCHED_FIRST]; /* ... and whose they are: ids come again */
	uint32_t cpu_ms;		     /* that a probe may take */
	struct leaving leaving;
	struct ev_timer restart, sweep, guard;
	uint64_t restarts;
	uint32_t backoff_ms, sequence;
	unsigned sweeps;
	struct run_list queued;
	struct run *runs[RUNS];
};

/* prober.c */
uint64_t run_deadline(const struct prober *p, const struct run *r); /* if it begins now */
struct run *run_first_overdue(const struct prober *p, const struct run_list *list);
/* Makes its socket and sends it. -EAGAIN: no room, -EPIPE: no child; else it is on its way, or has ended. */
int run_send(struct prober *p, struct run *r, struct run_list *from, struct helper *to);
/* It took more CPU than a probe may, and its child is gone for it. */
void run_finish_expensive(struct prober *p, struct run *r, uint32_t cpu_ms);
void run_finish_local_error(struct prober *p, struct run *r, const char *text);
void prober_on_readable(struct ev_loop *loop, struct ev_io *w, int revents);

/* helpers.c */
/* Sets up the helpers, the restart and the sweep; and starts the first child: 0 or -errno. */
int helpers_start(struct prober *p);
/* It is ready: what is queued may go to it. */
void helper_ready(struct helper *h, uint32_t reference_us);
/* Has another child take over, which knows the bundles of now. */
void helpers_renew(struct prober *p);
/* It ended, or is to: another takes its place, and its runs. */
void helper_failed(struct helper *h, const char *why, int grace_ms);
void helpers_end(struct prober *p);
/* Starts one, or begins to end one. */
void helper_init(struct helper *h, struct prober *p);
int helper_start(struct helper *h);
void helper_leave(struct helper *h, const char *why, int grace_ms, int next_ms);
/*
 * Runs of a dead child start again in the next one, or end as a fault of this box. innocent: none of them caused its
 * end.
 */
void helper_drop_runs(struct helper *h, const char *why, bool innocent);
/* The common child is busy with this computation: another child takes its place at once. */
void helpers_replace_stuck(struct prober *p, const char *why);

/* quarantine.c */
void quarantine_init(struct prober *p);
bool quarantine_is_idle(const struct prober *p);
/* Gives queued runs to idle children; one of them has changed. */
void quarantine_turn(struct prober *p);
void quarantine_failed(struct helper *h, const char *why, int grace_ms);
void quarantine_renew(struct prober *p); /* the CA files have changed */
void quarantine_sweep(struct prober *p);
bool quarantine_owns(const struct helper *h);
/* What a probe there may take of the CPU. */
uint32_t quarantine_cpu_ms(const struct prober *p);

/* guard.c */
void guard_start(struct prober *p);

#endif
