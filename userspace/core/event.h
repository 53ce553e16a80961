/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events: the model adds them; log lines, `events` and notify are made from them. A ring buffer of the last
 * EVENT_LOG_SIZE; .seq never repeats within a run of mxlbd, so a reader knows what it has missed.
 */
#ifndef MXLB_EVENT_H
#define MXLB_EVENT_H

#include "core/tier.h"
#include "util/log.h"

#define EVENT_LOG_SIZE	1024
#define ZONE_REMINDER	"reminder" /* the reason of an event that repeats an earlier one */
#define EVENT_TEXT_SIZE 320
#define EVENT_LINE_SIZE (2 * EVENT_TEXT_SIZE + 512) /* that any fits in */

enum event_kind {
	EVENT_BACKEND_VERDICT, /* from, to: verdict names */
	EVENT_BACKEND_ADMIN,
	EVENT_BACKEND_NEXTHOP,
	EVENT_BACKEND_WEIGHT, /* from, to: weights */
	EVENT_SERVICE_STATE,  /* from, to: service state names */
	EVENT_SERVICE_TIER,   /* from, to: preferences or "-" */
	EVENT_SERVICE_FORCED, /* from, to: preferences or "auto" */
	EVENT_CONFIG,	      /* a configuration is in force, after a start or a reload */
	EVENT_RELOAD_FAILED,  /* the previous one stays in force */
	EVENT_STARTED,	      /* to: mxlbd's version */
	EVENT_STOPPED,
	EVENT_DETACH,	    /* the datapath is removed */
	EVENT_INTERFACE,    /* from, to: XDP modes: "native", "generic", "detached", "undeclared" */
	EVENT_LINK,	    /* from, to: "up", "no-carrier", "down", "gone" */
	EVENT_PROBE_CHILD,  /* a probe child is replaced */
	EVENT_VIP_CONFLICT, /* from, to: "none", "claimed": another host claims a VIP */
	EVENT_CERTIFICATE_EXPIRES, /* to: days left, below zero once it has */
	EVENT_CERTIFICATE_DIFFERS, /* from the certificates of the service's other servers */
	EVENT_PROBLEM,		   /* from, to: "none" or the name of a problem of this box */
	EVENT_PUT_BACK,		   /* to: how many; what other programs removed is restored */
	EVENT_INTERFACE_BLIND, /* from, to: "blind", "sees", "unknown": whether the program sees arriving packets */
	EVENT_PROBE_COST, /* to: "expensive", "cheap" */
	EVENT_BACKEND_WARNING, /* from, to: reason names or "none": the server refuses the probe, and stays up */
	EVENT_ROLE,	   /* from, to: "active", "standby" */
	EVENT_ROLE_SOURCE, /* to: "keepalived", "lost" */
	EVENT_NOTIFY_TEST, /* `mxlbctl notify-test` runs the program */
	EVENT_ROUTE,	   /* from, to: "advertised", "draining", "withdrawn" */
	EVENT_ZONE,	   /* from, to: states of zone.h; reason: "unmapped", "alias" */
	EVENT_TLSA,	   /* from, to: states of tlsaset.h; reason: "unmatched", "unusable" */
};

struct event {
	uint64_t seq;
	int64_t time_ms; /* wall clock, ms since 1970: given by the caller of the model */
	enum event_kind kind;
	char service[CONFIG_NAME_SIZE]; /* empty: not about a service */
	char server[CONFIG_NAME_SIZE];
	char interface[IF_NAMESIZE];
	char from[24], to[24];
	char reason[32];	     /* a verdict's, by its name; .cause begins with it */
	char user[32];		     /* the user who caused it; empty: none */
	char cause[EVENT_TEXT_SIZE]; /* reason name and the server's words */
};

struct event_log {
	int64_t run;	   /* when this mxlbd started, ms since 1970: numbers are of one run */
	uint64_t next_seq; /* of the event to come; the first is 1 */
	struct event ring[EVENT_LOG_SIZE];
};

const char *event_kind_name(enum event_kind k); /* "backend_verdict" ... */
struct event *event_add(struct event_log *log, enum event_kind kind, int64_t time_ms);
/* The log level of its line. */
enum log_level event_level(const struct event *e);
/* The event of that number, or NULL when it is gone or not yet there. */
const struct event *event_get(const struct event_log *log, uint64_t seq);
/* One key=value line without newline: what the log prints. Returns buf. */
char *event_line(const struct event *e, char *buf, size_t size);

#endif
