/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rates of every backend, from two looks at the daemon's status.
 */
#ifndef MXLB_CTL_RATES_H
#define MXLB_CTL_RATES_H

#include <jansson.h>

/*
 * A list of objects: service, backend, preference, in_ring, verdict, admin, flows, probe_ms, and new_per_s, packets_per_s,
 * bits_per_s. These are null without an earlier status (NULL), of a backend that was not there then, and where a counter fell:
 * it was another mxlbd's, or another's that had the name. seconds: between the two. The caller's to json_decref(); NULL: no memory.
 */
json_t *rates_of(const json_t *earlier, const json_t *status, double seconds);

#endif
