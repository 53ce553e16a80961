/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of `mxlbctl status`. Every field is treated as untrusted data: missing or of another type, it is shown
 * empty.
 */
#include "ctl/tables.h"

#include <stdio.h>
#include <string.h>
#include "ctl/text.h"
#include "util/utf8.h"

#define WIDTH	      80
#define NAME_WIDTH    24
#define LINE_SIZE     1024
#define REASON_MARGIN 10

static void print_fit(const char *line)
{
	char fit[WIDTH + 1];

	puts(text_fit(line, WIDTH, fit, sizeof(fit)));
}

static const char *vip_text(const json_t *service, char *buf, size_t size)
{
	const char *address = field_text(service, "address");

	snprintf(buf, size, strchr(address, ':') ? "[%s]:%lld" : "%s:%lld", address,
		 field_number(service, "port"));
	return buf;
}

/*
 * Wraps text over several lines, because the remedy is at its end. The first line begins at column `at`, the others at
 * `margin`.
 */
static void tables_print_wrapped(const char *text, int margin, int at)
{
	int column = at;
	bool first = true;

	for (size_t word; *text; text += word + strspn(text + word, " ")) {
		char safe[LINE_SIZE];
		int columns;

		word = strcspn(text, " ");
		snprintf(safe, sizeof(safe), "%.*s", (int)word, text);
		columns = (int)utf8_columns(text_safe(safe));
		if (!first && column + 1 + columns > WIDTH) {
			printf("\n%*s", margin, "");
			column = margin;
		} else if (!first) {
			putchar(' ');
			column++;
		}
		fputs(safe, stdout);
		column += columns;
		first = false;
	}
	putchar('\n');
}

/* Who may connect, where not everyone may. */
static void print_allow(const json_t *allow, time_t now)
{
	const char *file = field_text(allow, "file");
	time_t changed = field_time(allow, "file_changed");
	char line[LINE_SIZE], of_file[LINE_SIZE / 2] = "", age[TEXT_SHORT_SIZE];

	if (!json_is_object(allow))
		return;
	if (*file)
		snprintf(of_file, sizeof(of_file), ", %lld of %.300s (renewed %s ago)",
			 field_number(allow, "file_prefixes"), file,
			 changed ? text_age(now - changed, age) : "?");
	snprintf(line, sizeof(line), "allow: %lld prefixes%s%s", field_number(allow, "prefixes"),
		 of_file,
		 strcmp(field_text(allow, "mode"), "observe") ? "" : "; observed, not enforced");
	printf("   ");
	tables_print_wrapped(line, 5, 3);
}

/* Where its servers come from; what is wrong with it is a finding. */
static void tables_print_zone(const json_t *zone)
{
	const json_t *secure = json_object_get(zone, "secure");
	char line[LINE_SIZE];

	if (!json_is_object(zone))
		return;
	snprintf(line, sizeof(line), "   mx %s: %s, %s", field_text(zone, "mx"),
		 field_text(zone, "state"),
		 json_is_true(secure)	 ? "secure"
		 : json_is_false(secure) ? "not signed"
					 : "not answered since the start");
	print_fit(line);
}

static void print_service(const json_t *service, time_t now)
{
	const json_t *active = json_object_get(service, "active_tier");
	char vip[128], tier[32] = "", name[WIDTH + 1], fit[WIDTH + 1];
	char line[TEXT_TIER_SIZE], why[TEXT_TIER_SIZE + 8], safe[sizeof(why)];
	const char *state = field_text(service, "state");
	size_t rest;

	vip_text(service, vip, sizeof(vip));
	if (json_is_integer(active))
		snprintf(tier, sizeof(tier), "  tier %lld", (long long)json_integer_value(active));
	rest = strlen(vip) + strlen(state) + strlen(tier) + 4;
	text_name(field_text(service, "name"), rest + 16 < WIDTH ? WIDTH - rest : 16, name,
		  sizeof(name));
	text_fit(vip, 48, fit, sizeof(fit));
	printf("%s  %s  ", name, fit);
	text_fit(state, 16, fit, sizeof(fit));
	printf("%s%s%s%s\n", text_colour(fit), fit, text_colour_end(fit), tier);
	if (json_is_object(json_object_get(service, "forced")) ||
	    json_is_integer(json_object_get(service, "held_back"))) {
		snprintf(why, sizeof(why), "   %s", text_tier(service, line));
		puts(text_fit(why, sizeof(why) - 1, safe, sizeof(safe)));
	}
	print_allow(json_object_get(service, "allow"), now);
	tables_print_zone(json_object_get(service, "zone"));
}

/* Why a server is not up, in the words of the server or of this box; and why its probe is refused. */
static void print_reason(const json_t *server)
{
	const char *code = field_text(server, "exo_code"), *text = field_text(server, "text");
	const json_t *warning = json_object_get(server, "warning");
	char line[LINE_SIZE];

	if (json_is_object(warning)) {
		snprintf(line, sizeof(line), "        warning: %s: %s",
			 field_text(warning, "reason"), field_text(warning, "text"));
		print_fit(line);
	}
	if (!strcmp(field_text(server, "reason"), "ok"))
		return;
	snprintf(line, sizeof(line), "%s%s%s%s%s%s", field_text(server, "reason"),
		 *code ? " (" : "", code, *code ? ")" : "", *text ? ": " : "", text);
	printf("%*s", REASON_MARGIN - 2, "");
	tables_print_wrapped(line, REASON_MARGIN, REASON_MARGIN - 2);
}

/* What to do about it: mxlbd's diagnosis. */
static void print_steps(const json_t *document, const char *service, const char *server)
{
	const json_t *f;
	size_t i;

	json_array_foreach (json_object_get(document, "diagnosis"), i, f) {
		if (strcmp(field_text(f, "service"), service) ||
		    strcmp(field_text(f, "server"), server) || !*field_text(f, "next"))
			continue;
		printf("%*s-> ", REASON_MARGIN - 2, "");
		tables_print_wrapped(field_text(f, "next"), REASON_MARGIN + 1, REASON_MARGIN + 1);
	}
}

static void print_server(const json_t *tier, const json_t *server, time_t now)
{
	char name[NAME_WIDTH + 1], verdict[16], admin[8], since[TEXT_SHORT_SIZE] = "-";
	char flows[TEXT_SHORT_SIZE], fresh[TEXT_SHORT_SIZE];
	time_t changed = field_time(server, "since");

	text_name(field_text(server, "name"), NAME_WIDTH, name, sizeof(name));
	text_fit(field_text(server, "verdict"), 8, verdict, sizeof(verdict));
	text_fit(field_text(server, "admin"), 5, admin, sizeof(admin));
	if (changed)
		text_age(now - changed, since);
	printf("%c %5lld %-24s %6lld %s%-8s%s %-5s %7s %6s %6s\n",
	       field_true(server, "in_ring") ? '*' : ' ', field_number(tier, "preference"), name,
	       field_number(server, "weight"), text_colour(verdict), verdict,
	       text_colour_end(verdict), admin, since,
	       text_count(field_number(server, "flows"), flows),
	       text_count(field_number(server, "new"), fresh));
	print_reason(server);
}

/* mxlbd's diagnosis. The servers' own findings stand in the table. */
static void print_findings(const json_t *document)
{
	json_t *f;
	size_t i;

	json_array_foreach (json_object_get(document, "diagnosis"), i, f) {
		const char *level = field_text(f, "level"), *next = field_text(f, "next");
		char line[LINE_SIZE];
		bool note = !strcmp(level, "note");

		if ((note && strncmp(field_text(f, "code"), "senders_", 8)) ||
		    *field_text(f, "server"))
			continue;
		printf("%s",
		       note ? "" : text_colour(strcmp(level, "critical") ? "warning" : "error"));
		snprintf(line, sizeof(line), "%s: %s", level, field_text(f, "text"));
		tables_print_wrapped(line, 2, 0);
		printf("%s", text_colour_end("error"));
		if (!*next)
			continue;
		printf("  -> ");
		tables_print_wrapped(next, 5, 5);
	}
}

static void print_daemon(const json_t *document, time_t now)
{
	const json_t *config = json_object_get(document, "config");
	const char *error = field_text(config, "last_error");
	char line[LINE_SIZE], up[TEXT_SHORT_SIZE], age[TEXT_SHORT_SIZE];
	const json_t *ha = json_object_get(document, "ha");
	time_t loaded = field_time(config, "loaded_at"), as_of = field_time(document, "as_of");
	time_t uptime = (time_t)field_number(document, "uptime_s");

	if (json_is_object(ha)) {
		snprintf(line, sizeof(line), "%s, %s for %s", field_text(ha, "name"),
			 field_text(ha, "role"), text_age(now - field_time(ha, "since"), age));
		print_fit(line);
	}
	if (json_is_false(json_object_get(document, "running"))) {
		snprintf(line, sizeof(line), "mxlbd is not running; verdicts as of %.19sZ, %s ago",
			 as_of ? field_text(document, "as_of") : "?",
			 as_of ? text_age(now - as_of, age) : "?");
		print_fit(line);
		return;
	}

	snprintf(line, sizeof(line), "mxlbd %s, pid %lld, up %s; %s loaded %s ago",
		 field_text(document, "version"), field_number(document, "pid"),
		 text_age(uptime, up), field_text(config, "file"), /* read just before the start */
		 loaded ? text_age(now - loaded < uptime ? now - loaded : uptime, age) : "?");
	tables_print_wrapped(line, 2, 0);
	if (strchr(error, '\n') &&
	    strchr(error, '\n')[1]) { /* the finding has the first one only */
		puts("The last reload failed with these errors:");
		for (size_t len; *error; error += len + (error[len] == '\n')) {
			len = strcspn(error, "\n");
			snprintf(line, sizeof(line), "  %.*s", len < 900 ? (int)len : 900, error);
			print_fit(line);
		}
	}
}

void tables_status(const json_t *document)
{
	const json_t *service, *tier, *server;
	time_t now = field_time(document, "time");
	size_t i, k, n;

	print_daemon(document, now);
	print_findings(document);
	json_array_foreach (json_object_get(document, "services"), i, service) {
		putchar('\n');
		print_service(service, now);
		puts("   PREF SERVER                   WEIGHT VERDICT  ADMIN   SINCE  FLOWS    NEW");
		json_array_foreach (json_object_get(service, "tiers"), k, tier)
			json_array_foreach (tier_servers(tier), n, server) {
				print_server(tier, server, now);
				print_steps(document, field_text(service, "name"),
					    field_text(server, "name"));
			}
	}
	puts("\n* takes new connections");
}

/* One "label  text" line, its text made safe but never cut: a subject is to be pasted elsewhere. */
static void tables_print_field(const char *label, const char *text)
{
	char safe[LINE_SIZE];

	printf("  %-11s %s\n", label, text_fit(text, sizeof(safe) - 1, safe, sizeof(safe)));
}

static void print_tls(const json_t *tls)
{
	const json_t *name;
	char line[LINE_SIZE];
	size_t i;

	if (!json_is_object(tls)) {
		tables_print_field("tls", "not used");
		return;
	}
	snprintf(line, sizeof(line), "%s %s", field_text(tls, "version"),
		 field_text(tls, "cipher"));
	tables_print_field("tls", line);
	tables_print_field("subject", field_text(tls, "subject"));
	tables_print_field("issuer", field_text(tls, "issuer"));
	json_array_foreach (json_object_get(tls, "names"), i, name)
		if (json_is_string(name))
			tables_print_field("name", json_string_value(name));
	snprintf(line, sizeof(line), "%s (%lld days)", field_text(tls, "not_after"),
		 field_number(tls, "days_left"));
	tables_print_field("expires", line);
	tables_print_field("thumbprint", field_text(tls, "sha1"));
	tables_print_field("tlsa 3 1 1", field_text(tls, "spki_sha256"));
}

static void print_last_probe(const json_t *probe)
{
	char line[LINE_SIZE];

	if (!json_is_object(probe)) {
		tables_print_field("last probe", "never");
		return;
	}
	snprintf(line, sizeof(line),
		 "%s to stage %s; ms: connect %lld, greeting %lld, tls %lld, total %lld",
		 field_text(probe, "at"), field_text(probe, "stage"),
		 field_number(probe, "connect_ms"), field_number(probe, "greeting_ms"),
		 field_number(probe, "tls_ms"), field_number(probe, "total_ms"));
	tables_print_field("last probe", line);
}

static void print_tunnel(const json_t *tunnel)
{
	const char *source = field_text(tunnel, "source");
	char line[LINE_SIZE];

	if (!json_is_object(tunnel))
		return;
	snprintf(line, sizeof(line), "from %s to %s, MTU %lld",
		 *source ? source : "(not known yet)", field_text(tunnel, "target"),
		 field_number(tunnel, "mtu"));
	tables_print_field("tunnel", line);
}

void tables_server(const json_t *service, const json_t *tier, const json_t *server, time_t now)
{
	const json_t *neighbour = json_object_get(server, "neighbour");
	const json_t *table = json_object_get(server, "flow_table");
	const json_t *warning = json_object_get(server, "warning");
	const char *code = field_text(server, "exo_code"), *mac = field_text(neighbour, "mac");
	char line[LINE_SIZE], vip[128], age[TEXT_SHORT_SIZE], order[TEXT_TIER_SIZE];

	snprintf(line, sizeof(line), "%s/%s", field_text(service, "name"),
		 field_text(server, "name"));
	print_fit(line);
	snprintf(line, sizeof(line), "%s, preference %lld%s, weight %lld, forward %s",
		 field_text(server, "address"), field_number(tier, "preference"),
		 field_true(tier, "active") ? " (active)" : "", field_number(server, "weight"),
		 field_text(server, "forward"));
	tables_print_field("address", line);
	tables_print_field("service", vip_text(service, vip, sizeof(vip)));
	snprintf(line, sizeof(line), "%s since %s (%s), %s", field_text(server, "verdict"),
		 field_text(server, "since"), text_age(now - field_time(server, "since"), age),
		 field_true(server, "in_ring") ? "takes new connections"
					       : "takes no new connections");
	tables_print_field("verdict", line);
	snprintf(line, sizeof(line), "%s%s%s", field_text(server, "reason"),
		 *code ? "; Exchange Online would say " : "", code);
	tables_print_field("reason", line);
	tables_print_field("text", field_text(server, "text"));
	if (json_is_object(warning)) {
		snprintf(line, sizeof(line), "%s: %s: %s", field_text(warning, "reason"),
			 field_text(warning, "meaning"), field_text(warning, "text"));
		tables_print_field("warning", line);
	}
	snprintf(line, sizeof(line), "%s%s", field_text(server, "admin"),
		 text_order(json_object_get(server, "admin_order"), order));
	tables_print_field("admin", line);
	snprintf(line, sizeof(line), "%s%s%s%s", field_text(neighbour, "state"), *mac ? ", " : "",
		 mac, field_true(neighbour, "routed") ? ", a router" : "");
	tables_print_field("next hop", line);
	print_tunnel(json_object_get(server, "tunnel"));
	print_last_probe(json_object_get(server, "last_probe"));
	print_tls(json_object_get(server, "tls"));
	snprintf(line, sizeof(line), "%lld flows, %lld new, %lld packets, %lld bytes",
		 field_number(server, "flows"), field_number(server, "new"),
		 field_number(server, "packets"), field_number(server, "bytes"));
	tables_print_field("traffic", line);
	snprintf(line, sizeof(line),
		 "%lld promoted, %lld misses, %lld retransmits, %lld evicted, %lld unplaced",
		 field_number(table, "promoted"), field_number(table, "misses"),
		 field_number(table, "retransmits"), field_number(table, "evicted"),
		 field_number(table, "unplaced"));
	tables_print_field("flow table", line);
}
