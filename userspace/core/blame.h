/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whom a probe's result blames: the server, this client alone, or this box. Pure; the rules are numbered in blame.c and
 * told to operators in docs/verdicts.md. This is the only place where the reason of a result is changed after the probe.
 */
#ifndef MXLB_BLAME_H
#define MXLB_BLAME_H

#include <stdbool.h>
#include "core/passive.h"
#include "core/verdict.h"

/* What a bare connect to the server's own address led to, while the VIP did not answer. */
enum blame_fallback {
	BLAME_FALLBACK_NONE, /* not asked, or its outcome is this box's trouble */
	BLAME_FALLBACK_ANSWERS,
	BLAME_FALLBACK_SILENT,
};

/* Rules 1 to 3: a connect that nobody answered. routed: the server is behind a router, so no next hop tells of it. */
enum reason blame_silence(enum reason raw, enum blame_fallback fallback, bool routed,
			  bool has_fallback);

struct blame_path { /* what is known of the way when a result comes in */
	bool next_hop_failed;
	bool link_is_ours; /* our interface is down, without carrier, or came up just now */
};

/* Rules 4 and 5. */
enum reason blame_path(enum reason raw, const struct blame_path *path);

struct blame_refusal {		      /* an SMTP refusal, by a server that takes new connections */
	enum reason reason;	      /* as the probe says */
	bool names_server;	      /* refusal_names_server() */
	enum passive_finding passive; /* of this server's clients */
	bool early;		      /* met before MAIL FROM */
	bool coming;		      /* clients connect, so that passive evidence will come */
	bool waited;		      /* it has been waited for long enough */
	bool twin_ok;		      /* another server of the tier is up, and takes the probe */
	bool all_same; /* all servers of the tier, two or more, refuse it by the same words */
};

enum blame_act {
	BLAME_ACTS,  /* the reason stands and does what its row says */
	BLAME_NOW,   /* it stands and acts at once: its clients are refused too */
	BLAME_WARNS, /* it is about this client alone */
	BLAME_UP,    /* the same, and its clients show that it is up, whatever its verdict is */
	BLAME_WAITS, /* for its clients' evidence */
};

/* Rules 6 to 12. */
enum blame_act blame_refusal(const struct blame_refusal *r);

#endif
