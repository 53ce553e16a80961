// SPDX-License-Identifier: BSD-2-Clause
/*
 * Refusals that wait for evidence from the server's clients. A refusal by a server that takes new connections is held
 * while the flow table of its family is scanned once (about 40 ms), and judged by core/blame.c. If that waits, or leaves a warning,
 * the table is scanned again, because clients may meet the refusal later. The model decides the consequences.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/refusal.h"
#include "daemon/daemon.h"
#include "util/clock.h"

#define PART	   16384 /* places of the flow table at a time: half a millisecond */
#define PAUSE_S	   0.001
#define AGAIN_MS   20	/* while a judgement waits */
#define WATCHED_MS 1000 /* while a warning stands */
#define SUSPECT_MS 1500 /* by then the probe that the suspicion causes has usually ended */
#define WAIT_MS	   2000 /* connections that ended within this time may be older than the refusal */
#define COMING_MS  2000
#define SINCE_S	   10 /* an older connection may have been begun before the refusal */
#define USUAL_S	   900
#define FRESH_S	   2
#define FRESH_MAX  64
#define PLACES	   16384 /* as many connections end in two seconds at 8,000 a second */

struct refusal {
	struct probe_result result;
	uint64_t suspect_ms; /* since when the server is only suspected; 0: its probe was refused */
	uint64_t held_ms;    /* since when it is held; 0: only suspected */
	bool looked;	     /* the table was scanned since then */
	uint32_t pass;	     /* the last one for this server */
	bool again; /* the one before was for it, too: what has ended since then is known */
	struct passive_volumes before; /* of connections that had ended at the first scan */
	struct passive_volumes fresh;  /* of connections that ended between two scans */
	struct passive_takes takes;
};

/* An entry with another volume is another connection; an equal one is counted once. */
struct evidence_place {
	uint64_t place;
	uint32_t units;
};

struct evidence_slot {
	uint32_t id;
	uint16_t since_s; /* how long the refusal lasts */
	struct passive_flows flows;
};

static bool is_refused(const struct probe_result *r)
{
	return reason_is_refusal(r->reason) || reason_is_client(r->reason);
}

static void in_ms(struct daemon *d, uint64_t ms)
{
	struct evidence *e = &d->evidence;

	ev_timer_stop(d->loop, &e->timer);
	ev_timer_set(&e->timer, (double)ms / 1000, 0);
	ev_timer_start(d->loop, &e->timer);
}

static struct passive_volumes *volumes_of(struct evidence_slot *s, uint16_t idle_s)
{
	if (idle_s <= 1)
		return &s->flows.now;
	if (idle_s <= s->since_s)
		return idle_s <= SINCE_S ? &s->flows.since : NULL;
	return idle_s <= USUAL_S ? &s->flows.usual : NULL;
}

/* Whether it has ended since the last scan. Places come in the same order in each scan. */
static bool is_fresh(struct evidence *e, uint64_t place, uint32_t units)
{
	if (e->n_is < PLACES)
		e->is[e->n_is++] = (struct evidence_place){place, units};
	while (e->next < e->n_was && e->was[e->next].place < place)
		e->next++;
	return e->next == e->n_was || e->was[e->next].place != place ||
	       e->was[e->next].units != units;
}

static void evidence_add(void *ctx, uint64_t place, uint32_t server_id, uint16_t idle_s,
			 uint32_t units)
{
	struct daemon *d = ctx;
	struct evidence *e = &d->evidence;
	struct refusal *refused = d->watches[server_id].refused;
	struct passive_volumes *v;

	if (!e->slot_of[server_id] || !refused)
		return;
	if (idle_s <= FRESH_S && is_fresh(e, place, units) && refused->looked && refused->again)
		passive_add(&refused->fresh, units);
	v = volumes_of(&e->slots[e->slot_of[server_id] - 1], idle_s);
	if (v)
		passive_add(v, units);
}

static void evidence_add_all(struct passive_volumes *to, const struct passive_volumes *from)
{
	to->n += from->n;
	for (unsigned i = 0; i <= PASSIVE_UNIT_CAP; i++)
		to->of[i] += from->of[i];
}

/* Only the families of the refusing servers. */
static void choose_places(struct daemon *d)
{
	struct evidence *e = &d->evidence;
	bool v4 = false, v6 = false;
	struct service *s;

	for (unsigned i = 0; i < e->n_slots; i++) {
		if (!model_server(d->model, e->slots[i].id, &s))
			continue;
		v4 |= addr_is_v4(&s->conf.address);
		v6 |= !addr_is_v4(&s->conf.address);
	}
	e->left = datapath_family_places(d->datapath, v4, v6);
}

static void take_slot_of(struct evidence *e, struct watch *w)
{
	struct evidence_slot *s = &e->slots[e->n_slots];
	uint64_t since_ms = w->refused->suspect_ms ?: w->refused_ms;
	uint64_t since_s = (clock_now().mono_ms - since_ms) / 1000 + 1;

	memset(s, 0, sizeof(*s));
	s->id = w->id;
	s->since_s = since_s < UINT16_MAX ? (uint16_t)since_s : UINT16_MAX;
	w->refused->again = w->refused->pass == e->pass - 1;
	w->refused->pass = e->pass;
	e->slot_of[w->id] = (uint8_t)++e->n_slots;
}

static void evidence_begin(struct daemon *d)
{
	struct evidence *e = &d->evidence;

	e->n_slots = 0;
	e->pass++;
	memset(e->slot_of, 0, sizeof(e->slot_of));
	e->left_out = false;
	for (uint32_t i = 1; i < MXLB_MAX_SERVERS && !e->left_out; i++) {
		uint32_t id = (e->last_id + i - 1) % (MXLB_MAX_SERVERS - 1) + 1;

		if (!d->watches[id].id || !d->watches[id].refused)
			continue;
		if (e->n_slots < EVIDENCE_SLOTS)
			take_slot_of(e, &d->watches[id]);
		else
			e->left_out = true;
	}
	if (e->left_out) /* they come next */
		e->last_id = e->slots[e->n_slots - 1].id;
	choose_places(d);
	memcpy(e->was, e->is, e->n_is * sizeof(*e->was));
	e->n_was = e->n_is;
	e->n_is = e->next = 0;
	e->running = e->n_slots;
}

static void evidence_forget(struct watch *w)
{
	free(w->refused);
	w->refused = NULL;
}

/*
 * Replaces a reason that turned out not to be about this client alone: by the one of its code, or, for an expensive
 * probe, by the stage at which its clients fail.
 */
static void make_it_the_servers(struct probe_result *r)
{
	if (r->reason == REASON_expensive)
		r->reason = REASON_tls_handshake;
	else if (reason_is_client(r->reason))
		r->reason = refusal_by_code(r->stage, r->smtp_code);
}

static void carry_out(struct watch *w, struct probe_result *r, enum blame_act act)
{
	struct daemon *d = w->daemon;
	bool judged = w->judged;

	if (act == BLAME_WAITS || (judged && act != BLAME_NOW))
		return;
	w->judged = true;
	if ((act == BLAME_WARNS || act == BLAME_UP) && !reason_is_client(r->reason))
		r->reason = REASON_probe_refused;
	else if (act != BLAME_WARNS && act != BLAME_UP)
		make_it_the_servers(r);
	if (model_judged(d->model, w->id, r, act, clock_now()))
		daemon_changed(d);
}

/* Connections that ended between two scans count at once, without the doubtful second; so does a run of them. */
static bool is_refused_now(const struct watch *w, const struct passive_volumes *usual,
			   enum passive_doubt doubt)
{
	return passive_all_refused(&w->refused->fresh, usual, doubt) ||
	       (doubt != PASSIVE_STANDING &&
		passive_run_refused(&w->pace, &w->silence, usual, doubt, w->daemon->quiet.ms));
}

/*
 * Whether a client has delivered a message since the last scan. If that was for other servers, a message counts once
 * in the time for which it is among those of now.
 */
static bool has_taken(const struct refusal *refused, const struct passive_flows *f, uint64_t now_ms)
{
	if (refused->again)
		return passive_any_taken(&refused->fresh, &f->usual);
	return now_ms - refused->held_ms >= WAIT_MS && now_ms - refused->takes.last_ms >= WAIT_MS &&
	       passive_any_taken(&f->now, &f->usual);
}

static enum passive_finding evidence_find(const struct watch *w, struct passive_flows *f,
					  bool waited)
{
	struct refusal *refused = w->refused;
	struct passive_volumes *fresh = &refused->fresh;
	enum passive_doubt doubt = PASSIVE_STANDING;
	enum passive_finding found;
	uint64_t now_ms = clock_now().mono_ms;
	bool taken;

	if (!waited)
		doubt = refusal_names_server(refused->result.text) ? PASSIVE_EXPECTED
								   : PASSIVE_OPEN;

	evidence_add_all(&f->since, &f->now); /* what has just ended also ended since the refusal */
	if (!refused->looked) {
		refused->before = f->usual;
		evidence_add_all(&refused->before, &f->since);
	}
	refused->looked = true;
	if (!passive_is_known(&f->usual))
		f->usual = refused->before;
	found = is_refused_now(w, &f->usual, doubt)
			? PASSIVE_REFUSES
			: passive_judge(f, refused->result.stage < STAGE_MAIL_FROM, doubt);
	taken = has_taken(refused, f, now_ms);
	if (taken)
		passive_takes_note(&refused->takes, refused->held_ms, now_ms);
	if (taken || fresh->n > FRESH_MAX)
		memset(fresh, 0, sizeof(*fresh));
	if (waited && found == PASSIVE_REFUSES && !passive_takes_missing(&refused->takes, now_ms))
		return PASSIVE_UNCLEAR;
	return found;
}

/* Returns when to scan again, in ms; 0: not for this server. */
static uint64_t evidence_judge(struct daemon *d, struct evidence_slot *s)
{
	struct watch *w = &d->watches[s->id];
	const struct server *b = model_server(d->model, s->id, NULL);
	uint64_t now_ms = clock_now().mono_ms;
	bool waited = now_ms - w->refused_ms >= WAIT_MS;
	struct clients_seen seen;
	struct probe_result r;
	enum blame_act act;

	if (!w->id || !w->refused)
		return 0;
	/* Its health starts again with the first probe after maint. */
	if (!b || b->admin == ADMIN_MAINT || !b->health.settled) {
		evidence_drop(w);
		return 0;
	}
	r = w->refused->result;
	if (w->refused->suspect_ms) {
		evidence_find(w, &s->flows, false);
		if (now_ms - w->refused->suspect_ms < SUSPECT_MS)
			return AGAIN_MS;
		evidence_forget(w);
		return 0;
	}
	seen = (struct clients_seen){
		.passive = evidence_find(w, &s->flows, waited),
		.coming = w->opened_ms && now_ms - w->opened_ms < COMING_MS,
		.waited = waited,
	};
	act = model_blame(d->model, s->id, &r, &seen);
	carry_out(w, &r, act);
	if (act == BLAME_WAITS)
		return AGAIN_MS;
	if (act == BLAME_WARNS || act == BLAME_UP) /* its clients may be refused too */
		return waited ? WATCHED_MS : AGAIN_MS;
	evidence_forget(w);
	return 0;
}

static void evidence_end(struct daemon *d)
{
	struct evidence *e = &d->evidence;
	uint64_t next_ms = e->left_out ? AGAIN_MS : 0;

	e->running = false;
	for (unsigned i = 0; i < e->n_slots; i++) {
		uint64_t ms = evidence_judge(d, &e->slots[i]);

		if (ms && (!next_ms || ms < next_ms))
			next_ms = ms;
	}
	if (e->wanted)
		next_ms = 1;
	e->wanted = false;
	if (next_ms)
		in_ms(d, next_ms);
}

static void on_evidence(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;
	struct evidence *e = &d->evidence;

	(void)loop;
	(void)events;
	if (!e->running)
		evidence_begin(d);
	if (!e->running)
		return;
	datapath_each_ended(d->datapath, e->left.first, PART, evidence_add, d);
	e->left.first += PART;
	if (e->left.first < e->left.end)
		in_ms(d, (uint64_t)(PAUSE_S * 1000));
	else
		evidence_end(d);
}

static void look_now(struct daemon *d)
{
	if (d->evidence.running)
		d->evidence.wanted = true;
	else
		in_ms(d, 0);
}

bool evidence_take(struct daemon *d, struct watch *w, const struct server *b,
		   const struct probe_result *r)
{
	bool served = b->health.before == VERDICT_UP ||
		      (b->health.before == VERDICT_DRAINING && b->in_ring);

	if (!is_refused(r) || !served || !b->health.settled) {
		evidence_drop(w);
		return false;
	}
	if (!w->refused)
		w->refused = calloc(1, sizeof(*w->refused));
	if (!w->refused)
		return false;
	if (!w->refused_ms)
		w->refused_ms = clock_now().mono_ms;
	if (!w->refused->held_ms)
		w->refused->held_ms = clock_now().mono_ms;
	w->refused->suspect_ms = 0;
	w->refused->result = *r;
	w->judged = false;
	look_now(d);
	return true;
}

void evidence_suspect(struct daemon *d, struct watch *w)
{
	if (w->refused)
		return;
	w->refused = calloc(1, sizeof(*w->refused));
	if (!w->refused)
		return;
	w->refused->suspect_ms = clock_now().mono_ms;
	look_now(d);
}

void evidence_drop(struct watch *w)
{
	evidence_forget(w);
	w->refused_ms = 0;
}

int evidence_start(struct daemon *d)
{
	ev_timer_init(&d->evidence.timer, on_evidence, 0, 0);
	d->evidence.timer.data = d;
	d->evidence.slots = calloc(EVIDENCE_SLOTS, sizeof(*d->evidence.slots));
	d->evidence.was = calloc(PLACES, sizeof(*d->evidence.was));
	d->evidence.is = calloc(PLACES, sizeof(*d->evidence.is));
	return d->evidence.slots && d->evidence.was && d->evidence.is ? 0 : -ENOMEM;
}

void evidence_stop(struct daemon *d)
{
	for (uint32_t id = 1; id < MXLB_MAX_SERVERS; id++)
		evidence_forget(&d->watches[id]);
	free(d->evidence.slots);
	free(d->evidence.was);
	free(d->evidence.is);
}
