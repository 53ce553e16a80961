/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text for a terminal: safe, short, and coloured only on a terminal. And the fields of the daemon's JSON, which is
 * untrusted: a field of another type counts as missing.
 */
#ifndef MXLB_CTL_TEXT_H
#define MXLB_CTL_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define TEXT_SHORT_SIZE 24 /* ages and counts */

#define TEXT_NAME_SIZE	64 /* mxlb.yaml's names, with NUL */
/* As mxlb.yaml has names: letters, digits, dots, hyphens and underscores, so nothing that a shell takes for more. */
bool text_is_name(const char *text);
/* Puts '?' in place of each byte that is not of printable UTF-8. Returns text. */
char *text_safe(char *text);
/* Copies, made safe, at most width (2 or more) characters. Returns buf. */
char *text_fit(const char *text, size_t width, char *buf, size_t size);
/* The same for names, which tend to differ at their end: what is too long is cut out of the middle. */
char *text_name(const char *name, size_t width, char *buf, size_t size);
/* "59s" "12m" "3h12m" "4d2h" "300d". */
char *text_age(long long s, char buf[TEXT_SHORT_SIZE]);
/* At most five characters: "99999" "1234k" "56M". */
char *text_count(long long n, char buf[TEXT_SHORT_SIZE]);
/* "90s" "15m" "1h" "2d", in seconds; 0: not one of these, or nothing, or beyond a year. */
unsigned text_seconds(const char *text);

enum text_colouring { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };
void text_set_colouring(enum text_colouring how);
/*
 * The escape sequences around a verdict, a service's state or a level; "" for a word without a colour, and, by COLOUR_AUTO,
 * where stdout is no terminal or NO_COLOR is set (no-color.org).
 */
const char *text_colour(const char *word);
const char *text_colour_end(const char *word);

#define TEXT_TIER_SIZE 256
/* "tier 20, forced by root until 2026-...": which tier of a service of the status is active and why not another. */
char *text_tier(const json_t *service, char buf[TEXT_TIER_SIZE]);
/* " until 2026-...", of such an order; "" where it has no end. */
char *text_until(const json_t *order, char buf[TEXT_TIER_SIZE]);
/* " by root since 2026-... until 2026-...", of an order in the status; "" where there is none. */
char *text_order(const json_t *order, char buf[TEXT_TIER_SIZE]);

/* A tier's servers: "backends" in a status of more than 1,000, or of an earlier mxlbd that still runs. */
json_t *tier_servers(const json_t *tier);
const char *field_text(const json_t *object, const char *key); /* never NULL */
long long field_number(const json_t *object, const char *key); /* 0 when missing */
bool field_true(const json_t *object, const char *key);
time_t field_time(const json_t *object, const char *key); /* of RFC 3339 text; 0 when missing */

#endif
