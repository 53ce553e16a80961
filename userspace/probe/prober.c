/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's half of probing: owns every probe, as a run, from prober_start() to its one result; the children are
 * helpers.c's. The meaning of an unanswered VIP is decided by core/blame.c.
 *
 * A run waits in .queued until its socket is made and sent, then in its helper's .sent until the answer.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/blame.h"
#include "probe/prober_internal.h"

#define PER_TURN	64 /* requests or answers, before other watchers have their turn */
#define FALLBACK_MIN_MS 200
#define FALLBACK_MAX_MS 1000
#define LOST_MIN_MS	2000 /* without an acknowledgement */
#define LEAVING_MS	1000 /* for a child that is ending by itself */
#define APART_GRACE_MS	20000

static void prober_forget(struct prober *p, struct run *r)
{
	TAILQ_REMOVE(r->helper	? &r->helper->sent
		     : r->apart ? &p->apart_queued
				: &p->queued,
		     r, link);
	p->runs[r->id] = NULL;
	if (r->socket >= 0)
		close(r->socket);
}

/* Charges the CPU time to the server, unless the result does not come from the server. */
static void charge(struct prober *p, const struct run *r)
{
	const struct probe_result *is = &r->result;
	uint32_t cpu_ms = is->cpu_ms, cheap_ms = p->cpu_ms / 2;

	if (reason_verdict(is->reason) == VERDICT_UNKNOWN && is->reason != REASON_expensive)
		return;
	if (is->reason == REASON_expensive && !r->shortened && cpu_ms <= p->cpu_ms)
		cpu_ms = p->cpu_ms + 1;
	else if (is->reason != REASON_ok && cpu_ms <= cheap_ms)
		cpu_ms = cheap_ms + 1; /* it may have ended before the expensive part */
	if (cost_take(&p->costs[r->server], r->reach, cpu_ms, p->cpu_ms, p->stall.now_ms) &&
	    p->cb.on_cost)
		p->cb.on_cost(p->cb.ctx, r->server, p->costs[r->server].expensive, is->cpu_ms);
}

/* Success in a part of the dialogue is not a verdict. */
static void say_shortened(const struct prober *p, struct run *r)
{
	const struct cost *c = &p->costs[r->server];
	uint64_t now_ms = p->stall.now_ms;
	uint64_t in_ms = c->full_at_ms > now_ms ? c->full_at_ms - now_ms : 0;

	r->result.reason = REASON_expensive;
	r->result.stage = r->reach == COST_EHLO ? STAGE_STARTTLS : STAGE_GREETING;
	snprintf(
		r->result.text, sizeof(r->result.text),
		"it answers up to %s; its last full probe took %u ms of CPU, the next one begins in "
		"%u s or later",
		r->reach == COST_EHLO ? "EHLO" : "the connect", c->cpu_ms,
		(unsigned)(in_ms / 1000));
}

static void finish(struct prober *p, struct run *r)
{
	struct helper *apart = r->apart ? r->helper : NULL;

	prober_forget(p, r);
	charge(p, r);
	if (r->shortened && r->result.reason == REASON_ok)
		say_shortened(p, r);
	if (r->audience.on_result)
		r->audience.on_result(r->audience.ctx, &r->result);
	else
		p->cb.on_result(p->cb.ctx, r->id, &r->result);
	free(r);
	if (apart)
		quarantine_turn(p);
}

void run_finish_expensive(struct prober *p, struct run *r, uint32_t cpu_ms)
{
	memset(&r->result, 0, sizeof(r->result));
	r->result.reason = REASON_expensive;
	r->result.cpu_ms = cpu_ms;
	snprintf(r->result.text, sizeof(r->result.text),
		 "%u ms of CPU for one step of the dialogue; a probe may take %u", cpu_ms,
		 r->req.cpu_ms);
	finish(p, r);
}

uint64_t run_deadline(const struct prober *p, const struct run *r)
{
	/* in quarantine it may have to wait, and its child has the lowest CPU priority */
	return p->stall.awake_ms + r->req.timeout_ms + GRACE_MS + (r->apart ? APART_GRACE_MS : 0);
}

struct run *run_first_overdue(const struct prober *p, const struct run_list *list)
{
	struct run *r;

	TAILQ_FOREACH (r, list, link)
		if (p->stall.awake_ms >= r->deadline_ms)
			break;
	return r;
}

void run_finish_local_error(struct prober *p, struct run *r, const char *text)
{
	memset(&r->result, 0, sizeof(r->result));
	/* in quarantine the server itself may be the cause: then nothing changes */
	r->result.reason = r->apart ? REASON_expensive : REASON_local_error;
	snprintf(r->result.text, sizeof(r->result.text), "%s", text);
	finish(p, r);
}

/*
 * Lets the kernel end a connection whose other end no longer acknowledges (tcp(7)): a host that vanishes in the middle of a
 * dialogue otherwise holds the probe until `timeout`. Both count from the last sign of it, so that a silent server whose kernel
 * answers is not affected.
 */
static int watch_peer(int fd, uint32_t connect_timeout_ms)
{
	unsigned lost_ms = connect_timeout_ms > LOST_MIN_MS ? connect_timeout_ms : LOST_MIN_MS;
	int one = 1;

	return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) ||
	       setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof(one)) ||
	       setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof(one)) ||
	       setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof(lost_ms));
}

/*
 * Returns a socket whose connect has begun, because the child may not call connect(). *refused: the immediate error of
 * connect(); 0: none.
 */
static int make_socket(const struct wire_request *req, uint32_t mark, int *refused, int *out)
{
	const struct addr *to = &req->address;
	struct sockaddr_storage peer;
	socklen_t len = addr_to_sockaddr(to, req->port, &peer);
	int one = 1, fd = -1, err;

	fd = socket(addr_is_v4(to) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    watch_peer(fd, req->connect_timeout_ms) ||
	    (mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)))) {
		err = -errno;
		close(fd);
		return err;
	}
	*refused = connect(fd, (struct sockaddr *)&peer, len) && errno != EINPROGRESS ? errno : 0;
	*out = fd;
	return 0;
}

/* *fd: -1, or what an earlier call left there because the child had no room. */
static int send_request(const struct helper *h, struct wire_request *req, uint32_t mark, int *fd)
{
	int err = *fd < 0 ? make_socket(req, mark, &req->connect_error, fd) : 0;

	if (err)
		return err;
	err = wire_send_request(h->proc.fd, req, *fd);
	if (err == -EAGAIN)
		return err;
	close(*fd);
	*fd = -1;
	return err;
}

/* Connects to the server's own address, over the ordinary path. If it cannot be sent, the question stays open. */
static void ask_fallback(struct run *r)
{
	struct wire_request req = r->req;
	uint32_t ms = req.connect_timeout_ms;
	int fd = -1;

	if (r->fallback_state != FALLBACK_UNASKED || addr_is_zero(&r->fallback))
		return;
	ms = ms > WIRE_SLOW_MS + FALLBACK_MIN_MS ? ms - WIRE_SLOW_MS : FALLBACK_MIN_MS;
	if (ms > FALLBACK_MAX_MS)
		ms = FALLBACK_MAX_MS;
	req.id |= ID_FALLBACK;
	req.address = r->fallback;
	req.timeout_ms = req.connect_timeout_ms = ms;
	req.dialog.depth = DEPTH_CONNECT;
	req.watched = 0;
	if (!send_request(r->helper, &req, 0, &fd))
		r->fallback_state = FALLBACK_PENDING;
	else if (fd >= 0)
		close(fd);
}

static const enum blame_fallback fallbacks[] = {
	[FALLBACK_UNASKED] = BLAME_FALLBACK_NONE,    [FALLBACK_PENDING] = BLAME_FALLBACK_NONE,
	[FALLBACK_ANSWERS] = BLAME_FALLBACK_ANSWERS, [FALLBACK_SILENT] = BLAME_FALLBACK_SILENT,
	[FALLBACK_LOCAL] = BLAME_FALLBACK_NONE,
};

/* Finishes an answered run, unless its result depends on a fallback that is still pending. */
static void conclude(struct prober *p, struct run *r)
{
	char text[ADDR_TEXT_SIZE];

	if (r->stalls != p->stall.count)
		r->result.reason = stall_excuse(r->result.reason);
	if (r->result.reason == REASON_connect_timeout) {
		ask_fallback(r);
		if (r->fallback_state == FALLBACK_PENDING)
			return;
		r->result.reason = blame_silence(r->result.reason, fallbacks[r->fallback_state],
						 r->routed, !addr_is_zero(&r->fallback));
		if (r->result.reason == REASON_vip_missing)
			snprintf(r->result.text, sizeof(r->result.text),
				 "%s answers, but not for the VIP", addr_text(&r->fallback, text));
		else if (r->result.reason == REASON_unreachable)
			snprintf(r->result.text, sizeof(r->result.text),
				 "nothing answers on any of its addresses");
	}
	finish(p, r);
}

static void take_fallback(struct prober *p, struct run *r, const struct wire_answer *a)
{
	enum reason reason = a->result.reason;

	if (a->kind != WIRE_RESULT || r->fallback_state != FALLBACK_PENDING)
		return;
	if (reason == REASON_ok || reason == REASON_refused)
		r->fallback_state = FALLBACK_ANSWERS;
	else if (reason_verdict(reason) == VERDICT_UNKNOWN)
		r->fallback_state = FALLBACK_LOCAL;
	else
		r->fallback_state = FALLBACK_SILENT;
	if (r->answered)
		conclude(p, r);
}

/* False: an honest child sends no more, and nothing about unwatched probes. */
static bool take_note(struct run *r, const struct probe_note *n)
{
	if (!r->audience.on_note || r->notes++ == TRANSCRIPT_NOTES_MAX)
		return false;
	r->audience.on_note(r->audience.ctx, n);
	return true;
}

static void take_hint(struct prober *p, struct run *r, enum wire_kind kind)
{
	if (kind == WIRE_SLOW_CONNECT)
		ask_fallback(r);
	if (r->id >= WATCHED_FIRST)
		return;
	p->cb.on_slow_connect(p->cb.ctx, r->id);
	if (kind == WIRE_SLOW_ANSWER && p->cb.on_mute)
		p->cb.on_mute(p->cb.ctx, r->id);
}

/* Answers to cancelled runs find no run, or one with another number. False: invalid. */
static bool take_answer(struct helper *h, const struct wire_answer *a)
{
	struct prober *p = h->prober;
	uint32_t id = a->id & ID_SERVER;
	struct run *r = id < RUNS ? p->runs[id] : NULL;

	if (a->kind == WIRE_READY) {
		helper_ready(h, a->reference_us);
		return true;
	}
	if (!r || r->helper != h || (a->id & ~ID_FALLBACK) != r->req.id)
		return true;
	if (a->id & ID_FALLBACK) {
		take_fallback(p, r, a);
	} else if (r->answered) {
		return true;
	} else if (a->kind == WIRE_NOTE) {
		return take_note(r, &a->note);
	} else if (a->kind != WIRE_RESULT) {
		take_hint(p, r, a->kind);
	} else {
		r->answered = true;
		r->result = a->result;
		conclude(p, r);
	}
	return true;
}

void prober_on_readable(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct helper *h = w->data;

	(void)loop, (void)revents;
	for (int i = 0; i < PER_TURN; i++) {
		struct wire_answer a;
		int err = wire_recv_answer(h->proc.fd, &a);

		if (err == -EAGAIN)
			return;
		if (!err && !take_answer(h, &a))
			err = -EBADMSG;
		if (err) {
			helper_failed(h, err == -EBADMSG ? "sent nonsense" : "ended",
				      err == -EBADMSG ? 0 : LEAVING_MS);
			return;
		}
	}
}

int run_send(struct prober *p, struct run *r, struct run_list *from, struct helper *to)
{
	int err;

	r->req.bundle = bundles_index(&p->bundles, r->ca_file);
	r->req.cpu_ms = r->apart ? quarantine_cpu_ms(p) : p->cpu_ms;
	err = send_request(to, &r->req, r->mark, &r->socket);
	if (err == -EAGAIN || err == -EPIPE)
		return err;
	if (err) {
		run_finish_local_error(p, r, strerror(-err));
		return 0;
	}
	TAILQ_REMOVE(from, r, link);
	TAILQ_INSERT_TAIL(&to->sent, r, link);
	r->helper = to;
	if (p->cb.on_started && r->id < WATCHED_FIRST)
		p->cb.on_started(p->cb.ctx, r->id);
	return 0;
}

static void on_writable(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct prober *p = w->data;
	struct run *r;

	(void)revents;
	for (int i = 0; i < PER_TURN && (r = TAILQ_FIRST(&p->queued)); i++) {
		if (run_send(p, r, &p->queued, p->child))
			return; /* no room yet, or on_readable() is about to learn of its end */
	}
	if (TAILQ_EMPTY(&p->queued))
		ev_io_stop(loop, &p->writable);
}

int prober_new(struct ev_loop *loop, const struct prober_callbacks *cb,
	       const struct probe_conf *probes, unsigned n_probes, struct prober **out)
{
	struct prober *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->cb = *cb;
	TAILQ_INIT(&p->queued);
	TAILQ_INIT(&p->apart_queued);
	ev_io_init(&p->writable, on_writable, -1, EV_WRITE);
	p->writable.data = p;
	bundles_init(&p->bundles, probes, n_probes);
	err = helpers_start(p);
	if (err) {
		free(p);
		return err;
	}
	*out = p;
	return 0;
}

void prober_reload(struct prober *p, const struct probe_conf *probes, unsigned n_probes)
{
	struct bundles next;

	bundles_init(&next, probes, n_probes);
	if (bundles_same_paths(&next, &p->bundles)) {
		if (bundles_changed(&p->bundles))
			helpers_renew(p);
		return;
	}
	p->bundles = next;
	helpers_renew(p);
}

static void fill_request(struct prober *p, struct run *r, const struct prober_job *job)
{
	const struct probe_conf *c = job->conf;

	r->req = (struct wire_request){
		.magic = WIRE_MAGIC,
		.id = r->id | p->sequence,
		.address = job->address,
		.port = job->port,
		.min_tls_version = c->min_tls_version,
		.timeout_ms = c->timeout_ms,
		.connect_timeout_ms = c->connect_timeout_ms,
		.dialog = {.depth = c->depth, .tls = config_policy(c)},
		.cert = c->cert,
		.watched = r->audience.on_note != NULL,
	};
	memcpy(r->req.dialog.helo, c->helo, sizeof(r->req.dialog.helo));
	memcpy(r->req.dialog.sender, c->sender, sizeof(r->req.dialog.sender));
	memcpy(r->req.sni, c->sni, sizeof(r->req.sni));
	if (c->tlsa_name[0] && !c->cert.domain[0]) /* of usage 2 */
		memcpy(r->req.cert.domain, c->tlsa_name, sizeof(r->req.cert.domain));
	memcpy(r->ca_file, c->ca_file, sizeof(r->ca_file));
	p->sequence += ID_SEQUENCE;
}

/*
 * The cost of its server's earlier probes decides the depth and the child (core/cost.h). A watched probe always goes
 * all the way.
 */
static void limit_reach(struct prober *p, struct run *r, const struct prober_job *job)
{
	static const enum probe_depth depths[] = {
		[COST_FULL] = DEPTH_MAIL_FROM,
		[COST_EHLO] = DEPTH_EHLO,
		[COST_CONNECT] = DEPTH_CONNECT,
	};
	const struct addr *whose = addr_is_zero(&job->fallback) ? &job->address : &job->fallback;
	struct cost *c;

	r->server = job->server_id < WATCHED_FIRST ? job->server_id : 0;
	c = &p->costs[r->server];
	if (!addr_equal(whose, &p->costs_of[r->server])) {
		*c = (struct cost){0};
		p->costs_of[r->server] = *whose;
	}
	if (r->id < WATCHED_FIRST)
		r->reach = cost_reach(c, quarantine_is_idle(p), p->stall.now_ms);
	r->apart = c->expensive && r->reach == COST_FULL;
	r->shortened = r->req.dialog.depth > depths[r->reach];
	if (r->shortened)
		r->req.dialog.depth = depths[r->reach];
}

static int prober_start_run(struct prober *p, uint32_t id, const struct prober_job *job,
			    const struct prober_audience *who)
{
	struct run *r;

	if (p->runs[id])
		return -EBUSY;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->id = id;
	r->socket = -1;
	if (who)
		r->audience = *who;
	r->mark = job->mark;
	r->fallback = job->fallback;
	r->routed = job->routed;
	r->stalls = p->stall.count;
	fill_request(p, r, job);
	limit_reach(p, r, job);
	r->deadline_ms = run_deadline(p, r);
	p->runs[id] = r;
	TAILQ_INSERT_TAIL(r->apart ? &p->apart_queued : &p->queued, r, link);
	if (r->apart)
		ev_feed_event(p->loop, &p->dispatch, 0);
	else if (p->child->ready)
		ev_io_start(p->loop, &p->writable);
	return 0;
}

int prober_start(struct prober *p, const struct prober_job *job)
{
	return job->server_id < WATCHED_FIRST ? prober_start_run(p, job->server_id, job, NULL)
					      : -EINVAL;
}

int prober_watch(struct prober *p, const struct prober_job *job, const struct prober_audience *who,
		 uint32_t *id)
{
	for (uint32_t i = WATCHED_FIRST; i < RUNS; i++) {
		if (p->runs[i])
			continue;
		*id = i;
		return prober_start_run(p, i, job, who);
	}
	return -EBUSY;
}

void prober_cancel(struct prober *p, uint32_t id)
{
	struct run *r = id < RUNS ? p->runs[id] : NULL;

	if (!r)
		return;
	prober_forget(p, r);
	if (r->apart)
		ev_feed_event(p->loop, &p->dispatch, 0);
	free(r);
}

uint64_t prober_child_restarts(const struct prober *p)
{
	return p->restarts;
}

void prober_free(struct prober *p)
{
	if (!p)
		return;
	for (uint32_t id = 0; id < RUNS; id++)
		prober_cancel(p, id);
	helpers_end(p);
	free(p);
}

const char *prober_bad_bundle(const struct prober *p)
{
	return bundles_bad(&p->bundles);
}

bool prober_bundles_renewed(struct prober *p)
{
	bool renewed = p->bundles.renewed;

	p->bundles.renewed = false;
	return renewed;
}
