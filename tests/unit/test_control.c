/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket's clients: framing byte for byte like HAProxy 2.6, badly behaved clients of every kind, and who
 * may make changes.
 */
#include "control_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_S 20.0
#define NOBODY	   65534

/* HAProxy's words. */
#define UNKNOWN	   "Unknown command. Please enter one of the following commands only:\n"
#define BETTER	   "Unknown command, but maybe one of the following ones is a better match:\n"
#define VALID	   "The following commands are valid at this level:\n"
#define TOO_LONG   "The command line is too long.\n\n"
#define TIMEOUT	   "Invalid timeout value.\n\n"

static void each_sentence_is_haproxys_and_an_empty_line_ends_it(void **state)
{
	static const struct {
		const char *say, *hear; /* the whole reply, or its beginning followed by '*' */
	} rows[] = {
		{"set timeout cli 60\n", "\n"},
		{"set timeout cli 10s\n", "\n"},
		{"set timeout cli 99999\n", "\n"},
		{"set timeout cli\n", "Expects an integer value.\n\n"},
		{"set timeout cli x\n", TIMEOUT},
		{"set timeout cli 0\n", TIMEOUT},
		{"set timeout cli -5\n", TIMEOUT},
		{"set timeout cli 99999999999999999999\n", TIMEOUT},
		{"set timeout cli 5;set timeout cli x\n", "\n" TIMEOUT},
		{"set timeout cli 5 ; \t\n", "\n"},
		{"set timeout cli 5\r\n", "\n"},
		{"  set \t timeout  cli   5  \n", "\n"},
		{"quit\n", ""},
		{"quit;set timeout cli x\n", ""},
		{"set timeout cli x\nset timeout cli x\n", TIMEOUT}, /* one line only */
		{"show events zzz\n", "Expects the number of an event.\n\n"},
		{"help\n", VALID "  *"},
		{"help prompt\n", VALID "  *"},
		{"help show\n", VALID "  show config *"},
		{"\n", UNKNOWN "  *"},
		{";\n", UNKNOWN "  *"},
		{"foo bar\n", UNKNOWN "  *"},
		{"show\n", BETTER "  show *"},
		{"show statu\n", BETTER "  *"},
		{"show status now\n", BETTER "  *"},
		{"a b c d e f g h i j k l m n o p q r s t\n", "Unknown command. *"},
		{"prompt;set timeout cli x;prompt\n", "\n> " TIMEOUT "> \n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = bench_ask(*state, rows[i].say), *want = rows[i].hear;
		size_t len = strlen(want);
		bool open = len && want[len - 1] == '*';

		if (open ? strncmp(text, want, len - 1) : strcmp(text, want))
			fail_msg("to \"%s\" it said \"%s\"", rows[i].say, text);
		if (open)
			bench_assert_ends(
				text, "  quit                                    : disconnect\n\n");
	}
}

static void with_prompt_each_reply_ends_in_the_prompt(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	bench_say(b, fd, "prompt\n", 7);
	assert_string_equal(bench_hear(b, fd, "\n> "), "\n> ");
	bench_say(b, fd, "set timeout cli 60\n", 19);
	assert_string_equal(bench_hear(b, fd, "\n> "), "\n> ");
	bench_say(b, fd, "set timeout cli x; set timeout cli 5\n", 37);
	assert_string_equal(bench_hear(b, fd, "\n> \n> "), TIMEOUT "> \n> ");
	bench_say(b, fd, "help foo\nhelp foo\n", 18); /* pipelined lines are answered one by one */
	bench_assert_begins(bench_hear(b, fd, "disconnect\n\n> "), "The following");
	bench_assert_begins(bench_hear(b, fd, "disconnect\n\n> "), "The following");
	bench_say(b, fd, "quit\n", 5);
	assert_string_equal(bench_hear(b, fd, NULL), "");
	close(fd);
}

static void a_line_may_come_in_pieces_of_any_size(void **state)
{
	static const char line[] = "prompt;set timeout cli 5;quit\n";
	struct bench *b = *state;

	for (size_t cut = 1; cut < strlen(line); cut++) {
		int fd = bench_dial(b);

		bench_say(b, fd, line, cut);
		bench_turn(b);
		bench_turn(b);
		bench_say(b, fd, line + cut, strlen(line) - cut);
		assert_string_equal(bench_hear(b, fd, NULL), "\n> \n> ");
		close(fd);
	}
}

static void half_a_line_and_the_end_is_no_command(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	bench_say(b, fd, "reload", 6);
	shutdown(fd, SHUT_WR);
	assert_string_equal(bench_hear(b, fd, NULL), "");
	close(fd);
	assert_int_equal(b->reloads, 0);

	fd = bench_dial(b); /* whole lines before the end are answered */
	bench_say(b, fd, "prompt\nset timeout cli x\nset", 28);
	shutdown(fd, SHUT_WR);
	assert_string_equal(bench_hear(b, fd, NULL), "\n> " TIMEOUT "> ");
	close(fd);
}

static void bytes_that_are_not_text_are_refused_wherever_they_are(void **state)
{
	for (int byte = 0; byte < 256; byte++) {
		bool text = byte == '\t' || byte == '\r' || byte == '\n' ||
			    (byte >= ' ' && byte <= '~');
		char line[] = "set timeout cli 5?;quit\n";

		if (text)
			continue;
		*strchr(line, '?') = (char)byte;
		assert_string_equal(bench_ask_bytes(*state, line, sizeof(line) - 1),
				    "Invalid character in the command line.\n\n");
	}
}

static void a_line_has_4096_bytes_at_most(void **state)
{
	static char line[1024 * 1024];
	struct bench *b = *state;

	memset(line, 'a', sizeof(line));
	line[4095] = '\n';
	bench_assert_begins(bench_ask_bytes(b, line, 4096), "Unknown command.");
	line[4095] = 'a';
	line[4096] = '\n';
	assert_string_equal(bench_ask_bytes(b, line, 4097), TOO_LONG);
	assert_string_equal(bench_ask_bytes(b, line, sizeof(line)), TOO_LONG);
	assert_string_equal(bench_ask(b, "set timeout cli 5\n"), "\n");
}

static void who_never_reads_harms_nobody_and_is_sent_away(void **state)
{
	struct bench *b = *state;
	int deaf[8], size = 1;
	char line[4096] = "set timeout cli 1";
	static char error[1024 * 1024];

	memset(error, 'e', sizeof(error) - 1); /* so that the socket's buffer holds no reply */
	b->last_error = error;
	while (strlen(line) + 14 < sizeof(line))
		strcat(line, ";show status");
	strcat(line, "\n");
	for (int i = 0; i < 8; i++) {
		deaf[i] = bench_dial(b);
		setsockopt(deaf[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		bench_say(b, deaf[i], line, strlen(line));
	}
	for (int i = 0; i < 100; i++)
		assert_string_equal(bench_ask(b, "set timeout cli x\n"), TIMEOUT);
	for (int i = 0; i < 8; i++) { /* waits until the peer closes, without reading */
		double deadline = ev_time() + DEADLINE_S;

		while (send(deaf[i], "x", 1, MSG_NOSIGNAL) == 1 || errno == EAGAIN) {
			bench_turn(b);
			usleep(1000);
			assert_true(ev_time() < deadline);
		}
		close(deaf[i]);
	}
}

static void who_reads_slowly_gets_all_of_it(void **state)
{
	struct bench *b = *state;
	static char error[1024 * 1024];
	size_t documents = 0;

	memset(error, 'e', sizeof(error) - 1);
	b->last_error = error;
	for (const char *p = bench_ask(b, "show status;show status;show status;show status\n");
	     (p = strstr(p, "\"pid\":4711")); p++)
		documents++;
	assert_int_equal(documents, 4);
}

static void a_reply_beyond_its_cap_is_refused_whole(void **state)
{
	struct bench *b = *state;
	size_t size = 5 * 1024 * 1024;
	char *error = malloc(size);

	memset(error, 'e', size - 1);
	error[size - 1] = '\0';
	b->last_error = error;
	assert_string_equal(bench_ask(b, "show status\n"), "The reply is too long.\n\n");
	b->last_error = "";
	bench_assert_begins(bench_ask(b, "show status\n"), "{");
	free(error);
}

static void the_idle_are_sent_away_also_with_half_a_line(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	bench_say(b, fd, "prompt\nset timeout cli 1\nset ti", 31);
	assert_string_equal(bench_hear(b, fd, NULL), "\n> \n> ");
	close(fd);
}

static void dial_64_with_prompts(struct bench *b, int fds[64])
{
	for (int i = 0; i < 64; i++) {
		fds[i] = bench_dial(b);
		bench_say(b, fds[i], "prompt\n", 7);
		bench_hear(b, fds[i], "\n> ");
	}
}

static void for_the_65th_client_the_one_that_was_idle_the_longest_goes(void **state)
{
	struct bench *b = *state;
	int fds[64];

	dial_64_with_prompts(b, fds);
	bench_say(b, fds[0], "set timeout cli 60\n", 19); /* so that it is no longer the first */
	bench_hear(b, fds[0], "\n> ");
	assert_string_equal(bench_ask(b, "set timeout cli x\n"), TIMEOUT);
	assert_string_equal(bench_hear(b, fds[1], NULL), "");
	for (int i = 0; i < 64; i++) { /* all others are still there */
		if (i == 1)
			continue;
		bench_say(b, fds[i], "set timeout cli 5\n", 18);
		assert_string_equal(bench_hear(b, fds[i], "\n> "), "\n> ");
	}
	for (int i = 0; i < 64; i++)
		close(fds[i]);
	for (int i = 0; i < 1000; i++) /* many more than 64, one after another */
		assert_string_equal(bench_ask(b, "set timeout cli 5\n"), "\n");
}

static void clients_that_say_nothing_lock_nobody_out_however_many_they_are(void **state)
{
	struct bench *b = *state;
	int fds[300];

	for (int i = 0; i < 300; i++) {
		fds[i] = bench_dial(b);
		if (i % 2)
			bench_say(b, fds[i], "show sta", 8); /* half a line does not count either */
		bench_turn(b);
		if (i >= 64)
			assert_string_equal(bench_ask(b, "set timeout cli 5\n"), "\n");
	}
	for (int i = 0; i < 300; i++)
		close(fds[i]);
}

static void of_64_that_do_not_read_one_goes_for_the_65th_and_the_others_get_all_of_it(void **state)
{
	static char error[1024 * 1024];
	struct bench *b = *state;
	int fds[64];
	unsigned whole = 0;

	dial_64_with_prompts(b, fds);
	memset(error, 'e', sizeof(error) - 1); /* more than the socket's buffer holds */
	b->last_error = error;
	for (int i = 0; i < 64; i++)
		bench_say(b, fds[i], "show status;quit\n", 17);
	for (int i = 0; i < 200; i++)
		bench_turn(b);
	assert_string_equal(bench_ask(b, "set timeout cli x\n"), TIMEOUT);
	for (int i = 0; i < 64; i++) {
		const char *text = bench_hear(b, fds[i], NULL);
		size_t len = strlen(text);

		whole += len > 4 && !strcmp(text + len - 4, "\n\n> ");
		close(fds[i]);
	}
	assert_int_equal(whole, 63);
}

static void clients_that_are_still_there_at_the_end_leak_nothing(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	bench_say(b, fd, "prompt\nshow sta", 15);
	bench_hear(b, fd, "\n> ");
	control_free(b->control);
	b->control = NULL;
	assert_string_equal(bench_hear(b, fd, NULL), "");
	close(fd);
}

static void reload_says_what_is_wrong_and_nothing_when_all_is_well(void **state)
{
	struct bench *b = *state;

	if (geteuid()) {
		print_message("skip: needs root\n");
		skip();
	}
	assert_string_equal(bench_ask(b, "reload\n"), "\n");
	assert_string_equal(b->reload_who, "root");
	b->reload_errors = "f:1:1: warning: odd";
	assert_string_equal(bench_ask(b, "reload\n"), "\n");
	b->reload_rc = -EINVAL;
	b->reload_errors = "\nf:1:2: no\n\n\nf:2:1: \033[31mred\n";
	assert_string_equal(bench_ask(b, "reload\n"), "f:1:2: no\nf:2:1: ?[31mred\n\n");
	b->reload_errors = NULL;
	assert_string_equal(bench_ask(b, "reload\n"), "Reload failed: Invalid argument.\n\n");
	assert_int_equal(b->reloads, 4);
}

/* The same, sent by a process of the user nobody. */
static char *ask_as_nobody(struct bench *b, const char *line)
{
	int pair[2];
	char *text;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	pid = fork();
	if (!pid) {
		char bytes[4096];
		ssize_t n;
		int fd;

		if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		fd = bench_dial(b);
		fcntl(fd, F_SETFL, 0);
		if (send(fd, line, strlen(line), 0) < 0)
			_exit(1);
		while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
			if (send(pair[1], bytes, n, 0) < 0)
				_exit(1);
		_exit(0);
	}
	close(pair[1]);
	text = bench_hear(b, pair[0], NULL);
	close(pair[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return text;
}

static void only_root_and_operators_may_reload(void **state)
{
	struct bench *b = *state;
	struct control_conf *conf = &b->config.control;

	if (geteuid()) {
		print_message("skip: needs root\n");
		skip();
	}
	control_free(b->control);
	strcpy(conf->group, "nogroup");
	assert_int_equal(control_new(b->loop, conf, b->model, bench_callbacks(b), &b->control), 0);
	assert_string_equal(ask_as_nobody(b, "reload\n"), "Permission denied\n\n");
	assert_null(strstr(ask_as_nobody(b, "help\n"), "reload"));
	bench_assert_begins(ask_as_nobody(b, "show status\n"), "{");
	assert_int_equal(b->reloads, 0);

	conf->n_operators = 2; /* as a reload would */
	strcpy(conf->operators[0], "no-such-user-here");
	strcpy(conf->operators[1], "nobody");
	assert_string_equal(ask_as_nobody(b, "reload\n"), "\n");
	assert_string_equal(b->reload_who, "nobody");
	assert_non_null(strstr(ask_as_nobody(b, "help\n"), "reload"));

	conf->n_operators = 1; /* an unknown name gets no other user's rights */
	strcpy(conf->operators[0], "nobody");
	assert_non_null(strstr(ask_as_nobody(b, "help\n"), "reload"));
	strcpy(conf->operators[0], "no-such-user-here");
	assert_string_equal(ask_as_nobody(b, "reload\n"), "Permission denied\n\n");
	assert_int_equal(b->reloads, 1);
}

static void a_test_of_notify_gives_the_number_of_its_event_or_the_reason(void **state)
{
	struct bench *b = *state;

	assert_string_equal(bench_ask(b, "test notify\n"), "{\"seq\": 12}\n\n");
	assert_string_equal(b->reload_who, "root");
	b->notify_rc = -ENOENT;
	bench_assert_begins(bench_ask(b, "test notify\n"), "No notify program is configured: set");
	b->notify_rc = -EBUSY;
	bench_assert_begins(bench_ask(b, "test notify\n"), "The queue of events is full");
}

/* Runs the loop until the probe has been started this many times. */
static void await_probes(struct bench *b, unsigned n)
{
	double deadline = ev_time() + DEADLINE_S;

	while (b->probes < n) {
		bench_turn(b);
		assert_true(ev_time() < deadline);
	}
}

static void end_probe(struct bench *b, const char *report)
{
	void (*done)(void *ctx, const char *report) = b->probe_done;

	assert_non_null(done);
	b->probe_done = NULL;
	done(b->probe_ctx, report);
}

static void need_root(void)
{
	if (geteuid()) {
		print_message("skip: needs root\n");
		skip();
	}
}

static void a_probe_is_answered_when_it_has_ended_and_holds_up_nobody(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	const char *line = "set timeout cli 1;probe hybrid-mail/oxford-b;set timeout cli x\n";
	double until;

	need_root();
	bench_say(b, fd, line, strlen(line));
	await_probes(b, 1);
	assert_int_equal(b->probed, model_find(b->model, "hybrid-mail", "oxford-b")->id);
	assert_string_equal(bench_ask(b, "set timeout cli 5\n"), "\n"); /* others have their turn */
	for (until = ev_time() + 1.5; ev_time() < until; usleep(1000))
		bench_turn(b); /* longer than the client's idle timeout */
	end_probe(b, "{\"healthy\":true}");
	assert_string_equal(bench_hear(b, fd, NULL), "\n{\"healthy\":true}\n\n" TIMEOUT);
	close(fd);
	assert_int_equal(b->probe_stops, 0);
}

static void with_prompt_a_probe_and_what_was_said_meanwhile_are_answered_in_order(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	need_root();
	bench_say(b, fd, "prompt\n", 7);
	bench_hear(b, fd, "\n> ");
	bench_say(b, fd, "probe hybrid-mail/nuneaton\nset timeout cli x\n", 45);
	await_probes(b, 1);
	end_probe(b, "{}");
	assert_string_equal(bench_hear(b, fd, "value.\n\n> "), "{}\n\n> " TIMEOUT "> ");
	bench_say(b, fd, "quit\n", 5);
	bench_hear(b, fd, NULL);
	close(fd);
}

static void a_probe_that_cannot_be_made_is_refused_in_a_sentence(void **state)
{
	struct bench *b = *state;

	need_root();
	assert_string_equal(bench_ask(b, "probe\n"), "Require 'backend/server'.\n\n");
	assert_string_equal(bench_ask(b, "probe hybrid-mail/x\n"), "No such server.\n\n");
	assert_string_equal(bench_ask(b, "probe x/oxford-a\n"), "No such backend.\n\n");
	b->probe_rc = -EBUSY;
	assert_string_equal(bench_ask(b, "probe hybrid-mail/oxford-a\n"),
			    "Too many probes are under way.\n\n");
	assert_int_equal(b->probes, 0);
}

static void a_socket_that_goes_stops_its_clients_probes(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	need_root();
	bench_say(b, fd, "probe hybrid-mail/oxford-a\n", 27);
	await_probes(b, 1);
	control_free(b->control);
	b->control = NULL;
	assert_int_equal(b->probe_stops, 1);
	close(fd);
}

static void a_client_that_left_is_not_told_and_harms_nobody(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	need_root();
	bench_say(b, fd, "probe hybrid-mail/oxford-a\n", 27);
	await_probes(b, 1);
	close(fd);
	bench_turn(b);
	end_probe(b, "{}");
	assert_string_equal(bench_ask(b, "set timeout cli 5\n"), "\n");
}

static void only_root_and_operators_may_probe(void **state)
{
	struct bench *b = *state;
	struct control_conf *conf = &b->config.control;

	need_root();
	control_free(b->control);
	strcpy(conf->group, "nogroup");
	assert_int_equal(control_new(b->loop, conf, b->model, bench_callbacks(b), &b->control), 0);
	assert_string_equal(ask_as_nobody(b, "probe hybrid-mail/oxford-a\n"),
			    "Permission denied\n\n");
	assert_int_equal(b->probes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(each_sentence_is_haproxys_and_an_empty_line_ends_it),
		BENCH_TEST(with_prompt_each_reply_ends_in_the_prompt),
		BENCH_TEST(a_line_may_come_in_pieces_of_any_size),
		BENCH_TEST(half_a_line_and_the_end_is_no_command),
		BENCH_TEST(bytes_that_are_not_text_are_refused_wherever_they_are),
		BENCH_TEST(a_line_has_4096_bytes_at_most),
		BENCH_TEST(who_never_reads_harms_nobody_and_is_sent_away),
		BENCH_TEST(who_reads_slowly_gets_all_of_it),
		BENCH_TEST(a_reply_beyond_its_cap_is_refused_whole),
		BENCH_TEST(the_idle_are_sent_away_also_with_half_a_line),
		BENCH_TEST(for_the_65th_client_the_one_that_was_idle_the_longest_goes),
		BENCH_TEST(clients_that_say_nothing_lock_nobody_out_however_many_they_are),
		BENCH_TEST(
			of_64_that_do_not_read_one_goes_for_the_65th_and_the_others_get_all_of_it),
		BENCH_TEST(clients_that_are_still_there_at_the_end_leak_nothing),
		BENCH_TEST(reload_says_what_is_wrong_and_nothing_when_all_is_well),
		BENCH_TEST(only_root_and_operators_may_reload),
		BENCH_TEST(a_probe_is_answered_when_it_has_ended_and_holds_up_nobody),
		BENCH_TEST(with_prompt_a_probe_and_what_was_said_meanwhile_are_answered_in_order),
		BENCH_TEST(a_probe_that_cannot_be_made_is_refused_in_a_sentence),
		BENCH_TEST(a_socket_that_goes_stops_its_clients_probes),
		BENCH_TEST(a_client_that_left_is_not_told_and_harms_nobody),
		BENCH_TEST(only_root_and_operators_may_probe),
		BENCH_TEST(a_test_of_notify_gives_the_number_of_its_event_or_the_reason),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
