/* SPDX-License-Identifier: BSD-2-Clause */
/* The last good answers, in the state directory: zone/SERVICE.json and tlsa/PROBE.json. */
#ifndef MXLB_ZONE_STORE_H
#define MXLB_ZONE_STORE_H

#include "core/tlsaset.h"
#include "core/zone.h"

/* Failures are logged. Without a state directory nothing is kept. */
void store_zone(const char *service, const char *mx, const struct zone *z);
void store_tlsa(const char *probe, const char *name, const struct tlsaset *s);
/* The set in force of the last run. False: there is none, or it is of another name or not as it was written. */
bool store_read_zone(const char *service, const char *mx, struct zone *z);
bool store_read_tlsa(const char *probe, const char *name, struct tlsaset *s);

#endif
