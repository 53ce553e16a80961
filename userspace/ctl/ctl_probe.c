/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two sources of a probe's report. From this machine it is made as mxlbd makes it: by a child without rights,
 * whose records are checked (probe/), because the peer is as hostile to this terminal as to the daemon. Options are
 * refused for servers whose service configures the probe.
 */
#include "ctl/ctl_probe.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ctl/text.h"
#include "ctl/probe_view.h"
#include "core/certname.h"
#include "core/domain.h"
#include "probe/report.h"
#include "util/log.h"

#define PORT_DEFAULT	   "25"
#define TARGET_SIZE	   300 /* a name of 253 characters, and a port */
#define TIMEOUT_DEFAULT_MS 10000
#define CONNECT_TIMEOUT_MS 3000
#define DAEMON_WAIT_S	   (10 * 60 + 30) /* the longest timeout a configuration may have, and a bit */

struct watching {
	struct ev_loop *loop;
	struct probe_report report;
	struct probe_result result;
};

static const char *const depths[] = {"connect", "banner", "ehlo", "starttls", "mail-from", NULL};
static const char *const policies[] = {
	"none", "encryption-only", "certificate-validation", "domain-validation", "dane", NULL};

static enum ctl_exit ctl_probe_show(const struct ctl *ctl, const json_t *report)
{
	if (!report)
		return ctl_failed(ctl, "no memory\n");
	if (ctl->json)
		ctl_print_json(report);
	else
		transcript_print(report);
	return field_true(report, "healthy") ? CTL_DONE : CTL_REFUSED;
}

static enum ctl_exit usage(const char *what, const char *text)
{
	char safe[128];

	fprintf(stderr, "mxlbctl: %s '%s'\n", what, text_fit(text, 100, safe, sizeof(safe)));
	return CTL_USAGE;
}

/* The place of a word in a list, or -1. */
static int place_of(const char *word, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], word))
			return i;
	return -1;
}

/* False: it is too long, or holds what may not stand in a line to a server. */
static bool take_text(const char *text, char *out, size_t size)
{
	size_t len = text ? strlen(text) : 0;

	if (len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	memcpy(out, text ? text : "", len + 1);
	return true;
}

/* The host's own name, like mxlbd's default; a short name is better than none. */
static void ctl_probe_default_helo(char helo[CONFIG_TEXT_SIZE])
{
	if (gethostname(helo, CONFIG_TEXT_SIZE - 1) || !helo[0])
		strcpy(helo, "localhost");
	helo[CONFIG_TEXT_SIZE - 1] = '\0';
}

/* The requirements on the certificate. */
static enum ctl_exit take_certificate(const struct ctl_probe *o, struct probe_conf *conf)
{
	struct cert_conf *c = &conf->cert;
	char why[CERTNAME_WHY_SIZE + TLSA_WHY_SIZE];
	struct certname_pair pair;

	if (o->tls_domain && (domain_refusal(o->tls_domain) ||
			      !take_text(o->tls_domain, c->domain, sizeof(c->domain))))
		return usage("not a TLS domain:", o->tls_domain);
	if (o->certificate_name && (strlen(o->certificate_name) >= sizeof(c->name) ||
				    certname_parse_pair(o->certificate_name, &pair, why)))
		return usage("not a certificate name:", o->certificate_name);
	if (o->certificate_name)
		strcpy(c->name, o->certificate_name);
	if (o->tlsa && tlsa_parse(o->tlsa, &c->tlsa[c->n_tlsa++], why))
		return usage("not a TLSA record:", o->tlsa);
	if (conf->tls == TLS_DOMAIN_VALIDATION && !c->domain[0])
		return usage("--tls-domain is missing, which this policy requires:", o->tls);
	if (conf->tls == TLS_DANE && !c->n_tlsa)
		return usage("--tlsa is missing, which this policy requires:", o->tls);
	return CTL_DONE;
}

static enum ctl_exit take_options(const struct ctl *ctl, struct probe_conf *conf)
{
	const struct ctl_probe *o = &ctl->probe;
	unsigned timeout_s = ctl->timeout_s;
	int depth = o->depth ? place_of(o->depth, depths) : DEPTH_MAIL_FROM;
	int tls = o->tls ? place_of(o->tls, policies) : TLS_ENCRYPTION_ONLY;

	*conf = (struct probe_conf){.timeout_ms = timeout_s ? timeout_s * 1000 : TIMEOUT_DEFAULT_MS,
				    .connect_timeout_ms = CONNECT_TIMEOUT_MS,
				    .min_tls_version = 0x0303};
	if (depth < 0)
		return usage("--depth expects connect, banner, ehlo, starttls or mail-from, not",
			     o->depth);
	if (tls < 0)
		return usage("--tls expects none, encryption-only, certificate-validation, "
			     "domain-validation or dane, not",
			     o->tls);
	if (!take_text(o->helo, conf->helo, sizeof(conf->helo)))
		return usage("not a HELO name:", o->helo);
	if (!take_text(o->sni, conf->sni, sizeof(conf->sni)))
		return usage("not a server name:", o->sni);
	if (!take_text(o->sender, conf->sender, sizeof(conf->sender)) ||
	    strpbrk(conf->sender, "<>"))
		return usage("not a sender address:", o->sender);
	if (!conf->helo[0])
		ctl_probe_default_helo(conf->helo);
	conf->depth = (enum probe_depth)depth;
	conf->tls = (enum tls_policy)tls;
	if (ctl->bundle && strlen(ctl->bundle) < sizeof(conf->ca_file))
		strcpy(conf->ca_file, ctl->bundle);
	return take_certificate(o, conf);
}

/* Cuts "HOST", "HOST:PORT", "[V6]" or "[V6]:PORT" in place. False: it is none of these. */
static bool split_target(char *text, char **host, char **port)
{
	char *end = strchr(text, ':');

	*host = text;
	*port = PORT_DEFAULT;
	if (*text == '[') {
		*host = text + 1;
		end = strchr(text, ']');
		if (!end)
			return false;
		*end++ = '\0';
		if (!*end)
			return true;
	} else if (!end) {
		return *text != '\0';
	}
	if (*end != ':' ||
	    strchr(end + 1, ':')) /* a bare IPv6 address: where would the port begin? */
		return false;
	*end = '\0';
	*port = end + 1;
	return **host != '\0';
}

static bool take_port(const char *text, uint16_t *port)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long n = digits && digits < 6 && !text[digits] ? strtoul(text, NULL, 10) : 0;

	*port = (uint16_t)n;
	return n && n <= 65535;
}

/* The first address that the resolver gives; a link-local one would need its interface too. */
static bool ctl_probe_resolve(const char *host, struct addr *out, const char **why)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found;
	int err = getaddrinfo(host, NULL, &hints, &found);

	if (err == EAI_NONAME || err == EAI_ADDRFAMILY) { /* a literal needs no configured family */
		hints.ai_flags = AI_NUMERICHOST;
		if (!getaddrinfo(host, NULL, &hints, &found))
			err = 0;
	}
	if (err) {
		*why = gai_strerror(err);
		return false;
	}
	if (found->ai_family == AF_INET)
		addr_from_bytes(&((struct sockaddr_in *)found->ai_addr)->sin_addr, 4, out);
	else
		addr_from_bytes(&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr, 16, out);
	freeaddrinfo(found);
	return true;
}

static void on_ctl_probe_note(void *ctx, const struct probe_note *n)
{
	struct watching *w = ctx;

	report_note(&w->report, n);
}

static void on_ctl_probe_result(void *ctx, const struct probe_result *r)
{
	struct watching *w = ctx;

	w->result = *r;
	ev_break(w->loop, EVBREAK_ALL);
}

/* Runs the probe to its end. 0 or -errno. */
static int ctl_probe_watch(struct watching *w, const struct prober_job *job)
{
	static const struct prober_callbacks none;
	struct prober_audience who = {
		.on_note = on_ctl_probe_note, .on_result = on_ctl_probe_result, .ctx = w};
	struct prober *prober = NULL;
	uint32_t id;
	int err;

	w->loop = ev_loop_new(EVFLAG_NOENV);
	if (!w->loop)
		return -ENOMEM;
	err = prober_new(w->loop, &none, job->conf, 1, &prober);
	if (!err)
		err = prober_watch(prober, job, &who, &id);
	if (!err)
		ev_run(w->loop, 0);
	prober_free(prober);
	ev_loop_destroy(w->loop);
	return err;
}

/*
 * The address is a VIP that the mxlbd of this machine forwards: a packet of this machine's own never passes the
 * program that forwards it, so this machine cannot reach it.
 */
static bool is_forwarded_here(const struct ctl *ctl, const char *address)
{
	struct buf reply = {0};
	const json_t *service;
	bool found = false;
	json_t *status;
	size_t i;

	if (link_try(ctl->socket, "show status", &reply)) {
		buf_free(&reply);
		return false;
	}
	status = json_loadb(reply.data, reply.len, JSON_REJECT_DUPLICATES, NULL);
	json_array_foreach (json_object_get(status, "services"), i, service)
		found = found || !strcmp(field_text(service, "address"), address);
	json_decref(status);
	buf_free(&reply);
	return found;
}

/* Of a VIP that this machine forwards, a failed connect says nothing: what to do instead. */
static void explain_own_vip(const struct ctl *ctl, json_t *report)
{
	const char *address = field_text(report, "address");

	if (strcmp(field_text(report, "stage"), "connect") || !is_forwarded_here(ctl, address))
		return;
	json_object_set_new(report, "reason", json_string(reason_name(REASON_local_error)));
	json_object_set_new(report, "verdict", json_string(verdict_name(VERDICT_UNKNOWN)));
	json_object_set_new(report, "exo_code", json_string(""));
	json_object_set_new(
		report, "meaning",
		json_string("this machine forwards that address and cannot reach it "
			    "itself; probe a server (mxlbctl probe SERVICE/SERVER), or the "
			    "VIP from another host"));
}

static enum ctl_exit probe_from_here(const struct ctl *ctl, const char *wanted)
{
	struct watching w = {0};
	struct probe_conf conf;
	struct prober_job job = {.conf = &conf};
	char target[TARGET_SIZE], *host, *port, line[512];
	const char *why;
	json_t *report;
	enum ctl_exit rc = take_options(ctl, &conf);
	int err;

	if (rc)
		return rc;
	snprintf(target, sizeof(target), "%s", wanted);
	if (strlen(wanted) >= sizeof(target) || !split_target(target, &host, &port) ||
	    !take_port(port, &job.port))
		return usage("expects HOST, HOST:PORT, [IPV6] or [IPV6]:PORT, not", wanted);
	if (!ctl_probe_resolve(host, &job.address, &why)) {
		snprintf(line, sizeof(line), "%.256s: %s\n", host, why);
		return ctl_failed(ctl, line);
	}
	log_init("mxlbctl", LOG_LEVEL_ERROR);
	report_begin(&w.report, time(NULL), conf.tls);
	err = ctl_probe_watch(&w, &job);
	if (err) {
		report_drop(&w.report);
		snprintf(line, sizeof(line), "the probe did not start: %s\n", strerror(-err));
		return ctl_failed(ctl, line);
	}
	report = report_end(&w.report, &job.address, job.port, &w.result);
	if (report)
		explain_own_vip(ctl, report);
	rc = ctl_probe_show(ctl, report);
	json_decref(report);
	return rc;
}

static enum ctl_exit probe_by_daemon(const struct ctl *ctl, const char *target)
{
	char command[2 * CONFIG_NAME_SIZE + 16];
	struct buf reply = {0};
	json_t *report = NULL;
	enum ctl_exit rc;

	if (strlen(target) > 2 * CONFIG_NAME_SIZE || strpbrk(target, " \t\r\n;"))
		return usage("not a SERVICE/SERVER:", target);
	snprintf(command, sizeof(command), "probe %s", target);
	rc = link_ask_within(ctl->socket, command, DAEMON_WAIT_S, &reply);
	if (!rc) {
		report = json_loadb(reply.data, reply.len, JSON_REJECT_DUPLICATES, NULL);
		rc = json_is_object(report)
			     ? ctl_probe_show(ctl, report)
			     : ctl_refused(ctl, reply.len ? reply.data : "mxlbd sent no report\n");
	}
	json_decref(report);
	buf_free(&reply);
	return rc;
}

enum ctl_exit probe_run(const struct ctl *ctl, char **args)
{
	static const struct ctl_probe none;

	if (!strchr(args[0], '/'))
		return probe_from_here(ctl, args[0]);
	if (ctl->timeout_s || memcmp(&ctl->probe, &none, sizeof(none))) {
		fputs("mxlbctl: a configured server is probed as configured: only --json is allowed "
		      "with it\n",
		      stderr);
		return CTL_USAGE;
	}
	return probe_by_daemon(ctl, args[0]);
}
