/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Microsoft 365's list of endpoints, as https://endpoints.office.com/endpoints/worldwide gives it: a JSON array
 * of records {id, serviceArea, urls, ips, tcpPorts, ...}, of which those with TCP 25 are wanted.
 */
#ifndef MXLB_CONF_ENDPOINTS_H
#define MXLB_CONF_ENDPOINTS_H

#include "conf/prefixes.h"
#include "conf/value.h"
#include "util/buf.h"

#define ENDPOINTS_FILE_MAX (4 * 1024 * 1024)
#define ENDPOINTS_WHY_SIZE 384

_Static_assert(ENDPOINTS_WHY_SIZE >= VALUE_WHY_SIZE, "the reasons of value_fn fit");

/*
 * Appends the prefixes of one family that the text gives to TCP 25, as they come. 0 (perhaps without any),
 * -ENOMEM, or -EINVAL and in `why` the reason, with the place in the JSON text as a line and column or as jq's
 * path.
 */
int endpoints_parse(const struct buf *text, bool v4, struct prefixes *out,
		    char why[ENDPOINTS_WHY_SIZE]);
/* The same of a file. *exposed becomes true if every user may write it. */
int endpoints_read(const char *path, bool v4, struct prefixes *out, bool *exposed,
		   char why[ENDPOINTS_WHY_SIZE]);

#endif
