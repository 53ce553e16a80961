/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The probe without a daemon: probes ADDRESS PORT and prints each result as one line of JSON.
 *
 *   probe-once [-d depth] [-t tls] [-T timeout_ms] [-C connect_ms] [-m min_tls, hex] [-s sni] [-f fallback] [-R: routed]
 *              [-D tls-domain] [-N tls-certificate-name] [-A ca-file] [-L tlsa]...
 *              [-n at_once] [-r rounds] [-w] ADDRESS PORT
 *
 * -w: each further round waits for a line on stdin.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "probe/prober.h"
#include "util/log.h"

static struct {
	struct ev_loop *loop;
	struct prober *prober;
	struct probe_conf conf;
	struct prober_job job;
	unsigned at_once, rounds, started, ended, slow;
	struct ev_io line; /* -w: on stdin */
	bool waits;
} once = {
	.conf = {.timeout_ms = 3000,
		 .connect_timeout_ms = 1000,
		 .depth = DEPTH_MAIL_FROM,
		 .tls = TLS_ENCRYPTION_ONLY,
		 .helo = "probe.example.net",
		 .min_tls_version = 0x0303},
	.at_once = 1,
	.rounds = 1,
};

static json_t *hex(const uint8_t *bytes, size_t len)
{
	char text[80];

	for (size_t i = 0; i < len; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	return json_string(text);
}

static json_t *tls_json(const struct tls_info *t)
{
	json_t *names = json_array();

	for (unsigned i = 0; i < t->n_names; i++)
		json_array_append_new(names, json_string(t->names[i]));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:o, s:o}", "version", t->version,
			 "cipher", t->cipher, "subject", t->subject, "issuer", t->issuer, "names",
			 names, "not_before", (json_int_t)t->not_before, "not_after",
			 (json_int_t)t->not_after, "sha1", hex(t->sha1, sizeof(t->sha1)),
			 "spki_sha256", hex(t->spki_sha256, sizeof(t->spki_sha256)));
}

static void print(const struct probe_result *r)
{
	json_t *j = json_pack(
		"{s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o}", "reason",
		reason_name(r->reason), "verdict", verdict_name(reason_verdict(r->reason)),
		"exo_code", reason_exo_code(r->reason, once.conf.tls), "stage",
		stage_name(r->stage), "smtp_code", r->smtp_code, "text", r->text, "connect_ms",
		r->connect_ms, "greeting_ms", r->greeting_ms, "tls_ms", r->tls_ms, "total_ms",
		r->total_ms, "cpu_ms", r->cpu_ms, "slow", once.slow, "restarts",
		(int)prober_child_restarts(once.prober), "tls", tls_json(&r->tls));

	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(j);
}

static void start(uint32_t server_id)
{
	once.job.server_id = server_id;
	once.started++;
	if (prober_start(once.prober, &once.job))
		abort();
}

static void on_line(struct ev_loop *loop, struct ev_io *w, int revents)
{
	char byte;

	(void)loop, (void)w, (void)revents;
	if (read(STDIN_FILENO, &byte, 1) == 1 && byte == '\n')
		start(1);
}

static void on_result(void *ctx, uint32_t server_id, const struct probe_result *r)
{
	(void)ctx;
	print(r);
	once.ended++;
	if (once.started < once.at_once * once.rounds) {
		if (!once.waits)
			start(server_id);
	} else if (once.ended == once.started)
		ev_break(once.loop, EVBREAK_ALL);
}

static void on_slow_connect(void *ctx, uint32_t server_id)
{
	(void)ctx, (void)server_id;
	once.slow++;
}

static void on_child(void *ctx, const char *why)
{
	(void)ctx;
	fprintf(stderr, "%s\n", why);
}

/* The index of a word in a list. Ends the program if there is none. */
static int word(const char *text, const char *const *words, int n)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(words[i], text))
			return i;
	exit(2);
}

static void option(int c)
{
	static const char *const depths[] = {"connect", "banner", "ehlo", "starttls", "mail-from"};
	static const char *const policies[] = {"none", "encryption-only", "certificate-validation",
					       "domain-validation", "dane"};
	struct cert_conf *cert = &once.conf.cert;
	char why[TLSA_WHY_SIZE];

	if (c == 'd')
		once.conf.depth = word(optarg, depths, 5);
	else if (c == 't')
		once.conf.tls = word(optarg, policies, 5);
	else if (c == 'T')
		once.conf.timeout_ms = strtoul(optarg, NULL, 10);
	else if (c == 'C')
		once.conf.connect_timeout_ms = strtoul(optarg, NULL, 10);
	else if (c == 'm')
		once.conf.min_tls_version = strtoul(optarg, NULL, 16);
	else if (c == 's')
		snprintf(once.conf.sni, sizeof(once.conf.sni), "%s", optarg);
	else if (c == 'D')
		snprintf(cert->domain, sizeof(cert->domain), "%s", optarg);
	else if (c == 'N')
		snprintf(cert->name, sizeof(cert->name), "%s", optarg);
	else if (c == 'A')
		snprintf(once.conf.ca_file, sizeof(once.conf.ca_file), "%s", optarg);
	else if (c == 'L' && cert->n_tlsa < CONFIG_MAX_TLSA &&
		 !tlsa_parse(optarg, &cert->tlsa[cert->n_tlsa], why))
		cert->n_tlsa++;
	else if (c == 'w')
		once.waits = true;
	else if (c == 'n')
		once.at_once = strtoul(optarg, NULL, 10);
	else if (c == 'r')
		once.rounds = strtoul(optarg, NULL, 10);
	else if (c == 'R')
		once.job.routed = true;
	else if (c != 'f' || addr_parse(optarg, &once.job.fallback))
		exit(2);
}

int main(int argc, char **argv)
{
	static const struct prober_callbacks cb = {
		.on_result = on_result, .on_slow_connect = on_slow_connect, .on_child = on_child};
	int c;

	log_init("probe-once", LOG_LEVEL_DEBUG);
	if (argc >= 2 && !strcmp(argv[1], "--probe-child"))
		return probe_child_main(3, argv + 2);
	while ((c = getopt(argc, argv, "d:t:T:C:m:s:f:n:r:RD:N:A:L:w")) != -1)
		option(c);
	if (argc - optind != 2 || addr_parse(argv[optind], &once.job.address))
		return 2;
	once.job.port = strtoul(argv[optind + 1], NULL, 10);
	once.job.conf = &once.conf;
	once.loop = ev_loop_new(EVFLAG_NOENV);
	if (prober_new(once.loop, &cb, &once.conf, 1, &once.prober))
		return 2;
	for (uint32_t id = 1; id <= once.at_once; id++)
		start(id);
	ev_io_init(&once.line, on_line, STDIN_FILENO, EV_READ);
	if (once.waits)
		ev_io_start(once.loop, &once.line);
	ev_run(once.loop, 0);
	prober_free(once.prober);
	ev_loop_destroy(once.loop);
	return 0;
}
