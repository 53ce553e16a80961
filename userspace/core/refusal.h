/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Derives the reason from an SMTP refusal: by its stage, its code, its enhanced status code (RFC 3463) and its words.
 * Rules are numbered in refusal.c; docs/verdicts.md explains the consequences.
 */
#ifndef MXLB_REFUSAL_H
#define MXLB_REFUSAL_H

#include "core/verdict.h"

/* The reason by the code alone. */
enum reason refusal_by_code(enum probe_stage stage, uint16_t code);
/* The same, unless the text gives a cause that concerns this client only. text: the reply's first line after its code. */
enum reason refusal_reason(enum probe_stage stage, uint16_t code, const char *text);
/* The text names a state of the server that every client meets: maintenance, back pressure, no space. */
bool refusal_names_server(const char *text);

#endif
