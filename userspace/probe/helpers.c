/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The children that probe. Owns each as long as it behaves: one that ends, answers nonsense or misses a deadline is replaced, after
 * 100 ms, doubling to 5 s, and its runs begin again with the next. A child can't open anything once it probes: when a CA file
 * changes, another takes over and the old one finishes what it has.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "probe/prober_internal.h"
#include "util/log.h"

#define SWEEP_MS	 500
#define BACKOFF_MIN_MS	 100
#define BACKOFF_MAX_MS	 5000
#define CHILD_SOUND_MS	 10000 /* who lived that long starts with the shortest back-off again */
#define CHILD_LEAVING_MS 1000
#define CHILD_START_MS \
	10000		  /* to load the CA files and go behind its walls; measured: 20 to 60 ms */
#define BUNDLES_SWEEPS 10 /* between two looks at the CA files */

static int start_helper(struct helper *h)
{
	int err = spawn_child(&h->prober->bundles, &h->proc);

	if (err)
		return err;
	h->born_ms = stall_clock_ms();
	h->ready = false;
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

void helper_ready(struct helper *h)
{
	h->ready = true;
	if (h == h->prober->child)
		aim_writes(h->prober);
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
	h->ready = false;
	spawn_end(&h->proc, grace_ms, how, size);
	while (!TAILQ_EMPTY(&h->sent))
		if (!begin_again(h->prober, TAILQ_FIRST(&h->sent)))
			run_finish_local_error(h->prober, TAILQ_FIRST(&h->sent), why);
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
void helpers_renew(struct prober *p)
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

void helper_failed(struct helper *h, const char *why, int grace_ms)
{
	if (h == h->prober->old)
		end_old(h->prober, why, grace_ms);
	else
		replace_child(h->prober, why, grace_ms);
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
	if (p->child->proc.fd >= 0 && !p->child->ready &&
	    p->stall.now_ms - p->child->born_ms >= CHILD_START_MS)
		replace_child(p, "did not start", 0);
	if (p->old && TAILQ_EMPTY(&p->old->sent))
		end_old(p, "another took over", CHILD_LEAVING_MS);
	else if (p->old && first_overdue(p, &p->old->sent))
		end_old(p, "missed a deadline", 0);
	if (!p->old && ++p->sweeps % BUNDLES_SWEEPS == 0 && bundles_changed(&p->bundles))
		helpers_renew(p);
	while ((r = first_overdue(p, &p->queued)))
		run_finish_local_error(p, r, "no probe child");
}

static void init_helpers(struct prober *p)
{
	for (struct helper *h = p->helpers; h < p->helpers + 2; h++) {
		h->prober = p;
		h->proc.fd = -1;
		TAILQ_INIT(&h->sent);
		ev_io_init(&h->readable, prober_on_readable, -1, EV_READ);
		h->readable.data = h;
	}
	p->child = p->helpers;
}

int helpers_start(struct prober *p)
{
	int err;

	p->backoff_ms = BACKOFF_MIN_MS;
	init_helpers(p);
	err = start_helper(p->child);
	if (err)
		return err;
	aim_writes(p);
	ev_timer_init(&p->restart, on_restart, 0, 0);
	ev_timer_init(&p->sweep, on_sweep, 0, SWEEP_MS / 1000.0);
	p->restart.data = p->sweep.data = p;
	stall_start(&p->stall, p->loop);
	ev_timer_again(p->loop, &p->sweep);
	return 0;
}

void helpers_end(struct prober *p)
{
	char how[32];

	ev_io_stop(p->loop, &p->writable);
	ev_timer_stop(p->loop, &p->restart);
	ev_timer_stop(p->loop, &p->sweep);
	stall_stop(&p->stall);
	for (struct helper *h = p->helpers; h < p->helpers + 2; h++)
		if (h->proc.fd >= 0)
			end_helper(h, "", CHILD_LEAVING_MS, how, sizeof(how));
}
