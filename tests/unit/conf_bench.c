/* SPDX-License-Identifier: BSD-2-Clause */
/* The bench of conf/'s tests: the directory and the file in it. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "conf_bench.h"
#include "like.h"

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
	assert_int_equal(fchmod(fileno(f), 0640), 0);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* Loads the file. The lines of errors are without its name. */
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

static void keep_file(const char *folder, unsigned n, const char *kind, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%u.%s", folder, n, kind);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Written for tests/e2e/test_schema.py, which compares the editors' schema with the results here. */
static void keep(const char *text, int err, const struct buf *errors)
{
	const char *folder = getenv("MXLB_KEEP_CONFIGS");
	static unsigned n;

	if (!folder)
		return;
	keep_file(folder, ++n, err ? "bad" : "good", text);
	keep_file(folder, n, "errors", errors->data);
}

int bench_load_text(const char *text, struct config **out, struct buf *errors)
{
	int err;

	bench_write(text, strlen(text));
	err = bench_load(out, errors);
	keep(text, err, errors);
	return err;
}

void bench_expect(const char *what, const char *text, int expected_err, const char *expected)
{
	struct buf errors = {.data = NULL};
	struct config *c = NULL;
	int err = bench_load_text(text, &c, &errors);

	if (err != expected_err || !is_like(errors.data, expected))
		fail_msg("%s: %d\n--- got\n%s--- expected\n%s", what, err, errors.data, expected);
	if (!err)
		config_free(c);
	buf_free(&errors);
}

struct config *bench_load_good(const char *text, const char *warnings)
{
	struct buf errors = {.data = NULL};
	struct config *c = NULL;

	if (bench_load_text(text, &c, &errors) || !is_like(errors.data, warnings))
		fail_msg("%s", errors.data);
	buf_free(&errors);
	return c;
}
