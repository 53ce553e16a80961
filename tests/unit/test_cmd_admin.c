/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators' commands about servers over the control socket: HAProxy 2.6's sentences (its replies, byte for byte), the
 * effect on the model, the recorded user, and that readers may not use them.
 */
#include "control_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "control/commands.h"

/* Runs one command of this caller without a socket. Valid until the next call. */
static const char for_seconds[] = "Expects 'for <seconds>', at most a year.\n\n";

static const char *say(struct bench *b, const char *who, const char *words)
{
	struct command_env env = {.model = b->model, .cb = *bench_callbacks(b)};
	struct caller caller = {.who = who};
	static char reply[8192];
	struct buf out = {0};
	char line[256];

	snprintf(line, sizeof(line), "%s", words);
	commands_run(&env, &caller, line, &out);
	assert_false(out.failed);
	snprintf(reply, sizeof(reply), "%s", out.data);
	buf_free(&out);
	return reply;
}

static enum admin_state state_of(struct bench *b, const char *server)
{
	return model_find(b->model, "hybrid-mail", server)->admin;
}

/* mxlbctl's commands without --force; HAProxy's own commands never ask. */
static void the_last_server_that_takes_mail_is_kept_unless_forced(void **state)
{
	static const char refused[] =
		"nuneaton is the last server of hybrid-mail that takes mail; use "
		"--force to take it out anyway.\n\n";
	static const struct nexthop resolved = {
		.state = NEXTHOP_RESOLVED, .has_mac = true, .mac = {{2, 0, 0, 0, 0, 1}}};
	struct probe_result good = {.reason = REASON_ok, .stage = STAGE_DONE};
	struct bench *b = *state;

	for (unsigned i = 0; i < 3; i++) {
		uint32_t id = b->model->services[0].servers[i].id;

		model_nexthop(b->model, id, &resolved, bench_start);
		model_probe_result(b->model, id, &good, bench_start);
	}
	assert_string_equal(say(b, "root", "set server hybrid-mail/oxford-a state drain keep-one"),
			    "\n");
	assert_string_equal(say(b, "root", "set server hybrid-mail/oxford-b state maint keep-one"),
			    "\n");
	assert_string_equal(say(b, "root", "set server hybrid-mail/nuneaton state drain keep-one"),
			    refused);
	assert_string_equal(
		say(b, "root", "set server hybrid-mail/nuneaton state maint keep-one for 60"),
		refused);
	assert_int_equal(state_of(b, "nuneaton"), ADMIN_READY);
	assert_string_equal(say(b, "root", "set server hybrid-mail/nuneaton state ready keep-one"),
			    "\n");
	assert_string_equal(say(b, "root", "set server hybrid-mail/oxford-a state ready"), "\n");
	assert_string_equal(
		say(b, "root", "set server hybrid-mail/nuneaton state drain keep-one for 60"),
		"\n");
	assert_string_equal(say(b, "root", "set server hybrid-mail/oxford-a state drain"), "\n");
	assert_int_equal(state_of(b, "oxford-a"), ADMIN_DRAIN);
}

static void each_sentence_about_a_server_is_haproxys(void **state)
{
	static const char require[] = "Require 'backend/server'.\n\n";
	static const char expects[] =
		"'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n";
	static const struct {
		const char *say, *hear;
	} rows[] = {
		{"set server", require},
		{"set server hybrid-mail", require},
		{"set server hybrid-mail/", require},
		{"set server /oxford-a", require},
		{"set server / state ready", require},
		{"set server hybrid-mail state ready", require},
		{"set server other/oxford-a", "No such backend.\n\n"},
		{"set server other/oxford-a state ready", "No such backend.\n\n"},
		{"set server hybrid-mail/x state ready", "No such server.\n\n"},
		{"set server hybrid-mail/x foo", "No such server.\n\n"},
		{"set server hybrid-mail/oxford-a/x state ready", "No such server.\n\n"},
		{"set server HYBRID-MAIL/oxford-a state ready", "No such backend.\n\n"},
		{"set server hybrid-mail/oxford-a state", expects},
		{"set server hybrid-mail/oxford-a state foo", expects},
		{"set server hybrid-mail/oxford-a state Ready", expects},
		{"set server hybrid-mail/oxford-a state ?", expects},
		{"enable server", require},
		{"enable server hybrid-mail", require},
		{"enable server hybrid-mail/x", "No such server.\n\n"},
		{"disable server", require},
		{"disable server other/oxford-a", "No such backend.\n\n"},
		{"disable server hybrid-mail/oxford-a/2", "No such server.\n\n"},
	};
	static const char *const times[] = {
		"set server hybrid-mail/oxford-a state drain now",
		"set server hybrid-mail/oxford-a state drain for",
		"set server hybrid-mail/oxford-a state drain for -1",
		"set server hybrid-mail/oxford-a state drain for 0",
		"set server hybrid-mail/oxford-a state drain for 1m",
		"set server hybrid-mail/oxford-a state drain for 31622401",
		"set server hybrid-mail/oxford-a state drain for 99999999999999999999999",
		"set server hybrid-mail/oxford-a state drain til 5",
	};
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(say(b, "root", rows[i].say), rows[i].hear))
			fail_msg("to \"%s\" it said \"%s\"", rows[i].say,
				 say(b, "root", rows[i].say));
	bench_assert_begins(say(b, "root", "set server hybrid-mail/oxford-a"),
			    "usage: set server <backend>/<server> ");
	bench_assert_begins(say(b, "root", "set server hybrid-mail/oxford-a foo ready"),
			    "usage: set server <backend>/<server> ");
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		assert_string_equal(say(b, "root", times[i]), for_seconds);
	bench_assert_begins(say(b, "root", "enable server hybrid-mail/oxford-a now"),
			    "Unknown command, but maybe");
	assert_int_equal(b->changes, 0);
	assert_int_equal(state_of(b, "oxford-a"), ADMIN_READY);
}

static void each_state_reaches_the_server_that_was_named_and_no_other(void **state)
{
	static const struct {
		const char *say;
		enum admin_state state;
	} rows[] = {
		{"set server hybrid-mail/oxford-b state drain", ADMIN_DRAIN},
		{"set server hybrid-mail/oxford-b state maint", ADMIN_MAINT},
		{"set server hybrid-mail/oxford-b state ready", ADMIN_READY},
		{"disable server hybrid-mail/oxford-b", ADMIN_MAINT},
		{"enable server hybrid-mail/oxford-b", ADMIN_READY},
	};
	struct bench *b = *state;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int again = 0; again < 2; again++) { /* the second time it changes nothing */
			assert_string_equal(say(b, "root", rows[i].say), "\n");
			assert_int_equal(state_of(b, "oxford-b"), rows[i].state);
			assert_int_equal(b->changes, i + 1);
		}
		assert_int_equal(state_of(b, "oxford-a"), ADMIN_READY);
		assert_int_equal(state_of(b, "nuneaton"), ADMIN_READY);
	}
}

static void a_weight_is_a_number_or_a_share_of_the_files(void **state)
{
	static const char absolute[] =
		"Absolute weight can only be between 0 and 256 inclusive.\n\n",
			  garbage[] = "Empty weight string empty or preceded by garbage\n\n",
			  trailing[] = "Trailing garbage in weight string\n\n",
			  require[] = "Require <weight> or <weight%>.\n\n",
			  server[] = "Require 'backend/server'.\n\n";
	static const struct {
		const char *say, *hear;
		unsigned weight; /* afterwards; the file says 10 */
	} rows[] = {
		{"get weight hybrid-mail/oxford-b", "10 (initial 10)\n\n", 10},
		{"set weight hybrid-mail/oxford-b 50%", "\n", 5},
		{"get weight hybrid-mail/oxford-b", "5 (initial 10)\n\n", 5},
		{"set weight hybrid-mail/oxford-b 256", "\n", 256},
		{"set weight hybrid-mail/oxford-b 257", absolute, 256},
		{"set weight hybrid-mail/oxford-b -1", absolute, 256},
		{"set weight hybrid-mail/oxford-b 4294967297", absolute, 256},
		{"set weight hybrid-mail/oxford-b 99999999999999999999", absolute, 256},
		{"set weight hybrid-mail/oxford-b 0", "\n", 0},
		{"set weight hybrid-mail/oxford-b 100%", "\n", 10},
		{"set weight hybrid-mail/oxford-b 9%", "\n", 0},
		{"set weight hybrid-mail/oxford-b 99999999999999999999%", "\n", 256},
		{"set weight hybrid-mail/oxford-b -5%", "Relative weight must be positive.\n\n",
		 256},
		{"set server hybrid-mail/oxford-b weight 7", "\n", 7},
		{"set server hybrid-mail/oxford-b weight 200%", "\n", 20},
		{"set server hybrid-mail/oxford-b weight x", garbage, 20},
		{"set server hybrid-mail/oxford-b weight", require, 20},
		{"set weight hybrid-mail/oxford-b", require, 20},
		{"set weight hybrid-mail/oxford-b %", garbage, 20},
		{"set weight hybrid-mail/oxford-b 5x", trailing, 20},
		{"set weight hybrid-mail/oxford-b 5%%", trailing, 20},
		{"set weight hybrid-mail/oxford-x 5", "No such server.\n\n", 20},
		{"set weight other/oxford-b 5", "No such backend.\n\n", 20},
		{"set weight", server, 20},
		{"get weight", server, 20},
		{"get weight hybrid-mail/x", "No such server.\n\n", 20},
	};
	struct bench *b = *state;
	struct server *oxford_b = model_find(b->model, "hybrid-mail", "oxford-b");
	unsigned was = 10, changes = 0;

	oxford_b->conf.weight = oxford_b->weight = 10;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(say(b, "root", rows[i].say), rows[i].hear))
			fail_msg("to \"%s\" it said \"%s\"", rows[i].say,
				 say(b, "root", rows[i].say));
		assert_int_equal(oxford_b->weight, rows[i].weight);
		changes += rows[i].weight != was;
		was = rows[i].weight;
		assert_int_equal(b->changes, changes);
	}
	assert_int_equal(model_find(b->model, "hybrid-mail", "oxford-a")->weight, 1);
	assert_string_equal(say(b, NULL, "get weight hybrid-mail/oxford-b"), "20 (initial 10)\n\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strncmp(rows[i].say, "set", 3))
			assert_string_equal(say(b, NULL, rows[i].say), "Permission denied\n\n");
}

static void a_tier_is_forced_and_let_go_by_name_and_number(void **state)
{
	static const char usage[] =
		"usage: tier <service> force <preference> [for <seconds>] | auto\n\n";
	static const struct {
		const char *say, *hear;
	} rows[] = {
		{"tier", usage},
		{"tier hybrid-mail", usage},
		{"tier hybrid-mail force", usage},
		{"tier hybrid-mail forces 20", usage},
		{"tier hybrid-mail auto 20", usage},
		{"tier other auto", "No such service.\n\n"},
		{"tier hybrid-mail force 30", "No such tier.\n\n"},
		{"tier hybrid-mail force 65556", "No such tier.\n\n"},
		{"tier hybrid-mail force -20", "No such tier.\n\n"},
		{"tier hybrid-mail force 20x", "No such tier.\n\n"},
		{"tier hybrid-mail force 20 for 0", for_seconds},
	};
	struct bench *b = *state;
	const struct service *s = &b->model->services[0];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(say(b, "root", rows[i].say), rows[i].hear))
			fail_msg("to \"%s\" it said \"%s\"", rows[i].say,
				 say(b, "root", rows[i].say));
	assert_string_equal(say(b, NULL, "tier hybrid-mail force 20"), "Permission denied\n\n");
	assert_false(s->has_forced);
	assert_int_equal(b->changes, 0);
	assert_string_equal(say(b, "alice", "tier hybrid-mail force 20 for 900s"), "\n");
	assert_true(s->has_forced && s->forced == 20);
	assert_string_equal(s->order.who, "alice");
	assert_int_equal(s->order.until_wall_ms - s->order.since_wall_ms, 900000);
	assert_string_equal(say(b, "alice", "tier hybrid-mail auto"), "\n");
	assert_false(s->has_forced);
	assert_int_equal(b->changes, 2);
	assert_string_equal(say(b, "bob", "set server hybrid-mail/oxford-a state drain for 60"),
			    "\n");
	assert_non_null(strstr(say(b, NULL, "show status"), "\"admin_order\":{\"who\":\"bob\""));
}

#define COPIES_MAX 8

/* Sends it over the socket with this descriptor n times. */
static const char *say_with_copies(struct bench *b, const char *line, int passed, unsigned n)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(COPIES_MAX * sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(n * sizeof(int))}};
	struct iovec iov = {.iov_base = (char *)line, .iov_len = strlen(line)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	int fd = bench_dial(b);
	const char *heard;

	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &passed, sizeof(passed));
	assert_int_equal(sendmsg(fd, &msg, 0), strlen(line));
	heard = bench_hear(b, fd, NULL);
	close(fd);
	return heard;
}

static const char *say_with(struct bench *b, const char *line, int passed)
{
	return say_with_copies(b, line, passed, 1);
}

static unsigned open_files(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void a_plan_takes_a_sealed_memfd_and_nothing_else(void **state)
{
	static const char refused[] =
		"refused\nx.yaml: expects a sealed memfd with the configuration\n\n";
	struct bench *b = *state;
	int fd = memfd_create("plan", MFD_ALLOW_SEALING), pipes[2];
	unsigned before;

	if (geteuid()) {
		print_message("skip: needs root\n");
		skip();
	}
	assert_int_equal(write(fd, "a: b", 4), 4);
	assert_int_equal(pipe(pipes), 0);
	before = open_files();
	assert_string_equal(bench_ask(b, "plan x.yaml\n"), refused);
	assert_string_equal(say_with(b, "plan x.yaml\n", pipes[0]), refused); /* would block */
	assert_string_equal(say_with(b, "plan x.yaml\n", fd), refused);	      /* could change */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_string_equal(say_with(b, "plan x.yaml\n", fd), "plan\nx.yaml: a: b\n\n");
	b->plan_rc = -EINVAL;
	assert_string_equal(say_with(b, "plan x.yaml\n", fd), "refused\nx.yaml: a: b\n\n");
	bench_assert_begins(say_with(b, "show info\n", fd), "Name: "); /* not asked for: closed */
	assert_int_equal(open_files(), before);
	assert_string_equal(say(b, NULL, "plan x.yaml"), "Permission denied\n\n");
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

static void no_descriptor_that_came_along_is_kept(void **state)
{
	struct bench *b = *state;
	unsigned before;

	bench_ask(b, "show info\n");
	before = open_files();
	for (unsigned n = 1; n <= COPIES_MAX; n++)
		bench_assert_begins(say_with_copies(b, "show info\n", STDERR_FILENO, n), "Name: ");
	assert_int_equal(open_files(), before);
}

static void a_change_is_noted_with_who_made_it(void **state)
{
	struct bench *b = *state;
	const struct event *e;
	uint64_t seq = b->model->events.next_seq;
	char line[1024];

	say(b, "alice", "set server hybrid-mail/oxford-a state drain");
	e = event_get(&b->model->events, seq);
	assert_non_null(e);
	assert_string_equal(event_line(e, line, sizeof(line)),
			    "event=backend_admin service=hybrid-mail backend=oxford-a from=ready "
			    "to=drain user=alice");
	assert_true(e->time_ms > bench_start.wall_ms);
	seq = b->model->events.next_seq;
	say(b, "alice", "set weight hybrid-mail/oxford-a 5");
	e = event_get(&b->model->events, seq);
	assert_non_null(e);
	assert_string_equal(event_line(e, line, sizeof(line)),
			    "event=backend_weight service=hybrid-mail backend=oxford-a from=1 to=5 "
			    "user=alice");
}

static void who_may_only_read_changes_nothing_and_is_not_told_how(void **state)
{
	static const char *const lines[] = {
		"set server", "set server hybrid-mail/oxford-a state maint",
		"enable server hybrid-mail/x", "disable server hybrid-mail/oxford-a"};
	struct bench *b = *state;
	const char *help;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_string_equal(say(b, NULL, lines[i]), "Permission denied\n\n");
	assert_int_equal(b->changes, 0);
	assert_int_equal(state_of(b, "oxford-a"), ADMIN_READY);
	help = say(b, NULL, "help");
	assert_null(strstr(help, "server <s>/<b>"));
	assert_non_null(strstr(help, "  show flows "));
	assert_non_null(strstr(help, "  explain "));
	help = say(b, "root", "help");
	assert_non_null(strstr(help, "  set server "));
	assert_non_null(strstr(help, "  enable server "));
	assert_non_null(strstr(help, "  disable server "));
}

static void several_changes_may_be_made_on_one_line(void **state)
{
	struct bench *b = *state;

	if (geteuid()) {
		print_message("skip: needs root\n");
		skip();
	}
	assert_string_equal(bench_ask(b, "set server hybrid-mail/oxford-a state drain; disable "
					 "server hybrid-mail/nuneaton; enable server x/y\n"),
			    "\n\nNo such backend.\n\n");
	assert_int_equal(state_of(b, "oxford-a"), ADMIN_DRAIN);
	assert_int_equal(state_of(b, "nuneaton"), ADMIN_MAINT);
	assert_int_equal(b->changes, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(the_last_server_that_takes_mail_is_kept_unless_forced),
		BENCH_TEST(each_sentence_about_a_server_is_haproxys),
		BENCH_TEST(each_state_reaches_the_server_that_was_named_and_no_other),
		BENCH_TEST(a_weight_is_a_number_or_a_share_of_the_files),
		BENCH_TEST(a_tier_is_forced_and_let_go_by_name_and_number),
		BENCH_TEST(a_plan_takes_a_sealed_memfd_and_nothing_else),
		BENCH_TEST(no_descriptor_that_came_along_is_kept),
		BENCH_TEST(a_change_is_noted_with_who_made_it),
		BENCH_TEST(who_may_only_read_changes_nothing_and_is_not_told_how),
		BENCH_TEST(several_changes_may_be_made_on_one_line),
	};

	return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
