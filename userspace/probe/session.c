/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of one dialogue: socket, deadline and TLS around core/dialog.c, which decides. It enforces the time
 * limit: one absolute deadline for the whole, including 2 s for QUIT. At most SESSION_BYTES_MAX are accepted from a
 * peer. Every callback ends in settle(), the only place where a session can end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "probe/session.h"
#include "util/clock.h"

#define SESSION_BYTES_MAX \
	(256 * 1024) /* room for the replies of all stages and a chain of certificates */
/*
 * TLS bytes without a reply after the handshake: tickets, key updates, alerts, record overhead. A record has at most
 * 16 KiB and counts until it is complete. A KeyUpdate is 27 bytes and costs 33 us, so this many cost 25 ms.
 */
#define TLS_OVERHEAD_MAX (20 * 1024)
#define READ_SIZE	 (16 * 1024)
#define FAREWELL_MS	 2000

#define HINTS_MAX \
	12 /* silences that a session reports, so that a slow sender does not flood the parent */

struct session {
	TAILQ_ENTRY(session) link;
	struct session_host *host;
	struct wire_request req;
	struct dialog dialog;
	struct tls *tls;
	struct buf out;
	struct ev_io io;
	struct ev_timer timer;
	int fd;
	bool connecting, handshaking, closing;
	unsigned hints_left; /* how often its silence may still be told */
	uint64_t heard_ms;   /* when it last sent something, or its silence was reported */
	uint32_t stalls;     /* of the host, when the session began */
	size_t received;
	size_t overhead;		/* TLS_OVERHEAD_MAX */
	enum probe_stage stage;		/* the one being timed */
	uint64_t began_ms, stage_ms;	/* wall time, to tell */
	uint64_t since_ms, deadline_ms; /* on the served clock (stall.h), to judge by */
	uint64_t cpu_us, step_us;	/* of this thread: spent, and at the begin of this step */
	struct wire_answer answer;
	struct transcript transcript;
};

/*
 * Which errors of connect() are about the server, and which about this box (local_error: all others). Some mean our
 * own routes if returned at once, and a router's ICMP (no route; IPv6: prohibited) if returned later.
 */
static const struct {
	int error;
	enum reason at_once, later;
} connect_errors[] = {
	{ECONNREFUSED, REASON_refused, REASON_refused},
	{ECONNRESET, REASON_refused, REASON_refused},
	{ETIMEDOUT, REASON_connect_timeout, REASON_connect_timeout},
	{EHOSTUNREACH, REASON_unreachable, REASON_unreachable},
	{EHOSTDOWN, REASON_unreachable, REASON_unreachable},
	{ENETUNREACH, REASON_local_error, REASON_unreachable},
	{EACCES, REASON_local_error, REASON_unreachable},
};

static void act(struct session *s, enum dialog_want want);

static uint32_t *stage_slot(struct probe_result *r, enum probe_stage stage)
{
	switch (stage) {
	case STAGE_CONNECT:
		return &r->connect_ms;
	case STAGE_GREETING:
		return &r->greeting_ms;
	case STAGE_TLS:
		return &r->tls_ms;
	default:
		return NULL;
	}
}

/* 0 stands for "not reached", so nothing takes less than a millisecond. */
static uint32_t ms_since(uint64_t then, uint64_t now)
{
	return now > then ? (uint32_t)(now - then) : 1;
}

/* Records the times at which the dialogue left a stage, or was decided in one. */
static void take_times(struct session *s)
{
	struct probe_result *r = &s->answer.result;
	uint32_t *slot = stage_slot(r, s->stage);
	uint64_t now = clock_ms();

	if (r->total_ms || (s->dialog.stage == s->stage && !s->dialog.decided))
		return;
	if (slot)
		*slot = ms_since(s->stage_ms, now);
	s->stage = s->dialog.stage;
	s->stage_ms = now;
	if (!s->dialog.decided)
		return;
	r->total_ms = ms_since(s->began_ms, now);
	if (s->deadline_ms > s->host->stall.served_ms + FAREWELL_MS)
		s->deadline_ms = s->host->stall.served_ms + FAREWELL_MS;
}

static void session_watch(struct session *s)
{
	int events = s->connecting || s->out.len ? EV_READ | EV_WRITE : EV_READ;

	if (s->io.events == events && ev_is_active(&s->io))
		return;
	ev_io_stop(s->host->loop, &s->io);
	ev_io_set(&s->io, s->fd, events);
	ev_io_start(s->host->loop, &s->io);
}

/* A peer that no longer listens may have sent a reply before: the next read will find it. */
static void flush(struct session *s)
{
	ssize_t n;

	if (s->tls)
		tls_drain(s->tls, &s->out);
	if (s->out.failed) {
		act(s, dialog_fail(&s->dialog, REASON_local_error, "no memory", 9));
		return;
	}
	if (!s->out.len)
		return;
	n = send(s->fd, s->out.data, s->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		n = (ssize_t)s->out.len;
	if (n > 0)
		buf_consume(&s->out, (size_t)n);
}

static uint32_t at_ms(const struct session *s)
{
	uint64_t now = clock_ms();

	return now > s->began_ms ? (uint32_t)(now - s->began_ms) : 0;
}

static void on_session_note(void *ctx, const struct probe_note *n)
{
	struct session *s = ctx;
	struct wire_answer a = {
		.magic = WIRE_MAGIC, .id = s->req.id, .kind = WIRE_NOTE, .note = *n};

	s->host->answer(s->host, &a);
}

static void session_say(struct session *s)
{
	transcript_said(&s->transcript, at_ms(s), s->dialog.out, s->dialog.out_len);
	if (!s->tls)
		buf_append(&s->out, s->dialog.out, s->dialog.out_len);
	else if (s->dialog.out_len)
		tls_write(s->tls, s->dialog.out, s->dialog.out_len);
}

static void tls_failed(struct session *s, int err)
{
	const char *text = err == -ENOMEM ? "no memory" : tls_error(s->tls);

	if (err == -EPIPE)
		act(s, dialog_eof(&s->dialog, "close_notify"));
	else
		act(s, dialog_fail(&s->dialog,
				   err == -ENOMEM ? REASON_local_error : REASON_tls_handshake, text,
				   strlen(text)));
}

/* After the handshake, never during it, so that the server's log stays clean whatever its certificate. */
static void judge_tls(const struct session *s, enum tls_policy policy, struct cert_finding *found)
{
	struct session_host *h = s->host;
	const struct tls_info *info = &s->answer.result.tls;
	struct cert_question q = {.policy = policy, .conf = &s->req.cert};

	*found = (struct cert_finding){.reason = REASON_tls_version};
	memcpy(found->text, info->version, sizeof(info->version));
	if (tls_version(s->tls) < s->req.min_tls_version)
		return;
	q.now_s = clock_now().wall_ms / 1000;
	if (s->req.bundle < h->n_bundles)
		q.bundle = h->bundles[s->req.bundle];
	tls_judge(s->tls, &q, info, found);
	if (!wallclock_is_sound(&h->wallclock, clock_ms(), q.now_s * 1000) &&
	    (found->reason == REASON_certificate_expired ||
	     found->reason == REASON_certificate_not_yet_valid))
		found->reason = REASON_local_clock;
}

/* False: the request does not have enough parameters for it. */
static bool can_judge(const struct session *s, enum tls_policy policy)
{
	if (certpolicy_wants_bundle(policy) && s->req.bundle >= s->host->n_bundles)
		return false;
	if (policy == TLS_DOMAIN_VALIDATION)
		return s->req.cert.domain[0];
	return policy != TLS_DANE || s->req.cert.n_tlsa;
}

static void hear(struct session *s, const char *bytes, size_t len)
{
	transcript_heard(&s->transcript, at_ms(s), bytes, len);
	act(s, dialog_bytes(&s->dialog, bytes, len));
}

/* Reports the handshake of a watched probe: the chain, and its result under every policy. */
static void tell_session(struct session *s, const struct tls_info *info)
{
	const STACK_OF(X509) *chain = tls_chain(s->tls);
	struct probe_note n;
	char text[sizeof(info->version) + sizeof(info->cipher)];

	if (!s->transcript.emit)
		return;
	snprintf(text, sizeof(text), "%s %s", info->version, info->cipher);
	transcript_event(&s->transcript, at_ms(s), text);
	for (int i = 0; i < sk_X509_num(chain) && i < TRANSCRIPT_CHAIN_MAX; i++) {
		n = (struct probe_note){.kind = NOTE_CERTIFICATE, .at_ms = at_ms(s)};
		certfacts_describe(sk_X509_value(chain, i), &n.certificate);
		on_session_note(s, &n);
	}
	for (enum tls_policy p = TLS_NONE; p <= TLS_DANE; p++) {
		struct cert_finding found;

		if (!can_judge(s, p))
			continue;
		judge_tls(s, p, &found);
		n = (struct probe_note){.kind = NOTE_JUDGEMENT, .at_ms = at_ms(s)};
		n.judgement.policy = p;
		n.judgement.reason = found.reason;
		memcpy(n.judgement.text, found.text, sizeof(n.judgement.text));
		on_session_note(s, &n);
	}
}

static void shake_hands(struct session *s)
{
	int err = tls_handshake(s->tls);
	struct cert_finding found;

	if (err == -EAGAIN)
		return;
	s->handshaking = false;
	if (err) {
		tls_failed(s, err);
		return;
	}
	tls_describe(s->tls, &s->answer.result.tls);
	tell_session(s, &s->answer.result.tls);
	judge_tls(s, s->req.dialog.tls, &found);
	act(s, dialog_tls_done(&s->dialog, found.reason == REASON_ok, found.reason, found.text));
}

/* As far as the bytes at hand allow: handshake, then replies. */
static void pump_tls(struct session *s)
{
	char bytes[READ_SIZE];
	ssize_t n = 1;

	if (s->handshaking)
		shake_hands(s);
	while (!s->closing && !s->handshaking && n > 0) {
		n = tls_read(s->tls, bytes, sizeof(bytes));
		if (n > 0) {
			s->overhead -= (size_t)n < s->overhead ? (size_t)n : s->overhead;
			hear(s, bytes, (size_t)n);
		} else if (n != -EAGAIN) {
			tls_failed(s, (int)n);
		}
	}
	if (!s->closing)
		flush(s);
}

static void start_tls(struct session *s)
{
	char early[64];
	ssize_t n = recv(s->fd, early, sizeof(early), MSG_DONTWAIT);

	if (n > 0) { /* only an injector sends data before our ClientHello */
		hear(s, early, (size_t)n);
		return;
	}
	s->tls = tls_new(s->host->tls, s->req.sni);
	if (!s->tls) {
		act(s, dialog_fail(&s->dialog, REASON_local_error, "no memory", 9));
		return;
	}
	s->handshaking = true;
	pump_tls(s);
}

static void act(struct session *s, enum dialog_want want)
{
	take_times(s);
	if (want == DIALOG_START_TLS) {
		start_tls(s);
	} else if (want == DIALOG_WRITE) {
		session_say(s);
		flush(s);
	} else if (want == DIALOG_CLOSE && !s->closing) {
		s->closing = true;
		session_say(s);
		if (s->tls)
			tls_shutdown(s->tls);
		flush(s);
	}
}

static void session_read_peer(struct session *s)
{
	static const char no_reply[] = "too much TLS data without an SMTP reply";
	static const char lost[] = "the server no longer acknowledges what is sent to it";
	char bytes[READ_SIZE];
	ssize_t n = recv(s->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 && (errno == ETIMEDOUT || errno == EHOSTUNREACH)) { /* prober.c: watch_peer() */
		act(s, dialog_fail(&s->dialog, REASON_timeout, lost, sizeof(lost) - 1));
		return;
	}
	if (n <= 0) {
		act(s, dialog_eof(&s->dialog, n ? strerror(errno) : "closed by the server"));
		return;
	}
	s->received += (size_t)n;
	if (s->received > SESSION_BYTES_MAX) {
		act(s, dialog_fail(&s->dialog, REASON_reply_too_long, "", 0));
	} else if (!s->tls) {
		hear(s, bytes, (size_t)n);
	} else if (tls_feed(s->tls, bytes, (size_t)n)) {
		act(s, dialog_fail(&s->dialog, REASON_local_error, "no memory", 9));
	} else {
		if (!s->handshaking)
			s->overhead += (size_t)n;
		pump_tls(s);
		if (s->overhead > TLS_OVERHEAD_MAX && !s->closing)
			act(s, dialog_fail(&s->dialog, REASON_reply_too_long, no_reply,
					   sizeof(no_reply) - 1));
	}
}

static void connect_failed(struct session *s, int error, bool at_once)
{
	enum reason reason = REASON_local_error;
	const char *text = strerror(error);

	for (size_t i = 0; i < sizeof(connect_errors) / sizeof(connect_errors[0]); i++)
		if (connect_errors[i].error == error)
			reason = at_once ? connect_errors[i].at_once : connect_errors[i].later;
	act(s, dialog_fail(&s->dialog, reason, text, strlen(text)));
}

static void connect_ended(struct session *s)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	s->connecting = false;
	if (error) {
		connect_failed(s, error, false);
		return;
	}
	transcript_event(&s->transcript, at_ms(s), "connected");
	act(s, dialog_connected(&s->dialog));
}

static void free_session(struct session *s)
{
	ev_io_stop(s->host->loop, &s->io);
	ev_timer_stop(s->host->loop, &s->timer);
	TAILQ_REMOVE(&s->host->running, s, link);
	s->host->n_running--;
	tls_free(s->tls);
	buf_free(&s->out);
	close(s->fd);
	free(s);
}

static void session_report(struct session *s)
{
	struct probe_result *r = &s->answer.result;

	transcript_end(&s->transcript, at_ms(s));
	r->reason = s->dialog.reason;
	if (s->stalls != s->host->stall.count)
		r->reason = stall_excuse(r->reason);
	r->stage = s->dialog.stage;
	r->smtp_code = s->dialog.smtp_code;
	memcpy(r->text, s->dialog.text, sizeof(r->text));
	s->answer.kind = WIRE_RESULT;
	s->host->answer(s->host, &s->answer);
}

/* A server may die at any stage, so its next hop is reprobed after each silence. */
static uint64_t slow_at(const struct session *s)
{
	return s->heard_ms + WIRE_SLOW_MS;
}

/* Once while it connects, and then after each silence. */
static bool may_hint(const struct session *s)
{
	return s->connecting ? s->hints_left == HINTS_MAX : s->hints_left;
}

static uint64_t connect_deadline(const struct session *s)
{
	return s->since_ms + s->req.connect_timeout_ms;
}

static uint64_t session_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void arm_timer(struct session *s)
{
	uint64_t now = s->host->stall.served_ms, at = s->deadline_ms;

	if (s->connecting)
		at = session_earlier(at, connect_deadline(s));
	if (may_hint(s))
		at = session_earlier(at, slow_at(s));
	s->timer.repeat = ms_since(now, at) / 1000.0;
	ev_timer_again(s->host->loop, &s->timer);
}

/* After every event: the end of the session, or what it waits for next. */
static void session_settle(struct session *s)
{
	if (s->closing) {
		session_report(s);
		free_session(s);
		return;
	}
	session_watch(s);
	arm_timer(s);
}

static void begin_step(struct session *s)
{
	pulse_begin(s->host->pulse, ++s->host->steps, s->req.id);
	s->step_us = clock_thread_cpu_us();
}

/* The CPU time is charged to the server, whatever happened on the machine meanwhile. */
static void end_step(struct session *s)
{
	char text[96];
	int len;

	pulse_end(s->host->pulse);
	s->cpu_us += clock_thread_cpu_us() - s->step_us;
	s->answer.result.cpu_ms = (uint32_t)(s->cpu_us / 1000);
	if (s->answer.result.cpu_ms <= s->req.cpu_ms || s->closing)
		return;
	len = snprintf(text, sizeof(text), "%u ms of CPU so far; a probe may take %u",
		       s->answer.result.cpu_ms, s->req.cpu_ms);
	act(s, dialog_fail(&s->dialog, REASON_expensive, text, (size_t)len));
}

static void on_session_io(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct session *s = w->data;

	(void)loop;
	begin_step(s);
	s->heard_ms = s->host->stall.served_ms;
	if (s->connecting) {
		connect_ended(s);
	} else {
		if (revents & EV_WRITE)
			flush(s);
		if (revents & EV_READ && !s->closing)
			session_read_peer(s);
	}
	end_step(s);
	session_settle(s);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct session *s = w->data;
	uint64_t now = s->host->stall.served_ms;

	(void)loop, (void)revents;
	if (may_hint(s) && now >= slow_at(s)) {
		s->hints_left--;
		s->heard_ms = now;
		s->answer.kind = s->connecting ? WIRE_SLOW_CONNECT : WIRE_SLOW_ANSWER;
		s->host->answer(s->host, &s->answer);
	}
	if (now >= s->deadline_ms || (s->connecting && now >= connect_deadline(s)))
		act(s, dialog_timeout(&s->dialog));
	session_settle(s);
}

int session_start(struct session_host *h, const struct wire_request *req, int socket)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->host = h;
	s->req = *req;
	s->req.sni[sizeof(s->req.sni) - 1] = '\0';
	s->req.cert.domain[sizeof(s->req.cert.domain) - 1] = '\0';
	s->req.cert.name[sizeof(s->req.cert.name) - 1] = '\0';
	s->fd = socket;
	s->out.cap = 2 * SESSION_BYTES_MAX; /* OpenSSL answers what it is asked */
	s->stalls = h->stall.count;
	s->stage = STAGE_CONNECT;
	s->began_ms = s->stage_ms = clock_ms();
	s->since_ms = s->heard_ms = h->stall.served_ms;
	s->hints_left = HINTS_MAX;
	s->deadline_ms = s->since_ms + req->timeout_ms;
	s->answer.magic = WIRE_MAGIC;
	s->answer.id = req->id;
	dialog_init(&s->dialog, &req->dialog);
	if (req->watched)
		s->transcript = (struct transcript){.emit = on_session_note, .ctx = s};
	ev_init(&s->io, on_session_io);
	ev_init(&s->timer, on_timer);
	s->io.data = s->timer.data = s;
	TAILQ_INSERT_TAIL(&h->running, s, link);
	h->n_running++;
	s->connecting = true; /* by the parent; when it is done, the socket can be written to */
	if (req->connect_error)
		connect_failed(s, req->connect_error, true);
	session_settle(s);
	return 0;
}

void session_end_all(struct session_host *h)
{
	while (!TAILQ_EMPTY(&h->running))
		free_session(TAILQ_FIRST(&h->running));
}
