/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The arithmetic of the flow table's rules (docs/datapath.md): plain functions of an entry's word on which the kernel
 * program and mxlbd, which reads the table through mapped memory, must agree.
 */
#ifndef MXLB_FLOWRULES_H
#define MXLB_FLOWRULES_H

#include "mxlb/abi.h"

/*
 * Rule 0: distances between a segment's sequence number and the point where the entry's flow continues, in units of
 * 256 bytes.
 */
#define FLOW_UNIT_BITS 8
#define FLOW_MOVE      4096 /* 1 MiB: the entry moves, its data unmarks it */
#define FLOW_SAME      512  /* 128 KiB: a SYN or a note belongs to this flow */
#define FLOW_RESUME    64   /* 16 KiB: the same for a resting entry */
#define FLOW_CLOSE     2    /* 512 bytes: FIN and RST close it */

#define NOTE_REACH     65536 /* bytes after the SYN within which a segment follows its note */

/* In epochs (seconds). */
#define EPOCHS_RESTING 2    /* then an unused entry rests: rule 0 */
#define EPOCHS_CLOSED  2    /* then a closed entry is free */
#define EPOCHS_COUNTED 900  /* 15 minutes: an open entry used within them counts as a flow */
#define EPOCHS_EMPTY   60   /* the same for one whose client has sent no data */
#define EPOCHS_OLD     1800 /* 30 minutes */

#define FLOW_SETTLED   2 /* of a line; the last slot is left for new connections */

/* Rule 5: the order in which entries are displaced. SETTLED entries never are. */
enum flow_rank {
	RANK_FREE,
	RANK_CLOSED_UNUSED,
	RANK_OLD,
	RANK_CLOSED,
	RANK_BY_MISS,
	RANK_BESIDE,
	RANK_EMPTY,
	RANK_DATA,
	RANK_SETTLED,
	RANK_BUSY,
};
#define RANK_LIVE   RANK_BY_MISS /* from this rank on it is an eviction */

#define FLOW_INLINE static inline __attribute__((always_inline))

FLOW_INLINE __u32 flow_unit(__u32 seq)
{
	return seq >> FLOW_UNIT_BITS;
}

/* The distance of two units, modulo 2^24. */
FLOW_INLINE __u32 flow_distance(__u32 a, __u32 b)
{
	__s32 d = (__s32)((a - b) << FLOW_UNIT_BITS) >> FLOW_UNIT_BITS;

	return d < 0 ? -d : d;
}

/* Rule 3: the tuple's entry with the lowest order is the nearest. */
FLOW_INLINE __u32 flow_order(union mxlb_entry e, __u32 unit)
{
	return flow_distance(e.seq, unit) << 1 | !!(e.marks & MXLB_MARK_BESIDE);
}

/* Rule 3: a note is promoted into the tuple's entry with the lowest value; ~0: not into this one. */
FLOW_INLINE __u32 flow_room(union mxlb_entry e, __u32 unit)
{
	if (e.marks & MXLB_MARK_CLOSED)
		return flow_order(e, unit);
	return e.marks & MXLB_MARK_BESIDE ? 1u << 31 | flow_order(e, unit) : ~0u;
}

FLOW_INLINE __u16 flow_age(union mxlb_entry e, __u16 epoch)
{
	return epoch - e.epoch;
}

FLOW_INLINE __u32 flow_rank(union mxlb_entry e, __u16 epoch)
{
	__u16 age = flow_age(e, epoch);

	if (!e.backend)
		return RANK_FREE;
	if (e.backend == MXLB_ENTRY_BUSY)
		return RANK_BUSY;
	if ((e.marks & MXLB_MARK_CLOSED) && age >= EPOCHS_CLOSED)
		return RANK_CLOSED_UNUSED;
	if (age >= EPOCHS_OLD)
		return RANK_OLD;
	if (e.marks & MXLB_MARK_CLOSED)
		return RANK_CLOSED;
	if ((e.marks & (MXLB_MARK_BY_MISS | MXLB_MARK_DATA)) == MXLB_MARK_BY_MISS)
		return RANK_BY_MISS;
	if (e.marks & MXLB_MARK_BESIDE)
		return RANK_BESIDE;
	if (!(e.marks & MXLB_MARK_DATA))
		return RANK_EMPTY;
	return e.marks & MXLB_MARK_SETTLED ? RANK_SETTLED : RANK_DATA;
}

/* The entry with the lowest score is displaced: rank, then the longest unused. */
FLOW_INLINE __u32 flow_score(union mxlb_entry e, __u16 epoch)
{
	return flow_rank(e, epoch) << 16 | (0xffff - flow_age(e, epoch));
}

/* Rule 0: an entry's marks after a segment. flags as in the TCP header: FIN 1, RST 4. */
FLOW_INLINE __u8 flow_marks(union mxlb_entry e, __u32 distance, __u8 flags, int has_data)
{
	__u8 marks = e.marks;

	if (flags & 5)
		return distance <= FLOW_CLOSE ? (marks | MXLB_MARK_CLOSED) & ~MXLB_MARK_SETTLED
					      : marks;
	return has_data && distance <= FLOW_MOVE ? (marks & ~MXLB_MARK_CLOSED) | MXLB_MARK_DATA
						 : marks;
}

FLOW_INLINE int flow_is_settled(union mxlb_entry e, __u16 epoch)
{
	return e.backend && e.backend != MXLB_ENTRY_BUSY && (e.marks & MXLB_MARK_SETTLED) &&
	       flow_age(e, epoch) < EPOCHS_OLD;
}

/* Rule 0: the first entries of a line with DATA settle. others: how many other entries of the line have settled. */
FLOW_INLINE __u8 flow_settle(__u8 marks, __u32 others)
{
	if ((marks & (MXLB_MARK_DATA | MXLB_MARK_CLOSED | MXLB_MARK_BESIDE)) != MXLB_MARK_DATA ||
	    others >= FLOW_SETTLED)
		return marks & ~MXLB_MARK_SETTLED;
	return marks | MXLB_MARK_SETTLED;
}

/* Whether the flow is open but its client has sent no data. */
FLOW_INLINE int flow_is_empty(union mxlb_entry e, __u16 epoch)
{
	return e.backend && e.backend != MXLB_ENTRY_BUSY &&
	       !(e.marks & (MXLB_MARK_CLOSED | MXLB_MARK_DATA)) &&
	       flow_age(e, epoch) < EPOCHS_COUNTED;
}

/*
 * Rule 7: whether the entry counts as a flow. Without data it carries no mail and may be forged, so it counts for a
 * shorter time.
 */
FLOW_INLINE int flow_counts(union mxlb_entry e, __u16 epoch)
{
	__u16 most = e.marks & MXLB_MARK_DATA ? EPOCHS_COUNTED : EPOCHS_EMPTY;

	return e.backend && e.backend != MXLB_ENTRY_BUSY && !(e.marks & MXLB_MARK_CLOSED) &&
	       flow_age(e, epoch) < most;
}

#endif
