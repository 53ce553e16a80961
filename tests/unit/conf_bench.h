/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the tests of conf/: loads one file in a directory of its own; the lines of the report are without its name. */
#ifndef MXLB_CONF_BENCH_H
#define MXLB_CONF_BENCH_H

#include "conf/conf.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* The minimal valid file. The text after it begins at line 10: a key of the service is indented by 4, a server by 8. */
#define LEAST                                  \
	"interfaces: {eth0: {}}\n"             \
	"services:\n"                          \
	"  a:\n"                               \
	"    address: 203.0.113.25\n"          \
	"    interface: eth0\n"                \
	"    tiers:\n"                         \
	"      10:\n"                          \
	"        x: {address: 203.0.113.11}\n" \
	"        y: {address: 203.0.113.12}\n"

extern char bench_file[];		   /* written by each test */
extern const struct config *bench_running; /* what is in force while the bench loads */

/* Group fixtures. */
int bench_open(void **state);
int bench_close(void **state);

void bench_write(const void *bytes, size_t len);
int bench_load(struct config **out, struct buf *errors);
int bench_load_text(const char *text, struct config **out, struct buf *errors);
/* Fails and prints both texts unless the file has these errors (like.h); warnings alone are a success. */
void bench_expect(const char *what, const char *text, int expected_err, const char *expected);
/* Loads a valid file that has these warnings. The caller frees the result. */
struct config *bench_load_good(const char *text, const char *warnings);

#endif
