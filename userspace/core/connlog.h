/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Derives connections from repeated scans of the flow table: from what each of its places held last time, what has
 * begun and ended there since. Pure.
 *
 *   1. A tuple that is new at a place, and counts as a flow or is closed, is a connection that has begun. An entry
 *      made by a miss has begun when it counts as a flow, and never if it is first seen closed, because that is a late
 *      FIN.
 *   2. A connection ends when it is marked closed, no longer counts (idle), is reset by mxlb, or is replaced by
 *      another at its place.
 *   3. A closed one that counts again, or that is closed with a sequence number far from where it was, is a new
 *      connection from the same port. One whose client has sent no data has not begun until it is closed, because it
 *      may be forged.
 *   4. What is there at the first scan is older: its beginning is not known, and its duration is a minimum.
 */
#ifndef MXLB_CONNLOG_H
#define MXLB_CONNLOG_H

#include "core/flow_values.h"

enum connlog_how { CONNLOG_CLOSED, CONNLOG_IDLE, CONNLOG_RESET, CONNLOG_REPLACED };

struct connlog_seen { /* of one place; zero: nothing */
	struct addr client;
	uint16_t port, service_id;
	/* server_id 0: nothing; before: rule 4; silent: since .since_ms, has sent no data yet; data: has sent some */
	uint32_t server_id : 16, open : 1, before : 1, silent : 1, data : 1;
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
 * Limit of log lines: a token bucket. By default journald keeps 10,000 lines in 30 s of everything that mxlbd logs;
 * the limit here is 9,000. Connections without data have a tenth of that, so that forged ones leave room for those
 * that carry mail.
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
 * row: the present content, NULL for none; reset: mxlb resets its server's flows; first: rule 4. Returns the number of
 * changes, in order.
 */
unsigned connlog_look(struct connlog_seen *seen, const struct flow_row *row, bool reset, bool first,
		      uint64_t now_ms, struct connlog_news out[CONNLOG_NEWS_MAX]);

#endif
