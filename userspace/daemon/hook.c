// SPDX-License-Identifier: BSD-2-Clause
/*
 * The queue of events for `notify`, and the one program that runs. It is never waited for: its stdin is a file in
 * memory that is complete before it starts; its output goes to another one, the beginning of which is logged if it
 * fails. Whatever it leaves in its process group is killed when it ends.
 */
#include "daemon/hook.h"

#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "control/render.h"
#include "util/process.h"

#define WORDS_MAX    32
#define EXIT_NO_RUN  127 /* as shells have it */
#define OUTPUT_SHOWN 200

struct messenger {
	struct ev_loop *loop;
	char command[CONFIG_COMMAND_SIZE];
	struct buf queue[MESSENGER_QUEUE]; /* a ring of JSON texts */
	uint64_t seqs[MESSENGER_QUEUE];	   /* their events' numbers */
	uint64_t seq;			   /* of the one that runs */
	struct notify_state state;
	unsigned first, n;
	uint64_t dropped; /* since the last that was taken */
	double tokens, filled_at;
	pid_t pid; /* 0: none runs */
	int pidfd, output;
	const char *late; /* why it was ended; NULL: it was not */
	ev_io ended;
	ev_timer deadline, refill;
};

static int file_in_memory(const char *name, const struct buf *text)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (text &&
	    (write(fd, text->data, text->len) != (ssize_t)text->len || lseek(fd, 0, SEEK_SET))) {
		close(fd);
		return -ENOSPC;
	}
	return fd;
}

/* argv[0] and [1] are mxlbd's. The words point into text. */
static void split(char *text, char *argv[WORDS_MAX + 3])
{
	char *rest = NULL;
	int n = 0;

	argv[n++] = "mxlbd";
	argv[n++] = "--notify-child";
	for (char *word = strtok_r(text, " ", &rest); word && n < WORDS_MAX + 2;
	     word = strtok_r(NULL, " ", &rest))
		argv[n++] = word;
	argv[n] = NULL;
}

/* 0 or -errno. */
static int hook_run(struct messenger *m, const struct buf *event)
{
	char *const envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			      NULL};
	char words[CONFIG_COMMAND_SIZE], *argv[WORDS_MAX + 3];
	int in, err = 0;

	m->output = -1;
	in = file_in_memory("event", event);
	if (in < 0)
		return in;
	m->output = file_in_memory("output", NULL);
	if (m->output < 0)
		err = m->output;
	memcpy(words, m->command, sizeof(words));
	split(words, argv);
	if (!err)
		err = process_start(argv, envp, (int[]){in, m->output, m->output}, 3, &m->pid);
	close(in);
	if (!err)
		err = process_handle(m->pid, &m->pidfd);
	if (err)
		m->pid = 0; /* never started, or reaped: the number may belong to another process */
	if (err && m->output >= 0)
		close(m->output);
	return err;
}

static void note_end(struct messenger *m, bool failed, const char *how, const char *output)
{
	struct notify_state *s = &m->state;

	*(failed ? &s->failed : &s->ok) += 1;
	s->last_seq = m->seq;
	s->last_wall_ms = (int64_t)(ev_time() * 1000);
	s->last_failed = failed;
	snprintf(s->last, sizeof(s->last), "%s%s%s", how, *output ? ": " : "", output);
}

/* What it said first, up to the end of a line, and quoted. */
static void hook_note_failure(struct messenger *m, const char *how)
{
	char said[OUTPUT_SHOWN], quoted[2 * OUTPUT_SHOWN];
	ssize_t n = pread(m->output, said, sizeof(said), 0);
	size_t len = n > 0 ? (size_t)n : 0, line = 0;

	log_warn("event=notify_failed status=\"%s\" output=\"%s\"", how,
		 log_quote(said, len, quoted, sizeof(quoted)));
	while (line < len && said[line] != '\n')
		line++;
	note_end(m, true, how, log_quote(said, line, quoted, sizeof(quoted)));
}

/* It has ended, or is to. */
static void hook_reap(struct messenger *m)
{
	siginfo_t info = {0};
	char how[48];

	kill(-m->pid, SIGKILL); /* the group is its own until it is reaped */
	if (waitid(P_PIDFD, (id_t)m->pidfd, &info, WEXITED))
		snprintf(how, sizeof(how), "unknown");
	else
		process_describe(&info, how, sizeof(how));
	if (m->late)
		snprintf(how, sizeof(how), "%s", m->late);
	if (strcmp(how, "exit 0"))
		hook_note_failure(m, how);
	else
		note_end(m, false, how, "");
	ev_io_stop(m->loop, &m->ended);
	ev_timer_stop(m->loop, &m->deadline);
	close(m->pidfd);
	close(m->output);
	m->pid = 0;
}

/* Adds tokens by time, and takes one. False: there is none. */
static bool take_token(struct messenger *m)
{
	double now = ev_now(m->loop), more = now - m->filled_at;

	if (more > 0)
		m->tokens += more;
	if (m->tokens > MESSENGER_BURST)
		m->tokens = MESSENGER_BURST;
	m->filled_at = now;
	if (m->tokens < 1)
		return false;
	m->tokens--;
	return true;
}

static void watch_child(struct messenger *m)
{
	m->late = NULL;
	ev_io_set(&m->ended, m->pidfd, EV_READ);
	ev_io_start(m->loop, &m->ended);
	ev_timer_set(&m->deadline, MESSENGER_TIMEOUT_S, 0);
	ev_timer_start(m->loop, &m->deadline);
}

static void start_next(struct messenger *m)
{
	struct buf *event = &m->queue[m->first];
	int err;

	if (m->pid || !m->n || ev_is_active(&m->refill))
		return;
	if (!take_token(m)) {
		ev_timer_set(&m->refill, 1 - m->tokens, 0);
		ev_timer_start(m->loop, &m->refill);
		return;
	}
	m->seq = m->seqs[m->first];
	err = *m->command ? hook_run(m, event) : 0;
	buf_free(event);
	m->first = (m->first + 1) % MESSENGER_QUEUE;
	m->n--;
	if (err) {
		log_warn("event=notify_failed error=\"%s\"", strerror(-err));
		note_end(m, true, "not started", strerror(-err));
	} else if (m->pid) {
		watch_child(m);
	}
}

static void on_refill(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	start_next(timer->data);
}

static void on_hook_ended(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	(void)events;
	hook_reap(io->data);
	start_next(io->data);
}

static void on_hook_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct messenger *m = timer->data;

	(void)loop;
	(void)events;
	m->late = "killed after the time limit";
	kill(-m->pid, SIGKILL); /* on_ended() follows */
}

void messenger_tell(struct messenger *m, const struct event_log *log, const struct event *e)
{
	struct buf *event = &m->queue[(m->first + m->n) % MESSENGER_QUEUE];

	if (!*m->command)
		return;
	if (m->n == MESSENGER_QUEUE) {
		m->dropped++;
		m->state.dropped++;
		return;
	}
	*event = (struct buf){0};
	if (!render_event(log, e, m->dropped, event))
		buf_append(event, "\n", 1);
	if (event->failed || !event->len) {
		buf_free(event);
		m->dropped++;
		m->state.dropped++;
		return;
	}
	m->seqs[(m->first + m->n) % MESSENGER_QUEUE] = e->seq;
	m->n++;
	m->dropped = 0;
	start_next(m);
}

void messenger_set_command(struct messenger *m, const char *command)
{
	if (strcmp(m->command, command))
		m->state.last_failed = false;
	snprintf(m->command, sizeof(m->command), "%s", command);
}

const struct notify_state *messenger_state(const struct messenger *m)
{
	return &m->state;
}

bool messenger_is_full(const struct messenger *m)
{
	return m->n == MESSENGER_QUEUE;
}

int messenger_new(struct ev_loop *loop, struct messenger **out)
{
	struct messenger *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->loop = loop;
	m->state.command = m->command;
	m->tokens = MESSENGER_BURST;
	m->filled_at = ev_now(loop);
	ev_io_init(&m->ended, on_hook_ended, -1, EV_READ);
	ev_timer_init(&m->deadline, on_hook_deadline, 0, 0);
	ev_timer_init(&m->refill, on_refill, 0, 0);
	m->ended.data = m->deadline.data = m->refill.data = m;
	*out = m;
	return 0;
}

void messenger_free(struct messenger *m, double grace_s)
{
	double until = ev_time() + grace_s;

	if (!m)
		return;
	while (m->pid) { /* the loop runs no more */
		struct pollfd ended = {.fd = m->pidfd, .events = POLLIN};
		double left = until - ev_time();

		if (poll(&ended, 1, left > 0 ? (int)(left * 1000) : 0) != 1)
			m->late = "killed because mxlbd stopped";
		hook_reap(m);
		if (left > 0)
			start_next(m);
	}
	ev_timer_stop(m->loop, &m->refill);
	if (m->n)
		log_warn("event=notify_failed error=\"mxlbd stops\" dropped=%u", m->n);
	while (m->n)
		buf_free(&m->queue[(m->first + --m->n) % MESSENGER_QUEUE]);
	free(m);
}

static void limit(int what, rlim_t most)
{
	setrlimit(what, &(struct rlimit){most, most});
}

/* Runs as mxlbd's user, but unless that is root without any capability. */
static void hook_drop_capabilities(void)
{
	cap_t caps = cap_get_proc();

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (caps && !cap_clear_flag(caps, CAP_INHERITABLE))
		cap_set_proc(caps);
	cap_free(caps);
}

/*
 * The pinned maps belong to mxlbd's user, and from Linux 5.19 on a process that may open a pin may write the map without
 * any capability (kernel.unprivileged_bpf_disabled concerns the creation of maps only). So the program may call neither
 * bpf() nor what would make another process of that user call it. If mxlbd is root, the program is root: it has other
 * ways, and may need to gain a group (postdrop).
 */
static int refuse_bpf(void)
{
	static const int refused[] = {SCMP_SYS(bpf), SCMP_SYS(ptrace), SCMP_SYS(process_vm_writev),
				      SCMP_SYS(pidfd_getfd)};
	scmp_filter_ctx filter;
	int err = 0;

	if (!geteuid())
		return 0;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int messenger_child_main(char *const argv[])
{
	int err;

	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, (rlim_t)MESSENGER_TIMEOUT_S);
	limit(RLIMIT_FSIZE, 1 << 20);
	limit(RLIMIT_NOFILE, 256);
	limit(RLIMIT_AS, 1 << 30);
	hook_drop_capabilities();
	alarm((unsigned)MESSENGER_TIMEOUT_S); /* in case mxlbd no longer runs to kill it */
	err = refuse_bpf();
	if (err) {
		fprintf(stderr, "the program cannot be confined: %s\n", strerror(-err));
		return EXIT_NO_RUN;
	}
	if (argv[0])
		execv(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0] ? argv[0] : "?", strerror(errno));
	return EXIT_NO_RUN;
}
