// SPDX-License-Identifier: BSD-2-Clause
/* The rules of docs/datapath.md, by their numbers. Pure: no packet, no map, no clock. */
#include <string.h>
#include "flowmodel.h"

#define BLOCK		256U	   /* bytes of sequence */
#define BLOCKS		0x1000000U /* in the whole of it */
#define NEAR_BLOCKS	0x1000U	   /* 1 MiB */
#define SAME_BLOCKS	0x200U	   /* 128 KiB */
#define RESUME_BLOCKS	64U	   /* 16 KiB */
#define CLOSE_BLOCKS	2U	   /* 512 bytes */
#define NOTE_BYTES	65536U

#define CLOSED_UNUSED_S 2U
#define RESTING_S	2U
#define EMPTY_S		60U /* has shown no data */
#define COUNTED_S	(15 * 60U)
#define OLD_S		(30 * 60U)
#define SETTLED_MAX	2U /* of a line; one place is always left for newcomers */

/* The ranks of entries that can be replaced, in rule 5's order. */
enum rank {
	RANK_FREE,
	RANK_CLOSED_UNUSED,
	RANK_OLD,
	RANK_CLOSED,
	RANK_BY_MISS,
	RANK_BESIDE,
	RANK_EMPTY,
	RANK_DATA,
	RANK_SETTLED,
};

static void did(struct flowmodel_result *r, enum flowmodel_rule rule)
{
	r->rules |= UINT64_C(1) << rule;
}

static bool same_tuple(const struct flowmodel_tuple *a, const struct flowmodel_tuple *b)
{
	return a->family == b->family && a->port == b->port && a->service == b->service &&
	       !memcmp(a->client, b->client, sizeof(a->client));
}

static uint32_t block_distance(uint32_t a, uint32_t b)
{
	uint32_t there = (a + BLOCKS - b) % BLOCKS, back = (b + BLOCKS - a) % BLOCKS;

	return there < back ? there : back;
}

static uint32_t distance(const struct flowmodel_entry *e, const struct flowmodel_segment *s)
{
	return block_distance(e->block, s->seq / BLOCK);
}

static bool is_same(const struct flowmodel_entry *e, const struct flowmodel_segment *s)
{
	return distance(e, s) <= SAME_BLOCKS;
}

static bool is_near(const struct flowmodel_entry *e, const struct flowmodel_segment *s)
{
	return distance(e, s) <= NEAR_BLOCKS;
}

/* Rule 0: the block of the number behind the segment. */
static uint32_t block_behind(const struct flowmodel_segment *s)
{
	return (uint32_t)(s->seq + s->data + (s->fin ? 1 : 0)) / BLOCK;
}

static bool is_any(const struct flowmodel_entry *e)
{
	(void)e;
	return true;
}

static bool is_closed(const struct flowmodel_entry *e)
{
	return e->closed;
}

static bool is_beside(const struct flowmodel_entry *e)
{
	return e->beside;
}

/* Rule 3: is `e`, which is later in the line, a better match? */
static bool is_nearer(const struct flowmodel_entry *e, const struct flowmodel_entry *than,
		      const struct flowmodel_segment *s, struct flowmodel_result *r)
{
	if (distance(e, s) != distance(than, s)) {
		did(r, FLOWMODEL_DID_nearest);
		return distance(e, s) < distance(than, s);
	}
	did(r,
	    e->beside == than->beside ? FLOWMODEL_DID_nearest_place : FLOWMODEL_DID_nearest_first);
	return than->beside && !e->beside;
}

/* Rule 3: the nearest entry of the tuple, among those of a kind. NULL: there is none. */
static struct flowmodel_entry *find(struct flowmodel_line *line, const struct flowmodel_segment *s,
				    bool (*kind)(const struct flowmodel_entry *),
				    struct flowmodel_result *r)
{
	struct flowmodel_entry *best = NULL;

	for (int i = 0; i < FLOWMODEL_PLACES; i++) {
		struct flowmodel_entry *e = &line->entry[i];

		if (!e->used || !same_tuple(&e->tuple, &s->tuple) || !kind(e))
			continue;
		if (!best || is_nearer(e, best, s, r))
			best = e;
	}
	return best;
}

static enum rank rank_of(const struct flowmodel_entry *e, const struct flowmodel_world *w)
{
	uint32_t unused = w->epoch - e->epoch;

	if (!e->used)
		return RANK_FREE;
	if (e->closed && unused >= CLOSED_UNUSED_S)
		return RANK_CLOSED_UNUSED;
	if (unused >= OLD_S)
		return RANK_OLD;
	if (e->closed)
		return RANK_CLOSED;
	if (e->by_miss && !e->data)
		return RANK_BY_MISS;
	if (e->beside)
		return RANK_BESIDE;
	if (!e->data && !(w->without & FLOWMODEL_WITHOUT_DATA))
		return RANK_EMPTY;
	return e->settled ? RANK_SETTLED : RANK_DATA;
}

/* Rule 5. The place to use, whose rank is at most `last`; or NULL. */
static struct flowmodel_entry *make_room(struct flowmodel_line *line,
					 const struct flowmodel_world *w, enum rank last,
					 struct flowmodel_result *r)
{
	for (enum rank rank = RANK_FREE; rank <= last; rank++) {
		struct flowmodel_entry *chosen = NULL;

		for (int i = 0; i < FLOWMODEL_PLACES; i++) {
			struct flowmodel_entry *e = &line->entry[i];

			if (rank_of(e, w) == rank && (!chosen || e->epoch < chosen->epoch))
				chosen = e;
		}
		if (!chosen)
			continue;
		did(r, FLOWMODEL_DID_way_free + rank);
		r->evicted = rank >= RANK_BY_MISS;
		return chosen;
	}
	r->unplaced = true;
	return NULL;
}

static void fill(struct flowmodel_entry *e, const struct flowmodel_segment *s, uint32_t server,
		 uint32_t now, bool by_miss)
{
	memset(e, 0, sizeof(*e));
	e->used = true;
	e->tuple = s->tuple;
	e->server = server;
	e->block = block_behind(s);
	e->epoch = now;
	e->by_miss = by_miss;
	e->closed = s->fin || s->rst;
}

static bool usable(const struct flowmodel_server *b)
{
	return b->next_hop && !b->down;
}

static bool tuple_has_live(const struct flowmodel_line *line, const struct flowmodel_tuple *tuple)
{
	for (int i = 0; i < FLOWMODEL_PLACES; i++)
		if (line->entry[i].used && !line->entry[i].closed &&
		    same_tuple(&line->entry[i].tuple, tuple))
			return true;
	return false;
}

static void note_write(struct flowmodel_note *note, const struct flowmodel_segment *s,
		       uint32_t server, struct flowmodel_result *r)
{
	if (note->used && !same_tuple(&note->tuple, &s->tuple))
		did(r, FLOWMODEL_DID_noted_over);
	else if (note->used && note->expect != s->seq + 1)
		did(r, FLOWMODEL_DID_noted_anew);
	did(r, s->data ? FLOWMODEL_DID_noted_data : FLOWMODEL_DID_noted);
	note->used = true;
	note->tuple = s->tuple;
	note->server = server;
	note->expect = s->seq + 1;
	note->data = s->data;
}

/* Rule 2: is it a late copy of the SYN of an open flow whose server still accepts it? */
static bool is_late(const struct flowmodel_entry *own, const struct flowmodel_world *w,
		    const struct flowmodel_segment *s, struct flowmodel_result *r)
{
	if (!own || own->closed || !is_same(own, s))
		return false;
	if (!usable(&w->servers[own->server])) {
		did(r, FLOWMODEL_DID_late_down);
		return false;
	}
	did(r, own->server == w->ring ? FLOWMODEL_DID_late : FLOWMODEL_DID_late_changed);
	return true;
}

/* Rules 1 and 2. Returns the server, 0: none. */
static uint32_t take_syn(struct flowmodel_line *line, const struct flowmodel_entry *own,
			 const struct flowmodel_world *w, const struct flowmodel_segment *s,
			 struct flowmodel_result *r)
{
	struct flowmodel_note *note = &line->note;
	bool again =
		note->used && same_tuple(&note->tuple, &s->tuple) && note->expect == s->seq + 1;

	r->kind = again ? FLOWMODEL_RETRANSMIT : FLOWMODEL_SYN;
	if (tuple_has_live(line, &s->tuple))
		did(r, FLOWMODEL_DID_syn_beside);
	if (again && usable(&w->servers[note->server])) {
		did(r, note->server == w->ring ? FLOWMODEL_DID_again : FLOWMODEL_DID_again_changed);
		return note->server;
	}
	if (!again && is_late(own, w, s, r)) {
		r->kind = FLOWMODEL_RETRANSMIT;
		return own->server;
	}
	if (!w->ring) {
		did(r, again ? FLOWMODEL_DID_again_nobody : FLOWMODEL_DID_syn_nobody);
		return 0;
	}
	if (again)
		did(r, FLOWMODEL_DID_again_down);
	note_write(note, s, w->ring, r);
	return w->ring;
}

/* Rule 3: where a note becomes an entry. As long as two of a line settle at most, there is a place. */
static struct flowmodel_entry *room_of_note(struct flowmodel_line *line,
					    const struct flowmodel_world *w,
					    const struct flowmodel_segment *s,
					    struct flowmodel_result *r)
{
	struct flowmodel_entry *place = find(line, s, is_closed, r);

	if (place) {
		did(r, FLOWMODEL_DID_promoted_closed);
		return place;
	}
	place = find(line, s, is_beside, r);
	if (place) {
		did(r, FLOWMODEL_DID_promoted_over);
		return place;
	}
	did(r, FLOWMODEL_DID_promoted);
	return make_room(line, w, RANK_DATA, r);
}

/* Rule 3: the note becomes an entry, and stays. */
static void promote(struct flowmodel_line *line, const struct flowmodel_world *w,
		    const struct flowmodel_segment *s, struct flowmodel_result *r)
{
	struct flowmodel_entry *place = room_of_note(line, w, s, r);

	r->kind = FLOWMODEL_PROMOTED;
	if (s->seq != line->note.expect)
		did(r, FLOWMODEL_DID_promoted_data);
	if (!place)
		return;
	fill(place, s, line->note.server, w->epoch, false);
	place->used = false; /* temporarily, to search the others */
	place->beside = tuple_has_live(line, &s->tuple);
	place->used = true;
	if (place->beside)
		did(r, FLOWMODEL_DID_promoted_beside);
}

/* Rule 3. Returns the server, or 0 if the half-open entry does not decide. */
static uint32_t take_note(struct flowmodel_line *line, struct flowmodel_entry *own,
			  const struct flowmodel_world *w, const struct flowmodel_segment *s,
			  struct flowmodel_result *r)
{
	const struct flowmodel_note *note = &line->note;
	uint32_t server = note->server, behind = s->seq - note->expect;

	if (!note->used || !same_tuple(&note->tuple, &s->tuple))
		return 0;
	if (!s->ack || s->syn || s->rst) {
		if (behind <= note->data)
			did(r, FLOWMODEL_DID_note_flags);
		return 0;
	}
	if (own && own->server == server && is_same(own, s)) {
		did(r, own->closed ? FLOWMODEL_DID_own_closed : FLOWMODEL_DID_own);
		return 0;
	}
	if (behind <= note->data) {
		promote(line, w, s, r);
		return server;
	}
	if (behind > NOTE_BYTES) {
		did(r, FLOWMODEL_DID_note_beyond);
		return 0;
	}
	if (own && !own->closed && is_near(own, s)) {
		did(r, FLOWMODEL_DID_note_not);
		return 0;
	}
	if (!own)
		did(r, FLOWMODEL_DID_note_alone);
	else
		did(r, own->closed ? FLOWMODEL_DID_note_closed : FLOWMODEL_DID_note_far);
	r->kind = FLOWMODEL_HIT;
	return server;
}

/*
 * Rule 0: the effect of a segment on its entry's flags. A segment that will be answered with RST ends its flow as a
 * RST does.
 */
static void mark(struct flowmodel_entry *e, const struct flowmodel_world *w,
		 const struct flowmodel_segment *s, struct flowmodel_result *r)
{
	bool answered = w->servers[e->server].reset;

	if (s->data && !s->fin && !s->rst && is_near(e, s)) {
		if (!e->data)
			did(r, FLOWMODEL_DID_shown);
		e->data = true;
	}
	if (answered && distance(e, s) <= CLOSE_BLOCKS) {
		did(r, FLOWMODEL_DID_closed_here);
		e->closed = true;
		return;
	}
	if (s->fin || s->rst) {
		if (distance(e, s) > CLOSE_BLOCKS) {
			did(r, FLOWMODEL_DID_not_closed);
			return;
		}
		did(r, s->fin ? FLOWMODEL_DID_closed_fin : FLOWMODEL_DID_closed_rst);
		e->closed = true;
	} else if (s->data && e->closed) {
		did(r, is_near(e, s) ? FLOWMODEL_DID_unmarked : FLOWMODEL_DID_not_unmarked);
		e->closed = !is_near(e, s);
	}
}

/* Rule 0: of a line's entries that show data the first two settle; what is closed or old makes room for others. */
static void settle(struct flowmodel_line *line, struct flowmodel_entry *e,
		   const struct flowmodel_world *w, struct flowmodel_result *r)
{
	unsigned others = 0, most = SETTLED_MAX;

	for (int i = 0; i < FLOWMODEL_PLACES; i++) {
		const struct flowmodel_entry *o = &line->entry[i];

		others += o != e && o->used && o->settled && w->epoch - o->epoch < OLD_S;
	}
	if (w->without & FLOWMODEL_WITHOUT_LIMIT)
		most = FLOWMODEL_PLACES;
	if (w->without & FLOWMODEL_WITHOUT_SETTLED)
		most = 0;
	if (!e->data || e->closed || e->beside) {
		if (e->data && !e->closed)
			did(r, FLOWMODEL_DID_not_settled_beside);
		e->settled = false;
		return;
	}
	if (others >= most)
		did(r, FLOWMODEL_DID_not_settled);
	else if (!e->settled)
		did(r, FLOWMODEL_DID_settled);
	e->settled = others < most;
}

/* Rule 4: the entry's. */
static uint32_t take_entry(struct flowmodel_line *line, struct flowmodel_entry *e,
			   const struct flowmodel_world *w, const struct flowmodel_segment *s,
			   struct flowmodel_result *r)
{
	r->kind = FLOWMODEL_HIT;
	did(r, FLOWMODEL_DID_hit);
	if (e->server != w->ring)
		did(r, FLOWMODEL_DID_hit_changed);
	if (w->epoch - e->epoch >= RESTING_S && distance(e, s) > RESUME_BLOCKS &&
	    !(w->without & FLOWMODEL_WITHOUT_REST)) {
		did(r, FLOWMODEL_DID_resting);
		return e->server;
	}
	mark(e, w, s, r);
	if (!is_near(e, s)) {
		did(r, FLOWMODEL_DID_not_moved);
	} else if (s->data && e->block != block_behind(s)) {
		did(r, FLOWMODEL_DID_moved);
		e->block = block_behind(s);
	}
	settle(line, e, w, r);
	e->epoch = w->epoch;
	return e->server;
}

/* Rule 4: nobody's. */
static uint32_t take_miss(struct flowmodel_line *line, const struct flowmodel_world *w,
			  const struct flowmodel_segment *s, struct flowmodel_result *r)
{
	struct flowmodel_entry *place;

	r->kind = FLOWMODEL_MISS;
	if (!w->ring) {
		did(r, FLOWMODEL_DID_miss_nobody);
		return 0;
	}
	if (s->rst) {
		did(r, FLOWMODEL_DID_miss_rst);
		return w->ring;
	}
	place = make_room(line, w, RANK_BY_MISS, r);
	did(r, place ? FLOWMODEL_DID_miss : FLOWMODEL_DID_miss_full);
	if (place)
		fill(place, s, w->ring, w->epoch, true);
	return w->ring;
}

/* "Resets": with ACK seq is its ack; without, all of it is acknowledged. */
static void answer(const struct flowmodel_segment *s, struct flowmodel_result *r)
{
	r->action = FLOWMODEL_RESET;
	r->ack = !s->ack;
	r->seq = s->ack ? s->ack_seq : 0;
	r->ack_seq = s->ack ? 0 : s->seq + s->data + (s->syn ? 1 : 0) + (s->fin ? 1 : 0);
}

static void drop(struct flowmodel_result *r, enum mxlb_counter counter, enum flowmodel_rule rule)
{
	r->action = FLOWMODEL_DROP;
	r->counter = counter;
	did(r, rule);
}

static void turn_away(const struct flowmodel_world *w, const struct flowmodel_segment *s,
		      struct flowmodel_result *r)
{
	if (w->nobody == FLOWMODEL_NOT_READY) {
		drop(r, MXLB_COUNT_not_ready, FLOWMODEL_DID_not_ready);
	} else if (w->nobody == FLOWMODEL_SILENCE) {
		drop(r, MXLB_COUNT_no_backend, FLOWMODEL_DID_silent);
	} else if (s->rst) {
		drop(r, MXLB_COUNT_no_backend, FLOWMODEL_DID_refused_rst);
	} else {
		drop(r, MXLB_COUNT_no_backend, FLOWMODEL_DID_refused);
		answer(s, r);
	}
}

static void send(const struct flowmodel_world *w, const struct flowmodel_segment *s,
		 struct flowmodel_result *r)
{
	const struct flowmodel_server *b = &w->servers[r->server];
	bool of_a_flow = r->kind == FLOWMODEL_HIT || r->kind == FLOWMODEL_PROMOTED;

	if (b->reset && of_a_flow && s->rst) {
		drop(r, MXLB_COUNT_unreachable, FLOWMODEL_DID_reset_rst);
	} else if (b->reset && of_a_flow) {
		drop(r, MXLB_COUNT_unreachable,
		     r->kind == FLOWMODEL_HIT ? FLOWMODEL_DID_reset : FLOWMODEL_DID_reset_promoted);
		answer(s, r);
	} else if (!b->next_hop) {
		drop(r, MXLB_COUNT_no_next_hop, FLOWMODEL_DID_no_next_hop);
	} else {
		r->action = FLOWMODEL_FORWARD;
	}
}

struct flowmodel_line *flowmodel_line(struct flowmodel *m, int family, uint32_t line)
{
	return family == 4 ? &m->line4[line] : &m->line6[line];
}

void flowmodel_run(struct flowmodel *m, const struct flowmodel_world *w,
		   const struct flowmodel_segment *s, struct flowmodel_result *r)
{
	struct flowmodel_line *line = flowmodel_line(m, s->tuple.family, w->line);
	struct flowmodel_entry *own;

	memset(r, 0, sizeof(*r));
	own = find(line, s, is_any, r);
	if (s->syn && !s->ack && !s->rst && !s->fin) {
		r->server = take_syn(line, own, w, s, r);
	} else {
		r->server = take_note(line, own, w, s, r);
		if (!r->server)
			r->server = own ? take_entry(line, own, w, s, r) : take_miss(line, w, s, r);
	}
	if (r->server)
		send(w, s, r);
	else
		turn_away(w, s, r);
}

bool flowmodel_counts(const struct flowmodel_entry *e, uint32_t epoch)
{
	uint32_t unused = epoch - e->epoch;

	return e->used && !e->closed && unused < (e->data ? COUNTED_S : EMPTY_S);
}

const char *flowmodel_rule_text(enum flowmodel_rule rule)
{
	static const char *const text[] = {
#define X(name, words) words,
		FLOWMODEL_RULES(X)
#undef X
	};

	return text[rule];
}
