/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which reason an SMTP refusal stands for: by the stage it was met in, its code, its enhanced status code (RFC 3463) and
 * its words. Rules are numbered in refusal.c; docs/verdicts.md says what becomes of each.
 */
#ifndef MXLB_REFUSAL_H
#define MXLB_REFUSAL_H

#include "core/verdict.h"

/* What the code alone stands for. */
enum reason refusal_by_code(enum probe_stage stage, uint16_t code);
/* The same, unless the text names a cause that concerns this client. text: the reply's first line behind its code. */
enum reason refusal_reason(enum probe_stage stage, uint16_t code, const char *text);
/* The text names a state of the server that every client meets: maintenance, back pressure, no space. */
bool refusal_names_server(const char *text);

#endif
