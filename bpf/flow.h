/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The flow table: which server a segment belongs to. A packet touches one line of it, calls no helper and reads no
 * clock. The rules have the numbers of docs/datapath.md; tests/model/ has them once more, in a simpler form.
 *
 *   0. An entry records where its flow continues: the upper 24 bits of the sequence number behind the last segment.
 *      Data within FLOW_MOVE of that point moves it, forward or back, clears CLOSED and sets DATA; other segments
 *      follow the entry and change nothing. An entry unused for EPOCHS_RESTING rests: segments beyond FLOW_RESUME
 *      follow it and change nothing, because a client that resumes continues where it stopped. The first FLOW_SETTLED
 *      entries of a line with DATA become SETTLED: nothing displaces them until they are closed or old, so millions of
 *      forged connections displace only each other. FIN, RST, and segments that are answered with RST, set CLOSED only
 *      within FLOW_CLOSE. So a sender that does not know the sequence number can hardly close and never replace an open
 *      flow.
 *   1. A SYN is placed by the ring and noted. It changes no entry.
 *   2. The same SYN again follows its note. A late copy whose note is gone follows the open entry within FLOW_SAME of
 *      it, and writes nothing. If that server is down, rule 1 applies to both.
 *   3. Of several entries of a tuple the nearest counts; of equally near ones the one without BESIDE, then the first.
 *      If it has the note's server and lies within FLOW_SAME, it is the note's flow: rule 4. Otherwise the segment
 *      behind a noted SYN promotes the note to an entry: in place of the tuple's nearest closed entry, else of its
 *      entry marked BESIDE, else by rule 5. The new entry is marked BESIDE if another open one of the tuple remains.
 *      So blindly forged handshakes replace each other and (except by rule 5 in a full line) not the real flow. The
 *      note stays. A segment a little further on follows the note if the tuple has no entry, a closed one, or one
 *      beyond FLOW_MOVE.
 *   4. Any other segment follows its entry. Without one it follows the ring, and unless it is a RST an entry is made
 *      if the line has a slot that is free, closed, old or was made this way.
 *   5. Which entry is displaced in a full line: flow_rank().
 *   6. A slot is taken by compare-and-swap of its word. Readers of entries and notes load the word, the key and the
 *      word again. It is a miss if the entry's server, or any part of a note's word, changed.
 */
#ifndef MXLB_FLOW_H
#define MXLB_FLOW_H

#include "guard.h"
#include "maps.h"
#include "mxlb/flowrules.h"
#include "parse.h"
#include "ring.h"

/*
 * A line is a struct mxlb_line4 or mxlb_line6, depending on `family`, which is constant wherever these functions are
 * inlined. Everything is inlined into one function per family, because a call costs more than it saves.
 *
 * READ_ONCE and volatile stores to *p keep the nearest entry in memory instead of in registers, which would be spilled
 * and reloaded everywhere else (1 to 2 ns per IPv6 packet).
 */
static __always_inline void flow_key_set(struct packet *p, int family)
{
	if (family == 4) {
		p->key.lo = p->source_lo | (__u64)p->source << 32 | (__u64)p->service << 48;
		return;
	}
	p->key.hi = p->source_hi;
	p->key.lo = p->source_lo;
	p->key.tail = p->source | p->service << 16;
}

static __always_inline int key_equal(const void *at, int family, const struct flow_key *k)
{
	const volatile __u64 *words = at;

	if (family == 4)
		return words[0] == k->lo;
	return words[1] == READ_ONCE(k->lo) && words[0] == READ_ONCE(k->hi) &&
	       words[2] == READ_ONCE(k->tail);
}

static __always_inline void key_write(void *at, int family, const struct flow_key *k)
{
	volatile __u64 *words = at;

	if (family == 4) {
		words[0] = k->lo;
		return;
	}
	words[0] = k->hi;
	words[1] = k->lo;
	words[2] = k->tail;
}

static __always_inline union mxlb_entry *line_entry(void *line, __u64 i)
{
	return &((struct mxlb_line4 *)line)->entry[i]; /* at the same offset in both */
}

static __always_inline void *line_key(void *line, int family, __u64 i)
{
	return family == 4 ? (void *)&((struct mxlb_line4 *)line)->key[i]
			   : (void *)&((struct mxlb_line6 *)line)->key[i];
}

static __always_inline union mxlb_note *line_note(void *line, int family)
{
	return family == 4 ? &((struct mxlb_line4 *)line)->note
			   : &((struct mxlb_line6 *)line)->note;
}

static __always_inline void *line_note_key(void *line, int family)
{
	return family == 4 ? (void *)&((struct mxlb_line4 *)line)->note_key
			   : (void *)&((struct mxlb_line6 *)line)->note_key;
}

/* Rule 6: the word of entry i if it belongs to the tuple, else 0. */
static __always_inline __u64 flow_entry(void *line, int family, const struct packet *p, __u64 i)
{
	union mxlb_entry was = {.word = READ_ONCE(line_entry(line, i)->word)}, is;

	if (!key_equal(line_key(line, family, i), family, &p->key))
		return 0;
	is.word = READ_ONCE(line_entry(line, i)->word);
	if (!is.backend || is.backend == MXLB_ENTRY_BUSY || is.backend != was.backend)
		return 0;
	return is.word;
}

/* Rule 3: finds the tuple's nearest entry. Fills p->best. */
static __always_inline void flow_look(void *line, int family, struct packet *p)
{
	__u32 order;
	int i;

	p->best.entry.word = 0;
#pragma unroll
	for (i = 0; i < MXLB_LINE_PLACES; i++) {
		union mxlb_entry is = {.word = flow_entry(line, family, p, i)};

		if (!is.word)
			continue;
		order = flow_order(is, flow_unit(bpf_ntohl(READ_ONCE(p->seq))));
		if (READ_ONCE(p->best.entry.word) && order >= READ_ONCE(p->best.order))
			continue;
		*(volatile __u64 *)&p->best.entry.word = is.word;
		*(volatile __u32 *)&p->best.place = i;
		*(volatile __u32 *)&p->best.order = order;
	}
}

static __always_inline __u32 flow_best_distance(const struct packet *p)
{
	return READ_ONCE(p->best.order) >> 1;
}

static __always_inline int flow_has_data(const struct packet *p)
{
	return p->segment > p->tcp_header;
}

/* Rule 0: where the flow continues after this segment. */
static __always_inline __u32 flow_behind(const struct packet *p)
{
	return flow_unit(bpf_ntohl(p->seq) + p->segment - p->tcp_header + (p->flags & TCP_FIN));
}

/* Rule 0: how many other entries of the line have settled. */
static __always_inline __u32 flow_settled_others(void *line, __u32 place, __u16 epoch)
{
	__u32 others = 0;
	int i;

#pragma unroll
	for (i = 0; i < MXLB_LINE_PLACES; i++) {
		union mxlb_entry e = {.word = READ_ONCE(line_entry(line, i)->word)};

		others += i != (int)place && flow_is_settled(e, epoch);
	}
	return others;
}

/* The tuple's nearest entry. */
static __always_inline union mxlb_entry *flow_own(void *line, const struct packet *p)
{
	return line_entry(line, p->best.place % 4); /* 3 is inside the line, too */
}

/* Applies rule 0 and updates the epoch. Stores only changed bytes. Returns the entry's seq_marks. */
static __noinline __u32 flow_touch(void *line, const struct packet *p, __u16 epoch)
{
	union mxlb_entry was = p->best.entry, now = was;
	union mxlb_entry *entry = flow_own(line, p);

	if (flow_age(was, epoch) >= EPOCHS_RESTING && flow_best_distance(p) > FLOW_RESUME)
		return was.seq_marks;
	if (was.epoch != epoch)
		*(volatile __u16 *)&entry->epoch = epoch;
	now.marks = flow_marks(was, flow_best_distance(p), p->flags, flow_has_data(p));
	now.marks = flow_settle(now.marks, flow_settled_others(line, p->best.place, epoch));
	if (flow_best_distance(p) <= FLOW_MOVE && flow_has_data(p))
		now.seq = flow_behind(p);
	if (now.seq_marks != was.seq_marks)
		*(volatile __u32 *)&entry->seq_marks = now.seq_marks;
	return now.seq_marks;
}

/* Global, so that the verifier checks it once and not for every path through three entries. */
__noinline __u32 flow_score_of(__u64 word, __u32 epoch)
{
	union mxlb_entry e = {.word = word};

	return flow_score(e, epoch);
}

/* As flow_score_of(). */
__noinline __u32 flow_room_of(__u64 word, __u32 unit)
{
	union mxlb_entry e = {.word = word};

	return flow_room(e, unit);
}

/* Rules 5 and 6: marks the slot with the lowest rank as busy, if its rank is at most `rank`. Returns the slot, or -1. */
static __always_inline int flow_claim(void *line, __u16 epoch, __u32 rank, int *evicted)
{
	union mxlb_entry busy = {.backend = MXLB_ENTRY_BUSY};
	__u32 lowest = ~0u, score;
	__u64 place = 0, word = 0;
	int i;

#pragma unroll
	for (i = 0; i < MXLB_LINE_PLACES; i++) {
		union mxlb_entry e = {.word = READ_ONCE(line_entry(line, i)->word)};

		score = flow_score_of(e.word, epoch);
		if (score >= lowest)
			continue;
		lowest = score;
		place = i;
		word = e.word;
	}
	if (lowest >> 16 > rank)
		return -1;
	*evicted = lowest >> 16 >= RANK_LIVE;
	if (__sync_val_compare_and_swap(&line_entry(line, place)->word, word, busy.word) != word)
		return -1;
	return place;
}

/* Rule 3: the BESIDE mark for an entry in this slot. live: one bit per slot with a live entry of the tuple. */
static __always_inline __u8 flow_beside(__u32 live, __u64 place)
{
	return live & ~(1u << place) ? MXLB_MARK_BESIDE : 0;
}

/* Writes an entry by rule 5: claims a slot, writes the key, then the word that makes it valid. live: see flow_beside(). */
static __always_inline int flow_put(void *line, __u32 family, const struct flow_key *k, __u64 word,
				    __u32 rank, __u32 live)
{
	union mxlb_entry e = {.word = word};
	int evicted = 0, place = flow_claim(line, e.epoch, rank, &evicted);

	if (place < 0)
		return -1;
	key_write(line_key(line, family, place), family, k);
	e.marks |= flow_beside(live, place);
	*(volatile __u64 *)&line_entry(line, place)->word = e.word;
	return evicted;
}

static __always_inline __u64 flow_word(__u32 server, const struct packet *p, __u16 epoch,
				       __u8 marks)
{
	union mxlb_entry e = {
		.backend = server,
		.epoch = epoch,
		.seq = flow_behind(p),
		.marks = marks,
	};

	e.marks = flow_marks(e, 0, p->flags, 0);
	return e.word;
}

/* Rule 3: promotes the note to an entry. Returns as flow_put(); replacing an entry of the same tuple is not an eviction. */
static __always_inline int flow_promote(void *line, __u32 family, struct packet *p, __u64 word)
{
	__u32 least = ~0u, live = 0, room;
	union mxlb_entry e = {.word = word};
	__u64 place = 0, old = 0;
	int i;

#pragma unroll
	for (i = 0; i < MXLB_LINE_PLACES; i++) {
		union mxlb_entry is = {.word = flow_entry(line, family, p, i)};

		if (!is.word)
			continue;
		live |= !(is.marks & MXLB_MARK_CLOSED) << i;
		room = flow_room_of(is.word, flow_unit(bpf_ntohl(p->seq)));
		if (room >= least)
			continue;
		least = room;
		place = i;
		old = is.word;
	}
	if (!old)
		return flow_put(line, family, &p->key, word, RANK_DATA, live);
	e.marks |= flow_beside(live, place);
	return __sync_val_compare_and_swap(&line_entry(line, place)->word, old, e.word) == old ? 0
											       : -1;
}

/* Rule 6: the note's word if it belongs to the tuple, else 0. */
static __always_inline __u64 flow_note(void *line, __u32 family, const struct packet *p)
{
	__u64 word = READ_ONCE(line_note(line, family)->word);

	if (!word || !key_equal(line_note_key(line, family), family, &p->key) ||
	    READ_ONCE(line_note(line, family)->word) != word)
		return 0;
	return word;
}

/* Rule 2: whether the server to which this SYN was sent still accepts connections. */
static __always_inline int flow_takes(struct packet *p)
{
	const struct mxlb_backend *server = bpf_map_lookup_elem(&backends, &p->server);

	return server && (READ_ONCE(server->way.flags) &
			  (MXLB_BACKEND_NEXT_HOP | MXLB_BACKEND_DOWN)) == MXLB_BACKEND_NEXT_HOP;
}

/* Rules 1 and 2. */
static __always_inline __u32 flow_syn(void *line, struct packet *p, __u32 family)
{
	union mxlb_entry own = p->best.entry;
	union mxlb_note note = {.word = flow_note(line, family, p)};

	p->result.kind = FLOW_SYN;
	p->server = 0;
	if (note.word && note.expect == bpf_ntohl(p->seq) + 1) {
		p->result.kind = FLOW_RETRANSMIT;
		p->server = note.backend;
	} else if (own.word && !(own.marks & MXLB_MARK_CLOSED) &&
		   flow_best_distance(p) <= FLOW_SAME) {
		p->server = own.backend;
	}
	if (p->server && flow_takes(p)) {
		p->result.kind = FLOW_RETRANSMIT;
		return p->server;
	}
	note.backend = ring_place(p);
	if (!note.backend)
		return 0;
	note.expect = bpf_ntohl(p->seq) + 1;
	note.len = p->segment - p->tcp_header;
	*(volatile __u64 *)&line_note(line, family)->word = 0;
	key_write(line_note_key(line, family), family, &p->key);
	*(volatile __u64 *)&line_note(line, family)->word = note.word;
	return note.backend;
}

/* Marks the flow closed after mxlb itself has reset it. */
static __always_inline void flow_close(void *line, const struct packet *p)
{
	union mxlb_entry now = {.seq_marks = p->result.seq_marks};

	now.marks = (now.marks | MXLB_MARK_CLOSED) & ~MXLB_MARK_SETTLED;
	if (p->result.by_entry)
		*(volatile __u32 *)&flow_own(line, p)->seq_marks = now.seq_marks;
}

/* Rule 4, with an entry. Most segments only move it, or change nothing: see flow_touch() and flow_marks(). */
static __always_inline __u32 flow_follow(void *line, struct packet *p)
{
	union mxlb_entry e = {.word = READ_ONCE(p->best.entry.word)};
	__u16 epoch = READ_ONCE(control.epoch);

	p->result.by_entry = flow_best_distance(p) <= FLOW_CLOSE;
	p->result.seq_marks = e.seq_marks;
	if (e.epoch != epoch || (p->flags & (TCP_FIN | TCP_RST)) ||
	    !(e.marks & MXLB_MARK_SETTLED)) {
		p->result.seq_marks = flow_touch(line, p, epoch);
	} else if (e.seq != flow_behind(p) && flow_has_data(p) &&
		   flow_best_distance(p) <= FLOW_MOVE) {
		e.seq = flow_behind(p);
		p->result.seq_marks = e.seq_marks;
		*(volatile __u32 *)&flow_own(line, p)->seq_marks = e.seq_marks;
	}
	return e.backend;
}

/* A segment without an entry, or with a note of another connection than its entry's; p->best is set. */
static __always_inline __u32 flow_other(void *line, struct packet *p, __u32 family, __u64 note_word)
{
	union mxlb_note note = {.word = note_word};
	__u16 epoch = READ_ONCE(control.epoch);
	const struct flow_best *best = &p->best;
	__u32 beyond, placed;
	__u64 word;

	if (note.word && (p->flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK) { /* rule 3 */
		beyond = bpf_ntohl(p->seq) - note.expect;
		if (beyond <= note.len) {
			p->result.kind = FLOW_PROMOTED;
			word = flow_word(note.backend, p, epoch, 0);
			p->result.put = flow_promote(line, family, p, word);
			return note.backend;
		}
		if (beyond <= NOTE_REACH &&
		    (!best->entry.backend || (best->entry.marks & MXLB_MARK_CLOSED) ||
		     flow_best_distance(p) > FLOW_MOVE))
			return note.backend;
	}
	if (best->entry.backend)
		return flow_follow(line, p);
	p->result.kind = FLOW_MISS;
	placed = ring_place(p);
	if (placed && !(p->flags & TCP_RST)) {
		word = flow_word(placed, p, epoch, MXLB_MARK_BY_MISS);
		p->result.put = flow_put(line, family, &p->key, word, RANK_BY_MISS, 0);
	}
	return placed;
}

/* Chooses the server for this packet; 0: none, p->why has the reason. */
static __always_inline __u32 flow_choose(void *line, struct packet *p, __u32 family)
{
	union mxlb_note note;
	union mxlb_entry own;
	__u32 server;

	p->result.kind = FLOW_HIT;
	p->result.put = 0;
	p->result.by_entry = 0;
	flow_key_set(p, family);
	flow_look(line, family, p);
	if (tcp_is_syn(p->flags)) {
		server = flow_syn(line, p, family);
		return server && guard_admits(p) ? server : 0;
	}
	note.word = flow_note(line, family, p);
	own.word = READ_ONCE(p->best.entry.word);
	if (own.word && (!note.word || (note.backend == own.backend &&
					flow_best_distance(p) <= FLOW_SAME))) /* rule 3 */
		return flow_follow(line, p);
	return flow_other(line, p, family, note.word);
}

/* The line of the flow table for p->hash. */
static __always_inline void *flow_line(struct packet *p, __u32 family)
{
	p->line = p->hash & line_mask;
	return family == 4 ? bpf_map_lookup_elem(&flows4, &p->line)
			   : bpf_map_lookup_elem(&flows6, &p->line);
}

#endif
