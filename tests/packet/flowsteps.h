/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps for the cases of the flow table: clients of one line, segments, and checks of the result. */
#ifndef PACKET_FLOWSTEPS_H
#define PACKET_FLOWSTEPS_H

#include "flowbench.h"
#include "flowcases.h"

#define KIB	1024U
#define MIB	(1024U * KIB)
#define ISN	0x12345678U
#define FAR	0x9abcdef0U

#define ACK_SEQ 0xa1b2c3d4U /* the acknowledgment number of segments with ACK */

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

/* The result of the model for the last segment, which the program's equals. */
extern struct flowmodel_result last;

/* Sends a segment and returns the server that gets it, 0: none. */
uint32_t segment(const struct flowmodel_tuple *t, unsigned flags, uint32_t seq, uint32_t data);
uint32_t syn(const struct flowmodel_tuple *t, uint32_t isn);
/* A whole handshake: SYN, and the segment that promotes the half-open entry. */
uint32_t establish(const struct flowmodel_tuple *t, uint32_t isn);
/* The n-th tuple of the cases' line: all of them share it. */
struct flowmodel_tuple client(int family, unsigned n);
/* Changes the ring, so that it gives the tuple another server than before. */
void ring_away(const struct flowmodel_tuple *t, uint32_t from);
void put_state(uint32_t server, enum flowbench_state s);
unsigned entries_of(const struct flowmodel_tuple *t);
/* The only entry of a tuple. */
const struct flowmodel_entry *entry_of(const struct flowmodel_tuple *t);

#endif
