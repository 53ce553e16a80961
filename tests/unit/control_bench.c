/* SPDX-License-Identifier: BSD-2-Clause */
/* The bench of control/'s tests: see control_bench.h. */
#include "control_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEADLINE_S 20.0

const struct now bench_start = {.mono_ms = 1000, .wall_ms = 1767225600000};

static void on_refresh(void *ctx, struct control_info *info)
{
	struct bench *b = ctx;

	b->refreshes++;
	info->version = "1.2.3";
	info->build = "abcdef0";
	info->pid = 4711;
	info->uptime_s = 90061;
	info->config_file = b->config.file;
	info->config_loaded_wall_ms = bench_start.wall_ms;
	info->config_last_error = b->last_error;
	info->counters = b->counters;
	info->service_drops = (const uint64_t(*)[MXLB_DROP_COUNT])b->service_drops;
	info->xdp_mode[0] = "native";
}

static int on_reload(void *ctx, const char *who, struct buf *errors)
{
	struct bench *b = ctx;

	b->reloads++;
	snprintf(b->reload_who, sizeof(b->reload_who), "%s", who);
	if (b->reload_errors)
		buf_printf(errors, "%s", b->reload_errors);
	return b->reload_rc;
}

static int on_plan(void *ctx, const char *name, const struct buf *text, struct buf *out)
{
	struct bench *b = ctx;

	buf_printf(out, "%s: %.*s\n", name, (int)text->len, text->data);
	return b->plan_rc;
}

static void on_changed(void *ctx)
{
	struct bench *b = ctx;

	b->changes++;
}

/* Each in a part of its own. */
static bool on_each_flow(void *ctx, uint64_t first, uint64_t n,
			 void (*row)(void *row_ctx, const struct flow_row *r), void *row_ctx)
{
	struct bench *b = ctx;

	if (first / n < b->n_rows)
		row(row_ctx, &b->rows[first / n]);
	return first / n + 1 < b->n_rows;
}

static void on_each_rejected(void *ctx, void (*row)(void *row_ctx, const struct rejected_row *r),
			     void *row_ctx)
{
	struct bench *b = ctx;

	for (unsigned i = 0; i < b->n_rejected; i++)
		row(row_ctx, &b->rejected[i]);
}

static int on_explain(void *ctx, const struct service *s, const struct addr *client, uint16_t port,
		      struct flow_place *out)
{
	struct bench *b = ctx;

	assert_string_equal(s->conf.name, "hybrid-mail");
	b->asked = *client;
	b->asked_port = port;
	*out = b->place;
	return b->explain_rc;
}

static int on_probe(void *ctx, uint32_t server_id, void (*done)(void *done_ctx, const char *report),
		    void *done_ctx, void **probe)
{
	struct bench *b = ctx;

	if (b->probe_rc)
		return b->probe_rc;
	assert_null(b->probe_done);
	b->probes++;
	b->probed = server_id;
	b->probe_done = done;
	b->probe_ctx = done_ctx;
	*probe = b;
	return 0;
}

static void on_probe_stop(void *ctx, void *probe)
{
	struct bench *b = ctx;

	assert_ptr_equal(probe, b);
	assert_non_null(b->probe_done);
	b->probe_stops++;
	b->probe_done = NULL;
}

static int on_config(void *ctx, bool secrets, struct buf *out)
{
	(void)ctx;
	buf_printf(out, secrets ? "{\"all\": 1}\n" : "{}\n");
	return 0;
}

static int on_notify_test(void *ctx, const char *who, uint64_t *seq)
{
	struct bench *b = ctx;

	snprintf(b->reload_who, sizeof(b->reload_who), "%s", who);
	*seq = 12;
	return b->notify_rc;
}

const struct control_callbacks *bench_callbacks(struct bench *b)
{
	static struct control_callbacks cb;

	cb = (struct control_callbacks){
		.refresh = on_refresh,
		.reload = on_reload,
		.plan = on_plan,
		.config = on_config,
		.notify_test = on_notify_test,
		.changed = on_changed,
		.each_flow = on_each_flow,
		.explain = on_explain,
		.each_rejected = on_each_rejected,
		.probe = on_probe,
		.probe_stop = on_probe_stop,
		.ctx = b,
	};
	return &cb;
}

static void make_config(struct bench *b)
{
	static const struct {
		const char *name, *address;
		uint16_t preference;
	} rows[3] = {{"oxford-a", "203.0.113.11", 10},
		     {"oxford-b", "203.0.113.12", 10},
		     {"nuneaton", "192.0.2.13", 20}};
	struct config *c = &b->config;

	snprintf(c->file, sizeof(c->file), "/etc/mxlb/mxlb.yaml");
	snprintf(c->control.socket, sizeof(c->control.socket), "%s/mxlb.sock", b->dir);
	snprintf(c->interfaces[0].name, sizeof(c->interfaces[0].name), "eth0");
	c->n_interfaces = c->n_services = c->n_probes = 1;
	c->datapath.flows = 262144;
	c->probes[0] = (struct probe_conf){.name = "exo",
					   .interval_ms = 10000,
					   .fast_interval_ms = 2000,
					   .timeout_ms = 10000,
					   .depth = DEPTH_MAIL_FROM,
					   .fall = 3,
					   .rise = 2};
	for (unsigned i = 0; i < 3; i++) {
		b->servers[i].preference = rows[i].preference;
		b->servers[i].weight = 1;
		snprintf(b->servers[i].name, sizeof(b->servers[i].name), "%s", rows[i].name);
		assert_int_equal(addr_parse(rows[i].address, &b->servers[i].address), 0);
	}
	c->services[0] = (struct service_conf){.name = "hybrid-mail",
					       .port = 25,
					       .min_up = 1,
					       .servers = b->servers,
					       .n_servers = 3};
	assert_int_equal(addr_parse("203.0.113.25", &c->services[0].address), 0);
}

int bench_set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->last_error = "";
	strcpy(b->dir, "/tmp/mxlb-control-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	assert_int_equal(chmod(b->dir, 0755), 0);
	b->loop = ev_loop_new(EVFLAG_AUTO);
	make_config(b);
	assert_int_equal(model_create(&b->config, NULL, 0, bench_start, &b->model), 0);
	assert_int_equal(
		control_new(b->loop, &b->config.control, b->model, bench_callbacks(b), &b->control),
		0);
	*state = b;
	return 0;
}

int bench_tear_down(void **state)
{
	struct bench *b = *state;

	control_free(b->control);
	model_free(b->model);
	ev_loop_destroy(b->loop);
	assert_int_equal(rmdir(b->dir), 0); /* the socket is gone too */
	free(b);
	return 0;
}

int bench_dial(struct bench *b)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, b->config.control.socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

void bench_turn(struct bench *b)
{
	ev_run(b->loop, EVRUN_NOWAIT);
}

char *bench_hear(struct bench *b, int fd, const char *end)
{
	static char text[8 * 1024 * 1024];
	double deadline = ev_time() + DEADLINE_S;
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, text + len, sizeof(text) - len - 1, 0);

		if (n > 0)
			len += n;
		text[len] = '\0';
		if (n == 0 || (n < 0 && errno == ECONNRESET)) {
			if (end)
				fail_msg("closed after \"%s\", waiting for \"%s\"", text, end);
			return text;
		}
		if (end && len >= strlen(end) && !strcmp(text + len - strlen(end), end))
			return text;
		if (ev_time() > deadline)
			fail_msg("nothing more came after \"%.200s\"", text);
		bench_turn(b);
		if (n < 0)
			usleep(200);
	}
}

void bench_say(struct bench *b, int fd, const char *bytes, size_t len)
{
	double deadline = ev_time() + DEADLINE_S;

	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n > 0) {
			bytes += n;
			len -= n;
		} else if (n < 0 && errno != EAGAIN) {
			return; /* refused: what was sent can still be read */
		}
		assert_true(ev_time() < deadline);
		bench_turn(b);
	}
}

char *bench_ask_bytes(struct bench *b, const char *bytes, size_t len)
{
	int fd = bench_dial(b);
	char *text;

	bench_say(b, fd, bytes, len);
	text = bench_hear(b, fd, NULL);
	close(fd);
	return text;
}

char *bench_ask(struct bench *b, const char *line)
{
	return bench_ask_bytes(b, line, strlen(line));
}

void bench_assert_begins(const char *text, const char *with)
{
	if (strncmp(text, with, strlen(with)))
		fail_msg("\"%.300s\" does not begin with \"%s\"", text, with);
}

void bench_assert_ends(const char *text, const char *with)
{
	size_t len = strlen(text), n = strlen(with);

	if (len < n || strcmp(text + len - n, with))
		fail_msg("\"%.300s\" does not end with \"%s\"", text, with);
}
