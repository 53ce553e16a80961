/* SPDX-License-Identifier: BSD-2-Clause */
/* The last good answers, in the state directory: zone/SERVICE.json and tlsa/PROBE.json. */
#ifndef MXLB_ZONE_STORE_H
#define MXLB_ZONE_STORE_H

#include "core/tlsaset.h"
#include "core/zone.h"

/* Failures are logged. Without a state directory nothing is kept. */
void store_zone(const char *service, const char *mx, const struct zone *z);
/* Servers that do not come from DNS, because it has not answered yet, or because its first answer is held back. */
void store_servers(const char *service, const char *mx, const struct addr *vip,
		   const struct zone_map *map);
/* The service has no zone any more: servers of store_servers() would be too old for it if it came back. */
void store_forget_servers(const char *service);
void store_tlsa(const char *probe, const char *name, const struct tlsaset *s);
/*
 * The set in force of the last run; what was absent is missing once, as of now_ms. Or the servers of store_servers(), in
 * the map alone. False: there is neither, or it is of another name or VIP or not as it was written.
 */
bool store_read_zone(const char *service, const char *mx, const struct addr *vip, uint64_t now_ms,
		     struct zone *z, struct zone_map *map);
bool store_read_tlsa(const char *probe, const char *name, struct tlsaset *s);

#endif
