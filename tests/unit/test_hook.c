/* SPDX-License-Identifier: BSD-2-Clause */
/* daemon/hook.c with real programs, under the sanitizers: what is queued, dropped and killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/hook.h"

#define DEADLINE_S 30.0

static char file[] = "/tmp/mxlb-told-XXXXXX", script[] = "/tmp/mxlb-tell-XXXXXX";
static struct event_log events;

static int handles_refused; /* this many calls of pidfd_open() fail from now on */

/* Instead of libc's. */
int pidfd_open(pid_t pid, unsigned flags);
int pidfd_open(pid_t pid, unsigned flags)
{
	if (!handles_refused)
		return (int)syscall(SYS_pidfd_open, pid, flags);
	handles_refused--;
	errno = ENFILE;
	return -1;
}

static void on_turn(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop, (void)timer, (void)revents;
}

/* The numbers of the events that the program got, in order; "7d5" if 5 were dropped before 7. */
static size_t told(char *text, size_t size)
{
	FILE *in = fopen(file, "r");
	char line[4096];
	size_t n = 0;

	assert_non_null(in);
	*text = '\0';
	for (; fgets(line, sizeof(line), in); n++) {
		unsigned seq, dropped;

		assert_int_equal(sscanf(strstr(line, "\"seq\":"), "\"seq\":%u", &seq), 1);
		assert_int_equal(sscanf(strstr(line, "\"dropped\":"), "\"dropped\":%u", &dropped),
				 1);
		size_t at = strlen(text);
		snprintf(text + at, size - at, dropped ? "%u d%u " : "%u ", seq, dropped);
	}
	fclose(in);
	return n;
}

static void run_until_told(struct ev_loop *loop, size_t n)
{
	double deadline = ev_time() + DEADLINE_S;
	char text[1024];

	while (told(text, sizeof(text)) < n) {
		ev_run(loop, EVRUN_ONCE);
		if (ev_time() > deadline)
			fail_msg("told only: %s", text);
	}
}

static void tell(struct messenger *m)
{
	messenger_tell(m, &events, event_add(&events, EVENT_CONFIG, 0));
}

static const char *teller(char command[128])
{
	snprintf(command, 128, "/bin/sh  %s %s", script, file);
	return command;
}

static void events_over_the_limit_are_dropped_and_counted_in_the_next_run(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	char command[128], text[1024], *end;
	struct messenger *m;
	ev_timer turn;

	(void)state;
	assert_int_equal(messenger_new(loop, &m), 0);
	ev_timer_init(&turn, on_turn, 0, 0.02);
	ev_timer_again(loop, &turn);
	tell(m); /* to no program: it is not queued either */
	messenger_set_command(m, "/bin/sleep 0.3");
	for (int i = 0; i < 1 + MESSENGER_QUEUE + 5; i++)
		tell(m);
	messenger_set_command(m, teller(command));
	run_until_told(loop, MESSENGER_QUEUE - 1);
	tell(m);
	run_until_told(loop, MESSENGER_QUEUE + 1);
	tell(m);
	run_until_told(loop, MESSENGER_QUEUE + 2);
	told(text, sizeof(text));
	assert_int_equal(strncmp(text, "3 4 5 ", 6),
			 0); /* 1: there was no process; 2: the number of sleep */
	end = strstr(text, "66 72 d5 73 ");
	assert_non_null(end);
	assert_string_equal(end, "66 72 d5 73 ");
	assert_int_equal(messenger_state(m)->dropped, 5);
	ev_timer_stop(loop, &turn);
	messenger_free(m, 0);
	ev_loop_destroy(loop);
}

static void at_the_end_waiting_events_are_passed_and_hanging_programs_killed(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	char command[128], text[1024];
	struct messenger *m;
	double began;

	(void)state;
	assert_int_equal(truncate(file, 0), 0);
	assert_int_equal(messenger_new(loop, &m), 0);
	messenger_set_command(m, teller(command));
	for (int i = 0; i < 3; i++)
		tell(m);
	messenger_free(m, DEADLINE_S);
	assert_int_equal(told(text, sizeof(text)), 3);
	assert_int_equal(messenger_new(loop, &m), 0);
	messenger_set_command(m, "/bin/sleep 600");
	tell(m);
	tell(m);
	began = ev_time();
	messenger_free(m, 0.1);
	assert_true(ev_time() - began < 300);
	messenger_free(NULL, 1);
	ev_loop_destroy(loop);
}

/* The program that could not be watched is killed and forgotten, and later events start theirs. */
static void after_a_program_that_could_not_be_watched_the_next_events_are_told(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	char command[128], text[1024];
	struct messenger *m;
	ev_timer turn;
	double began;

	(void)state;
	assert_int_equal(truncate(file, 0), 0);
	assert_int_equal(messenger_new(loop, &m), 0);
	ev_timer_init(&turn, on_turn, 0, 0.02);
	ev_timer_again(loop, &turn);
	messenger_set_command(m, "/bin/sleep 600");
	handles_refused = 1;
	tell(m);
	assert_int_equal(handles_refused, 0);
	messenger_set_command(m, teller(command));
	tell(m);
	run_until_told(loop, 1);
	assert_int_equal(told(text, sizeof(text)), 1);
	handles_refused = 1;
	tell(m);
	ev_timer_stop(loop, &turn);
	began = ev_time();
	messenger_free(m, DEADLINE_S);
	assert_true(ev_time() - began < DEADLINE_S / 2); /* it waits for no one */
	ev_loop_destroy(loop);
}

static void run_until_ended(struct ev_loop *loop, struct messenger *m, uint64_t seq)
{
	double deadline = ev_time() + DEADLINE_S;

	while (messenger_state(m)->last_seq < seq) {
		ev_run(loop, EVRUN_ONCE);
		if (ev_time() > deadline)
			fail_msg("event %llu did not end", (unsigned long long)seq);
	}
}

static void how_the_last_run_ended_is_known_until_another_program_is_set(void **state)
{
	/* in the output of ls, the path before its name depends on its version */
	static const struct {
		const char *command, *status, *output;
		bool failed;
	} rows[] = {
		{"/bin/true", "exit 0", "", false},
		{"/bin/false", "exit 1", "", true},
		{"/no/such/program", "exit 1", "program: No such file or directory", true},
		{"/bin/ls /no/such/file", "exit 2: ", "ls: cannot access '/no/such/file': ", true},
	};
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	const struct notify_state *s;
	struct messenger *m;
	ev_timer turn;

	(void)state;
	assert_int_equal(messenger_new(loop, &m), 0);
	ev_timer_init(&turn, on_turn, 0, 0.02);
	ev_timer_again(loop, &turn);
	s = messenger_state(m);
	assert_string_equal(s->command, "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		messenger_set_command(m, rows[i].command);
		assert_false(s->last_failed);
		tell(m);
		run_until_ended(loop, m, events.next_seq - 1);
		if (strncmp(s->last, rows[i].status, strlen(rows[i].status)) != 0 ||
		    !strstr(s->last, rows[i].output))
			fail_msg("%s: \"%s\"", rows[i].command, s->last);
		assert_int_equal(s->last_failed, rows[i].failed);
	}
	assert_int_equal(s->ok, 1);
	assert_int_equal(s->failed, 3);
	handles_refused = 1;
	tell(m);
	assert_string_equal(s->last, "not started: Too many open files in system");
	ev_timer_stop(loop, &turn);
	messenger_free(m, 0);
	ev_loop_destroy(loop);
}

static int make_files(void **state)
{
	int out = mkstemp(file), in = mkstemp(script);

	(void)state;
	if (out < 0 || in < 0 || write(in, "cat >>$1\n", 9) != 9)
		return -1;
	close(out);
	close(in);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	unlink(file);
	unlink(script);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_over_the_limit_are_dropped_and_counted_in_the_next_run),
		cmocka_unit_test(at_the_end_waiting_events_are_passed_and_hanging_programs_killed),
		cmocka_unit_test(
			after_a_program_that_could_not_be_watched_the_next_events_are_told),
		cmocka_unit_test(how_the_last_run_ended_is_known_until_another_program_is_set),
	};

	if (argc >= 3 && !strcmp(argv[1], "--notify-child"))
		return messenger_child_main(argv + 2);
	return cmocka_run_group_tests_name("messenger", tests, make_files, remove_files);
}
