/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The terminal while something is shown on all of it: the alternate screen, keys one by one, no cursor, no wrapping. It is as it
 * was before after screen_end(), which a signal leads to as well.
 */
#ifndef MXLB_CTL_SCREEN_H
#define MXLB_CTL_SCREEN_H

#include <stdbool.h>

enum screen_key {
	SCREEN_NONE, /* the time is up, or the size has changed */
	SCREEN_QUIT, /* q, or a signal asked for it, or stdin has ended */
	SCREEN_UP,
	SCREEN_DOWN,
};

/* False: stdin and stdout are no terminal that can do it; nothing has changed then. */
bool screen_begin(void);
void screen_end(void);
/* Shows the lines of text from number `first` on, as many as there is room for below the `head` first ones, which stay.
 * Returns the highest `first` that still fills the screen. */
unsigned screen_show(const char *text, unsigned head, unsigned first);
/* Waits for a key for so long at most. */
enum screen_key screen_key(int wait_ms);

#endif
