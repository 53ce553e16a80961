/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TLSA records of a probe's tlsa-name: which of them are in force, judged as Exchange Online judges them
 * (docs/zone.md). Pure.
 */
#ifndef MXLB_TLSASET_H
#define MXLB_TLSASET_H

#include "core/dns.h"
#include "core/event.h"
#include "core/verdict.h"

enum tlsaset_state { TLSASET_CURRENT, TLSASET_NONE, TLSASET_KEPT, TLSASET_STATES };

struct tlsaset {
	enum tlsaset_state state;
	char why[DNS_CAUSE_SIZE + 64];
	bool warn; /* of state none: there are records, but no usable one */
	struct tlsa list[CONFIG_MAX_TLSA];
	unsigned n;	     /* in force; 0: TLS without authentication */
	int64_t set_wall_ms; /* of the last good answer; 0: none */
	uint64_t changed_ms; /* monotonic: the last change of the records or of their state */
	enum dns_result last;
	uint64_t lookups[DNS_RESULTS];
	unsigned failures;
	uint64_t due_ms;
};

enum tlsaset_match { TLSASET_NO_MATCH, TLSASET_MATCH, TLSASET_UNKNOWN };

struct tlsaset_view {
	const struct dns_conf *dns;
	uint64_t now_ms;
	int64_t wall_ms;
	uint32_t random;
};

const char *tlsaset_state_name(enum tlsaset_state s);
/* a NULL: there is none; why: as resolver_done_fn() has it. True: the state or the set changed. */
bool tlsaset_answered(struct tlsaset *s, const struct dns_answer *a, const char *why,
		      const struct tlsaset_view *v);
const char *tlsaset_exchange_online(const struct tlsaset *s);
/* Does a server's certificate, as last seen, match one? Of usage 2 only a probe knows it: it has the whole chain. */
enum tlsaset_match tlsaset_matches(const struct tlsaset *s, const struct tls_info *tls);

/* By the certificate; else by the last probe, if it began with these records. ended_ms: of the probe, monotonic; 0: there was none. */
enum tlsaset_match tlsaset_judge(const struct tlsaset *s, const struct probe_result *last,
				 uint64_t ended_ms);

/* What the servers of the best tier show, one after another. Zeroed: none yet. */
struct tlsaset_tally {
	bool match, miss, unsure; /* unsure: of one that is up it is not known */
};

void tlsaset_count(struct tlsaset_tally *t, enum tlsaset_match m, bool is_up);
/* Whether no server has a key that matches. A server that is up and may match leaves it as it was. */
bool tlsaset_unmatched(const struct tlsaset_tally *t, bool was);

#endif
