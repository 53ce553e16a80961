/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the checks and prints their findings: the order, the exit status and the layout. Knows no check. */
#include "ctl/doctor/doctor.h"

#include <string.h>
#include <unistd.h>
#include "conf/conf.h"
#include "ctl/ctl_config.h"
#include "ctl/text.h"
#include "util/utf8.h"

#define DEFAULT_FILE "/etc/mxlb/mxlb.yaml"

#define MARGIN	     29 /* of the sentences: behind level and name */
#define WIDTH	     79

static const struct doctor_check *const tables[] = {
	doctor_box_checks,  doctor_files_checks, doctor_net_checks, doctor_device_checks,
	doctor_mail_checks, doctor_wire_checks,	 doctor_own_checks, doctor_ha_checks,
};

static const char *missing(const struct doctor *d, unsigned needs)
{
	if ((needs & NEEDS_ROOT) && !d->root)
		return "needs root";
	if ((needs & NEEDS_STATUS) && !d->status)
		return "needs a running mxlbd";
	if ((needs & NEEDS_CONFIG) && !d->config)
		return d->ctl->file ? "needs a valid configuration"
				    : "needs mxlbd, or a valid configuration (-c FILE)";
	return NULL;
}

static void run_check(struct doctor *d, const struct doctor_check *check)
{
	const char *why = missing(d, check->needs);
	size_t before = json_array_size(d->findings);

	d->check = check;
	if (why)
		doctor_find(d, DOCTOR_NOT_CHECKED, json_string(why), NULL);
	else
		check->run(d);
	if (json_array_size(d->findings) == before)
		doctor_find(d, DOCTOR_OK, json_string(check->fine), NULL);
}

/* Words up to the line's end; the next lines begin at the margin. */
static void doctor_print_wrapped(const char *text, int column)
{
	while (*text) {
		int word = (int)strcspn(text, " ");

		if (column > MARGIN && column + 1 + word > WIDTH) {
			printf("\n%*s", MARGIN, "");
			column = MARGIN;
		} else if (column > MARGIN) {
			putchar(' ');
			column++;
		}
		for (int i = 0, n; i < word; i += n ? n : 1) {
			n = (int)utf8_printable(text + i, (size_t)(word - i));
			fwrite(n ? text + i : "?", 1, n ? (size_t)n : 1, stdout);
		}
		column += word;
		text += word;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_finding(const json_t *finding)
{
	const char *level = field_text(finding, "level"), *advice = field_text(finding, "advice");

	printf("%s%-12s%s %-15s ", text_colour(level), level, text_colour_end(level),
	       field_text(finding, "check"));
	doctor_print_wrapped(field_text(finding, "text"), MARGIN);
	if (*advice) {
		printf("%*s-> ", MARGIN - 3, "");
		doctor_print_wrapped(advice, MARGIN);
	}
}

/* A line for each reason, with the checks that could not run. */
static void print_not_checked(const struct doctor *d)
{
	json_t *finding, *reasons = json_object();
	const char *reason;
	json_t *names;
	size_t i;

	json_array_foreach (d->findings, i, finding) {
		const char *name = field_text(finding, "check");

		if (strcmp(field_text(finding, "level"), doctor_level_names[DOCTOR_NOT_CHECKED]))
			continue;
		reason = field_text(finding, "text");
		names = json_object_get(reasons, reason);
		json_object_set_new(reasons, reason,
				    names ? json_sprintf("%s, %s", json_string_value(names), name)
					  : json_string(name));
	}
	json_object_foreach (reasons, reason, names) {
		json_t *text = json_sprintf("%s: %s", json_string_value(names), reason);

		printf("%-*s", MARGIN, doctor_level_names[DOCTOR_NOT_CHECKED]);
		doctor_print_wrapped(json_string_value(text), MARGIN);
		json_decref(text);
	}
	json_decref(reasons);
}

static void print_all(const struct doctor *d)
{
	json_t *finding;
	size_t i;

	json_array_foreach (d->findings, i, finding)
		if (strcmp(field_text(finding, "level"), doctor_level_names[DOCTOR_NOT_CHECKED]))
			print_finding(finding);
	print_not_checked(d);
	printf("errors: %u, warnings: %u, ok: %u, not checked: %u\n", d->counts[DOCTOR_ERROR],
	       d->counts[DOCTOR_WARNING], d->counts[DOCTOR_OK], d->counts[DOCTOR_NOT_CHECKED]);
}

/* The configuration of a service with `mx` has no servers: those in force take the place of its tiers. */
static void add_servers_of_dns(struct doctor *d)
{
	json_t *services = json_object_get(d->config, "services");
	struct ctl_found f;
	size_t i, k, n;

	json_array_foreach (json_object_get(d->status, "services"), i, f.service) {
		json_t *conf = json_object_get(services, field_text(f.service, "name"));
		json_t *servers = json_object();

		json_array_foreach (json_object_get(f.service, "tiers"), k, f.tier)
			json_array_foreach (tier_servers(f.tier), n, f.server)
				json_object_set(servers, field_text(f.server, "name"), f.server);
		if (json_is_object(conf) && !json_is_object(json_object_get(conf, "tiers")))
			json_object_set_new(conf, "tiers", json_pack("{s:O}", "mx", servers));
		json_decref(servers);
	}
}

/* Fills config and status as far as available. Returns the result of asking mxlbd. */
static enum ctl_exit gather(struct doctor *d)
{
	const char *file = d->ctl->file ? d->ctl->file : DEFAULT_FILE;
	bool by_file = d->ctl->file && !d->ctl->socket_given;
	struct config *config = NULL;
	enum ctl_exit rc = CTL_DONE;

	if (!by_file) /* of a dead one the check "mxlbd" speaks */
		rc = link_is_dead(d->ctl->socket) ? CTL_NO_DAEMON : ctl_status(d->ctl, &d->status);
	if (d->status)
		rc = config_ask(d->ctl, &d->config);
	add_servers_of_dns(d);
	if (d->status || (rc && rc != CTL_NO_DAEMON))
		return rc;
	if (!conf_load(file, NULL, &config, &d->refused)) {
		buf_free(&d->refused); /* warnings */
		d->config = conf_json(config, false);
	}
	config_free(config);
	return rc;
}

static void doctor_print_json(const struct doctor *d)
{
	json_t *document =
		json_pack("{s:O, s:i, s:i, s:i, s:i}", "findings", d->findings, "errors",
			  d->counts[DOCTOR_ERROR], "warnings", d->counts[DOCTOR_WARNING], "ok",
			  d->counts[DOCTOR_OK], "not_checked", d->counts[DOCTOR_NOT_CHECKED]);

	ctl_print_json(document);
	json_decref(document);
}

enum ctl_exit doctor_run(const struct ctl *ctl, char **args)
{
	struct doctor d = {.ctl = ctl, .root = !geteuid(), .findings = json_array()};
	enum ctl_exit rc = gather(&d);

	(void)args;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct doctor_check *check = tables[i]; check->name; check++)
			run_check(&d, check);
	(ctl->json ? doctor_print_json : print_all)(&d);
	if (!rc && d.counts[DOCTOR_ERROR])
		rc = CTL_REFUSED;
	json_decref(d.findings);
	json_decref(d.config);
	json_decref(d.status);
	buf_free(&d.refused);
	return rc;
}
