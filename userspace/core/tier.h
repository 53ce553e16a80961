/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chooses the servers of a service that take new connections. Pure: a view of the servers in, a choice out. The rules
 * are numbered in tier.c.
 */
#ifndef MXLB_TIER_H
#define MXLB_TIER_H

#include "core/config.h"
#include "core/health.h"

enum admin_state { ADMIN_READY, ADMIN_DRAIN, ADMIN_MAINT };

enum service_state {
	SERVICE_NOT_READY,     /* cold start: not answered, not served */
	SERVICE_UP,	       /* the active tier has up servers */
	SERVICE_DRAINING_ONLY, /* no server up: the draining ones of the best tier that has any */
	SERVICE_FAIL_OPEN, /* none up or draining: those that are down only because of their certificate */
	SERVICE_DOWN,  /* none at all: all-down decides */
	SERVICE_BLIND, /* the program does not see the packets of its interface (model_blind()) */
	SERVICE_PANIC, /* all failed at once, perhaps because of this box: the last ring stays (panic.c) */
};

#define SERVICE_STATE_COUNT (SERVICE_PANIC + 1)

struct tier_view { /* one server, in the order of service_conf.servers (best preference first) */
	uint16_t preference;
	uint16_t weight;
	enum verdict verdict; /* health_effective() */
	enum reason reason;   /* of that verdict */
	bool probed;	      /* has a verdict, its own or adopted */
	enum admin_state admin;
	bool reachable; /* its next hop is resolved */
};

struct tier_conf {
	uint32_t min_up;
	enum tier_mode mode;
	enum failback failback;
	uint32_t failback_hold_ms;
	uint32_t cold_start_ms; /* the probe's timeout: how long a cold start waits */
	bool has_forced;
	uint16_t forced; /* the tier that the operator forces */
};

/* Better tiers whose hold is timed at once; others wait until one of them is active. */
#define TIER_HELD_MAX 8

struct tier_held { /* a tier that only the failback hold, or manual failback, keeps from being active */
	uint16_t preference;
	uint64_t since_ms; /* monotonic: fit since */
};

struct tier_state { /* Kept between calls; zero it and set .started_ms before the first one */
	enum service_state state;
	bool has_active;
	uint16_t active; /* preference of the active tier */
	bool served;	 /* left the cold start, or adopted */
	bool from_scratch; /* the next choice ignores the active tier: the operator asks for the best */
	uint64_t started_ms;
	struct tier_held held[TIER_HELD_MAX]; /* better than the active one, best first */
	unsigned n_held;
};

/*
 * Decides again. in_ring[i]: whether server i takes new connections. Returns the time in ms at which to call it again
 * even if nothing has changed (the end of a hold or of the cold start), or 0.
 */
uint64_t tier_choose(struct tier_state *state, const struct tier_conf *conf,
		     const struct tier_view *views, unsigned n, uint64_t now_ms, bool *in_ring);

const char *service_state_name(
	enum service_state s); /* "up" "draining-only" "fail-open" "down" "not-ready" "blind" */
const char *admin_state_name(enum admin_state s); /* "ready" "drain" "maint" */

#endif
