/* SPDX-License-Identifier: BSD-2-Clause */
/* Rates of every server, from two status documents. */
#ifndef MXLB_CTL_RATES_H
#define MXLB_CTL_RATES_H

#include <jansson.h>

/*
 * A list of objects: service, server, preference, in_ring, verdict, admin, flows, probe_ms, and new_per_s, packets_per_s,
 * bits_per_s. These are null without an earlier status (NULL), of a server that was not there then, and where a counter fell:
 * it was another mxlbd's, or another's that had the name. seconds: between the two. The caller's to json_decref(); NULL: no memory.
 */
json_t *rates_of(const json_t *earlier, const json_t *status, double seconds);
/*
 * Of one service of `status`: packets a second that no sender of mail causes. denied_per_s, limited_per_s (SYNs refused by `allow`
 * and `syn-limit`), impossible_per_s (addresses, flags or lengths that no client sends), evicted_per_s (entries of the flow table
 * that gave way), stray_per_s (segments of no known connection). Empty without an earlier status. The caller's; NULL: no memory.
 */
json_t *rates_of_attack(const json_t *earlier, const json_t *status, const json_t *service,
			double seconds);

#endif
