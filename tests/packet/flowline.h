/* SPDX-License-Identifier: BSD-2-Clause */
/* A line of the program's flow table in the model's terms, so that the two can be compared and printed. */
#ifndef PACKET_FLOWLINE_H
#define PACKET_FLOWLINE_H

#include "bench.h"
#include "../model/flowmodel.h"

/* epoch: the model's; the program stores its lower 16 bits. */
void flowline_read(const struct datapath *dp, int family, uint32_t line, uint32_t epoch,
		   struct flowmodel_line *out);
bool flowline_same(const struct flowmodel_line *a, const struct flowmodel_line *b);
/* To stderr. */
void flowline_print(const char *whose, const struct flowmodel_line *l);
void flowline_print_tuple(const struct flowmodel_tuple *t);

#endif
