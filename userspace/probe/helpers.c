/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The probe children, as long as they behave: one that exits, sends invalid answers or misses a deadline is replaced,
 * after 100 ms, doubling to 5 s, and its runs start again in the next. A child cannot open anything once it probes:
 * when a CA file changes, another child takes over and the old one finishes its runs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "probe/prober_internal.h"
#include "util/clock.h"
#include "util/log.h"

#define SWEEP_MS	 500
#define BACKOFF_MIN_MS	 100
#define BACKOFF_MAX_MS	 5000
#define CHILD_SOUND_MS	 10000 /* a child that lived this long resets the back-off */
#define CHILD_LEAVING_MS 1000
#define CHILD_START_MS \
	10000 /* for loading the CA files and entering the sandbox; measured: 20 to 60 ms */
/* CPU limit of a probe, as a multiple of tls_reference_us(). An ordinary one takes 2 to 6. */
#define CPU_REFERENCES 50
#define CPU_MIN_MS     50
#define CPU_MAX_MS     1000
#define BUNDLES_SWEEPS 10 /* between two looks at the CA files */

int helper_start(struct helper *h)
{
	int err = spawn_child(&h->prober->bundles, &h->proc);

	if (err)
		return err;
	h->born_ms = clock_ms();
	h->ready = h->stale = false;
	h->step = 0;
	ev_io_set(&h->readable, h->proc.fd, EV_READ);
	ev_io_start(h->prober->loop, &h->readable);
	return 0;
}

/* Whatever is queued goes to the present child. */
static void aim_writes(struct prober *p)
{
	ev_io_stop(p->loop, &p->writable);
	ev_io_set(&p->writable, p->child->proc.fd, EV_WRITE);
	if (p->child->ready && !TAILQ_EMPTY(&p->queued))
		ev_io_start(p->loop, &p->writable);
}

/* Each probe may take more on a slow machine. */
static void set_cpu(struct prober *p, uint32_t reference_us)
{
	uint64_t ms = (uint64_t)reference_us * CPU_REFERENCES / 1000;

	p->cpu_ms = ms < CPU_MIN_MS ? CPU_MIN_MS : ms > CPU_MAX_MS ? CPU_MAX_MS : (uint32_t)ms;
}

void helper_ready(struct helper *h, uint32_t reference_us)
{
	h->ready = true;
	if (quarantine_owns(h)) {
		quarantine_turn(h->prober);
	} else if (h == h->prober->child) {
		set_cpu(h->prober, reference_us);
		aim_writes(h->prober);
	}
}

static void start_child(struct prober *p)
{
	int err = helper_start(p->child);

	if (!err) {
		aim_writes(p);
		return;
	}
	log_error("event=probe_child_failed error=\"%s\"", strerror(-err));
	ev_timer_set(&p->restart, p->backoff_ms / 1000.0, 0);
	ev_timer_start(p->loop, &p->restart);
}

/*
 * True: the run waits for the next child. Only once, because its server may be the one that kills them, and so that
 * nothing is reported twice.
 */
static bool begin_again(struct prober *p, struct run *r, bool innocent)
{
	if (r->again || r->audience.on_note || p->stall.awake_ms >= r->deadline_ms)
		return false;
	TAILQ_REMOVE(&r->helper->sent, r, link);
	TAILQ_INSERT_TAIL(r->apart ? &p->apart_queued : &p->queued, r, link);
	r->again = !innocent;
	r->helper = NULL;
	r->answered = false;
	r->fallback_state = FALLBACK_UNASKED;
	r->stalls = p->stall.count;
	r->deadline_ms = run_deadline(p, r);
	return true;
}

void helper_leave(struct helper *h, const char *why, int grace_ms, int next_ms)
{
	ev_io_stop(h->prober->loop, &h->readable);
	h->ready = false;
	leaving_add(&h->prober->leaving, &h->proc, grace_ms, why, next_ms);
}

void helper_drop_runs(struct helper *h, const char *why, bool innocent)
{
	while (!TAILQ_EMPTY(&h->sent))
		if (!begin_again(h->prober, TAILQ_FIRST(&h->sent), innocent))
			run_finish_local_error(h->prober, TAILQ_FIRST(&h->sent), why);
}

/* next_ms: of a child that had to be replaced, when the next one starts; else -1. */
static void on_gone(void *ctx, const char *why, const char *how, int next_ms)
{
	struct prober *p = ctx;
	char said[LEAVING_WHY_SIZE + 80];

	if (next_ms < 0) {
		log_info("event=probe_child_ended why=\"%s\" status=\"%s\"", why, how);
	} else if (p->cb.on_child) {
		snprintf(said, sizeof(said), "%s: %s; the next in %d ms", why, how, next_ms);
		p->cb.on_child(p->cb.ctx, said);
	}
}

static void end_old(struct prober *p, const char *why, int grace_ms)
{
	struct helper *old = p->old;

	p->old = NULL;
	helper_leave(old, why, grace_ms, -1);
	helper_drop_runs(old, why, false);
	if (p->child->proc.fd >= 0)
		aim_writes(p);
}

/* Probes that it never received wait for the next child. */
static void replace_child(struct prober *p, const char *why, int grace_ms)
{
	ev_io_stop(p->loop, &p->writable);
	if (clock_ms() - p->child->born_ms >= CHILD_SOUND_MS)
		p->backoff_ms = BACKOFF_MIN_MS;
	ev_timer_set(&p->restart, p->backoff_ms / 1000.0, 0);
	ev_timer_start(p->loop, &p->restart);
	helper_leave(p->child, why, grace_ms, (int)p->backoff_ms);
	helper_drop_runs(p->child, why, false);
}

void helpers_replace_stuck(struct prober *p, const char *why)
{
	ev_io_stop(p->loop, &p->writable);
	helper_leave(p->child, why, 0, 0);
	p->restarts++;
	start_child(p);
	helper_drop_runs(p->child, why, true);
}

/* Lets a child with the present CA files take over. One that is about to be restarted gets them anyway. */
void helpers_renew(struct prober *p)
{
	struct helper *next = &p->helpers[p->child == &p->helpers[0]];
	int err;

	quarantine_renew(p);
	if (p->child->proc.fd < 0)
		return;
	if (p->old)
		end_old(p, "another took over", 0);
	err = helper_start(next);
	if (err) {
		log_error("event=probe_child_failed error=\"%s\"", strerror(-err));
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

void helper_failed(struct helper *h, const char *why, int grace_ms)
{
	if (quarantine_owns(h))
		quarantine_failed(h, why, grace_ms);
	else if (h == h->prober->old)
		end_old(h->prober, why, grace_ms);
	else
		replace_child(h->prober, why, grace_ms);
}

/* The guard against a child that hangs: the child has earlier deadlines of its own. */
static void on_helpers_sweep(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct prober *p = w->data;
	struct run *r;

	(void)loop, (void)revents;
	if (run_first_overdue(p, &p->child->sent))
		replace_child(p, "missed a deadline", 0);
	if (p->child->proc.fd >= 0 && !p->child->ready &&
	    p->stall.now_ms - p->child->born_ms >= CHILD_START_MS)
		replace_child(p, "did not start", 0);
	if (p->old && TAILQ_EMPTY(&p->old->sent))
		end_old(p, "another took over", CHILD_LEAVING_MS);
	else if (p->old && run_first_overdue(p, &p->old->sent))
		end_old(p, "missed a deadline", 0);
	if (!p->old && ++p->sweeps % BUNDLES_SWEEPS == 0 && bundles_changed(&p->bundles))
		helpers_renew(p);
	while ((r = run_first_overdue(p, &p->queued)))
		run_finish_local_error(p, r, "no probe child");
	quarantine_sweep(p);
}

void helper_init(struct helper *h, struct prober *p)
{
	h->prober = p;
	h->proc.fd = -1;
	TAILQ_INIT(&h->sent);
	ev_io_init(&h->readable, prober_on_readable, -1, EV_READ);
	h->readable.data = h;
}

int helpers_start(struct prober *p)
{
	int err;

	p->backoff_ms = BACKOFF_MIN_MS;
	p->cpu_ms = CPU_MIN_MS;
	p->leaving = (struct leaving){.loop = p->loop, .on_gone = on_gone, .ctx = p};
	TAILQ_INIT(&p->leaving.list);
	for (struct helper *h = p->helpers; h < p->helpers + 2; h++)
		helper_init(h, p);
	p->child = p->helpers;
	quarantine_init(p);
	err = helper_start(p->child);
	if (err)
		return err;
	aim_writes(p);
	ev_timer_init(&p->restart, on_restart, 0, 0);
	ev_timer_init(&p->sweep, on_helpers_sweep, 0, SWEEP_MS / 1000.0);
	p->restart.data = p->sweep.data = p;
	stall_start(&p->stall, p->loop);
	ev_timer_again(p->loop, &p->sweep);
	guard_start(p);
	return 0;
}

void helpers_end(struct prober *p)
{
	ev_io_stop(p->loop, &p->writable);
	ev_timer_stop(p->loop, &p->restart);
	ev_timer_stop(p->loop, &p->sweep);
	ev_timer_stop(p->loop, &p->guard);
	ev_clear_pending(p->loop, &p->dispatch);
	stall_stop(&p->stall);
	for (struct helper *h = p->helpers; h < p->helpers + 2; h++)
		if (h->proc.fd >= 0)
			helper_leave(h, "mxlbd ends", CHILD_LEAVING_MS, -1);
	for (struct helper *h = p->apart; h < p->apart + QUARANTINE_CHILDREN; h++)
		if (h->proc.fd >= 0)
			helper_leave(h, "mxlbd ends", CHILD_LEAVING_MS, -1);
	leaving_end(&p->leaving, CHILD_LEAVING_MS);
}
