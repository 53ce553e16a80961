/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of paths, the headers of every reply, and the documents: each is made on request and shared by all
 * requests within FRESH_S, so that any number of readers costs as much as one. Refused are methods other than GET and
 * HEAD; other documents; host names in place of this box's addresses (DNS rebinding: a foreign page in a browser,
 * whose name was made to resolve to loopback, must not read ours); and, with a log line, holding more than LIVE_MAX
 * for readers that do not read, or one document of more than ONE_MAX.
 */
#include "web/documents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "web/history.h"
#include "web/metrics.h"
#include "web/page.h"
#include "control/render.h"
#include "util/clock.h"
#include "util/log.h"

#define FRESH_S	     0.2
#define LIVE_MAX     (64u << 20)
#define ONE_MAX	     (256u << 20) /* /metrics of 4,095 servers with the longest names has 90 MiB */
#define EVENTS_SHOWN 100

struct document {
	const char *path, *type;
	int (*render)(struct documents *d, struct buf *out); /* 0 or -errno */
};

struct made {
	struct MHD_Response *response; /* NULL: none */
	double at;
};

struct body { /* the body of responses, until the last reader has it */
	struct documents *documents;
	struct buf text;
};

static int render_page(struct documents *d, struct buf *out);
static int render_live(struct documents *d, struct buf *out);
static int render_log(struct documents *d, struct buf *out);
static int render_past(struct documents *d, struct buf *out);
static int render_prometheus(struct documents *d, struct buf *out);
static int render_openmetrics(struct documents *d, struct buf *out);

static const struct document table[] = {
	{"/", "text/html; charset=utf-8", render_page},
	{"/status.json", "application/json", render_live},
	{"/events.json", "application/json", render_log},
	{"/history.json", "application/json", render_past},
	{"/metrics", "text/plain; version=0.0.4; charset=utf-8", render_prometheus},
	/* The one before in the other form; found by the header Accept alone. */
	{"", "application/openmetrics-text; version=1.0.0; charset=utf-8", render_openmetrics},
};

#define DOCUMENTS (sizeof(table) / sizeof(table[0]))

struct documents {
	struct ev_loop *loop;
	struct model *model;
	struct control_callbacks cb;
	bool local;
	struct page page;
	struct history history;
	ev_timer step;
	struct made made[DOCUMENTS];
	size_t live;	     /* bytes of all bodies */
	uint64_t refused_ms; /* when the last refusal was logged */
};

/* --- making them --- */

static struct control_info fresh_info(struct documents *d)
{
	struct control_info info = {0};

	d->cb.refresh(d->cb.ctx, &info);
	return info;
}

static int render_page(struct documents *d, struct buf *out)
{
	buf_append(out, d->page.text.data, d->page.text.len);
	return 0;
}

static int render_live(struct documents *d, struct buf *out)
{
	struct control_info info = fresh_info(d);

	return render_status(d->model, &info, clock_now(), out);
}

static int render_log(struct documents *d, struct buf *out)
{
	const struct event_log *log = &d->model->events;
	uint64_t first = log->next_seq > EVENTS_SHOWN ? log->next_seq - EVENTS_SHOWN : 1;
	int rc = 0;

	buf_append(out, "[", 1);
	for (uint64_t seq = first; seq < log->next_seq && !rc; seq++) {
		const struct event *e = event_get(log, seq);

		if (e && seq > first)
			buf_append(out, ",\n", 2);
		if (e)
			rc = render_event(log, e, 0, out);
	}
	buf_append(out, "]\n", 2);
	return rc;
}

static int render_past(struct documents *d, struct buf *out)
{
	return history_render(&d->history, d->model, out);
}

static int render_metrics(struct documents *d, enum metrics_form form, struct buf *out)
{
	struct control_info info = fresh_info(d);

	metrics_render(d->model, &info, clock_now(), form, out);
	return 0;
}

static int render_prometheus(struct documents *d, struct buf *out)
{
	return render_metrics(d, METRICS_PROMETHEUS, out);
}

static int render_openmetrics(struct documents *d, struct buf *out)
{
	return render_metrics(d, METRICS_OPENMETRICS, out);
}

static void on_step(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct documents *d = timer->data;

	(void)loop;
	(void)events;
	fresh_info(d);
	history_step(&d->history, d->model);
}

/* --- answering --- */

/* Headers that security scanners expect; everything not listed is forbidden. */
static const char *const headers[][2] = {
	{"Cache-Control", "no-store"},
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
};

static void free_body(void *ctx)
{
	struct body *b = ctx;

	b->documents->live -= b->text.len;
	buf_free(&b->text);
	free(b);
}

static void add_headers(struct documents *d, struct MHD_Response *r, const char *type)
{
	bool html = !strncmp(type, "text/html", strlen("text/html"));

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		MHD_add_response_header(r, headers[i][0], headers[i][1]);
	MHD_add_response_header(r, "Content-Security-Policy",
				html ? d->page.policy
				     : "default-src 'none'; frame-ancestors 'none'");
	MHD_add_response_header(r, "Content-Type", type);
	MHD_add_response_header(r, "Vary", "Accept");
}

/* One document is made even if it exceeds the limit for several. */
static bool has_room(const struct documents *d, size_t len)
{
	return d->live ? len <= LIVE_MAX && d->live <= LIVE_MAX - len : len <= ONE_MAX;
}

static void documents_refuse(struct documents *d, const char *path, const struct buf *text)
{
	if (!log_seldom(&d->refused_ms))
		return;
	if (text->failed)
		log_error("event=http_refused path=%s error=\"out of memory\"", path);
	else
		log_error(
			"event=http_refused path=%s bytes=%zu held=%zu limit=%u advice=\"scrape less "
			"often, or find the client that does not read what it asked for\"",
			path, text->len, d->live, d->live ? LIVE_MAX : ONE_MAX);
}

static struct MHD_Response *make_response(struct documents *d, const struct document *doc)
{
	struct body *b = calloc(1, sizeof(*b));
	struct MHD_Response *r;

	if (!b)
		return NULL;
	b->documents = d;
	if (doc->render(d, &b->text) || b->text.failed || !has_room(d, b->text.len)) {
		documents_refuse(d, *doc->path ? doc->path : "/metrics", &b->text);
		buf_free(&b->text);
		free(b);
		return NULL;
	}
	d->live += b->text.len;
	r = MHD_create_response_from_buffer_with_free_callback_cls(b->text.len, b->text.data,
								   free_body, b);
	if (!r)
		free_body(b);
	else
		add_headers(d, r, doc->type);
	return r;
}

/* Borrowed; NULL: it can't be made now. */
static struct MHD_Response *get_document(struct documents *d, size_t i)
{
	struct made *m = &d->made[i];
	double now = ev_now(d->loop);

	if (m->response && now - m->at < FRESH_S)
		return m->response;
	if (m->response)
		MHD_destroy_response(m->response); /* its readers still have it */
	m->response = make_response(d, &table[i]);
	m->at = now;
	return m->response;
}

static enum MHD_Result documents_say(struct documents *d, struct MHD_Connection *connection,
				     unsigned status, const char *sentence)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(sentence), (void *)sentence,
								 MHD_RESPMEM_PERSISTENT);
	enum MHD_Result rc;

	if (!r)
		return MHD_NO;
	add_headers(d, r, "text/plain; charset=utf-8");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, "Allow", "GET, HEAD");
	rc = MHD_queue_response(connection, status, r);
	MHD_destroy_response(r);
	return rc;
}

/* "127.0.0.1:9125" "[::1]" "localhost": not a name that others could point to this address. */
static bool means_this_box(const char *host)
{
	bool bracket = *host == '[';
	size_t len = strcspn(host, bracket ? "]" : ":");
	const char *rest = host + len + (bracket && host[len]);
	char name[ADDR_TEXT_SIZE];
	struct addr a;

	if (len - bracket >= sizeof(name) || (*rest && *rest != ':'))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)len - bracket, host + bracket);
	return !strcasecmp(name, "localhost") || !addr_parse(name, &a);
}

static size_t find_document(struct MHD_Connection *connection, const char *path)
{
	const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
	size_t i = 0;

	while (i < DOCUMENTS && (!*table[i].path || strcmp(table[i].path, path)))
		i++;
	if (i < DOCUMENTS && table[i].render == render_prometheus && accept &&
	    strcasestr(accept, "application/openmetrics-text"))
		i++;
	return i;
}

enum MHD_Result documents_answer(struct documents *d, struct MHD_Connection *connection,
				 const char *method, const char *path)
{
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
	struct MHD_Response *r;
	size_t i;

	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return documents_say(d, connection, MHD_HTTP_METHOD_NOT_ALLOWED,
				     "Only GET and HEAD.\n");
	if (d->local && host && !means_this_box(host))
		return documents_say(d, connection, MHD_HTTP_MISDIRECTED_REQUEST,
				     "Host: must be this box's address or localhost.\n");
	i = find_document(connection, path);
	if (i == DOCUMENTS)
		return documents_say(
			d, connection, MHD_HTTP_NOT_FOUND,
			"There are: / /metrics /status.json /events.json /history.json\n");
	r = get_document(d, i);
	if (!r)
		return documents_say(d, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "Not now.\n");
	return MHD_queue_response(connection, MHD_HTTP_OK, r);
}

int documents_new(struct ev_loop *loop, struct model *model, const struct control_callbacks *cb,
		  bool local, struct documents **out)
{
	struct documents *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->loop = loop;
	d->model = model;
	d->cb = *cb;
	d->local = local;
	ev_timer_init(&d->step, on_step, HISTORY_STEP_S, HISTORY_STEP_S);
	d->step.data = d;
	if (page_make(&d->page)) {
		documents_free(d);
		return -ENOMEM;
	}
	ev_timer_start(loop, &d->step);
	*out = d;
	return 0;
}

void documents_free(struct documents *d)
{
	if (!d)
		return;
	ev_timer_stop(d->loop, &d->step);
	for (size_t i = 0; i < DOCUMENTS; i++)
		if (d->made[i].response)
			MHD_destroy_response(d->made[i].response);
	page_free(&d->page);
	free(d);
}
