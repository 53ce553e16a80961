/* SPDX-License-Identifier: BSD-2-Clause */
/* One thing that is wrong, and what to do next: a line of diagnosis.h. */
#ifndef MXLB_FINDING_H
#define MXLB_FINDING_H

#define FINDING_TEXT_SIZE 512
#define FINDING_NEXT_SIZE 320

enum finding_level {
	FINDING_CRITICAL, /* mail does not flow, or to servers that should get none */
	FINDING_ERROR,	  /* a server or a file is broken; mail flows */
	FINDING_WARNING,  /* mail flows, and not as configured */
	FINDING_NOTE, /* no fault: an override that does no harm, senders that were turned away */
};

struct finding {
	enum finding_level level;
	const char *code; /* "service_down", "server_down", "override" ...: for programs */
	const char *service, *server; /* borrowed from the model; "": the box, no server */
	char text[FINDING_TEXT_SIZE]; /* object and cause; printable UTF-8 */
	char next[FINDING_NEXT_SIZE]; /* what to do; may be empty */
};

#endif
