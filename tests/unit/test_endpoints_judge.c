/* SPDX-License-Identifier: BSD-2-Clause */
/* core/endpoints_judge.c: which lists may replace the one in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/endpoints_judge.h"

static void a_list_is_refused_for_the_first_rule_that_it_breaks(void **state)
{
	static const struct {
		struct endpoints_size is, was;
		const char *refused; /* "": it is plausible */
	} rows[] = {
		{{5, 2, 14, 48}, {0}, ""},
		{{1, 1, 10, 24}, {0}, ""},
		{{0, 2, 32, 48}, {0}, "has no IPv4 prefix for TCP 25"},
		{{5, 0, 14, 128}, {0}, "has no IPv6 prefix for TCP 25"},
		{{0, 0, 32, 128}, {0}, "has no IPv4 prefix for TCP 25"},
		{{998, 2, 14, 48}, {0}, ""},
		{{999, 2, 14, 48}, {0}, "has 1001 prefixes for TCP 25, more than 1000"},
		{{5, 2, 9, 48}, {0}, "has an IPv4 prefix of length 9, wider than /10"},
		{{5, 2, 14, 23}, {0}, "has an IPv6 prefix of length 23, wider than /24"},
		{{5, 2, 14, 48}, {10, 4, 14, 48}, ""},
		{{4, 2, 14, 48}, {9, 4, 14, 48}, "has lost more than half of its prefixes: 4 IPv4"},
		{{5, 1, 14, 48}, {5, 3, 14, 48}, "has lost more than half of its prefixes: 5 IPv4"},
		{{900, 90, 14, 48}, {5, 2, 14, 48}, ""},
		{{5, 2, 14, 48}, {5, 2, 0, 0}, ""}, /* the list in use may be odd */
	};
	char text[160];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct endpoints_size *was = rows[i].was.n_v4 ? &rows[i].was : NULL;
		const char *refused = endpoints_refuse(&rows[i].is, was, text);

		if (strncmp(refused ? refused : "", rows[i].refused, strlen(rows[i].refused)) ||
		    !refused != !*rows[i].refused)
			fail_msg("row %zu: %s", i, refused ? refused : "plausible");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_refused_for_the_first_rule_that_it_breaks),
	};

	return cmocka_run_group_tests_name("endpoints_judge", tests, NULL, NULL);
}
