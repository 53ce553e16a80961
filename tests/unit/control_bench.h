/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A control socket in a directory of its own, on a model of one service and three servers, and a client that
 * turns the loop while it waits. Every wait ends at a deadline, which fails the test.
 */
#ifndef MXLB_TESTS_CONTROL_BENCH_H
#define MXLB_TESTS_CONTROL_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "control/control.h"

struct bench {
	struct ev_loop *loop;
	char dir[64];
	struct config config;
	struct service_conf service;
	struct server_conf servers[3];
	struct model *model;
	struct control *control;
	uint64_t counters[MXLB_COUNT_COUNT];
	uint64_t service_drops[MXLB_MAX_SERVICES][MXLB_DROP_COUNT];
	const char *last_error;
	unsigned reloads;
	int reload_rc, plan_rc;
	const char *reload_errors;
	char reload_who[CONFIG_NAME_SIZE];
	unsigned changes;	     /* the number of calls of changed() */
	unsigned refreshes;	     /* and refresh() */
	const struct flow_row *rows; /* the flow table */
	size_t n_rows;
	const struct rejected_row *rejected; /* what `show rejected` lists */
	unsigned n_rejected;
	struct flow_place place; /* explain()'s answer or explain_rc, and its arguments */
	int explain_rc;
	int notify_rc;
	/* the running probe: .probe_done is set from its start to its end */
	void (*probe_done)(void *ctx, const char *report);
	void *probe_ctx;
	uint32_t probed; /* the server's id */
	unsigned probes, probe_stops;
	int probe_rc;
	struct addr asked;
	uint16_t asked_port;
};

extern const struct now bench_start; /* 2026-01-01T00:00:00Z */

int bench_set_up(void **state);
int bench_tear_down(void **state);
const struct control_callbacks *bench_callbacks(struct bench *b);

int bench_dial(struct bench *b);
void bench_turn(struct bench *b);
/* Runs the loop and reads until the text ends with `end`, or until the connection is closed if end is NULL. */
char *bench_hear(struct bench *b, int fd, const char *end);
void bench_say(struct bench *b, int fd, const char *bytes, size_t len);
/* One connection: sends this and returns all that it receives until it is closed. */
char *bench_ask_bytes(struct bench *b, const char *bytes, size_t len);
char *bench_ask(struct bench *b, const char *line);

void bench_assert_begins(const char *text, const char *with);
void bench_assert_ends(const char *text, const char *with);

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

#endif
