/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is wrong with this box, as long as it is: a VIP that became an address of it, a file of which only the last good copy
 * is in use. Whatever shows the state of mxlb shows this list; each row is an event when it comes and when it goes.
 */
#ifndef MXLB_PROBLEM_H
#define MXLB_PROBLEM_H

#include "core/event.h"

#define PROBLEMS_MAX	  64
#define PROBLEM_NAME_SIZE 24

struct problem {
	const char *name;	      /* "vip_local": a literal; no other row has name and .about */
	char about[CONFIG_NAME_SIZE]; /* a service; "": the box */
	char text[EVENT_TEXT_SIZE];   /* what is wrong, what it means, what to do */
	bool critical;		      /* else a warning: what mxlb does is not harmed yet */
	int64_t since_wall_ms;
};

struct problems {
	struct problem list[PROBLEMS_MAX];
	unsigned n;
};

/*
 * text: what is wrong; NULL: nothing is, and the row goes. An event is added if the row came or went; one that is there
 * already only gets the new text. A row that finds no place is an event all the same.
 */
void problem_set(struct problems *p, struct event_log *log, int64_t now_wall_ms, const char *name,
		 const char *about, bool critical, const char *text);
const struct problem *problem_find(const struct problems *p, const char *name, const char *about);

#endif
