/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reply parser, differentially: the same bytes, whole, one by one and in pieces that the first byte chooses, are the
 * same replies. And what is promised of each: its caps, its code, its text.
 */
#include <string.h>
#include "core/reply.h"
#include "fuzz.h"

#define REPLIES_MAX 8 /* that follow each other in one input */

struct parsed {
	unsigned n;
	struct {
		enum reply_status status;
		uint16_t code;
		bool starttls, bare_lf;
		char text[REPLY_TEXT_SIZE];
		size_t bytes;
	} replies[REPLIES_MAX];
};

static void take(struct parsed *p, const struct reply *r, size_t bytes)
{
	MUST(r->status == REPLY_MORE || bytes <= REPLY_BYTES_MAX + 1);
	MUST(r->line_len <= REPLY_LINE_MAX && r->lines <= REPLY_LINES_MAX);
	MUST(memchr(r->text, '\0', sizeof(r->text)));
	MUST(r->status != REPLY_COMPLETE || (r->code >= 200 && r->code <= 599));
	p->replies[p->n].status = r->status;
	p->replies[p->n].code = r->code;
	p->replies[p->n].starttls = r->starttls;
	p->replies[p->n].bare_lf = r->bare_lf;
	strcpy(p->replies[p->n].text, r->text);
	p->replies[p->n++].bytes = bytes;
}

/* step: bytes of a piece; 0: pieces of many sizes, by the seed. */
static void parse(const char *bytes, size_t len, size_t step, uint32_t seed, struct parsed *p)
{
	static struct reply r;
	size_t at = 0, bytes_of_it = 0;

	memset(p, 0, sizeof(*p));
	reply_init(&r);
	while (at < len && p->n < REPLIES_MAX) {
		size_t piece = step ? step : 1 + (seed = seed * 1103515245 + 12345) % 97, used;
		enum reply_status status;

		if (piece > len - at)
			piece = len - at;
		status = reply_feed(&r, bytes + at, piece, &used);
		MUST(used <= piece && (status != REPLY_MORE || used == piece));
		at += used;
		bytes_of_it += used;
		if (status == REPLY_MORE)
			continue;
		take(p, &r, bytes_of_it);
		if (status != REPLY_COMPLETE) {
			MUST(reply_feed(&r, bytes, len, &used) == status && !used);
			return;
		}
		reply_init(&r);
		bytes_of_it = 0;
	}
	if (p->n < REPLIES_MAX && bytes_of_it)
		take(p, &r, bytes_of_it);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct parsed whole, single, pieces;
	const char *bytes = (const char *)data + 1;

	if (!size)
		return 0;
	parse(bytes, size - 1, SIZE_MAX, 0, &whole);
	parse(bytes, size - 1, 1, 0, &single);
	parse(bytes, size - 1, 0, data[0], &pieces);
	MUST(!memcmp(&whole, &single, sizeof(whole)));
	MUST(!memcmp(&whole, &pieces, sizeof(whole)));
	return 0;
}
