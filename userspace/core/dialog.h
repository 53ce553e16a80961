/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The probe's SMTP dialogue as a pure state machine: an event in, one action out. No socket, no clock, no TLS: the
 * driver carries out the action and reports back.
 *
 * The sequence is connect, greeting, EHLO, STARTTLS, handshake, EHLO, MAIL FROM, RSET, QUIT, as far as the configured
 * depth; QUIT is sent on every path on which the server still listens (docs/protocol-notes.md 1.4).
 */
#ifndef MXLB_DIALOG_H
#define MXLB_DIALOG_H

#include "core/config.h"
#include "core/reply.h"
#include "core/verdict.h"

enum dialog_want {
	DIALOG_READ,	  /* wait for bytes */
	DIALOG_WRITE,	  /* send .out, .out_len, then wait for bytes */
	DIALOG_START_TLS, /* do the handshake, then dialog_tls_done() */
	DIALOG_CLOSE, /* the result is final: close (close_notify first where TLS is on). What .out holds is
			     sent before that, if it goes at once */
};

struct dialog_conf {
	enum probe_depth depth;
	enum tls_policy tls;
	char helo[CONFIG_TEXT_SIZE];
	char sender[CONFIG_TEXT_SIZE]; /* of MAIL FROM; empty: the null sender */
};

struct dialog {
	struct dialog_conf conf;
	enum probe_stage stage;
	struct reply reply;
	bool tls_on, quitting, decided;
	bool helo;	    /* EHLO was not known, HELO was sent */
	enum reason reason; /* valid once decided */
	uint16_t smtp_code;
	char text[PROBE_TEXT_SIZE]; /* escaped */
	char out[CONFIG_TEXT_SIZE + 16];
	size_t out_len;
};

void dialog_init(struct dialog *d, const struct dialog_conf *conf);
enum dialog_want dialog_connected(struct dialog *d);
enum dialog_want dialog_bytes(struct dialog *d, const char *bytes, size_t len);
/* Not ok with any reason but tls_handshake: the session stands, its judgement does not; QUIT goes through it. */
enum dialog_want dialog_tls_done(struct dialog *d, bool ok, enum reason reason_if_not,
				 const char *text);
/* An error in the driver: it decides the result, unless that is decided already. Always ends in DIALOG_CLOSE. */
enum dialog_want dialog_fail(struct dialog *d, enum reason reason, const char *text, size_t len);
/* Peer closed or reset, or the deadline passed: always ends in DIALOG_CLOSE. */
enum dialog_want dialog_eof(struct dialog *d, const char *text);
enum dialog_want dialog_timeout(struct dialog *d);

#endif
