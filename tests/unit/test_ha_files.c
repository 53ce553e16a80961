// SPDX-License-Identifier: BSD-2-Clause
/* daemon/ha_files: the role that a start after a detach reads, and what a failed write leaves of it. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/ha_files.h"

static char dir[] = "/tmp/mxlb-ha-XXXXXX";
static struct ha_conf conf;

static const char *in_dir(const char *name)
{
	static char path[sizeof(dir) + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(conf.priority_file, sizeof(conf.priority_file), "%s", in_dir("priority"));
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(in_dir("priority.role"));
	rmdir(in_dir("priority.role.new"));
	return rmdir(dir);
}

static void the_role_written_last_is_read(void **state)
{
	static const enum role roles[] = {ROLE_ACTIVE, ROLE_STANDBY, ROLE_ACTIVE};

	(void)state;
	assert_int_equal(ha_files_kept_role(&conf), ROLE_STANDBY);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		assert_int_equal(ha_files_keep_role(&conf, roles[i]), 0);
		assert_int_equal(ha_files_kept_role(&conf), roles[i]);
	}
}

static void a_role_that_cannot_be_written_leaves_no_earlier_one(void **state)
{
	(void)state;
	assert_int_equal(ha_files_keep_role(&conf, ROLE_ACTIVE), 0);
	assert_int_equal(mkdir(in_dir("priority.role.new"), 0700), 0);
	assert_int_equal(ha_files_keep_role(&conf, ROLE_STANDBY), -EISDIR);
	assert_int_equal(ha_files_kept_role(&conf), ROLE_STANDBY);
	assert_int_equal(rmdir(in_dir("priority.role.new")), 0);
	assert_int_equal(ha_files_keep_role(&conf, ROLE_ACTIVE), 0);
	assert_int_equal(ha_files_kept_role(&conf), ROLE_ACTIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_role_written_last_is_read),
		cmocka_unit_test(a_role_that_cannot_be_written_leaves_no_earlier_one),
	};

	return cmocka_run_group_tests_name("ha_files", tests, make_dir, remove_dir);
}
