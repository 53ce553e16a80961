/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters that the program should have according to the model, compared with its own. */
#ifndef PACKET_FLOWTALLY_H
#define PACKET_FLOWTALLY_H

#include "bench.h"
#include "../model/flowmodel.h"

/* From here on, with the program's counters as they stand. */
void flowtally_start(struct datapath *dp);
/* A frame of so many bytes, and what became of it. */
void flowtally_add(const struct flowmodel_result *r, unsigned bytes);
/* Are the program's counters, and its numbers of flows, the same? If not, says what differs. */
bool flowtally_same(struct datapath *dp, struct flowmodel *m, uint32_t epoch);

#endif
