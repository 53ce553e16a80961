/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Splits received data into lines, escapes and counts them. At most TRANSCRIPT_LINES_MAX are reported, however the
 * server splits its bytes.
 */
#include <string.h>
#include "probe/transcript.h"
#include "util/log.h"

static void transcript_emit(struct transcript *t, enum note_kind kind, uint32_t at_ms,
			    const char *bytes, size_t len)
{
	struct probe_note n = {.kind = kind, .at_ms = at_ms};
	static const char more[] = "more lines follow, which are not shown";

	if (t->lines >= TRANSCRIPT_LINES_MAX)
		return;
	if (++t->lines == TRANSCRIPT_LINES_MAX) {
		n.kind = NOTE_EVENT;
		bytes = more;
		len = sizeof(more) - 1;
	}
	log_quote(bytes, len, n.text, sizeof(n.text));
	t->emit(t->ctx, &n);
}

/* CRLF is how a line ends; any other end is worth seeing. */
static size_t without_crlf(const char *line, size_t len)
{
	return len >= 2 && !memcmp(line + len - 2, "\r\n", 2) ? len - 2 : len;
}

static void transcript_end_line(struct transcript *t, uint32_t at_ms)
{
	transcript_emit(t, NOTE_HEARD, at_ms, t->line, without_crlf(t->line, t->line_len));
	t->line_len = 0;
}

void transcript_event(struct transcript *t, uint32_t at_ms, const char *text)
{
	if (t->emit)
		transcript_emit(t, NOTE_EVENT, at_ms, text, strlen(text));
}

void transcript_said(struct transcript *t, uint32_t at_ms, const char *bytes, size_t len)
{
	if (t->emit && len)
		transcript_emit(t, NOTE_SAID, at_ms, bytes, without_crlf(bytes, len));
}

/* A full line holds as many bytes as a note's text, so log_quote() shows that it was cut. */
void transcript_heard(struct transcript *t, uint32_t at_ms, const char *bytes, size_t len)
{
	for (size_t i = 0; t->emit && i < len; i++) {
		if (t->line_len < sizeof(t->line))
			t->line[t->line_len++] = bytes[i];
		if (bytes[i] == '\n')
			transcript_end_line(t, at_ms);
	}
}

void transcript_end(struct transcript *t, uint32_t at_ms)
{
	if (t->emit && t->line_len)
		transcript_end_line(t, at_ms);
}
