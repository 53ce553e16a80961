/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A watched probe as one JSON document, the same whether mxlbd or mxlbctl has watched:
 *
 * {"address","port","reason","verdict","healthy","meaning","exo_code","stage","smtp_code","text",
 *  "connect_ms","greeting_ms","tls_ms","total_ms","version","cipher",
 *  "dialogue":[{"ms","who":"probe|server|note","text"}],
 *  "chain":[{"subject","issuer","names":[],"not_before","not_after","days_left","sha1","spki_sha256"}],
 *  "policies":[{"policy","reason","ok","exo_code","text"}]}
 *
 * Times of certificates are RFC 3339, or null where no four-digit year has them.
 */
#ifndef MXLB_REPORT_H
#define MXLB_REPORT_H

#include <jansson.h>
#include "probe/prober.h"

struct probe_report {
	int64_t now_s; /* since 1970, for days_left */
	enum tls_policy policy;
	json_t *dialogue, *chain, *policies;
};

void report_begin(struct probe_report *r, int64_t now_s, enum tls_policy policy);
void report_note(struct probe_report *r, const struct probe_note *n);
/* The document, for the caller to json_decref(); NULL: no memory. r is as empty as before report_begin(). */
json_t *report_end(struct probe_report *r, const struct addr *address, uint16_t port,
		   const struct probe_result *result);
void report_drop(struct probe_report *r);

#endif
