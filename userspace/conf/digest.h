/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What two boxes must have alike to be peers, as a number that can be compared: per service the first 8 bytes, in hex, of HMAC-SHA256
 * (RFC 2104) over the service's settings as canonical JSON. The key is the hash key in force: it takes part, and is not disclosed.
 * Free to differ: interface, advertise, withdraw, log-connections, and all sections but `services` and `probes`.
 */
#ifndef MXLB_CONF_DIGEST_H
#define MXLB_CONF_DIGEST_H

#include "core/config.h"

#define DIGEST_TEXT_SIZE 17

/* Of service i of c. 0 or -ENOMEM. */
int digest_service(const struct config *c, unsigned i, const uint8_t key[16],
		   char out[DIGEST_TEXT_SIZE]);
/* Of the box: over its services' names and digests, in the names' order. */
int digest_box(const struct config *c, const uint8_t key[16], char out[DIGEST_TEXT_SIZE]);

#endif
