/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The notes of a watched probe while it runs: the dialogue line by line, the certificates, and the result under each
 * policy. Plain values of fixed size, copied from the probe child; their number is limited, so the server cannot
 * choose how much the parent keeps.
 */
#ifndef MXLB_TRANSCRIPT_H
#define MXLB_TRANSCRIPT_H

#include <stddef.h>
#include "core/config.h"
#include "core/verdict.h"

#define NOTE_TEXT_SIZE		512
#define TRANSCRIPT_LINES_MAX	160 /* the last of them says that more came */
#define TRANSCRIPT_CHAIN_MAX	8   /* certificates */
#define TRANSCRIPT_POLICIES_MAX (TLS_DANE + 1)
#define TRANSCRIPT_NOTES_MAX	(TRANSCRIPT_LINES_MAX + TRANSCRIPT_CHAIN_MAX + TRANSCRIPT_POLICIES_MAX)

enum note_kind {
	NOTE_EVENT = 1, /* the probe's own */
	NOTE_SAID,	/* to the server */
	NOTE_HEARD,	/* from the server */
	NOTE_CERTIFICATE,
	NOTE_JUDGEMENT,
};

/* Texts are printable ASCII, NUL-terminated. */
struct probe_note {
	enum note_kind kind;
	uint32_t at_ms; /* since the probe began */
	union {
		char text
			[NOTE_TEXT_SIZE]; /* a line of NOTE_EVENT, NOTE_SAID, NOTE_HEARD, escaped */
		struct tls_info
			certificate; /* the server's own first; version and cipher are empty */
		struct {
			enum tls_policy policy;
			enum reason reason; /* ok: satisfied */
			char text[PROBE_TEXT_SIZE];
		} judgement;
	};
};

struct transcript {
	void (*emit)(void *ctx, const struct probe_note *n); /* NULL: there is no observer */
	void *ctx;
	unsigned lines;		   /* emitted so far */
	char line[NOTE_TEXT_SIZE]; /* received without its end so far; the excess is cut */
	size_t line_len;
};

/* Each does nothing for an unwatched probe. */
void transcript_event(struct transcript *t, uint32_t at_ms, const char *text);
void transcript_said(struct transcript *t, uint32_t at_ms, const char *bytes, size_t len);
void transcript_heard(struct transcript *t, uint32_t at_ms, const char *bytes, size_t len);
/* Reports a line whose end has not arrived. */
void transcript_end(struct transcript *t, uint32_t at_ms);

#endif
