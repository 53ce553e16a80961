/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flow table's rules once more (docs/datapath.md, rules 0 to 5 and 7), as plainly as they can be said, for
 * the tests to hold the program against. Written from the text: of the program it knows nothing, and shares with it
 * only the hash, whose two answers (the line, the ring's choice) the caller brings along, and the counters' names.
 *
 * The flow table's rules 0, 5 and 7 go beyond that text since floods of forged pairs evicted idle flows: docs/datapath.md.
 *
 * What the text leaves open is settled here as follows. Sequences are compared in blocks of 256 bytes, the shorter way
 * round. Of those equally ready to give way the longest unused does, then the first. A SYN that nobody takes is not noted.
 * What gives way to its own tuple is no eviction, but by rule 5. What we answer with RST closes its flow as a RST would.
 * Evictions for a packet that is then not forwarded are not counted.
 */
#ifndef FLOWMODEL_H
#define FLOWMODEL_H

#include <stdbool.h>
#include <stdint.h>
#include "mxlb/counters.h"

#define FLOWMODEL_PLACES    3
#define FLOWMODEL_MAX_LINES 64

struct flowmodel_tuple {
	int family;	    /* 4 or 6 */
	uint8_t client[16]; /* IPv4: the first four bytes, the rest zero */
	uint16_t port;
	uint32_t service;
};

struct flowmodel_entry {
	bool used;
	struct flowmodel_tuple tuple;
	uint32_t server;
	uint32_t block; /* of 256 bytes: that of the number behind the segment last seen */
	uint32_t epoch; /* when it was last used */
	bool closed, by_miss;
	bool data;    /* its client has sent data since it was made */
	bool settled; /* never displaced while it is used */
	bool beside;  /* promoted while another live entry of its tuple was there */
};

struct flowmodel_note {
	bool used;
	struct flowmodel_tuple tuple;
	uint32_t server;
	uint32_t expect; /* ISN + 1 */
	uint32_t data;	 /* bytes on the SYN */
};

struct flowmodel_line {
	struct flowmodel_entry entry[FLOWMODEL_PLACES];
	struct flowmodel_note note;
};

struct flowmodel {
	struct flowmodel_line line4[FLOWMODEL_MAX_LINES], line6[FLOWMODEL_MAX_LINES];
};

struct flowmodel_segment {
	struct flowmodel_tuple tuple;
	bool syn, ack, rst, fin;
	uint32_t seq, ack_seq;
	uint32_t data; /* bytes */
};

struct flowmodel_server {
	bool next_hop; /* its MAC address is known */
	bool down;     /* down, in maint or unreachable */
	bool reset;    /* unreachable, and its flows are to be reset */
};

/* When nobody takes new connections. */
enum flowmodel_nobody { FLOWMODEL_NOT_READY, FLOWMODEL_REFUSE, FLOWMODEL_SILENCE };

/* Rules that can be switched off, to show the purpose of each. */
enum flowmodel_without {
	FLOWMODEL_WITHOUT_SETTLED = 1 << 0, /* nothing settles */
	FLOWMODEL_WITHOUT_DATA = 1
				 << 1, /* entries without data count as much as entries with data */
	FLOWMODEL_WITHOUT_LIMIT = 1 << 2, /* all three slots of a line may settle */
	FLOWMODEL_WITHOUT_REST = 1 << 3,  /* a resting entry moves as far as any other */
};

/* The inputs of the decision in addition to the table and the segment. */
struct flowmodel_world {
	uint32_t epoch; /* seconds; never wraps here */
	uint32_t line;	/* of the tuple */
	uint32_t ring;	/* the server that the ring gives the tuple; 0: none */
	enum flowmodel_nobody nobody;
	const struct flowmodel_server *servers; /* by index */
	unsigned without;			/* of enum flowmodel_without */
};

/* name, the rule's number and what happened: for the tests to show that all of it did */
#define FLOWMODEL_RULES(X)                                                                      \
	X(moved, "0  an entry moves behind the segment")                                        \
	X(not_moved, "0, 4  a segment further than 1 MiB follows it and does not move it")      \
	X(resting, "0  nor does one further than 16 KiB, unless the entry was used within 2 s") \
	X(closed_fin, "0  a near FIN marks it closed")                                          \
	X(closed_rst, "0  a near RST marks it closed")                                          \
	X(closed_here, "0  a near segment that is answered with RST marks it closed")           \
	X(not_closed, "0  a FIN or RST further than 512 bytes does not")                        \
	X(unmarked, "0  later data unmarks it")                                                 \
	X(not_unmarked, "0  data further than 1 MiB does not")                                  \
	X(shown, "0  near data shows that the client sends")                                    \
	X(settled, "0  an entry that has shown data settles")                                   \
	X(not_settled, "0  it does not where two others of the line have")                      \
	X(not_settled_beside, "0  nor beside another live one of its tuple")                    \
	X(noted, "1  a SYN is placed by the ring and noted")                                    \
	X(noted_data, "1  a SYN with data is noted with its length")                            \
	X(noted_over, "1  its note takes the place of another tuple's")                         \
	X(noted_anew, "1  its note takes the place of its own with another ISN")                \
	X(syn_beside, "1  a SYN on a tuple with a live entry")                                  \
	X(syn_nobody, "1  a SYN that nobody takes")                                             \
	X(again, "2  a SYN again follows its note")                                             \
	X(again_changed, "2  a SYN again follows its note against the ring")                    \
	X(again_down, "2  a SYN again whose server is down is placed again")                    \
	X(again_nobody, "2  a SYN again whose server is down, and nobody else is up")           \
	X(late, "2  a late copy of a SYN follows its flow's entry")                             \
	X(late_changed, "2  a late copy of a SYN follows its flow's entry against the ring")    \
	X(late_down, "2  a late copy of a SYN whose server is down is like any SYN")            \
	X(own, "3  a segment of the note's flow, which has its entry: follows it")              \
	X(own_closed, "3  a segment of the note's flow, whose entry is closed: follows it")     \
	X(promoted, "3  a note becomes an entry by rule 5")                                     \
	X(promoted_data, "3  a note becomes an entry behind some of the SYN's data")            \
	X(promoted_closed, "3  a note becomes an entry in place of a closed one of the tuple")  \
	X(promoted_over, "3  a note becomes an entry in place of the one beside")               \
	X(promoted_beside, "3  a note becomes an entry beside a live one")                      \
	X(note_alone, "3  up to 64 KiB behind: follows the note, there is no entry")            \
	X(note_closed, "3  up to 64 KiB behind: follows the note, the entry is closed")         \
	X(note_far, "3  up to 64 KiB behind: follows the note, the entry is far")               \
	X(note_not, "3  up to 64 KiB behind: follows the entry, it is near and live")           \
	X(note_beyond, "3  further than 64 KiB behind the SYN: not the note's")                 \
	X(note_flags, "3  SYN+ACK, RST or no ACK where a note would be promoted")               \
	X(nearest, "3  of several entries the nearest wins")                                    \
	X(nearest_first, "3  of two equally near the one that is not beside wins")              \
	X(nearest_place, "3  of two equally near and alike the first of the line wins")         \
	X(hit, "4  follows its entry")                                                          \
	X(hit_changed, "4  follows its entry against the ring")                                 \
	X(miss, "4  without entry: the ring, and an entry is made")                             \
	X(miss_rst, "4  a RST without entry: the ring, no entry is made")                       \
	X(miss_full, "4  without entry: the ring, the line is full of better ones")             \
	X(miss_nobody, "4  without entry: nobody")                                              \
	X(way_free, "5  a free slot is taken")                                                  \
	X(way_closed_unused, "5  a closed one, unused for two epochs, gives way")               \
	X(way_old, "5  one unused for 30 minutes gives way")                                    \
	X(way_closed, "5  another closed one gives way")                                        \
	X(way_by_miss, "5  one made by a miss gives way")                                       \
	X(way_beside, "5  one beside another of its tuple gives way")                           \
	X(way_empty, "5  one that has shown no data gives way")                                 \
	X(way_data, "5  one that has shown data but has not settled gives way")                 \
	X(reset, "R  a segment of a flow that is to be reset: RST")                             \
	X(reset_promoted, "R  a segment that promotes to a flow that is to be reset: RST")      \
	X(reset_rst, "R  a RST of a flow that is to be reset: silence")                         \
	X(refused, "R  nobody: RST")                                                            \
	X(refused_rst, "R  a RST to nobody: silence")                                           \
	X(silent, "R  nobody: silence")                                                         \
	X(not_ready, "R  cold start: silence")                                                  \
	X(no_next_hop, "F  the server's next hop is not known")

enum flowmodel_rule {
#define X(name, text) FLOWMODEL_DID_##name,
	FLOWMODEL_RULES(X)
#undef X
		FLOWMODEL_RULE_COUNT
};

_Static_assert(FLOWMODEL_RULE_COUNT <= 64, "one bit each");

enum flowmodel_action { FLOWMODEL_FORWARD, FLOWMODEL_RESET, FLOWMODEL_DROP };
enum flowmodel_kind {
	FLOWMODEL_HIT, /* an entry's or a note's */
	FLOWMODEL_SYN,
	FLOWMODEL_RETRANSMIT,
	FLOWMODEL_PROMOTED,
	FLOWMODEL_MISS,
};

struct flowmodel_result {
	enum flowmodel_action action;
	uint32_t server;	   /* FORWARD: to whom */
	enum mxlb_counter counter; /* not FORWARD: the reason */
	uint32_t seq, ack_seq;	   /* RESET: the RST's numbers */
	bool ack;		   /* RESET: RST+ACK */
	enum flowmodel_kind kind;
	bool evicted;	/* a live entry gave way */
	bool unplaced;	/* the flow got no entry */
	uint64_t rules; /* bits of enum flowmodel_rule: what happened on the way */
};

/* One sound segment: changes the tables and says what must become of it. */
void flowmodel_run(struct flowmodel *m, const struct flowmodel_world *world,
		   const struct flowmodel_segment *segment, struct flowmodel_result *result);

struct flowmodel_line *flowmodel_line(struct flowmodel *m, int family, uint32_t line);
/* Rule 7: does the entry count as a flow? */
bool flowmodel_counts(const struct flowmodel_entry *entry, uint32_t epoch);
/* A rule's text. */
const char *flowmodel_rule_text(enum flowmodel_rule rule);

#endif
