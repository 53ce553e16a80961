// SPDX-License-Identifier: BSD-2-Clause
/*
 * The parent's half of lookups. The child's settings (resolvers, trust anchors as text) are read here, because it may open
 * nothing. Each lookup has one deadline; a child that dies, sends an invalid answer or does not start fails all of its
 * lookups.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>
#include "probe/leaving.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/process.h"
#include "zone/message.h"
#include "zone/resolver.h"

#define RESOLV_CONF   "/etc/resolv.conf"
#define SYSTEM_ANCHOR "/usr/share/dns/root.key"
#define START_MS      5000
#define SWEEP_S	      0.25
#define LOOKUPS_MAX   8192
#define ANCHORS_MAX   64 /* records in all files */
#define GRACE_MS      200
#define NO_ANCHOR     "no trust anchor; install dns-root-data, or set dns.trust-anchors"

struct lookup {
	TAILQ_ENTRY(lookup) link;
	uint32_t id;
	enum dns_type type;
	char name[DNS_NAME_SIZE];
	resolver_done_fn *done;
	void *ctx;
	uint64_t deadline_ms; /* monotonic; once it is sent */
};

TAILQ_HEAD(lookups, lookup);

struct resolver {
	struct ev_loop *loop;
	struct dns_conf conf;
	bool tlsa; /* TLSA records are looked up, too: validated whatever .conf.dnssec is */
	struct spawned proc; /* .fd -1: there is none */
	bool ready;
	uint64_t ready_by_ms;
	ev_io readable;
	ev_timer sweep, begin;
	struct leaving leaving;
	struct lookups queued, sent;
	unsigned n, n_sent, n_anchors; /* lookups; records sent to this child */
	char why[DNS_CAUSE_SIZE];      /* of -ENODATA */
	uint32_t last_id;
	struct message_answer answer;
	struct dns_answer parsed;
};

static int resolver_send_request(struct resolver *r, uint32_t kind, uint32_t id, uint32_t type,
				 const char *text)
{
	struct message_request req = {.magic = MESSAGE_MAGIC, .kind = kind, .id = id, .type = type};

	if (strlen(text) >= sizeof(req.text))
		return -E2BIG;
	strcpy(req.text, text);
	return send(r->proc.fd, &req, sizeof(req), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* ---- settings ---- */

static int send_forward(struct resolver *r, const char *address, unsigned port)
{
	char text[ADDR_TEXT_SIZE + 8];

	snprintf(text, sizeof(text), "%s@%u", address, port);
	return resolver_send_request(r, MESSAGE_FORWARD, 0, 0, text);
}

static int fail_resolv_conf(struct resolver *r, int err)
{
	const char *remedy = process_remedy(err);

	snprintf(r->why, sizeof(r->why), RESOLV_CONF ": %s; %s", strerror(-err),
		 *remedy ? remedy : "set dns.resolvers");
	return -ENODATA;
}

/* The name servers of resolv.conf(5). -ENOENT: none; -ENODATA: it cannot be read, and .why reports it. */
static int send_system_forwards(struct resolver *r)
{
	FILE *f = fopen(RESOLV_CONF, "re");
	char line[512], address[ADDR_TEXT_SIZE];
	struct addr ignored;
	unsigned n = 0;
	int err = 0;

	while (f && !err && n < CONFIG_MAX_RESOLVERS && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " nameserver %63s", address) != 1 || addr_parse(address, &ignored))
			continue;
		err = send_forward(r, address, 53);
		n++;
	}
	if (!f && errno != ENOENT)
		return fail_resolv_conf(r, -errno);
	if (f)
		fclose(f);
	return err ?: n ? 0 : -ENOENT;
}

static int send_forwards(struct resolver *r)
{
	char address[ADDR_TEXT_SIZE];
	int err = 0;

	if (!r->conf.n_resolvers)
		return send_system_forwards(r);
	for (unsigned i = 0; i < r->conf.n_resolvers && !err; i++)
		err = send_forward(r, addr_text(&r->conf.resolvers[i].address, address),
				   r->conf.resolvers[i].port);
	return err;
}

/* Each line that is neither empty nor a comment is a record. -ENODATA: there is none, and .why reports it. */
static int send_anchors_of(struct resolver *r, const char *path)
{
	unsigned before = r->n_anchors;
	FILE *f = fopen(path, "re");
	char line[MESSAGE_TEXT_SIZE];
	const char *remedy;
	int err = 0;

	while (f && !err && r->n_anchors < ANCHORS_MAX && fgets(line, sizeof(line), f)) {
		line[strcspn(line, ";\r\n")] = '\0';
		if (line[strspn(line, " \t")] == '\0')
			continue;
		err = resolver_send_request(r, MESSAGE_ANCHOR, 0, 0, line);
		r->n_anchors++;
	}
	if (!f || (!err && r->n_anchors == before)) {
		err = f ? -ENODATA : -errno;
		remedy = process_remedy(err);
		snprintf(r->why, sizeof(r->why), "trust anchor %.140s: %s%s%s", path,
			 f ? "it has no record" : strerror(-err), *remedy ? "; " : "", remedy);
		err = -ENODATA;
	}
	if (f)
		fclose(f);
	return err;
}

static int send_anchors(struct resolver *r)
{
	int err = 0;

	r->n_anchors = 0;
	if (r->conf.dnssec == DNSSEC_OFF && !r->tlsa)
		return 0;
	if (!r->conf.n_anchors && access(SYSTEM_ANCHOR, F_OK))
		return 0; /* unsigned zones need none; for TLSA records see send_queued() */
	if (!r->conf.n_anchors)
		return send_anchors_of(r, SYSTEM_ANCHOR);
	for (unsigned i = 0; i < r->conf.n_anchors && !err; i++)
		err = send_anchors_of(r, r->conf.anchors[i]);
	return err;
}

static int send_settings(struct resolver *r)
{
	int err = send_forwards(r);

	for (unsigned i = 0; i < r->conf.n_insecure && !err; i++)
		err = resolver_send_request(r, MESSAGE_INSECURE, 0, 0, r->conf.insecure[i]);
	if (!err)
		err = send_anchors(r);
	return err ?: resolver_send_request(r, MESSAGE_START, 0, 0, "");
}

/* ---- a round ---- */

static void resolver_finish(struct resolver *r, struct lookup *l, const struct dns_answer *a,
			    const char *why)
{
	r->n--;
	l->done(l->ctx, a, why);
	free(l);
}

static void end_child(struct resolver *r)
{
	if (r->proc.fd < 0)
		return;
	ev_io_stop(r->loop, &r->readable);
	leaving_add(&r->leaving, &r->proc, GRACE_MS, "", -1);
	r->proc.fd = -1;
	r->ready = false;
}

/* Everything that was asked of this child has no answer; what the callbacks ask for is for the next one. */
static void resolver_fail(struct resolver *r, const char *why)
{
	struct lookups lost;
	struct lookup *l;

	end_child(r);
	TAILQ_INIT(&lost);
	TAILQ_CONCAT(&lost, &r->sent, link);
	TAILQ_CONCAT(&lost, &r->queued, link);
	r->n_sent = 0;
	while ((l = TAILQ_FIRST(&lost))) {
		TAILQ_REMOVE(&lost, l, link);
		resolver_finish(r, l, NULL, why);
	}
}

static void send_queued(struct resolver *r)
{
	struct lookup *l;

	while (r->ready && r->n_sent < RESOLVER_OPEN_MAX && (l = TAILQ_FIRST(&r->queued))) {
		if (l->type == DNS_TLSA && !r->n_anchors) { /* no answer could be secure */
			TAILQ_REMOVE(&r->queued, l, link);
			resolver_finish(r, l, NULL, NO_ANCHOR);
			continue;
		}
		if (resolver_send_request(r, MESSAGE_LOOKUP, l->id, l->type, l->name))
			return; /* the child does not read; the deadline of the others ends it */
		TAILQ_REMOVE(&r->queued, l, link);
		TAILQ_INSERT_TAIL(&r->sent, l, link);
		l->deadline_ms = clock_ms() + RESOLVER_TIMEOUT_MS;
		r->n_sent++;
	}
}

static void resolver_go_on(struct resolver *r)
{
	send_queued(r);
	if (r->ready && r->n && !r->n_sent)
		resolver_fail(r, "the resolver child takes no lookups");
	if (r->n)
		return;
	end_child(r);
	ev_timer_stop(r->loop, &r->sweep);
}

static void take_ready(struct resolver *r)
{
	char why[DNS_CAUSE_SIZE];

	if (!r->parsed.why[0]) {
		r->ready = true;
		return;
	}
	snprintf(why, sizeof(why), "the resolver child does not start: %s", r->parsed.why);
	resolver_fail(r, why);
}

static void resolver_take_answer(struct resolver *r, uint32_t id)
{
	struct lookup *l;

	TAILQ_FOREACH (l, &r->sent, link)
		if (l->id == id)
			break;
	if (!l)
		return; /* after its deadline */
	TAILQ_REMOVE(&r->sent, l, link);
	r->n_sent--;
	resolver_finish(r, l, &r->parsed, "");
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	struct resolver *r = w->data;
	ssize_t n = recv(r->proc.fd, &r->answer, sizeof(r->answer), MSG_DONTWAIT | MSG_TRUNC);

	(void)loop, (void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		resolver_fail(r, "the resolver child ended");
	else if (message_read(&r->answer, (size_t)n, &r->parsed))
		resolver_fail(r, "the resolver child sent an invalid answer");
	else if (!r->answer.header.id)
		take_ready(r);
	else
		resolver_take_answer(r, r->answer.header.id);
	resolver_go_on(r);
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct resolver *r = timer->data;
	uint64_t now_ms = clock_ms();
	struct lookup *l;

	(void)loop, (void)events;
	if (r->proc.fd >= 0 && !r->ready && now_ms > r->ready_by_ms)
		resolver_fail(r, "the resolver child did not start");
	while ((l = TAILQ_FIRST(&r->sent)) && now_ms > l->deadline_ms) {
		TAILQ_REMOVE(&r->sent, l, link);
		r->n_sent--;
		resolver_finish(r, l, NULL, "");
	}
	resolver_go_on(r);
}

static int resolver_start_child(struct resolver *r)
{
	char *argv[] = {"mxlbd", "--resolver-child", NULL};
	int err = spawn_program(argv, -1, &r->proc);

	if (err)
		return err;
	ev_io_set(&r->readable, r->proc.fd, EV_READ);
	ev_io_start(r->loop, &r->readable);
	r->ready_by_ms = clock_ms() + START_MS;
	return send_settings(r);
}

static void fail_start(struct resolver *r, int err)
{
	const char *remedy = process_remedy(err);
	char why[DNS_CAUSE_SIZE];

	snprintf(why, sizeof(why), "the resolver child could not be started: %s%s%s",
		 strerror(-err), *remedy ? "; " : "", remedy);
	resolver_fail(r, why);
}

static void on_begin(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct resolver *r = timer->data;
	int err = 0;

	(void)loop, (void)events;
	if (r->proc.fd < 0 && r->n)
		err = resolver_start_child(r);
	ev_timer_again(r->loop, &r->sweep);
	if (err == -ENOENT)
		resolver_fail(r, RESOLV_CONF " names no resolver; set dns.resolvers");
	else if (err == -ENODATA)
		resolver_fail(r, r->why);
	else if (err)
		fail_start(r, err);
	resolver_go_on(r);
}

int resolver_ask(struct resolver *r, const char *name, enum dns_type type, resolver_done_fn *done,
		 void *ctx)
{
	struct lookup *l = r->n < LOOKUPS_MAX ? calloc(1, sizeof(*l)) : NULL;

	if (!l)
		return -ENOMEM;
	l->id = ++r->last_id ?: ++r->last_id;
	l->type = type;
	l->done = done;
	l->ctx = ctx;
	snprintf(l->name, sizeof(l->name), "%s", name);
	TAILQ_INSERT_TAIL(&r->queued, l, link);
	r->n++;
	if (!ev_is_active(&r->begin)) {
		ev_timer_set(&r->begin, 0, 0);
		ev_timer_start(r->loop, &r->begin);
	}
	return 0;
}

void resolver_set(struct resolver *r, const struct dns_conf *conf, bool tlsa)
{
	r->conf = *conf;
	r->tlsa = tlsa;
}

/* A killed one was slow to leave; more is worth a line. */
static void on_resolver_gone(void *ctx, const char *why, const char *how, int next_ms)
{
	(void)ctx, (void)why, (void)next_ms;
	if (strcmp(how, "exit 0") && strcmp(how, "exit 1") && strcmp(how, "signal 9"))
		log_warn("event=resolver_child_ended status=\"%s\"", how);
}

int resolver_new(struct ev_loop *loop, struct resolver **out)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->proc.fd = -1;
	TAILQ_INIT(&r->queued);
	TAILQ_INIT(&r->sent);
	r->leaving = (struct leaving){.loop = loop, .on_gone = on_resolver_gone, .ctx = r};
	TAILQ_INIT(&r->leaving.list);
	ev_io_init(&r->readable, on_readable, -1, EV_READ);
	ev_timer_init(&r->sweep, on_sweep, 0, SWEEP_S);
	ev_timer_init(&r->begin, on_begin, 0, 0);
	r->readable.data = r->sweep.data = r->begin.data = r;
	*out = r;
	return 0;
}

static void free_all(struct lookups *list)
{
	struct lookup *l;

	while ((l = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, l, link);
		free(l);
	}
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	ev_timer_stop(r->loop, &r->sweep);
	ev_timer_stop(r->loop, &r->begin);
	end_child(r);
	leaving_end(&r->leaving, GRACE_MS);
	free_all(&r->queued);
	free_all(&r->sent);
	free(r);
}
