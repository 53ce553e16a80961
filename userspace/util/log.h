/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line to stderr per call, never blocking: if stderr cannot take a line at once, the line is
 * dropped and counted. With journald (JOURNAL_STREAM names our stderr) lines carry its <N> prefix.
 * A line is "key=value" pairs; log_quote() makes any bytes safe for one value.
 */
#ifndef MXLB_LOG_H
#define MXLB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* program: static text, printed before every line. Levels above max are not printed. */
void log_init(const char *program, enum log_level max);
uint64_t log_dropped(void);
/* Whether a repeated message may be logged now: the first time, and a minute after the last. *said_ms: 0 at first. */
bool log_seldom(uint64_t *said_ms);
void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Escapes as C string text (\r \n \t \" \\ \xNN for all outside printable ASCII); always
 * terminates; cuts at size with "...". Returns buf. */
char *log_quote(const void *bytes, size_t len, char *buf, size_t size);

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
