/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bench of conf/'s tests. Owns the directory and the file in it.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf_bench.h"

static char directory[] = "/tmp/mxlb-conf-XXXXXX";
char bench_file[64];
const struct config *bench_running;

int bench_open(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(bench_file, sizeof(bench_file), "%s/f", directory);
	return 0;
}

int bench_close(void **state)
{
	(void)state;
	unlink(bench_file);
	return rmdir(directory);
}

void bench_write(const void *bytes, size_t len)
{
	FILE *f = fopen(bench_file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* Loads the file; the errors' lines come without its name. */
int bench_load(struct config **out, struct buf *errors)
{
	struct buf raw = {.data = NULL};
	int err = conf_load(bench_file, bench_running, out, &raw);
	size_t name = strlen(bench_file) + 1;

	buf_append(errors, "", 0);
	for (char *line = raw.data, *end; line && *line; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end);
		assert_true(!strncmp(line, bench_file, name - 1) && line[name - 1] == ':');
		buf_append(errors, line + name, (size_t)(end + 1 - line) - name);
	}
	buf_free(&raw);
	return err;
}

int bench_load_text(const char *text, struct config **out, struct buf *errors)
{
	bench_write(text, strlen(text));
	return bench_load(out, errors);
}

void bench_expect(const char *what, const char *text, int expected_err, const char *expected)
{
	struct buf errors = {.data = NULL};
	struct config *c = NULL;
	int err = bench_load_text(text, &c, &errors);

	if (err != expected_err || strcmp(errors.data, expected))
		fail_msg("%s: %d\n--- got\n%s--- expected\n%s", what, err, errors.data, expected);
	if (!err)
		config_free(c);
	buf_free(&errors);
}

struct config *bench_load_good(const char *text, const char *warnings)
{
	struct buf errors = {.data = NULL};
	struct config *c = NULL;

	if (bench_load_text(text, &c, &errors) || strcmp(errors.data, warnings))
		fail_msg("%s", errors.data);
	buf_free(&errors);
	return c;
}
