/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two halves of the prober share: prober.c has the runs (what is asked, what is answered), helpers.c the children that do
 * them. For these two alone.
 */
#ifndef MXLB_PROBER_INTERNAL_H
#define MXLB_PROBER_INTERNAL_H

#include <ev.h>
#include <sys/queue.h>
#include "probe/prober.h"
#include "probe/spawn.h"
#include "probe/stall.h"
#include "probe/wire.h"

/* A run's id on the wire: its backend (or watched probe), whether it is the fallback's connect, and a number against old answers. */
#define ID_BACKEND    0x1fffu
#define ID_FALLBACK   0x2000u
#define ID_SEQUENCE   0x4000u

/* Ids beyond the backends' are watched probes. */
#define WATCHED_FIRST (MXLB_MAX_BACKENDS + 1)
#define RUNS	      (WATCHED_FIRST + PROBER_WATCHED_MAX)
_Static_assert(RUNS - 1 <= ID_BACKEND, "an id does not fit");

#define GRACE_MS 2000 /* a child has deadlines of its own, and the one here is later */

enum fallback_state {
	FALLBACK_UNASKED,
	FALLBACK_PENDING,
	FALLBACK_ANSWERS,
	FALLBACK_SILENT,
	FALLBACK_LOCAL, /* trouble of our own: it says nothing */
};

struct run {
	TAILQ_ENTRY(run) link;
	uint32_t id, mark;
	int socket; /* made and not yet sent; -1: none */
	struct wire_request req;
	struct prober_audience audience; /* of a watched probe; else zero */
	unsigned notes;
	struct addr fallback;
	enum fallback_state fallback_state;
	char ca_file[CONFIG_PATH_SIZE];
	struct helper *helper; /* NULL: queued */
	bool routed, answered;
	bool again; /* its first child is gone */
	uint32_t stalls;
	uint64_t deadline_ms; /* on the awake clock: a stall of ours is no fault of the child */
	struct probe_result result; /* once answered, while the fallback is waited for */
};

TAILQ_HEAD(run_list, run);

struct helper { /* a child, and what it was asked */
	struct prober *prober;
	struct spawned proc; /* .fd -1: none */
	struct ev_io readable;
	struct run_list sent;
	uint64_t born_ms;
	bool ready; /* its loop runs; until then a connect would be timed by how long it takes to start */
};

struct prober {
	struct ev_loop *loop;
	struct prober_callbacks cb;
	struct stall stall;
	struct bundles bundles;			/* what the child was started with */
	struct helper helpers[2], *child, *old; /* old: it finishes, and gets nothing new */
	struct ev_io writable;
	struct ev_timer restart, sweep;
	uint64_t restarts;
	uint32_t backoff_ms, sequence;
	unsigned sweeps;
	struct run_list queued;
	struct run *runs[RUNS];
};

/* prober.c */
void run_finish_local_error(struct prober *p, struct run *r, const char *text);
void prober_on_readable(struct ev_loop *loop, struct ev_io *w, int revents);

/* helpers.c */
/* Sets up the helpers, the restart and the sweep; and starts the first child: 0 or -errno. */
int helpers_start(struct prober *p);
/* It is ready: what is queued may go to it. */
void helper_ready(struct helper *h);
/* Has another child take over, which knows the bundles of now. */
void helpers_renew(struct prober *p);
/* It ended, or is to: another takes its place, and its runs. */
void helper_failed(struct helper *h, const char *why, int grace_ms);
void helpers_end(struct prober *p);

#endif
