/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Problems of this box, shown as long as they last: a VIP that became one of its addresses, a file that was replaced
 * by its last good copy. All views of mxlb's state show this list; each row is an event when it begins and when it
 * ends.
 */
#ifndef MXLB_PROBLEM_H
#define MXLB_PROBLEM_H

#include "core/event.h"

#define PROBLEMS_MAX 64

struct problem {
	const char *name;	      /* "vip_local": a literal; (name, .about) is unique */
	char about[CONFIG_NAME_SIZE]; /* a service; "": the box */
	/* the problem and its effect; behind the last "; " the remedy */
	char text[EVENT_TEXT_SIZE];
	bool critical; /* otherwise a warning without an effect yet */
	int64_t since_wall_ms;
};

struct problems {
	struct problem list[PROBLEMS_MAX];
	unsigned n;
};

/*
 * text: the problem; NULL: it is gone, and its row is removed. An event is added if a row appears or disappears; an
 * existing row only gets the new text. If there is no room for a row, the event is added all the same.
 */
void problem_set(struct problems *p, struct event_log *log, int64_t now_wall_ms, const char *name,
		 const char *about, bool critical, const char *text);

#endif
