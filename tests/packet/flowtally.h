/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters that the program should have according to the model, compared with its own. */
#ifndef PACKET_FLOWTALLY_H
#define PACKET_FLOWTALLY_H

#include "bench.h"
#include "../model/flowmodel.h"

/* Starts counting from the program's current counters. */
void flowtally_start(struct datapath *dp);
/* Counts a frame of this length and its outcome. */
void flowtally_add(const struct flowmodel_result *r, unsigned bytes);
/* Compares the program's counters and numbers of flows with the model's, and prints differences. */
bool flowtally_same(struct datapath *dp, struct flowmodel *m, uint32_t epoch);

#endif
