/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides what a probe's result is evidence about: the server, this client alone, or this box. Pure; the rules are
 * numbered in blame.c and explained to operators in docs/verdicts.md. This is the only place where a reason is changed
 * after the probe.
 */
#ifndef MXLB_BLAME_H
#define MXLB_BLAME_H

#include <stdbool.h>
#include "core/passive.h"
#include "core/verdict.h"

/* The result of a connect to the server's own address while the VIP did not answer. */
enum blame_fallback {
	BLAME_FALLBACK_NONE, /* not tried, or failed because of this box */
	BLAME_FALLBACK_ANSWERS,
	BLAME_FALLBACK_SILENT,
};

/* Rules 1 to 3: a connect that was not answered. routed: the server is behind a router, so no next hop shows its state. */
enum reason blame_silence(enum reason raw, enum blame_fallback fallback, bool routed,
			  bool has_fallback);

struct blame_path { /* what is known about the path when a result arrives */
	bool next_hop_failed;
	bool l2_routed;	   /* forward: l2, and the server is behind a router */
	bool tunnel;	   /* forward: ipip */
	bool link_is_ours; /* our interface is down, without carrier, or came up just now */
};

/* Rules 4 to 7. */
enum reason blame_path(enum reason raw, const struct blame_path *path);

struct blame_refusal {		      /* an SMTP refusal, by a server that takes new connections */
	enum reason reason;	      /* as the probe says */
	bool names_server;	      /* refusal_names_server() */
	enum passive_finding passive; /* of this server's clients */
	bool early;		      /* met before MAIL FROM */
	bool coming;		      /* clients connect, so there will be passive evidence */
	bool waited;		      /* the wait for evidence is over */
	bool twin_ok;		      /* another server of the tier is up and accepts the probe */
	bool all_same; /* all servers of the tier, two or more, refuse it with the same words */
};

enum blame_act {
	BLAME_ACTS,  /* the reason stands, with the effect of its row */
	BLAME_NOW,   /* it stands and acts at once: clients are refused too */
	BLAME_WARNS, /* it is about this client alone */
	BLAME_UP,    /* the same, and clients show that the server is up, whatever its verdict */
	BLAME_WAITS, /* wait for clients' evidence */
};

/* Rules 8 to 14. */
enum blame_act blame_refusal(const struct blame_refusal *r);

#endif
