/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes from DNS, for those who show it. By the configuration's order of services, of probes. */
#ifndef MXLB_ZONE_REPORT_H
#define MXLB_ZONE_REPORT_H

#include "core/tlsaset.h"
#include "core/zone.h"

struct zone_report {
	const struct zone *zones[MXLB_MAX_SERVICES]; /* NULL: it has tiers */
	const struct zone_map *maps[MXLB_MAX_SERVICES];
	const struct tlsaset *tlsasets[CONFIG_MAX_PROBES]; /* NULL: it has no tlsa-name */
	bool tlsa_unmatched[CONFIG_MAX_PROBES];		   /* no server of the best tier matches */
	bool unapplied; /* what was decided could not be applied yet */
};

#endif
