/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps of the flow table's cases: clients of one line, segments, and checks of what they left. */
#ifndef PACKET_FLOWSTEPS_H
#define PACKET_FLOWSTEPS_H

#include "flowbench.h"
#include "flowcases.h"

#define KIB	1024U
#define MIB	(1024U * KIB)
#define ISN	0x12345678U
#define FAR	0x9abcdef0U

#define ACK_SEQ 0xa1b2c3d4U /* what segments with ACK acknowledge */

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

/* What the model said of the last segment, and the program did. */
extern struct flowmodel_result last;

/* Sends a segment; the backend that gets it, 0: none. */
uint32_t segment(const struct flowmodel_tuple *t, unsigned flags, uint32_t seq, uint32_t data);
uint32_t syn(const struct flowmodel_tuple *t, uint32_t isn);
/* A whole handshake: SYN, and the segment that promotes its note. */
uint32_t establish(const struct flowmodel_tuple *t, uint32_t isn);
/* The n-th tuple of a line of their own: all of them share it. */
struct flowmodel_tuple client(int family, unsigned n);
/* The ring moves so that it gives the tuple another backend than before. */
void ring_away(const struct flowmodel_tuple *t, uint32_t from);
void put_state(uint32_t backend, enum flowbench_state s);
unsigned entries_of(const struct flowmodel_tuple *t);
/* The only entry of a tuple. */
const struct flowmodel_entry *entry_of(const struct flowmodel_tuple *t);

#endif
