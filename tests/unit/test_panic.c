/* SPDX-License-Identifier: BSD-2-Clause */
/* core/panic.c: whether this box is the cause when all servers fail (docs/verdicts.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/blame.h"
#include "core/panic.h"

#define NOW    100000
#define WINDOW 18000

/* A server that failed some time ago and gets no connections. */
static struct panic_view failed(uint16_t preference, enum reason reason, uint64_t ago_ms)
{
	return (struct panic_view){.offered = true,
				   .preference = preference,
				   .reason = reason,
				   .began_ms = NOW - ago_ms - 1000,
				   .failed_ms = NOW - ago_ms,
				   .reached_ms = NOW - ago_ms,
				   .again_ms = 1};
}

static enum panic_says judge(const struct panic_view *v, unsigned n, unsigned *kept)
{
	bool keep[8];
	enum panic_says says = panic_judge(v, n, WINDOW, NOW, keep);

	*kept = 0;
	for (unsigned i = 0; i < n; i++)
		*kept |= (unsigned)keep[i] << i;
	return says;
}

static void panic_needs_all_to_fail_at_the_connect_level_at_once(void **state)
{
	struct panic_view v[3];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_connect_timeout, 5000);
	v[1] = failed(10, REASON_unreachable, 3000);
	v[2] = failed(20, REASON_connect_timeout, 2000);
	assert_int_equal(judge(v, 3, &kept), PANIC_KEEP); /* rule 8 */
	assert_int_equal(kept, 1 | 2);			  /* rule 9 */
	v[1].reason = REASON_greeting_5xx;		  /* rule 2 */
	assert_int_equal(judge(v, 3, &kept), PANIC_NO);
	assert_int_equal(kept, 0);
	v[1].reached_ms = v[0].began_ms - 1; /* this box could reach it, but perhaps no longer */
	assert_int_equal(judge(v, 3, &kept), PANIC_KEEP);
	assert_int_equal(kept, 1);
	v[1].reached_ms = v[0].began_ms;
	assert_int_equal(judge(v, 3, &kept), PANIC_NO);
	v[1].reason = REASON_not_probed;
	assert_int_equal(judge(v, 3, &kept), PANIC_KEEP);
	v[1].offered = false; /* taken out by an operator: no evidence */
	assert_int_equal(judge(v, 3, &kept), PANIC_KEEP);
	assert_int_equal(kept, 1);
	v[0].failed_ms = NOW - 60000; /* rule 3 */
	assert_int_equal(judge(v, 3, &kept), PANIC_KEEP);
	assert_int_equal(kept, 4);
	v[0].failed_ms = v[2].failed_ms = 0; /* never up since mxlbd started */
	assert_int_equal(judge(v, 3, &kept), PANIC_NO);
}

static void clients_prove_and_refute_a_panic(void **state)
{
	struct panic_view v[2];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_connect_timeout, 2000);
	v[1] = failed(10, REASON_connect_timeout, 1000);
	v[1].tried_ms = NOW - 400; /* rule 5: not yet */
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	v[1].tried_ms = NOW - 500; /* rule 6 */
	v[1].again_ms = 0;
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP); /* it may be a scanner's */
	v[1].again_ms = NOW - 490; /* of a connection that is about to be established */
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	v[1].again_ms = NOW - 500;
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
	v[0].opened_ms = NOW - 100; /* rule 4 */
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	assert_int_equal(kept, 1);
	v[0].opened_ms = v[0].began_ms - 1; /* from before the problem: no evidence */
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
}

static void a_refusal_is_definite_unless_clients_prove_otherwise_soon(void **state)
{
	struct panic_view v[2];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_refused, 3000);
	v[1] = failed(20, REASON_refused, 650);
	assert_int_equal(judge(v, 2, &kept), PANIC_NO); /* no client can give evidence */
	v[1].opened_ms = v[1].began_ms - 100;
	assert_int_equal(judge(v, 2, &kept), PANIC_HOLD);
	assert_int_equal(kept, 1);
	v[1].failed_ms = NOW - 3 * PANIC_AGAIN_MS; /* BGP has the rest of a second */
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
	v[1].opened_ms = NOW - 10;
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	v[1].opened_ms = NOW - 2100; /* and then it died */
	v[1].tried_ms = NOW - 2000;
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
}

/* Whoever forges a SYN, or loses one, does not end a panic in which clients take mail. */
static void what_refutes_a_proof_lasts_as_long_as_the_proof(void **state)
{
	static const struct {
		uint64_t proof_ms, tried_ms;
		enum panic_says says;
	} rows[] = {{10, 1900, PANIC_KEEP}, {10, 2000, PANIC_NO},	{5000, 4900, PANIC_KEEP},
		    {5000, 5000, PANIC_NO}, {60000, 29000, PANIC_KEEP}, {60000, 30000, PANIC_NO}};
	unsigned kept;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct panic_view v = failed(10, REASON_refused, 0);

		v.tried_ms = NOW - rows[i].tried_ms;
		v.opened_ms = v.tried_ms - 1;
		v.began_ms = v.opened_ms - rows[i].proof_ms;
		v.failed_ms = v.began_ms + 1;
		assert_int_equal(judge(&v, 1, &kept), rows[i].says);
	}
}

/* This box is well again: the first good probe is no verdict yet, but no reason to refuse mail either. */
static void a_probe_that_reaches_a_server_ends_no_panic(void **state)
{
	struct panic_view v[2];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_refused, 9000);
	v[1] = failed(20, REASON_refused, 9000);
	v[0].opened_ms = NOW - 20;
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	v[0].began_ms = 0;
	v[0].reached_ms = NOW - 10;
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	assert_int_equal(kept, 1);
	v[0].began_ms = NOW - 5; /* not yet: it is refused again */
	assert_int_equal(judge(v, 2, &kept), PANIC_HOLD);
	v[0].began_ms = NOW - 700;
	v[0].opened_ms = NOW - 701;
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
}

static void a_server_that_was_taken_out_is_a_proof_for_the_others(void **state)
{
	struct panic_view v[2];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_refused, 9000);
	v[1] = failed(20, REASON_refused, 9000);
	v[0].opened_ms = NOW - 20;
	v[0].offered = false;
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	assert_int_equal(kept, 2);
	v[0].failed_ms = NOW - 60000; /* rule 3 */
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
}

/* One server hangs, as for days, and this box drops the probes to the others, whose clients connect. */
static void a_server_that_is_ill_does_not_refute_what_clients_prove(void **state)
{
	struct panic_view v[2];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_connect_timeout, 2000);
	v[1] = failed(10, REASON_greeting_silent, 1000);
	assert_int_equal(judge(v, 2, &kept), PANIC_NO); /* rule 2 */
	v[0].opened_ms = NOW - 100;			/* rule 4 */
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	assert_int_equal(kept, 1);
}

/* The only proof is by a server that gets no connections, and the one that gets them is refuted. */
static void panic_without_a_server_is_none(void **state)
{
	struct panic_view v[2];
	unsigned kept;

	(void)state;
	v[0] = failed(10, REASON_connect_timeout, 2000);
	v[1] = failed(10, REASON_connect_timeout, 2000);
	v[0].opened_ms = NOW - 1000;
	v[0].offered = false;
	assert_int_equal(judge(v, 2, &kept), PANIC_KEEP);
	v[1].tried_ms = NOW - 600;
	assert_int_equal(judge(v, 2, &kept), PANIC_NO);
	assert_int_equal(kept, 0);
}

/* Every combination of three servers in every order, against invariants. */
static const enum reason panic_reasons[] = {REASON_connect_timeout, REASON_refused,
					    REASON_greeting_silent};

static struct panic_view any_view(unsigned k)
{
	struct panic_view v =
		failed(k / 3 % 2 ? 10 : 20, panic_reasons[k % 3], k & 8 ? 500 : 30000);

	v.reached_ms = NOW;
	if (k / 6 % 3 == 1)
		v.opened_ms = NOW - 50;
	if (k / 6 % 3 == 2)
		v.tried_ms = NOW - 700;
	return v;
}

static void check_panic(const struct panic_view *v)
{
	static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					      {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	bool reached = false, proof = false, keep[3];
	unsigned kept, again;
	enum panic_says says = judge(v, 3, &kept);

	for (unsigned i = 0; i < 3; i++) {
		reached |= v[i].reason == REASON_greeting_silent;
		proof |= v[i].opened_ms && reason_is_connect(v[i].reason);
		if (kept & 1u << i)
			assert_int_equal(v[i].tried_ms, 0);
	}
	assert_int_equal(kept == 0, says == PANIC_NO);
	if (reached && !proof)
		assert_int_equal(says, PANIC_NO);
	if (says == PANIC_HOLD)
		assert_false(proof);
	for (unsigned o = 0; o < 6; o++) {
		struct panic_view w[3] = {v[orders[o][0]], v[orders[o][1]], v[orders[o][2]]};

		assert_int_equal(panic_judge(w, 3, WINDOW, NOW, keep), says);
		again = 0;
		for (unsigned i = 0; i < 3; i++)
			again |= (unsigned)keep[i] << orders[o][i];
		assert_int_equal(again, kept);
	}
}

static void panic_is_the_same_in_all_orders_and_never_against_an_answer(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 18; a++)
		for (unsigned b = 0; b < 18; b++)
			for (unsigned c = 0; c < 18; c++) {
				const struct panic_view v[3] = {any_view(a), any_view(b),
								any_view(c)};

				check_panic(v);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(panic_needs_all_to_fail_at_the_connect_level_at_once),
		cmocka_unit_test(clients_prove_and_refute_a_panic),
		cmocka_unit_test(a_refusal_is_definite_unless_clients_prove_otherwise_soon),
		cmocka_unit_test(what_refutes_a_proof_lasts_as_long_as_the_proof),
		cmocka_unit_test(a_probe_that_reaches_a_server_ends_no_panic),
		cmocka_unit_test(a_server_that_was_taken_out_is_a_proof_for_the_others),
		cmocka_unit_test(a_server_that_is_ill_does_not_refute_what_clients_prove),
		cmocka_unit_test(panic_without_a_server_is_none),
		cmocka_unit_test(panic_is_the_same_in_all_orders_and_never_against_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
