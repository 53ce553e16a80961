/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What crosses the SOCK_SEQPACKET pair between mxlbd and its probe child: one fixed-size record a message, both
 * ends from the same binary. Requests carry the TCP socket by SCM_RIGHTS. The parent checks every field of
 * an answer (wire_check_answer) before it looks at it: the child talks to hostile peers.
 */
#ifndef MXLB_WIRE_H
#define MXLB_WIRE_H

#include "core/dialog.h"
#include "core/verdict.h"
#include "probe/transcript.h"

#define WIRE_MAGIC     0x6d786c31u
#define WIRE_NO_BUNDLE UINT32_MAX
#define WIRE_SLOW_MS   300 /* of silence, after which the child reports it */

struct wire_request {
	uint32_t magic;
	uint32_t id;	     /* of the probe run: unique while it lives */
	struct addr address; /* what the socket is being connected to */
	uint16_t port;
	uint16_t min_tls_version;
	uint32_t timeout_ms,
		connect_timeout_ms; /* from receipt; one absolute deadline for the whole */
	uint32_t cpu_ms; /* of the child's thread that it may take: then it is expensive */
	struct dialog_conf dialog;
	struct cert_conf cert;
	uint32_t
		bundle; /* the child's CA bundle of that number, as it was started with them; WIRE_NO_BUNDLE */
	char sni[CONFIG_TEXT_SIZE];
	int32_t connect_error; /* what connect() said at once: an errno; 0: it is under way, or done */
	uint32_t watched;      /* 1: tell it all, in WIRE_NOTEs before the WIRE_RESULT */
};

enum wire_kind {
	WIRE_RESULT = 1,
	WIRE_SLOW_CONNECT = 2, /* no answer to the SYN so far */
	WIRE_SLOW_ANSWER = 3,  /* connected, and then silence */
	WIRE_NOTE = 4,	       /* of a watched probe: at most TRANSCRIPT_NOTES_MAX */
	WIRE_READY =
		5, /* the child's first: its loop runs, and what is sent now is timed soundly */
};

struct wire_answer {
	uint32_t magic;
	uint32_t id;
	uint32_t kind;
	union {
		struct probe_result result; /* WIRE_RESULT */
		struct probe_note note;	    /* WIRE_NOTE */
		uint32_t reference_us;	    /* WIRE_READY: tls_reference_us() */
	};
};

/* 0 or -EBADMSG: lengths, enums, NUL termination, printable text. */
int wire_check_answer(const struct wire_answer *a, size_t len);

/*
 * Four ends of the same pair; none of them waits but wire_send_answer(), on a parent that does not read.
 * Each is 0 or: -EAGAIN nothing there or no room; -EPIPE the other side is gone; -EBADMSG not one of our records;
 * wire_recv_request() -EMFILE a sound request, but no descriptor was free for its socket; else what the kernel said.
 */
int wire_send_request(int fd, const struct wire_request *req,
		      int socket); /* socket stays the caller's */
int wire_recv_request(int fd, struct wire_request *req,
		      int *socket); /* socket is now the caller's */
int wire_send_answer(int fd, const struct wire_answer *a);
int wire_recv_answer(int fd, struct wire_answer *a); /* checked */

#endif
