/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SMTP reply parser (RFC 5321 section 4.2): bytes in, one reply out. The verdict does not depend on how the
 * bytes are split. Caps: REPLY_LINE_MAX a line, REPLY_LINES_MAX lines, REPLY_BYTES_MAX in all.
 */
#ifndef MXLB_REPLY_H
#define MXLB_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_LINE_MAX	4096
#define REPLY_LINES_MAX 100
#define REPLY_BYTES_MAX 65536
#define REPLY_TEXT_SIZE 512

enum reply_status { REPLY_MORE, REPLY_COMPLETE, REPLY_MALFORMED, REPLY_TOO_LONG };

struct reply {
	uint16_t code; /* 200..599 once the first line is in */
	bool starttls; /* a line after the first is the keyword STARTTLS (RFC 3207) */
	bool bare_lf;  /* a line ended in LF alone: noted, not refused */
	char text
		[REPLY_TEXT_SIZE]; /* the first line after its code, raw bytes, NUL-terminated; NULs in it are malformed */
	/* private */
	char line[REPLY_LINE_MAX];
	size_t line_len;
	unsigned lines;
	size_t bytes;
	enum reply_status status;
};

void reply_init(struct reply *r);
/* Feeds bytes; *used says how many belong to this reply (what follows a complete reply is left). */
enum reply_status reply_feed(struct reply *r, const char *bytes, size_t len, size_t *used);

#endif
