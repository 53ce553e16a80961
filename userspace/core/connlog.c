/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/connlog.h"

#include <string.h>
#include "mxlb/flowrules.h"

const char *connlog_how_name(enum connlog_how how)
{
	static const char *const names[] = {
		[CONNLOG_CLOSED] = "closed",
		[CONNLOG_IDLE] = "idle",
		[CONNLOG_RESET] = "reset",
		[CONNLOG_REPLACED] = "replaced",
	};

	return (unsigned)how < sizeof(names) / sizeof(*names) ? names[how] : "?";
}

static bool connlog_is_same(const struct connlog_seen *seen, const struct flow_row *row)
{
	return row && seen->server_id == row->server_id && seen->service_id == row->service_id &&
	       seen->port == row->port && addr_equal(&seen->client, &row->client);
}

static unsigned connlog_begin(struct connlog_seen *seen, bool first, uint64_t now_ms,
			      struct connlog_news *out)
{
	seen->open = true;
	seen->before = first;
	if (!seen->silent)
		seen->since_ms = now_ms;
	*out = (struct connlog_news){.of = *seen};
	return !first;
}

static unsigned connlog_end(struct connlog_seen *seen, enum connlog_how how, uint64_t now_ms,
			    struct connlog_news *out)
{
	if (!seen->open)
		return 0;
	*out = (struct connlog_news){
		.of = *seen, .ended = true, .how = how, .lasted_ms = now_ms - seen->since_ms};
	seen->open = false;
	return 1;
}

/* Rules 1 and 3, for a place without an open connection. */
static bool has_begun(const struct connlog_seen *seen, const struct flow_row *row, bool same)
{
	if (row->counts)
		return row->data;
	return row->closed && !row->by_miss &&
	       (!same || seen->silent || flow_distance(seen->seq, row->seq) > FLOW_SAME);
}

static bool connlog_take(uint64_t *full_at_us, uint64_t now_us, unsigned lines_s, unsigned burst)
{
	uint64_t each_us = 1000000 / lines_s;

	if (*full_at_us < now_us)
		*full_at_us = now_us;
	if (*full_at_us - now_us > (burst - 1) * each_us)
		return false;
	*full_at_us += each_us;
	return true;
}

bool connlog_may(struct connlog_budget *b, bool data, uint64_t now_ms)
{
	struct connlog_budget after = *b;

	if (!data &&
	    !connlog_take(&after.silent_at_us, now_ms * 1000, CONNLOG_LINES_S / CONNLOG_SILENT_PART,
			  CONNLOG_LINES_BURST / CONNLOG_SILENT_PART))
		return false;
	if (!connlog_take(&after.all_at_us, now_ms * 1000, CONNLOG_LINES_S, CONNLOG_LINES_BURST))
		return false;
	*b = after;
	return true;
}

unsigned connlog_look(struct connlog_seen *seen, const struct flow_row *row, bool reset, bool first,
		      uint64_t now_ms, struct connlog_news out[CONNLOG_NEWS_MAX])
{
	bool same = connlog_is_same(seen, row);
	unsigned n = 0;

	if (!same) {
		n += connlog_end(seen, CONNLOG_REPLACED, now_ms, out + n);
		memset(seen, 0, sizeof(*seen));
	}
	if (!row)
		return n;
	if (!same) {
		seen->client = row->client;
		seen->port = row->port;
		seen->service_id = row->service_id;
		seen->server_id = (uint16_t)row->server_id;
	}
	seen->data = row->data;
	if (!seen->open && !reset && (!first || row->counts) && has_begun(seen, row, same))
		n += connlog_begin(seen, first, now_ms, out + n);
	if (reset) /* also when what answered has closed the entry */
		n += connlog_end(seen, CONNLOG_RESET, now_ms, out + n);
	else if (row->closed)
		n += connlog_end(seen, CONNLOG_CLOSED, now_ms, out + n);
	else if (!row->counts)
		n += connlog_end(seen, CONNLOG_IDLE, now_ms, out + n);
	if (!seen->silent && !seen->open)
		seen->since_ms = now_ms;
	seen->silent = row->counts && !row->data;
	seen->seq = row->seq;
	return n;
}
