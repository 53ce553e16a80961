/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SMTP reply parser. It processes one byte at a time, so that no split of the bytes can change the result. It
 * implements the grammar of RFC 5321 section 4.2; it rejects NULs, codes outside 200..599, codes that change between
 * the lines of a reply, and everything beyond the limits. What a code means is decided by dialog.c.
 */
#include <string.h>
#include <strings.h>
#include "core/reply.h"

#define CODE_LEN 3

static const char starttls[] = "STARTTLS";

void reply_init(struct reply *r)
{
	memset(r, 0, sizeof(*r));
	r->status = REPLY_MORE;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The code, digit by digit; on later lines it must equal the first line's. */
static bool code_byte_fits(const struct reply *r, size_t at, char c)
{
	static const uint16_t place[CODE_LEN] = {100, 10, 1};

	if (!is_digit(c) || (at == 0 && (c < '2' || c > '5')))
		return false;
	return !r->lines || r->code / place[at] % 10 == c - '0';
}

/* Rejects as early as possible, because a server that speaks another protocol may never end its line. */
static bool byte_fits(const struct reply *r, char c)
{
	size_t at = r->line_len;

	if (c == '\0')
		return false;
	if (at < CODE_LEN)
		return code_byte_fits(r, at, c);
	if (at == CODE_LEN)
		return c == ' ' || c == '-' || c == '\r' || c == '\n';
	return at != CODE_LEN + 1 || r->line[CODE_LEN] != '\r' || c == '\n';
}

/* RFC 5321 section 4.1.1.1: the keyword is the first token of a line after the greeting line, in any case. Senders
 * accept a tab behind it, too. */
static bool is_starttls(const char *text, size_t len)
{
	size_t n = sizeof(starttls) - 1;

	return len >= n && !strncasecmp(text, starttls, n) &&
	       (len == n || text[n] == ' ' || text[n] == '\t');
}

/* A whole line, without its end: "NNN", "NNN text" or "NNN-text". */
static enum reply_status reply_take_line(struct reply *r, size_t len)
{
	bool last = len == CODE_LEN || r->line[CODE_LEN] == ' ';
	const char *text = r->line + CODE_LEN + 1;
	size_t text_len = len > CODE_LEN ? len - CODE_LEN - 1 : 0;

	if (!r->lines) {
		r->code = (uint16_t)((r->line[0] - '0') * 100 + (r->line[1] - '0') * 10 +
				     (r->line[2] - '0'));
		if (text_len >= sizeof(r->text))
			text_len = sizeof(r->text) - 1;
		memcpy(r->text, text, text_len);
		r->text[text_len] = '\0';
	} else if (is_starttls(text, text_len)) {
		r->starttls = true;
	}
	r->lines++;
	r->line_len = 0;
	if (last)
		return REPLY_COMPLETE;
	return r->lines < REPLY_LINES_MAX ? REPLY_MORE : REPLY_TOO_LONG;
}

static enum reply_status take_byte(struct reply *r, char c)
{
	size_t len = r->line_len;

	if (++r->bytes > REPLY_BYTES_MAX)
		return REPLY_TOO_LONG;
	if (!byte_fits(r, c)) {
		r->line[r->line_len++] = c; /* shown in the error */
		return REPLY_MALFORMED;
	}
	if (c == '\n') {
		r->bare_lf |= r->line[len - 1] != '\r';
		while (r->line[len - 1] == '\r') /* senders accept several */
			len--;
		return reply_take_line(r, len);
	}
	r->line[r->line_len++] = c;
	return r->line_len < sizeof(r->line) ? REPLY_MORE : REPLY_TOO_LONG;
}

enum reply_status reply_feed(struct reply *r, const char *bytes, size_t len, size_t *used)
{
	size_t i = 0;

	while (i < len && r->status == REPLY_MORE)
		r->status = take_byte(r, bytes[i++]);
	*used = i;
	return r->status;
}
