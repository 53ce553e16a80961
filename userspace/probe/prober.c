/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's half of probing. Owns every probe from prober_start() to its one result, and the child as long as it behaves:
 * one that ends, answers nonsense or misses a deadline is replaced, after 100 ms, doubling to 5 s. Judges no server
 * itself but for one thing: a VIP that is silent on a host that answers is missing (vip_missing).
 *
 * A run waits in .queued until its socket is made and sent, then in its helper's .sent until the answer. A child can't open
 * anything once it probes: when a CA file changes, another takes over and the old one finishes what it has.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>
#include "probe/prober.h"
#include "probe/spawn.h"
#include "probe/stall.h"
#include "probe/wire.h"
#include "util/log.h"

/* A run's id on the wire: its backend (or watched probe), whether it is the fallback's connect, and a number against old answers. */
#define ID_BACKEND    0x1fffu
#define ID_FALLBACK   0x2000u
#define ID_SEQUENCE   0x4000u

/* Ids beyond the backends' are watched probes. */
#define WATCHED_FIRST (MXLB_MAX_BACKENDS + 1)
#define RUNS	      (WATCHED_FIRST + PROBER_WATCHED_MAX)
_Static_assert(RUNS - 1 <= ID_BACKEND, "an id does not fit");

#define PER_TURN	 64 /* requests or answers, before other watchers have their turn */
#define GRACE_MS	 2000
#define SWEEP_MS	 500
#define BACKOFF_MIN_MS	 100
#define BACKOFF_MAX_MS	 5000
#define CHILD_SOUND_MS	 10000 /* who lived that long starts with the shortest back-off again */
#define FALLBACK_MIN_MS	 200
#define FALLBACK_MAX_MS	 1000
#define CHILD_LEAVING_MS 1000
#define BUNDLES_SWEEPS	 10 /* between two looks at the CA files */

enum fallback_state {
	FALLBACK_UNASKED,
	FALLBACK_PENDING,
	FALLBACK_ANSWERS,
	FALLBACK_SILENT,
	FALLBACK_LOCAL, /* trouble of our own: it says nothing */
};

struct run {
	TAILQ_ENTRY(run) link;
	uint32_t id, mark;
	struct wire_request req;
	struct prober_audience audience; /* of a watched probe; else zero */
	unsigned notes;
	struct addr fallback;
	enum fallback_state fallback_state;
	char ca_file[CONFIG_PATH_SIZE];
	struct helper *helper; /* NULL: queued */
	bool routed, answered;
	bool again; /* its first child is gone */
	uint32_t stalls;
	uint64_t deadline_ms; /* on the awake clock: a stall of ours is no fault of the child */
	struct probe_result result; /* once answered, while the fallback is waited for */
};

TAILQ_HEAD(run_list, run);

struct helper { /* a child, and what it was asked */
	struct prober *prober;
	struct spawned proc; /* .fd -1: none */
	struct ev_io readable;
	struct run_list sent;
	uint64_t born_ms;
};

struct prober {
	struct ev_loop *loop;
	struct prober_callbacks cb;
	struct stall stall;
	struct bundles bundles;			/* what the child was started with */
	struct helper helpers[2], *child, *old; /* old: it finishes, and gets nothing new */
	struct ev_io writable;
	struct ev_timer restart, sweep;
	uint64_t restarts;
	uint32_t backoff_ms, sequence;
	unsigned sweeps;
	struct run_list queued;
	struct run *runs[RUNS];
};

static void forget(struct prober *p, struct run *r)
{
	TAILQ_REMOVE(r->helper ? &r->helper->sent : &p->queued, r, link);
	p->runs[r->id] = NULL;
}

static void finish(struct prober *p, struct run *r)
{
	forget(p, r);
	if (r->audience.on_result)
		r->audience.on_result(r->audience.ctx, &r->result);
	else
		p->cb.on_result(p->cb.ctx, r->id, &r->result);
	free(r);
}

static void finish_local_error(struct prober *p, struct run *r, const char *text)
{
	memset(&r->result, 0, sizeof(r->result));
	r->result.reason = REASON_local_error;
	snprintf(r->result.text, sizeof(r->result.text), "%s", text);
	finish(p, r);
}

static int make_socket(const struct addr *to, uint32_t mark, int *out)
{
	int one = 1, fd = -1, err;

	fd = socket(addr_is_v4(to) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    (mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)))) {
		err = -errno;
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

static int send_request(const struct helper *h, const struct wire_request *req, uint32_t mark)
{
	int fd = -1, err = make_socket(&req->address, mark, &fd);

	if (err)
		return err;
	err = wire_send_request(h->proc.fd, req, fd);
	close(fd);
	return err;
}

static int start_helper(struct helper *h)
{
	int err = spawn_child(&h->prober->bundles, &h->proc);

	if (err)
		return err;
	h->born_ms = stall_clock_ms();
	ev_io_set(&h->readable, h->proc.fd, EV_READ);
	ev_io_start(h->prober->loop, &h->readable);
	return 0;
}

/* Whatever is queued goes to the present child. */
static void aim_writes(struct prober *p)
{
	ev_io_stop(p->loop, &p->writable);
	ev_io_set(&p->writable, p->child->proc.fd, EV_WRITE);
	if (!TAILQ_EMPTY(&p->queued))
		ev_io_start(p->loop, &p->writable);
}

static void start_child(struct prober *p)
{
	int err = start_helper(p->child);

	if (!err) {
		aim_writes(p);
		return;
	}
	log_error("probe child cannot start error=\"%s\"", strerror(-err));
	ev_timer_set(&p->restart, p->backoff_ms / 1000.0, 0);
	ev_timer_start(p->loop, &p->restart);
}

/* True: it waits for the next child. Once, for it may be its server that ends them; and nobody is told things twice. */
static bool begin_again(struct prober *p, struct run *r)
{
	if (r->again || r->audience.on_note || p->stall.awake_ms >= r->deadline_ms)
		return false;
	TAILQ_REMOVE(&r->helper->sent, r, link);
	TAILQ_INSERT_TAIL(&p->queued, r, link);
	r->again = true;
	r->helper = NULL;
	r->answered = false;
	r->fallback_state = FALLBACK_UNASKED;
	r->stalls = p->stall.count;
	r->deadline_ms = p->stall.awake_ms + r->req.timeout_ms + GRACE_MS;
	return true;
}

/* Its probes begin again with the next child, or end as our own trouble. */
static void end_helper(struct helper *h, const char *why, int grace_ms, char *how, size_t size)
{
	ev_io_stop(h->prober->loop, &h->readable);
	spawn_end(&h->proc, grace_ms, how, size);
	while (!TAILQ_EMPTY(&h->sent))
		if (!begin_again(h->prober, TAILQ_FIRST(&h->sent)))
			finish_local_error(h->prober, TAILQ_FIRST(&h->sent), why);
}

static void end_old(struct prober *p, const char *why, int grace_ms)
{
	struct helper *old = p->old;
	char how[32];

	p->old = NULL;
	end_helper(old, why, grace_ms, how, sizeof(how));
	if (p->child->proc.fd >= 0)
		aim_writes(p);
	log_info("probe child left why=\"%s\" status=\"%s\"", why, how);
}

/* Those probes that it never got wait for the next child. */
static void replace_child(struct prober *p, const char *why, int grace_ms)
{
	char how[32], said[128];

	ev_io_stop(p->loop, &p->writable);
	if (stall_clock_ms() - p->child->born_ms >= CHILD_SOUND_MS)
		p->backoff_ms = BACKOFF_MIN_MS;
	ev_timer_set(&p->restart, p->backoff_ms / 1000.0, 0);
	ev_timer_start(p->loop, &p->restart);
	end_helper(p->child, why, grace_ms, how, sizeof(how));
	snprintf(said, sizeof(said), "%s: %s; the next in %u ms", why, how, p->backoff_ms);
	if (p->cb.on_child)
		p->cb.on_child(p->cb.ctx, said);
}

/* A child with the CA files as they are now takes over. One that is about to be restarted gets them anyway. */
static void renew_child(struct prober *p)
{
	struct helper *next = &p->helpers[p->child == &p->helpers[0]];
	int err;

	if (p->child->proc.fd < 0)
		return;
	if (p->old)
		end_old(p, "another took over", 0);
	err = start_helper(next);
	if (err) {
		log_error("probe child cannot start error=\"%s\"", strerror(-err));
		replace_child(p, "its CA files are out of date", 0);
		return;
	}
	p->old = p->child;
	p->child = next;
	aim_writes(p);
}

static void on_restart(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct prober *p = w->data;

	(void)loop, (void)revents;
	p->restarts++;
	p->backoff_ms *= 2;
	if (p->backoff_ms > BACKOFF_MAX_MS)
		p->backoff_ms = BACKOFF_MAX_MS;
	start_child(p);
}

/* A bare connect to the backend's own address, over the ordinary way. Unsent, the question stays open. */
static void ask_fallback(struct run *r)
{
	struct wire_request req = r->req;
	uint32_t ms = req.connect_timeout_ms;

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
	if (!send_request(r->helper, &req, 0))
		r->fallback_state = FALLBACK_PENDING;
}

/* Finishes an answered run, unless what it says depends on a fallback that is still out. */
static void conclude(struct prober *p, struct run *r)
{
	char text[ADDR_TEXT_SIZE];

	if (r->stalls != p->stall.count)
		r->result.reason = stall_excuse(r->result.reason);
	if (r->result.reason == REASON_connect_timeout) {
		ask_fallback(r);
		if (r->fallback_state == FALLBACK_PENDING)
			return;
		if (r->fallback_state == FALLBACK_ANSWERS) {
			r->result.reason = REASON_vip_missing;
			snprintf(r->result.text, sizeof(r->result.text), "%s answers",
				 addr_text(&r->fallback, text));
		} else if (r->routed &&
			   (r->fallback_state == FALLBACK_SILENT || addr_is_zero(&r->fallback))) {
			r->result.reason = REASON_unreachable;
			snprintf(r->result.text, sizeof(r->result.text),
				 "nothing answers on any of its addresses");
		}
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

/* False: an honest child tells no more, and nothing of what nobody watches. */
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
	if (r->id < WATCHED_FIRST)
		p->cb.on_slow_connect(p->cb.ctx, r->id);
}

/* Answers to what was cancelled meanwhile find no run, or one with another number. False: nonsense. */
static bool take_answer(struct helper *h, const struct wire_answer *a)
{
	struct prober *p = h->prober;
	uint32_t id = a->id & ID_BACKEND;
	struct run *r = id < RUNS ? p->runs[id] : NULL;

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

static void failed(struct helper *h, const char *why, int grace_ms)
{
	if (h == h->prober->old)
		end_old(h->prober, why, grace_ms);
	else
		replace_child(h->prober, why, grace_ms);
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int revents)
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
			failed(h, err == -EBADMSG ? "sent nonsense" : "ended",
			       err == -EBADMSG ? 0 : CHILD_LEAVING_MS);
			return;
		}
	}
}

static void on_writable(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct prober *p = w->data;
	struct run *r;

	(void)revents;
	for (int i = 0; i < PER_TURN && (r = TAILQ_FIRST(&p->queued)); i++) {
		int err;

		r->req.bundle = bundles_index(&p->bundles, r->ca_file);
		err = send_request(p->child, &r->req, r->mark);
		if (err == -EAGAIN || err == -EPIPE)
			return; /* no room yet, or on_readable() is about to learn of its end */
		if (err) {
			finish_local_error(p, r, strerror(-err));
			continue;
		}
		TAILQ_REMOVE(&p->queued, r, link);
		TAILQ_INSERT_TAIL(&p->child->sent, r, link);
		r->helper = p->child;
		if (p->cb.on_started && r->id < WATCHED_FIRST)
			p->cb.on_started(p->cb.ctx, r->id);
	}
	if (TAILQ_EMPTY(&p->queued))
		ev_io_stop(loop, &p->writable);
}

static struct run *first_overdue(const struct prober *p, const struct run_list *list)
{
	struct run *r;

	TAILQ_FOREACH(r, list, link)
	if (p->stall.awake_ms >= r->deadline_ms)
		break;
	return r;
}

/* The guard against a child that hangs: it has deadlines of its own, and this one is later. */
static void on_sweep(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct prober *p = w->data;
	struct run *r;

	(void)loop, (void)revents;
	if (first_overdue(p, &p->child->sent))
		replace_child(p, "missed a deadline", 0);
	if (p->old && TAILQ_EMPTY(&p->old->sent))
		end_old(p, "another took over", CHILD_LEAVING_MS);
	else if (p->old && first_overdue(p, &p->old->sent))
		end_old(p, "missed a deadline", 0);
	if (!p->old && ++p->sweeps % BUNDLES_SWEEPS == 0 && bundles_changed(&p->bundles))
		renew_child(p);
	while ((r = first_overdue(p, &p->queued)))
		finish_local_error(p, r, "no probe child");
}

static void init_helpers(struct prober *p)
{
	for (struct helper *h = p->helpers; h < p->helpers + 2; h++) {
		h->prober = p;
		h->proc.fd = -1;
		TAILQ_INIT(&h->sent);
		ev_io_init(&h->readable, on_readable, -1, EV_READ);
		h->readable.data = h;
	}
	p->child = p->helpers;
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
	p->backoff_ms = BACKOFF_MIN_MS;
	TAILQ_INIT(&p->queued);
	init_helpers(p);
	bundles_init(&p->bundles, probes, n_probes);
	err = start_helper(p->child);
	if (err) {
		free(p);
		return err;
	}
	ev_io_init(&p->writable, on_writable, p->child->proc.fd, EV_WRITE);
	ev_timer_init(&p->restart, on_restart, 0, 0);
	ev_timer_init(&p->sweep, on_sweep, 0, SWEEP_MS / 1000.0);
	p->writable.data = p->restart.data = p->sweep.data = p;
	stall_start(&p->stall, loop);
	ev_timer_again(loop, &p->sweep);
	*out = p;
	return 0;
}

void prober_reload(struct prober *p, const struct probe_conf *probes, unsigned n_probes)
{
	struct bundles next;

	bundles_init(&next, probes, n_probes);
	if (bundles_same_paths(&next, &p->bundles)) {
		if (bundles_changed(&p->bundles))
			renew_child(p);
		return;
	}
	p->bundles = next;
	renew_child(p);
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
		.dialog = {.depth = c->depth, .tls = c->tls},
		.cert = c->cert,
		.watched = r->audience.on_note != NULL,
	};
	memcpy(r->req.dialog.helo, c->helo, sizeof(r->req.dialog.helo));
	memcpy(r->req.sni, c->sni, sizeof(r->req.sni));
	memcpy(r->ca_file, c->ca_file, sizeof(r->ca_file));
	p->sequence += ID_SEQUENCE;
}

static int start(struct prober *p, uint32_t id, const struct prober_job *job,
		 const struct prober_audience *who)
{
	struct run *r;

	if (p->runs[id])
		return -EBUSY;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->id = id;
	if (who)
		r->audience = *who;
	r->mark = job->mark;
	r->fallback = job->fallback;
	r->routed = job->routed;
	r->stalls = p->stall.count;
	r->deadline_ms = p->stall.awake_ms + job->conf->timeout_ms + GRACE_MS;
	fill_request(p, r, job);
	p->runs[id] = r;
	TAILQ_INSERT_TAIL(&p->queued, r, link);
	if (p->child->proc.fd >= 0)
		ev_io_start(p->loop, &p->writable);
	return 0;
}

int prober_start(struct prober *p, const struct prober_job *job)
{
	return job->backend_id < WATCHED_FIRST ? start(p, job->backend_id, job, NULL) : -EINVAL;
}

int prober_watch(struct prober *p, const struct prober_job *job, const struct prober_audience *who,
		 uint32_t *id)
{
	for (uint32_t i = WATCHED_FIRST; i < RUNS; i++) {
		if (p->runs[i])
			continue;
		*id = i;
		return start(p, i, job, who);
	}
	return -EBUSY;
}

void prober_cancel(struct prober *p, uint32_t id)
{
	struct run *r = id < RUNS ? p->runs[id] : NULL;

	if (!r)
		return;
	forget(p, r);
	free(r);
}

uint64_t prober_child_restarts(const struct prober *p)
{
	return p->restarts;
}

void prober_free(struct prober *p)
{
	char how[32];

	if (!p)
		return;
	for (uint32_t id = 0; id < RUNS; id++)
		prober_cancel(p, id);
	ev_io_stop(p->loop, &p->writable);
	ev_timer_stop(p->loop, &p->restart);
	ev_timer_stop(p->loop, &p->sweep);
	stall_stop(&p->stall);
	for (struct helper *h = p->helpers; h < p->helpers + 2; h++)
		if (h->proc.fd >= 0)
			end_helper(h, "", CHILD_LEAVING_MS, how, sizeof(how));
	free(p);
}
