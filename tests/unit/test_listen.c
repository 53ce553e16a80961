/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket's file: what it may replace, and who may connect. */
#include "control_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "control/listen.h"

static void only_a_dead_socket_is_replaced(void **state)
{
	struct bench *b = *state;
	struct listen_socket s;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const char *path = b->config.control.socket;
	char other[128];
	struct stat st;
	int fd;

	assert_int_equal(listen_open(&b->config.control, &s), -EADDRINUSE); /* ours: alive */
	assert_string_equal(bench_ask(b, "set timeout cli 5\n"), "\n");
	control_free(b->control);
	b->control = NULL;
	assert_int_equal(access(path, F_OK), -1);

	fd = socket(AF_UNIX, SOCK_STREAM, 0); /* killed without a clean-up */
	strcpy(sun.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
	assert_int_equal(listen_open(&b->config.control, &s), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600); /* the group "" does not exist */
	listen_close(&s);
	assert_int_equal(access(path, F_OK), -1);

	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(listen_open(&b->config.control, &s), -EEXIST);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(listen_open(&b->config.control, &s), -EEXIST);
	assert_int_equal(rmdir(path), 0);

	snprintf(other, sizeof(other), "%s/other", b->dir);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(listen_open(&b->config.control, &s), -EEXIST);
	assert_int_equal(unlink(path), 0);
}

static void the_socket_of_a_successor_is_left_alone(void **state)
{
	struct bench *b = *state;
	struct listen_socket s;
	char aside[128];

	snprintf(aside, sizeof(aside), "%s/aside", b->dir);
	assert_int_equal(rename(b->config.control.socket, aside),
			 0); /* so that its inode is not used again */
	assert_int_equal(listen_open(&b->config.control, &s), 0);
	control_free(b->control);
	b->control = NULL;
	assert_int_equal(access(b->config.control.socket, F_OK), 0);
	listen_close(&s);
	assert_int_equal(unlink(aside), 0);
}

static void the_last_directory_is_made_and_no_more(void **state)
{
	struct bench *b = *state;
	struct control_conf conf = {0};
	struct listen_socket s;
	char dir[96];
	struct stat st;
	mode_t old = umask(077);

	snprintf(dir, sizeof(dir), "%s/run", b->dir);
	snprintf(conf.socket, sizeof(conf.socket), "%s/run/mxlb.sock", b->dir);
	strcpy(conf.group, geteuid() ? "no-such-group-here" : "nogroup");
	assert_int_equal(listen_open(&conf, &s), 0);
	umask(old);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(conf.socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, geteuid() ? 0600 : 0660);
	listen_close(&s);
	assert_int_equal(rmdir(dir), 0);
	snprintf(conf.socket, sizeof(conf.socket), "%s/a/b/mxlb.sock", b->dir);
	assert_int_equal(listen_open(&conf, &s), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(only_a_dead_socket_is_replaced),
		BENCH_TEST(the_socket_of_a_successor_is_left_alone),
		BENCH_TEST(the_last_directory_is_made_and_no_more),
	};

	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
