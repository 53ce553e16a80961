/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections out of the flow table, by looking at it again and again: what each of its places held the last time, and what
 * has begun and ended there since. Pure.
 *
 *  1. A tuple that is new at a place, and counts as a flow or is closed, is a connection that has begun. One that nobody opened
 *     here (made by a miss) has begun when it counts, and never if it is first seen closed: that is a late FIN.
 *  2. It ends when it is marked closed, when it no longer counts (idle), when mxlb resets it, or when another takes its place.
 *  3. One that was closed and counts again, or is closed with a sequence far from where it was, is a new one: its client took
 *     the same port.
 *     One whose client has sent no data has not begun until it is closed: it may be forged.
 *  4. What is there at the first look began before: it has no beginning here, and its time is a least.
 */
#ifndef MXLB_CONNLOG_H
#define MXLB_CONNLOG_H

#include "core/flow.h"

enum connlog_how { CONNLOG_CLOSED, CONNLOG_IDLE, CONNLOG_RESET, CONNLOG_REPLACED };

struct connlog_seen { /* of one place; zero: nothing */
	struct addr client;
	uint16_t port, service_id;
	/* backend_id 0: nothing; before: rule 4; silent: since .since_ms, has sent no data yet; data: has sent some */
	uint32_t backend_id : 16, open : 1, before : 1, silent : 1, data : 1;
	uint32_t seq; /* when it ended */
	uint64_t since_ms;
};

struct connlog_news {
	struct connlog_seen of;
	bool ended; /* else it has begun */
	enum connlog_how how;
	uint64_t lasted_ms;
};

#define CONNLOG_NEWS_MAX    3

/*
 * How many lines may be logged: a token bucket. What journald keeps by default is 10,000 lines in 30 s, of all that mxlbd logs:
 * here it is 9,000. Connections without data have a tenth of that, so that forged ones leave room for those that carry mail.
 */
#define CONNLOG_LINES_S	    200
#define CONNLOG_LINES_BURST 3000
#define CONNLOG_SILENT_PART 10

struct connlog_budget {			  /* zero: full */
	uint64_t all_at_us, silent_at_us; /* when each would be full again (GCRA) */
};

bool connlog_may(struct connlog_budget *b, bool data, uint64_t now_ms);

const char *connlog_how_name(enum connlog_how how);
/*
 * row: what is there now, NULL for nothing; reset: mxlb resets what its backend has; first: rule 4. How many news there are,
 * in their order.
 */
unsigned connlog_look(struct connlog_seen *seen, const struct flow_row *row, bool reset, bool first,
		      uint64_t now_ms, struct connlog_news out[CONNLOG_NEWS_MAX]);

#endif
