/* SPDX-License-Identifier: BSD-2-Clause */
/* Options. A new option is a row of the table in options.c and a line of its help. */
#ifndef MXLB_CTL_OPTIONS_H
#define MXLB_CTL_OPTIONS_H

#include "ctl/ctl.h"

/* Options that only some commands know. */
#define TAKES_WAIT    (1u << 0)
#define TAKES_PROBE   (1u << 1)
#define TAKES_FOR     (1u << 2)
#define TAKES_FILE    (1u << 3)
#define TAKES_TIMEOUT (1u << 4)
#define TAKES_FOLLOW  (1u << 5)
#define TAKES_TOP     (1u << 7)
#define TAKES_DAYS    (1u << 6)
#define TAKES_FORCE   (1u << 8)
#define TAKES_COUNT   (1u << 9)

enum options_end {
	OPTIONS_COMMAND, /* argv[optind] is one */
	OPTIONS_NONE,	 /* nothing was asked for */
	OPTIONS_HELP,
	OPTIONS_VERSION,
	OPTIONS_COMPLETE, /* say what may be typed */
	OPTIONS_WRONG,	  /* reported on stderr */
};

/* Fills ctl, including defaults, and *given with the TAKES_ of the given options. Texts point into argv. */
enum options_end options_take(struct ctl *ctl, unsigned *given, int argc, char **argv);
void options_print(FILE *to);
/* Their names, in one line: those that every command takes, and these. */
void options_print_names(FILE *to, unsigned takes);

#endif
