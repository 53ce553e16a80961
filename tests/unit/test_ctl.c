/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole mxlbctl, as a process against the real control socket: exit codes, output, and above all how `drain
 * --wait` waits.
 */
#include "control_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define main mxlbctl_main
int mxlbctl_main(int argc, char **argv);
#include "mxlbctl.c"
#undef main

#define DEADLINE_S 30.0
#define ARGS_MAX   10

struct run { /* one mxlbctl */
	struct bench *b;
	pid_t pid;
	int fd; /* its stdout and stderr */
	char said[65536];
	size_t len;
	int status; /* as waitpid() has it */
};

static void start(struct bench *b, struct run *r, const char *const *words)
{
	const char *args[ARGS_MAX + 4] = {"mxlbctl", "-s", b->config.control.socket};
	int fds[2], n = 3;

	while (*words)
		args[n++] = *words++;
	assert_int_equal(pipe(fds), 0);
	*r = (struct run){.b = b, .fd = fds[0]};
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	fflush(stdout);
	r->pid = fork();
	if (!r->pid) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		n = mxlbctl_main(n, (char **)args);
		fflush(NULL);
		_exit(n);
	}
	close(fds[1]);
}

/* One run of the daemon's loop. False when mxlbctl has exited. */
static bool turn(struct run *r)
{
	ssize_t n;

	bench_turn(r->b);
	n = read(r->fd, r->said + r->len, sizeof(r->said) - r->len - 1);
	if (n > 0)
		r->len += n;
	r->said[r->len] = '\0';
	if (n == 0) {
		assert_int_equal(waitpid(r->pid, &r->status, 0), r->pid);
		close(r->fd);
	}
	if (n < 0)
		usleep(500);
	return n != 0;
}

static void finish(struct run *r)
{
	double deadline = ev_time() + DEADLINE_S;

	while (turn(r))
		assert_true(ev_time() < deadline);
}

/* Runs until mxlbctl has requested the status this many times again; it must not exit. */
static void await_looks(struct run *r, unsigned n)
{
	double deadline = ev_time() + DEADLINE_S;

	for (n += r->b->refreshes; r->b->refreshes < n;) {
		if (!turn(r))
			fail_msg("it ended with %#x: \"%s\"", r->status, r->said);
		assert_true(ev_time() < deadline);
	}
}

static struct server *oxford_a(struct bench *b)
{
	return model_find(b->model, "hybrid-mail", "oxford-a");
}

static void await_admin(struct run *r, enum admin_state state)
{
	double deadline = ev_time() + DEADLINE_S;

	while (oxford_a(r->b)->admin != state) {
		if (!turn(r))
			fail_msg("it ended with %#x: \"%s\"", r->status, r->said);
		assert_true(ev_time() < deadline);
	}
}

static void assert_ended(struct run *r, int code, const char *said)
{
	finish(r);
	if (!WIFEXITED(r->status) || WEXITSTATUS(r->status) != code || !strstr(r->said, said))
		fail_msg("it ended with %#x: \"%s\"", r->status, r->said);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ASSERT_RUN(b, code, text, ...)               \
	do {                                         \
		struct run run_;                     \
		start(b, &run_, WORDS(__VA_ARGS__)); \
		assert_ended(&run_, code, text);     \
	} while (0)

static void need_root(void)
{
	if (geteuid()) {
		print_message("skip: needs root\n");
		skip();
	}
}

static void drain_maint_and_ready_take_a_bare_name_or_a_full_one(void **state)
{
	struct bench *b = *state;

	need_root();
	oxford_a(b)->traffic.flows = 12;
	ASSERT_RUN(b, 0, "hybrid-mail/oxford-a: drain, 12 flows; hybrid-mail: down\n", "drain",
		   "oxford-a");
	assert_int_equal(oxford_a(b)->admin, ADMIN_DRAIN);
	ASSERT_RUN(b, 0, "hybrid-mail/oxford-a: maint, 12 flows;", "maint", "hybrid-mail/oxford-a");
	assert_int_equal(oxford_a(b)->admin, ADMIN_MAINT);
	ASSERT_RUN(b, 0, "\"admin\": \"ready\"", "--json", "ready", "oxford-a");
	assert_int_equal(oxford_a(b)->admin, ADMIN_READY);
	ASSERT_RUN(b, 1,
		   "mxlbctl: refused: No such server.\n  There are:\n    hybrid-mail/oxford-a\n",
		   "drain", "oxford");
	ASSERT_RUN(b, 1, "{\n  \"error\": \"No such server.\"\n}\n", "--json", "drain", "x/y");
	assert_int_equal(b->changes, 3);
}

static void an_order_says_who_gave_it_and_until_when(void **state)
{
	struct bench *b = *state;

	need_root();
	ASSERT_RUN(b, 0, "hybrid-mail/oxford-a: drain until 20", "drain", "oxford-a", "--for",
		   "15m");
	ASSERT_RUN(b, 0, "  admin       drain by root since 20", "show", "oxford-a");
	ASSERT_RUN(b, 0, "Z until 20", "show", "oxford-a");
	ASSERT_RUN(b, 0, "hybrid-mail: no tier; 20 is forced by root since 20", "tier",
		   "hybrid-mail", "force", "20", "--for", "1h");
	ASSERT_RUN(b, 0, "   no tier; 20 is forced by root since 20", "status");
	ASSERT_RUN(b, 0, "\"tier\": 20", "--json", "tier", "hybrid-mail", "force", "20");
	b->model->services[0].tier.has_active = true;
	b->model->services[0].tier.active = 20;
	ASSERT_RUN(b, 0, "   tier 20, forced by root since 20", "status");
	snprintf(b->config.file, sizeof(b->config.file), "/srv/%060d/mxlb.yaml", 0);
	ASSERT_RUN(b, 0, b->config.file, "status"); /* whole, to be pasted */
	ASSERT_RUN(b, 0, "hybrid-mail: ", "tier", "hybrid-mail", "auto");
	assert_false(b->model->services[0].has_forced);
	ASSERT_RUN(b, 1, "mxlbctl: refused: No such tier.\n  There are:\n    hybrid-mail 10\n",
		   "tier", "hybrid-mail", "force", "30");
	ASSERT_RUN(b, 1, "mxlbctl: refused: No such service.\n  There are:\n    hybrid-mail\n",
		   "tier", "other", "auto");
	ASSERT_RUN(b, 1, "mxlbctl: refused: No such service.\n", "tier", "x;reload", "auto");
	assert_int_equal(b->reloads, 0);
}

static void a_plan_is_asked_with_the_text_of_the_file_and_changes_nothing(void **state)
{
	struct bench *b = *state;
	char path[96];
	FILE *file;

	need_root();
	snprintf(path, sizeof(path), "%s/next.yaml", b->dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("interfaces: {}", file);
	assert_int_equal(fclose(file), 0);
	ASSERT_RUN(b, 0, "next.yaml: interfaces: {}\n", "plan", "-c", path);
	ASSERT_RUN(b, 0, "next.yaml: interfaces: {}\"\n]\n", "--json", "plan", "--config", path);
	b->plan_rc = -EINVAL;
	ASSERT_RUN(b, 1, "mxlbctl: refused: /", "plan", "-c", path);
	assert_int_equal(truncate(path, 1024 * 1024 + 1), 0);
	ASSERT_RUN(b, 1, "next.yaml: larger than 1 MiB\n", "plan", "-c", path);
	unlink(path);
	ASSERT_RUN(b, 1, "next.yaml: can't be read: No such file or directory\n", "plan", "-c",
		   path);
	ASSERT_RUN(b, 2, "usage: mxlbctl plan -c FILE\n", "plan");
	assert_int_equal(b->changes, 0);
}

static void a_name_that_two_services_have_is_refused(void **state)
{
	struct bench *b = *state;
	struct config *c = &b->config;

	need_root();
	control_free(b->control);
	model_free(b->model);
	c->services[c->n_services] = c->services[0];
	c->services[c->n_services].port = 587;
	strcpy(c->services[c->n_services++].name, "second");
	assert_int_equal(model_create(c, NULL, 0, bench_start, &b->model), 0);
	assert_int_equal(
		control_new(b->loop, &c->control, b->model, bench_callbacks(b), &b->control), 0);
	ASSERT_RUN(b, 1, "use one of hybrid-mail/oxford-a second/oxford-a\n", "drain", "oxford-a");
	assert_int_equal(b->changes, 0);
	ASSERT_RUN(b, 0, "second/oxford-a: drain", "drain", "second/oxford-a");
	assert_int_equal(model_find(b->model, "second", "oxford-a")->admin, ADMIN_DRAIN);
	assert_int_equal(oxford_a(b)->admin, ADMIN_READY);
}

static void waiting_ends_when_the_last_flow_has_gone_and_not_before(void **state)
{
	struct bench *b = *state;
	struct run r;

	need_root();
	start(b, &r, WORDS("drain", "oxford-a", "--wait", "--timeout", "1h"));
	await_admin(&r, ADMIN_DRAIN);
	await_looks(&r, 1); /* none, but a client may be about to connect */
	oxford_a(b)->traffic.flows = 2;
	await_looks(&r, 4);
	oxford_a(b)->traffic.flows = 1;
	await_looks(&r, 1);
	oxford_a(b)->traffic.flows = 0;
	assert_ended(&r, 0, "hybrid-mail/oxford-a: drain, 0 flows; ");
	assert_int_equal(oxford_a(b)->admin, ADMIN_DRAIN);
}

static void waiting_ends_when_the_time_is_up(void **state)
{
	struct bench *b = *state;

	need_root();
	oxford_a(b)->traffic.flows = 3;
	ASSERT_RUN(b, 1, "hybrid-mail/oxford-a: maint, 3 flows: --timeout", "maint", "oxford-a",
		   "--wait", "--timeout", "1s");
	ASSERT_RUN(b, 1, "\"error\": \"hybrid-mail/oxford-a: drain, 3 flows: --timeout", "drain",
		   "oxford-a", "--wait", "--timeout", "1s", "--json");
	oxford_a(b)->traffic.flows = 0;
	ASSERT_RUN(b, 0, "maint, 0 flows; ", "maint", "oxford-a", "--wait", "--timeout", "1s");
	assert_int_equal(oxford_a(b)->admin, ADMIN_MAINT);
}

static void waiting_ends_when_somebody_sets_another_state(void **state)
{
	struct bench *b = *state;
	struct run r;

	need_root();
	oxford_a(b)->traffic.flows = 3;
	start(b, &r, WORDS("drain", "oxford-a", "--wait"));
	await_admin(&r, ADMIN_DRAIN);
	assert_string_equal(bench_ask(b, "enable server hybrid-mail/oxford-a\n"), "\n");
	assert_ended(&r, 1, "oxford-a: ready, 3 flows: another operator has changed");
}

static void waiting_may_be_interrupted_and_the_state_stays(void **state)
{
	struct bench *b = *state;
	struct run r;

	need_root();
	oxford_a(b)->traffic.flows = 3;
	start(b, &r, WORDS("drain", "oxford-a", "--wait"));
	await_admin(&r, ADMIN_DRAIN);
	await_looks(&r, 1);
	assert_int_equal(kill(r.pid, SIGINT), 0);
	finish(&r);
	assert_true(WIFSIGNALED(r.status) && WTERMSIG(r.status) == SIGINT);
	assert_non_null(strstr(r.said, "stopped waiting: hybrid-mail/oxford-a stays in drain"));
	assert_int_equal(oxford_a(b)->admin, ADMIN_DRAIN);
}

static void waiting_ends_when_the_daemon_goes(void **state)
{
	struct bench *b = *state;
	struct run r;

	need_root();
	oxford_a(b)->traffic.flows = 3;
	start(b, &r, WORDS("drain", "oxford-a", "--wait"));
	await_admin(&r, ADMIN_DRAIN);
	await_looks(&r, 1);
	control_free(b->control);
	b->control = NULL;
	finish(&r); /* a reply may be truncated, or the socket may be gone */
	assert_true(WIFEXITED(r.status) && WEXITSTATUS(r.status) == 3);
}

/* For a monitoring plugin 2 is CRITICAL and alerts somebody. */
static void what_is_said_wrongly_to_check_is_unknown(void **state)
{
	static const char *const rows[][5] = {
		{"check", "hybrid-mail", "hybrid-mail6"},
		{"check", "--no-such-option"},
		{"--no-such-option", "check"},
		{"check", "--timeout", "soon"},
		{"check", "-w"},
		{"check", "--wait"},
		{"check", "-w", "soon"},
		{"check", "--config", "7"}, /* -c is --critical here */
		{"check", "--ca-file", "/no/such/file"},
	};
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run r;

		start(b, &r, rows[i]);
		finish(&r);
		if (!WIFEXITED(r.status) || WEXITSTATUS(r.status) != 3 ||
		    !strstr(r.said, "MXLB UNKNOWN - "))
			fail_msg("row %zu: status 0x%x, \"%s\"", i, r.status, r.said);
	}
}

static void options_that_do_not_go_together_are_usage(void **state)
{
	static const char *const rows[][6] = {
		{"drain"},
		{"tier", "hybrid-mail"},
		{"tier", "hybrid-mail", "20"},
		{"tier", "hybrid-mail", "force"},
		{"tier", "hybrid-mail", "auto", "20"},
		{"tier", "hybrid-mail", "auto", "--for", "5s"},
		{"status", "--for", "5s"},
		{"drain", "oxford-a", "--for", "soon"},
		{"drain", "oxford-a", "--for", "15"},
		{"drain", "oxford-a", "oxford-b"},
		{"ready", "oxford-a", "--wait"},
		{"status", "--wait"},
		{"drain", "oxford-a", "--timeout", "5s"},
		{"drain", "oxford-a", "--wait", "--timeout", "0"},
		{"drain", "oxford-a", "--wait", "--timeout", "soon"},
		{"drain", "oxford-a", "--wait", "--timeout"},
		{"flows"},
		{"explain", "hybrid-mail"},
		{"flows", "hybrid-mail;reload"},
		{"flows", "hybrid-mail 1"},
		{"flows", ""},
		{"explain", "hybrid-mail", "198.51.100.7:1\nreload"},
		{"explain", "hybrid-mail json", "198.51.100.7:1"},
	};
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run r;

		start(b, &r, rows[i]);
		finish(&r);
		if (!WIFEXITED(r.status) || WEXITSTATUS(r.status) != 2)
			fail_msg("row %zu: %#x \"%s\"", i, r.status, r.said);
	}
	assert_int_equal(b->reloads + b->changes, 0);
	ASSERT_RUN(b, 2, "mxlbctl: no such command: 'statsu'; did you mean status?\n", "statsu");
	ASSERT_RUN(b, 2, "mxlbctl: no such command: 'x?y'; 'mxlbctl help' lists them\n", "x\ny");
	ASSERT_RUN(
		b, 2,
		"mxlbctl: status does not have the option --wait\nusage: mxlbctl status [-c FILE]\n",
		"status", "--wait");
	ASSERT_RUN(b, 0, "usage: mxlbctl tier SERVICE force N", "help", "tier");
	ASSERT_RUN(b, 2, "mxlbctl: no such command: 'tire'; did you mean tier?\n", "help", "tire");
	ASSERT_RUN(b, 0,
		   "\n  drain SERVER | SERVICE/SERVER [--force] [--for T] [--wait [--timeout T]]\n",
		   "help");
}

static void flows_and_explain_say_what_the_daemon_says(void **state)
{
	struct bench *b = *state;
	struct flow_row row = {.port = 40001,
			       .service_id = b->model->services[0].id,
			       .server_id = oxford_a(b)->id,
			       .idle_s = 12};

	assert_int_equal(addr_parse("198.51.100.7", &row.client), 0);
	b->rows = &row;
	b->n_rows = 1;
	b->place.entry_server = row.server_id;
	ASSERT_RUN(b, 0, "\n198.51.100.7:40001 oxford-a 12 old\n# 1 shown, 0 left out\n", "flows",
		   "hybrid-mail");
	ASSERT_RUN(b, 0, "# 0 shown, 0 left out\n", "flows", "hybrid-mail/oxford-b");
	ASSERT_RUN(b, 0, "\"left_out\": 0", "flows", "hybrid-mail", "--json");
	ASSERT_RUN(b, 1, "mxlbctl: refused: No such service.\n", "flows", "x");
	ASSERT_RUN(b, 1, "{\n  \"error\": \"No such service.", "flows", "x", "--json");
	ASSERT_RUN(b, 0, "\ngoes to: oxford-a, by its flow table entry; idle 0 s\n", "explain",
		   "hybrid-mail", "198.51.100.7:40001");
	ASSERT_RUN(b, 0, "\"goes_to\": \"oxford-a\"", "--json", "explain", "hybrid-mail",
		   "198.51.100.7:40001");
	ASSERT_RUN(b, 0, "\nallowed: ", "explain", "hybrid-mail", "198.51.100.7");
	ASSERT_RUN(b, 1, "mxlbctl: refused: Expects <address>:<port>", "explain", "hybrid-mail",
		   "198.51.100.7:x");
	ASSERT_RUN(b, 0, "\n  flow table  0 promoted, 0 misses, ", "show", "oxford-a");
	control_free(b->control);
	b->control = NULL;
	ASSERT_RUN(b, 3, "mxlbd is not running", "flows", "hybrid-mail");
	ASSERT_RUN(b, 3, "mxlbd is not running", "drain", "oxford-a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(drain_maint_and_ready_take_a_bare_name_or_a_full_one),
		BENCH_TEST(an_order_says_who_gave_it_and_until_when),
		BENCH_TEST(a_plan_is_asked_with_the_text_of_the_file_and_changes_nothing),
		BENCH_TEST(a_name_that_two_services_have_is_refused),
		BENCH_TEST(waiting_ends_when_the_last_flow_has_gone_and_not_before),
		BENCH_TEST(waiting_ends_when_the_time_is_up),
		BENCH_TEST(waiting_ends_when_somebody_sets_another_state),
		BENCH_TEST(waiting_may_be_interrupted_and_the_state_stays),
		BENCH_TEST(waiting_ends_when_the_daemon_goes),
		BENCH_TEST(options_that_do_not_go_together_are_usage),
		BENCH_TEST(what_is_said_wrongly_to_check_is_unknown),
		BENCH_TEST(flows_and_explain_say_what_the_daemon_says),
	};

	return cmocka_run_group_tests_name("ctl", tests, NULL, NULL);
}
