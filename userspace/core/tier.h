/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which backends of a service take new connections. Pure: a view of the backends in, a choice out.
 * The rules are numbered in tier.c.
 */
#ifndef MXLB_TIER_H
#define MXLB_TIER_H

#include "core/config.h"
#include "core/health.h"

enum admin_state { ADMIN_READY, ADMIN_DRAIN, ADMIN_MAINT };

enum service_state {
	SERVICE_NOT_READY,     /* cold start: not answered, not served */
	SERVICE_UP,	       /* the active tier has up backends */
	SERVICE_DRAINING_ONLY, /* nobody up: the draining ones of the best tier that has any */
	SERVICE_FAIL_OPEN,     /* nobody up or draining: those whose certificate alone is bad */
	SERVICE_DOWN,	       /* nobody at all: all-down decides */
	SERVICE_BLIND, /* the program does not see the interface's packets (model_blind()) */
	SERVICE_PANIC, /* all failed at once, maybe through this box: the last ring stays (panic.c) */
};

#define SERVICE_STATE_COUNT (SERVICE_PANIC + 1)

struct tier_view { /* one backend, in the order of service_conf.backends (best preference first) */
	uint16_t preference;
	uint16_t weight;
	enum verdict verdict; /* health_effective() */
	enum reason reason;   /* of that verdict */
	bool probed;	      /* has a verdict of its own, or an adopted one */
	enum admin_state admin;
	bool reachable; /* its next hop is resolved: it can be sent to */
};

struct tier_conf {
	uint32_t min_up;
	enum tier_mode mode;
	enum failback failback;
	uint32_t failback_hold_ms;
	uint32_t cold_start_ms; /* the probe's timeout: how long a cold start waits */
	bool has_forced;
	uint16_t forced; /* the preference that the operator wants to be active */
};

/* Better tiers timed at once; a further one waits until one of them is served. */
#define TIER_HELD_MAX 8

struct tier_held { /* a tier that could be served but for the failback hold, or a manual failback */
	uint16_t preference;
	uint64_t since_ms; /* monotonic: fit since */
};

struct tier_state { /* kept between calls; zero it and set .started_ms before the first */
	enum service_state state;
	bool has_active;
	uint16_t active; /* preference of the active tier */
	bool served;	 /* left the cold start, or adopted */
	bool anew; /* the next choice knows of no active tier: the operator asks for the best */
	uint64_t started_ms;
	struct tier_held held[TIER_HELD_MAX]; /* better than the active one, best first */
	unsigned n_held;
};

/*
 * Decides anew. in_ring[i] says whether backend i takes new connections. Returns the time in ms at which it
 * should be asked again though nothing changed (a hold or the cold start runs out), or 0 for never.
 */
uint64_t tier_choose(struct tier_state *state, const struct tier_conf *conf,
		     const struct tier_view *views, unsigned n, uint64_t now_ms, bool *in_ring);

const char *service_state_name(
	enum service_state s); /* "up" "draining-only" "fail-open" "down" "not-ready" "blind" */
const char *admin_state_name(enum admin_state s); /* "ready" "drain" "maint" */

#endif
