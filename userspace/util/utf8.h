/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UTF-8 that is safe to show: no control characters, nothing that changes the direction of what surrounds it.
 */
#ifndef MXLB_UTIL_UTF8_H
#define MXLB_UTIL_UTF8_H

#include <stddef.h>

/* The bytes of the printable character that text begins with, at most len of them; 0: none, or not UTF-8 (RFC 3629). */
size_t utf8_printable(const char *text, size_t len);
/* Drops what is not printable, such as the rest of a character that was cut. In place. */
void utf8_scrub(char *text);
/* The columns that the text takes on a terminal, each character as one. */
size_t utf8_columns(const char *text);
/* The bytes of its first columns. */
size_t utf8_bytes(const char *text, size_t columns);

#endif
