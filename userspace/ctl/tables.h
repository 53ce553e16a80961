/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's status document as text for people, at most 80 columns wide.
 */
#ifndef MXLB_CTL_TABLES_H
#define MXLB_CTL_TABLES_H

#include <jansson.h>

/* Everything: a block for each service, a line for each server, a second one where something is wrong. */
void tables_status(const json_t *document);
/* One server in full. now: the document's "time". */
void tables_server(const json_t *service, const json_t *tier, const json_t *server, time_t now);

#endif
