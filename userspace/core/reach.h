/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a server can be reached, by the results of its probes and the state of its next hop. Pure: (state, input) ->
 * (state, actions). The rules are numbered in reach.c; the caller carries the actions out.
 */
#ifndef MXLB_REACH_H
#define MXLB_REACH_H

#include <stdbool.h>
#include "core/verdict.h"

struct reach {	     /* the state of one server */
	bool silent; /* the last connect has been unanswered for 300 ms */
	bool asked;  /* a reprobe of the next hop, caused by a hint or a slow connect, is open */
	bool confirming; /* the second reprobe, after the verdict, is open */
	bool lost;	 /* the last probe reported it as unreachable */
};

enum reach_event {
	REACH_BEGINS,	 /* a probe; .hinted */
	REACH_SLOW,	 /* its connect, or a reply, is late by 300 ms */
	REACH_ENDS,	 /* the probe; .raw, .reason, .routed, .gone */
	REACH_ASKED,	 /* the next hop is being reprobed after REACH_DO_ASK */
	REACH_CONFIRMED, /* the same after REACH_DO_CONFIRM */
	REACH_RESOLVED,	 /* the next hop has answered; .was_failed, .up, .probed */
	REACH_FAILED,	 /* the next hop has not answered; .has_mac */
	REACH_UNKNOWN,	 /* the next hop is not resolved */
	REACH_TOLD,	 /* the server was judged without a probe; .reason, .gone */
};

struct reach_input {
	enum reach_event event;
	bool hinted;		 /* the probe was caused by a hint */
	enum reason raw, reason; /* the probe's, and the one after blame.c */
	bool routed;		 /* the server is behind a router */
	bool gone;		 /* its flows are lost already */
	bool was_failed;	 /* the previous state of the next hop */
	bool has_mac;		 /* the next hop has answered at some time */
	bool up;		 /* the verdict */
	bool probed;		 /* a probe of it has begun before */
};

enum reach_do {			      /* a bit each */
		REACH_DO_ASK = 1,     /* reprobe the next hop; REACH_ASKED if that has begun */
		REACH_DO_CONFIRM = 2, /* reprobe it once more; REACH_CONFIRMED if that has begun */
		REACH_DO_HINT = 4,    /* probe soon */
		REACH_DO_PROBE = 8,   /* probe now */
		REACH_DO_UNREACHABLE = 16, /* the verdict: unreachable */
		REACH_DO_GONE = 32,	   /* its flows are lost */
};

/* Returns the actions. */
unsigned reach_take(struct reach *r, const struct reach_input *in);

#endif
