/* SPDX-License-Identifier: BSD-2-Clause */
/* What is wrong with a service's zone and with its probe's TLSA records, for diagnosis.c. Pure. */
#ifndef MXLB_ZONE_FINDING_H
#define MXLB_ZONE_FINDING_H

#include "core/finding.h"
#include "core/zone_report.h"

#define ZONE_FINDINGS 4 /* of a service, at most */

/* Of the service and the probe at these places in the configuration. Without .service. Returns their number. */
unsigned zone_findings(const struct zone_report *r, const struct config *c, unsigned service,
		       struct finding out[ZONE_FINDINGS]);
/* Why a service with `mx` has no server, and what to do. z NULL: not known. */
void zone_no_servers(const struct zone *z, const struct zone_map *map, const char *service,
		     const char *mx, struct finding *f);
/* What to do about the state; "": nothing. Returns out. */
char *zone_next_step(const struct zone *z, const char *service, char out[FINDING_NEXT_SIZE]);
/* The length of a cause without its own remedy, which is a next step. */
int zone_cause_len(const char *why);
char *tlsa_next_step(const struct tlsaset *t, bool unmatched, const char *service,
		     char out[FINDING_NEXT_SIZE]);

#endif
