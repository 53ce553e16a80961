/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients that were turned away: what the datapath remembers of them, and a summary for each service. Pure. */
#ifndef MXLB_CORE_REJECTED_H
#define MXLB_CORE_REJECTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mxlb/counters.h"
#include "mxlb/limits.h"
#include "util/addr.h"

#define REJECTED_RECENT_MS (3600 * 1000ull) /* a summary counts the clients of the last hour */

enum rejected_kind {
	REJECTED_denied,    /* by the allow-list */
	REJECTED_limited,   /* by syn-limit */
	REJECTED_malformed, /* no sound TCP/IP packet */
	REJECTED_no_server, /* no server took mail, or the client's own is gone */
	REJECTED_KINDS,
};

struct rejected_row {
	struct addr client;  /* as its packets say: it may be forged */
	uint32_t service_id; /* MXLB_MAX_SERVICES: not known */
	unsigned counter;    /* enum mxlb_counter: one of MXLB_REJECTS, or would_deny */
	uint32_t packets;
	uint64_t age_ms; /* since its last packet */
};

struct rejected_summary { /* of a service, or of the packets of which no service is known */
	uint64_t packets[REJECTED_KINDS];
	unsigned clients
		[REJECTED_KINDS]; /* within REJECTED_RECENT_MS, as far as they are remembered */
	unsigned would_deny;	  /* of clients, too */
	struct rejected_row last; /* packets 0: none is recorded */
};

/* REJECTED_KINDS: it turns no client away. */
enum rejected_kind rejected_kind(unsigned counter);
const char *rejected_kind_name(enum rejected_kind kind); /* "denied" */
/* What it means, for people: "not in the allow-list". Of a counter, not of a kind. */
const char *rejected_why(unsigned counter);
/* Adds a remembered client to the summaries, MXLB_MAX_SERVICES + 1 of them by service id. */
void rejected_add(struct rejected_summary *all, const struct rejected_row *row);
/* Sets .packets from a service's counters, by enum mxlb_drop. */
void rejected_count(struct rejected_summary *s, const uint64_t *drops);

#endif
