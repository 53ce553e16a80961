/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns how a probe looks on a terminal. Takes every field as data: absent or of another type, it is shown empty.
 */
#include "core/verdict.h"
#include "ctl/probe_view.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "ctl/text.h"

#define LINE_SIZE 1024

static const char *safe(const char *text, char buf[LINE_SIZE])
{
	return text_fit(text, LINE_SIZE - 1, buf, LINE_SIZE);
}

static void probe_view_print_field(const char *label, const char *text)
{
	char buf[LINE_SIZE];

	printf("  %-10s %s\n", label, safe(text, buf));
}

static void print_dialogue(const json_t *report)
{
	static const struct {
		const char *who;
		char mark;
	} marks[] = {{"probe", '>'}, {"server", '<'}};
	char buf[LINE_SIZE];
	const json_t *line;
	size_t i;

	json_array_foreach (json_object_get(report, "dialogue"), i, line) {
		char mark = '*';

		for (size_t k = 0; k < sizeof(marks) / sizeof(marks[0]); k++)
			if (!strcmp(field_text(line, "who"), marks[k].who))
				mark = marks[k].mark;
		printf("%7lld ms %c %s\n", field_number(line, "ms"), mark,
		       safe(field_text(line, "text"), buf));
	}
}

/* As Exchange shows a thumbprint. */
static void print_thumbprint(const char *sha1)
{
	char text[LINE_SIZE];

	safe(sha1, text);
	for (char *p = text; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	probe_view_print_field("thumbprint", text);
}

static void print_certificate(const json_t *c, size_t n, size_t of)
{
	char line[LINE_SIZE];
	const json_t *name;
	size_t i;

	printf("\ncertificate %zu of %zu\n", n, of);
	probe_view_print_field("subject", field_text(c, "subject"));
	probe_view_print_field("issuer", field_text(c, "issuer"));
	json_array_foreach (json_object_get(c, "names"), i, name)
		if (json_is_string(name))
			probe_view_print_field("name", json_string_value(name));
	snprintf(line, sizeof(line), "%s to %s (%lld days left)", field_text(c, "not_before"),
		 field_text(c, "not_after"), field_number(c, "days_left"));
	probe_view_print_field("valid", line);
	print_thumbprint(field_text(c, "sha1"));
	snprintf(line, sizeof(line), "3 1 1 %s", field_text(c, "spki_sha256"));
	probe_view_print_field("tlsa", line);
}

static void print_policies(const json_t *policies)
{
	char line[LINE_SIZE], name[32], buf[LINE_SIZE];
	const json_t *p;
	size_t i;

	if (!json_array_size(policies)) {
		puts("\nno TLS session, so no policy was checked");
		return;
	}
	puts("\npolicy                   judgement");
	json_array_foreach (policies, i, p) {
		const char *code = field_text(p, "exo_code");

		snprintf(line, sizeof(line), "%s%s%s%s%s%s", field_text(p, "reason"),
			 *code ? " (" : "", code, *code ? ")" : "", field_true(p, "ok") ? "" : ": ",
			 field_true(p, "ok") ? "" : field_text(p, "text"));
		printf("  %-22s %s\n",
		       text_fit(field_text(p, "policy"), sizeof(name) - 1, name, sizeof(name)),
		       safe(line, buf));
	}
}

/* The server refused in SMTP; whether it refuses other clients, too, is unknown. */
static bool is_refusal(const json_t *report)
{
	const char *reason = field_text(report, "reason");

	for (enum reason r = 0; r < REASON_COUNT; r++)
		if (!strcmp(reason, reason_name(r)))
			return reason_is_refusal(r);
	return false;
}

static void print_verdict(const json_t *report)
{
	const char *code = field_text(report, "exo_code"), *text = field_text(report, "text");
	bool healthy = field_true(report, "healthy");
	char line[LINE_SIZE], verdict[16];

	text_fit(field_text(report, "verdict"), 15, verdict, sizeof(verdict));
	printf("\n%s%s%s", text_colour(verdict), healthy ? "healthy" : "not healthy",
	       text_colour_end(verdict));
	snprintf(line, sizeof(line), ": %s at stage %s: %s", field_text(report, "reason"),
		 field_text(report, "stage"), field_text(report, "meaning"));
	puts(healthy ? ": every stage passed" : line);
	if (!healthy && *text)
		probe_view_print_field("words", text);
	snprintf(line, sizeof(line), "connect %lld, greeting %lld, tls %lld, total %lld ms",
		 field_number(report, "connect_ms"), field_number(report, "greeting_ms"),
		 field_number(report, "tls_ms"), field_number(report, "total_ms"));
	probe_view_print_field("times", line);
	snprintf(line, sizeof(line), "%s%s",
		 healthy	      ? "would deliver"
		 : !*code	      ? "is not affected: the cause is this box or the probe"
		 : is_refusal(report) ? "would defer the mail if it is refused too, with 450 "
				      : "would defer the mail with 450 ",
		 healthy ? "" : code);
	probe_view_print_field("Exchange Online", line);
}

void transcript_print(const json_t *report)
{
	const json_t *chain = json_object_get(report, "chain"), *certificate;
	size_t i;

	char address[LINE_SIZE];

	printf("probing %s, port %lld\n", safe(field_text(report, "address"), address),
	       field_number(report, "port"));
	if (json_array_size(json_object_get(report, "dialogue")))
		putchar('\n');
	print_dialogue(report);
	json_array_foreach (chain, i, certificate)
		print_certificate(certificate, i + 1, json_array_size(chain));
	print_policies(json_object_get(report, "policies"));
	print_verdict(report);
}
