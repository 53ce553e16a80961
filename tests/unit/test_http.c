/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP server on loopback, its clients in the same process: its answers, its refusals, and that no client can lock
 * others out or keep the loop busy.
 */
#define PEER_S	       0.5
#define SWEEP_S	       0.1
#define LISTEN_RETRY_S 0.1
#include "../../userspace/web/http.c"

#include <fcntl.h>
#include "control_bench.h"

#define WAIT_S 20.0

struct site {
	struct bench *bench;
	struct control_conf conf;
	struct http *http;
};

/* An unused port: its socket stays bound until *keep is closed. */
static uint16_t free_port(int *keep)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);

	*keep = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*keep, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(*keep, (struct sockaddr *)&sin, &len), 0);
	return ntohs(sin.sin_port);
}

static void serve(struct site *s)
{
	assert_int_equal(http_new(s->bench->loop, &s->conf, s->bench->model,
				  bench_callbacks(s->bench), &s->http),
			 0);
	assert_non_null(s->http);
}

static int set_up(void **state)
{
	struct site *s = calloc(1, sizeof(*s));
	int keep;

	bench_set_up((void **)&s->bench);
	assert_int_equal(addr_parse("127.0.0.1", &s->conf.http.address), 0);
	s->conf.http.port = free_port(&keep);
	close(keep);
	serve(s);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct site *s = *state;

	http_free(s->http);
	bench_tear_down((void **)&s->bench);
	free(s);
	return 0;
}

static int dial(struct site *s)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&s->conf.http.address, s->conf.http.port, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* Everything received on one connection until it is closed. */
static char *ask(struct site *s, const char *request)
{
	int fd = dial(s);
	char *text;

	bench_say(s->bench, fd, request, strlen(request));
	text = bench_hear(s->bench, fd, NULL);
	close(fd);
	return text;
}

#define CLOSE "Host: 127.0.0.1:9125\r\nConnection: close\r\n\r\n"

static void assert_has(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("no \"%s\" in \"%.600s\"", what, text);
}

static void every_document_is_there_with_its_type_and_all_headers(void **state)
{
	static const char *const documents[][3] = {
		{"/", "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{"/?x=1", "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{"/status.json", "application/json", "\"version\":\"1.2.3\""},
		{"/events.json", "application/json", "\r\n\r\n["},
		{"/history.json", "application/json", "\"step_s\":5"},
		{"/metrics", "text/plain; version=0.0.4; charset=utf-8", "mxlb_build_info{"},
	};
	static const char *const always[] = {
		"\r\nContent-Security-Policy: default-src 'none';",
		" frame-ancestors 'none'\r\n",
		"\r\nX-Content-Type-Options: nosniff\r\n",
		"\r\nX-Frame-Options: DENY\r\n",
		"\r\nReferrer-Policy: no-referrer\r\n",
		"\r\nCache-Control: no-store\r\n",
		"\r\nCross-Origin-Resource-Policy: same-origin\r\n",
	};
	char request[256], type[128];

	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		const char *text;

		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" CLOSE, documents[i][0]);
		text = ask(*state, request);
		bench_assert_begins(text, "HTTP/1.1 200 OK\r\n");
		snprintf(type, sizeof(type), "\r\nContent-Type: %s\r\n", documents[i][1]);
		assert_has(text, type);
		assert_has(text, documents[i][2]);
		for (size_t k = 0; k < sizeof(always) / sizeof(always[0]); k++)
			assert_has(text, always[k]);
		assert_null(strstr(text, "Server:"));
	}
}

static void accept_chooses_the_form_of_the_metrics(void **state)
{
	const char *text =
		ask(*state, "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; "
			    "version=1.0.0,text/plain;q=0.5\r\n" CLOSE);

	assert_has(text, "\r\nContent-Type: application/openmetrics-text; version=1.0.0; "
			 "charset=utf-8\r\n");
	bench_assert_ends(text, "\n# EOF\n");
	text = ask(*state, "GET /metrics HTTP/1.1\r\nAccept: */*\r\n" CLOSE);
	assert_has(text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	assert_null(strstr(text, "# EOF"));
}

static void requests_that_do_not_read_are_refused(void **state)
{
	static const struct {
		const char *request, *status;
	} rows[] = {
		{"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n" CLOSE "abc", "405 "},
		{"DELETE / HTTP/1.1\r\n" CLOSE, "405 "},
		{"OPTIONS / HTTP/1.1\r\n" CLOSE, "405 "},
		{"GET /nothing HTTP/1.1\r\n" CLOSE, "404 "},
		{"GET /../etc/passwd HTTP/1.1\r\n" CLOSE, "404 "},
		{"GET /metrics/ HTTP/1.1\r\n" CLOSE, "404 "},
		{"GET %2f HTTP/1.1\r\n" CLOSE, "200 "}, /* decoded, it is "/" */
		{"GET / HTTP/1.1\r\nHost: evil.example.net\r\nConnection: close\r\n\r\n", "421 "},
		{"GET / HTTP/1.1\r\nHost: 127.0.0.1.example.net:9125\r\nConnection: close\r\n\r\n",
		 "421 "},
		{"GET / HTTP/1.1\r\nHost: [::1].example.net\r\nConnection: close\r\n\r\n", "421 "},
		{"GET / HTTP/1.1\r\nHost: localhost:9125\r\nConnection: close\r\n\r\n", "200 "},
		{"GET / HTTP/1.1\r\nHost: [::1]:9125\r\nConnection: close\r\n\r\n", "200 "},
		{"GET / HTTP/1.0\r\n\r\n", "200 "},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = ask(*state, rows[i].request);

		if (strncmp(text, "HTTP/1.", 7) || strncmp(text + 9, rows[i].status, 4))
			fail_msg("%s: %.60s", rows[i].request, text);
	}
	assert_has(ask(*state, rows[0].request), "\r\nAllow: GET, HEAD\r\n");
}

static void head_has_the_headers_alone(void **state)
{
	const char *text = ask(*state, "HEAD / HTTP/1.1\r\n" CLOSE);

	bench_assert_begins(text, "HTTP/1.1 200 OK\r\n");
	bench_assert_ends(text, "\r\n\r\n");
	assert_null(strstr(text, "<html"));
}

static void many_who_ask_at_once_cost_one_refresh(void **state)
{
	struct site *s = *state;
	char requests[64 * 64] = "";
	unsigned before = s->bench->refreshes;
	int fd = dial(s);

	for (unsigned i = 0; i < 50; i++)
		strcat(requests, "GET /metrics HTTP/1.1\r\nHost: [::1]\r\n\r\n");
	strcat(requests, "HEAD / HTTP/1.1\r\n" CLOSE);
	bench_say(s->bench, fd, requests, strlen(requests));
	assert_has(bench_hear(s->bench, fd, NULL), "mxlb_build_info");
	close(fd);
	assert_in_range(s->bench->refreshes - before, 1, 25); /* 50 but for a slow machine */
}

/* Connections that never send a whole request: PEERS_MAX of them are kept, and a client with a request is served. */
static void those_who_say_nothing_keep_nobody_out(void **state)
{
	struct site *s = *state;
	int idle[4 * PEERS_MAX];

	for (unsigned i = 0; i < 4 * PEERS_MAX; i++) {
		idle[i] = dial(s);
		bench_say(s->bench, idle[i], "GET / HT", i % 2 ? 8 : 0);
		bench_turn(s->bench);
	}
	assert_in_range(count_peers(s->http, NULL), 1, PEERS_SAME);
	assert_has(ask(s, "GET / HTTP/1.1\r\n" CLOSE), "<!DOCTYPE html>");
	for (unsigned i = 0; i < 4 * PEERS_MAX; i++)
		close(idle[i]);
}

static bool is_closed(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* Neither by sending a byte now and then, nor by not reading the answer, nor by an endless body. */
static void nobody_stays_who_finishes_no_request(void **state)
{
	struct site *s = *state;
	int slow = dial(s), deaf = dial(s), endless = dial(s);
	static const char post[] =
		"POST / HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 99999999\r\n\r\n";
	static const char asked[] = "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n";
	double deadline = ev_time() + WAIT_S;
	bool gone = false;

	bench_say(s->bench, endless, post, strlen(post));
	while (!gone && ev_time() < deadline) {
		send(slow, "G", 1, MSG_NOSIGNAL);
		send(endless, "x", 1, MSG_NOSIGNAL);
		send(deaf, asked, strlen(asked), MSG_NOSIGNAL);
		bench_turn(s->bench);
		usleep(1000);
		gone = is_closed(slow) && is_closed(endless) && !count_peers(s->http, NULL);
	}
	assert_true(gone);
	close(slow);
	close(deaf);
	close(endless);
}

static void rubbish_harms_nothing(void **state)
{
	struct site *s = *state;
	static const char *const rubbish[] = {"\r\n\r\n\r\n", "\x16\x03\x01\x02", "GET\r\n\r\n",
					      "GET / HTTP/9.9\r\n\r\n", "a: b\r\n\r\n"};
	char *lines = malloc(1 << 20);
	unsigned seed = 1;

	for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
		int fd = dial(s);

		bench_say(s->bench, fd, rubbish[i], strlen(rubbish[i]));
		shutdown(fd, SHUT_WR);
		bench_hear(s->bench, fd, NULL);
		close(fd);
	}
	for (unsigned round = 0; round < 20; round++) { /* a line of a megabyte; then any bytes */
		int fd = dial(s);

		for (size_t i = 0; i < 1 << 20; i++)
			lines[i] = round ? (char)rand_r(&seed) : 'A';
		bench_say(s->bench, fd, "GET /", 5);
		bench_say(s->bench, fd, lines, round ? 4096 : 1 << 20);
		shutdown(fd, SHUT_WR);
		bench_hear(s->bench, fd, NULL);
		close(fd);
	}
	free(lines);
	assert_has(ask(s, "GET / HTTP/1.1\r\n" CLOSE), "<!DOCTYPE html>");
}

static void it_waits_for_an_address_that_is_taken(void **state)
{
	struct site *s = *state;
	int keep, on = 1;
	double deadline = ev_time() + WAIT_S;

	http_free(s->http);
	s->conf.http.port = free_port(&keep);
	assert_int_equal(listen(keep, 1), 0);
	serve(s);
	assert_true(s->http->refused);
	setsockopt(keep, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	close(keep);
	while (s->http->fd < 0 && ev_time() < deadline)
		bench_turn(s->bench);
	assert_has(ask(s, "GET / HTTP/1.1\r\n" CLOSE), "<!DOCTYPE html>");
}

static void without_an_address_there_is_no_server(void **state)
{
	struct site *s = *state;
	struct control_conf none = {.http = {.port = 0}};
	struct http *h = s->http;

	assert_int_equal(
		http_new(s->bench->loop, &none, s->bench->model, bench_callbacks(s->bench), &h), 0);
	assert_null(h);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_document_is_there_with_its_type_and_all_headers),
		TEST(accept_chooses_the_form_of_the_metrics),
		TEST(requests_that_do_not_read_are_refused),
		TEST(head_has_the_headers_alone),
		TEST(many_who_ask_at_once_cost_one_refresh),
		TEST(those_who_say_nothing_keep_nobody_out),
		TEST(nobody_stays_who_finishes_no_request),
		TEST(rubbish_harms_nothing),
		TEST(it_waits_for_an_address_that_is_taken),
		TEST(without_an_address_there_is_no_server),
	};

	return cmocka_run_group_tests_name("control: http", tests, NULL, NULL);
}
