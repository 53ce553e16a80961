/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's half of probing: starts and restarts the child (exec of our own binary with --probe-child),
 * makes each TCP socket (marked), begins its connect and sends it over, checks what comes back, keeps the deadlines.
 * Every accepted prober_start() ends in exactly one on_result(), or none after prober_cancel()/prober_free().
 */
#ifndef MXLB_PROBER_H
#define MXLB_PROBER_H

#include <ev.h>
#include "core/config.h"
#include "core/verdict.h"
#include "probe/transcript.h"

struct prober;

struct prober_job {
	uint32_t backend_id; /* of prober_start() */
	struct addr address; /* the VIP, or the backend's own address (target: real) */
	uint16_t port;
	uint32_t mark;		       /* SO_MARK; 0: none */
	const struct probe_conf *conf; /* copied */
	struct addr
		fallback; /* asked (a bare connect, no mark) when the VIP does not answer: tells vip_missing
				 from a dead host; zero: not asked */
	bool routed; /* behind a router: where neither answers, nobody else can say that the host lives */
};

struct prober_callbacks {
	void (*on_result)(void *ctx, uint32_t backend_id, const struct probe_result *r);
	/* nobody answered for 300 ms, at whatever stage: a hint to ask the neighbour */
	void (*on_slow_connect)(void *ctx, uint32_t backend_id);
	/* connected, and then nothing heard for another WIRE_SLOW_MS; NULL: not told */
	void (*on_mute)(void *ctx, uint32_t backend_id);
	/* its socket has gone to the child: once at most; NULL: not told */
	void (*on_started)(void *ctx, uint32_t backend_id);
	/* a child had to be replaced: "ended: exit 1; the next in 100 ms"; NULL: not told */
	void (*on_child)(void *ctx, const char *why);
	/* a backend's probes take too much CPU: they are rarer and done apart from now on, or no longer; NULL: not told */
	void (*on_cost)(void *ctx, uint32_t backend_id, bool expensive, uint32_t cpu_ms);
	void *ctx;
};

/* Somebody who watches one probe. on_result ends it, and is never called from within prober_watch(). */
struct prober_audience {
	void (*on_note)(void *ctx,
			const struct probe_note *n); /* TRANSCRIPT_NOTES_MAX times at most */
	void (*on_result)(void *ctx, const struct probe_result *r);
	void *ctx;
};

#define PROBER_WATCHED_MAX 8

/* probes: all that jobs will have; their CA files are loaded and watched. */
int prober_new(struct ev_loop *loop, const struct prober_callbacks *cb,
	       const struct probe_conf *probes, unsigned n_probes, struct prober **out);
/* Another configuration's probes. Those that run end as they began. */
void prober_reload(struct prober *p, const struct probe_conf *probes, unsigned n_probes);
/*
 * One probe a backend at a time: -EBUSY while one runs. A VIP that does not answer is vip_missing when the fallback does;
 * when that is silent too, or there is none, connect_timeout, and of a routed backend unreachable.
 */
int prober_start(struct prober *p, const struct prober_job *job);
/*
 * A probe beside those of the backends, whose notes and result are the audience's alone. id: for prober_cancel().
 * -EBUSY while PROBER_WATCHED_MAX run.
 */
int prober_watch(struct prober *p, const struct prober_job *job, const struct prober_audience *who,
		 uint32_t *id);
void prober_cancel(struct prober *p, uint32_t id); /* a backend's, or prober_watch()'s */
uint64_t prober_child_restarts(const struct prober *p);
/* A CA file that can't be loaded as it is now, or NULL: the last good one is in use. */
const char *prober_bad_bundle(const struct prober *p);
/* Was a CA file replaced by a good one since the last call? */
bool prober_bundles_renewed(struct prober *p);
void prober_free(struct prober *p); /* ends the child, by pid */

/* The child's main(): never returns to the caller's loop; exit status. fd is the SEQPACKET end; bundles: paths, NULL at the end. */
int probe_child_main(int fd, char *const *bundles);

#endif
