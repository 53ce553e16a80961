/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints zones, and asks for a lookup or for what is held back. Status 1: the set in force differs from the zone. */
#include "ctl/ctl_zone.h"

#include <stdio.h>
#include <string.h>
#include "ctl/text.h"

static void print_exchanger(const json_t *e)
{
	const json_t *zone = json_object_get(e, "zone_preference"), *address;
	size_t i;

	printf("  %5lld  %-40s", field_number(e, "preference"), field_text(e, "name"));
	json_array_foreach (json_object_get(e, "addresses"), i, address)
		printf("%s%s", i ? ", " : " ", json_string_value(address));
	if (json_is_null(zone))
		printf("  no longer in the zone");
	else if (json_integer_value(zone) != field_number(e, "preference"))
		printf("  in the zone: %lld", (long long)json_integer_value(zone));
	if (json_is_true(json_object_get(e, "alias")))
		printf("  an alias (RFC 2181 section 10.3)");
	putchar('\n');
	if (json_is_string(json_object_get(e, "unmapped")))
		printf("         no mail: %s\n", field_text(e, "unmapped"));
}

static void print_tlsa(const json_t *t)
{
	if (!json_is_object(t))
		return;
	printf("  TLSA of %s (probe %s): %s, %lld records in force%s%s%s\n", field_text(t, "name"),
	       field_text(t, "probe"), field_text(t, "state"), field_number(t, "records"),
	       *field_text(t, "why") ? ": " : "", field_text(t, "why"),
	       json_is_true(json_object_get(t, "unmatched"))
		       ? "; no server of the best tier has a key that matches"
		       : "");
	printf("  Exchange Online: %s\n", field_text(t, "exchange_online"));
}

static void print_zone(const char *service, const json_t *z)
{
	const json_t *e, *secure = json_object_get(z, "secure");
	size_t i;

	printf("%s  mx %s  %s%s%s\n", service, field_text(z, "mx"), field_text(z, "state"),
	       *field_text(z, "why") ? ": " : "", field_text(z, "why"));
	printf("  answered %s, %s; in force as of %s\n",
	       json_is_null(json_object_get(z, "answered")) ? "not since the start"
							    : field_text(z, "answered"),
	       json_is_null(secure)   ? "DNSSEC unknown"
	       : json_is_true(secure) ? "secure"
				      : "not signed",
	       json_is_null(json_object_get(z, "in_force_at")) ? "never"
							       : field_text(z, "in_force_at"));
	json_array_foreach (json_object_get(z, "exchangers"), i, e)
		print_exchanger(e);
	printf("  Exchange Online: %s\n", field_text(z, "exchange_online"));
	json_array_foreach (json_object_get(z, "held"), i, e)
		printf("  held back: %s\n", json_string_value(e));
	print_tlsa(json_object_get(z, "tlsa"));
}

static enum ctl_exit show(const struct ctl *ctl, const char *service)
{
	char command[256];
	struct buf reply = {0};
	json_t *all = NULL, *z;
	bool differs = false, any = false;
	const char *name;
	enum ctl_exit rc;

	snprintf(command, sizeof(command), "show zone %.200s", service ? service : "");
	rc = link_ask(ctl->socket, command, &reply);
	if (!rc)
		all = json_loads(reply.data ? reply.data : "", 0, NULL);
	if (!rc && !all)
		rc = ctl_refused(ctl, reply.data ? reply.data : "no answer");
	if (!rc && ctl->json)
		ctl_print_json(all);
	json_object_foreach (all, name, z) {
		if (!json_is_object(z))
			continue;
		any = true;
		differs |= json_is_true(json_object_get(z, "differs"));
		if (!ctl->json)
			print_zone(name, z);
	}
	if (!rc && !any && !ctl->json)
		puts("no service has its servers from DNS (mx)");
	json_decref(all);
	buf_free(&reply);
	return rc ? rc : differs ? CTL_REFUSED : CTL_DONE;
}

enum ctl_exit zone_run(const struct ctl *ctl, char **args)
{
	char command[256];
	struct buf reply = {0};
	enum ctl_exit rc;

	if (!args[0] || !args[1])
		return show(ctl, args[0]);
	if (strcmp(args[1], "read") && strcmp(args[1], "accept")) {
		fputs("usage: mxlbctl zone [SERVICE [read | accept]]\n", stderr);
		return CTL_USAGE;
	}
	snprintf(command, sizeof(command), "zone %.200s %s", args[0], args[1]);
	rc = link_ask(ctl->socket, command, &reply);
	if (!rc && reply.len)
		rc = ctl_refused(ctl, reply.data);
	buf_free(&reply);
	return rc;
}
