/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes the report. Its texts were checked on the wire: printable ASCII, as JSON requires. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "probe/report.h"

#define DAY_S	   86400
#define TIME_MAX_S 253402300799 /* 9999-12-31T23:59:59Z */

static const char *const who[] = {
	[NOTE_EVENT] = "note",
	[NOTE_SAID] = "probe",
	[NOTE_HEARD] = "server",
};

static const char *const policies[] = {
	[TLS_NONE] = "none",
	[TLS_ENCRYPTION_ONLY] = "encryption-only",
	[TLS_CERTIFICATE_VALIDATION] = "certificate-validation",
	[TLS_DOMAIN_VALIDATION] = "domain-validation",
	[TLS_DANE] = "dane",
};

void report_begin(struct probe_report *r, int64_t now_s, enum tls_policy policy)
{
	*r = (struct probe_report){now_s, policy, json_array(), json_array(), json_array()};
}

void report_drop(struct probe_report *r)
{
	json_decref(r->dialogue);
	json_decref(r->chain);
	json_decref(r->policies);
	memset(r, 0, sizeof(*r));
}

static json_t *hex(const uint8_t *bytes, size_t len)
{
	char text[2 * 32 + 1] = "";

	for (size_t i = 0; i < len && i < 32; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	return json_string(text);
}

static json_t *time_json(int64_t s)
{
	time_t t = (time_t)s;
	char text[32];
	struct tm tm;

	if (s < 0 || s > TIME_MAX_S || !gmtime_r(&t, &tm))
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

static int64_t days_between(int64_t from, int64_t to)
{
	int64_t s = to - from;

	return s / DAY_S - (s % DAY_S < 0); /* rounded down: expired is below zero */
}

/* A failed append leaves NULL behind, and so the whole document fails. */
static void report_append(json_t **array, json_t *item)
{
	if (!json_array_append_new(*array, item))
		return;
	json_decref(*array);
	*array = NULL;
}

static json_t *certificate_json(const struct tls_info *c, int64_t now_s)
{
	json_t *names = json_array();

	for (unsigned i = 0; i < c->n_names; i++)
		report_append(&names, json_string(c->names[i]));
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:o}", "subject", c->subject,
			 "issuer", c->issuer, "names", names, "not_before",
			 time_json(c->not_before), "not_after", time_json(c->not_after),
			 "days_left", (json_int_t)days_between(now_s, c->not_after), "sha1",
			 hex(c->sha1, sizeof(c->sha1)), "spki_sha256",
			 hex(c->spki_sha256, sizeof(c->spki_sha256)));
}

void report_note(struct probe_report *r, const struct probe_note *n)
{
	switch (n->kind) {
	case NOTE_CERTIFICATE:
		report_append(&r->chain, certificate_json(&n->certificate, r->now_s));
		return;
	case NOTE_JUDGEMENT:
		report_append(&r->policies,
			      json_pack("{s:s, s:s, s:b, s:s, s:s}", "policy",
					policies[n->judgement.policy], "reason",
					reason_name(n->judgement.reason), "ok",
					n->judgement.reason == REASON_ok, "exo_code",
					reason_exo_code(n->judgement.reason, n->judgement.policy),
					"text",
					n->judgement.text[0] ? n->judgement.text
							     : reason_text(n->judgement.reason)));
		return;
	default:
		report_append(&r->dialogue, json_pack("{s:i, s:s, s:s}", "ms", (int)n->at_ms, "who",
						      who[n->kind], "text", n->text));
	}
}

json_t *report_end(struct probe_report *r, const struct addr *address, uint16_t port,
		   const struct probe_result *p)
{
	enum verdict verdict = reason_verdict(p->reason);
	char text[ADDR_TEXT_SIZE];
	json_t *json = json_pack(
		"{s:s, s:i, s:s, s:s, s:b, s:s, s:s, s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:s, s:s, "
		"s:O, s:O, s:O}",
		"address", addr_text(address, text), "port", port, "reason", reason_name(p->reason),
		"verdict", verdict_name(verdict), "healthy", verdict == VERDICT_UP, "meaning",
		reason_text(p->reason), "exo_code", reason_exo_code(p->reason, r->policy), "stage",
		stage_name(p->stage), "smtp_code", p->smtp_code, "text", p->text, "connect_ms",
		(json_int_t)p->connect_ms, "greeting_ms", (json_int_t)p->greeting_ms, "tls_ms",
		(json_int_t)p->tls_ms, "total_ms", (json_int_t)p->total_ms, "version",
		p->tls.version, "cipher", p->tls.cipher, "dialogue", r->dialogue, "chain", r->chain,
		"policies", r->policies);

	report_drop(r);
	return json;
}
