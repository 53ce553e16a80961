/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's half of probing: starts and restarts the child (exec of our own binary with --probe-child), makes each
 * TCP socket (marked), begins its connect and sends it over, checks the answers, enforces the deadlines. Every
 * accepted prober_start() ends in exactly one on_result(), or none after prober_cancel()/prober_free().
 */
#ifndef MXLB_PROBER_H
#define MXLB_PROBER_H

#include <ev.h>
#include "core/config.h"
#include "core/verdict.h"
#include "probe/transcript.h"

struct prober;

struct prober_job {
	uint32_t server_id;  /* of prober_start() */
	struct addr address; /* the VIP, or the server's own address (target: real) */
	uint16_t port;
	uint32_t mark;		       /* SO_MARK; 0: none */
	const struct probe_conf *conf; /* copied */
	struct addr fallback;	       /*
		 * connected to (without mark) if the VIP does not answer, to distinguish vip_missing from a dead host;
		 * zero: not used
		 */
	bool routed; /* behind a router: if neither answers, nothing else shows that the host lives */
};

struct prober_callbacks {
	void (*on_result)(void *ctx, uint32_t server_id, const struct probe_result *r);
	/* no answer for 300 ms, at any stage: a hint to reprobe the neighbour */
	void (*on_slow_connect)(void *ctx, uint32_t server_id);
	/* connected, then nothing received for another WIRE_SLOW_MS; NULL: not wanted */
	void (*on_mute)(void *ctx, uint32_t server_id);
	/* its socket was sent to the child: once at most; NULL: not wanted */
	void (*on_started)(void *ctx, uint32_t server_id);
	/* a child was replaced: "ended: exit 1; the next in 100 ms"; NULL: not wanted */
	void (*on_child)(void *ctx, const char *why);
	/* a server's probes take too much CPU and are now rarer and separate, or no longer; NULL: not wanted */
	void (*on_cost)(void *ctx, uint32_t server_id, bool expensive, uint32_t cpu_ms);
	void *ctx;
};

/* An observer of one probe. on_result ends it, and is never called from within prober_watch(). */
struct prober_audience {
	void (*on_note)(void *ctx,
			const struct probe_note *n); /* TRANSCRIPT_NOTES_MAX times at most */
	void (*on_result)(void *ctx, const struct probe_result *r);
	void *ctx;
};

#define PROBER_WATCHED_MAX 8

/* probes: all probe configurations of later jobs; their CA files are loaded and watched. */
int prober_new(struct ev_loop *loop, const struct prober_callbacks *cb,
	       const struct probe_conf *probes, unsigned n_probes, struct prober **out);
/* Applies another configuration's probes. Running ones finish as they began. */
void prober_reload(struct prober *p, const struct probe_conf *probes, unsigned n_probes);
/*
 * One probe per server at a time: -EBUSY while one runs. If the VIP does not answer, the result is vip_missing if the
 * fallback does; otherwise connect_timeout, or unreachable for a routed server.
 */
int prober_start(struct prober *p, const struct prober_job *job);
/*
 * A probe in addition to the servers' own, whose notes and result go to the observer only. id: for prober_cancel().
 * -EBUSY while PROBER_WATCHED_MAX run.
 */
int prober_watch(struct prober *p, const struct prober_job *job, const struct prober_audience *who,
		 uint32_t *id);
void prober_cancel(struct prober *p, uint32_t id); /* a server's, or prober_watch()'s */
uint64_t prober_child_restarts(const struct prober *p);
/* A CA file that cannot be loaded now, or NULL: its last good version is in use. */
const char *prober_bad_bundle(const struct prober *p);
/* Whether a CA file was replaced by a good one since the last call. */
bool prober_bundles_renewed(struct prober *p);
void prober_free(struct prober *p); /* ends the child, by pid */

/* The child's main(): never returns to the caller's loop; exit status. fd is the SEQPACKET end; bundles: paths, NULL at the end. */
int probe_child_main(int fd, char *const *bundles);

#endif
