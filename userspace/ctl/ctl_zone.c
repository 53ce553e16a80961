/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints zones, and asks for a lookup or for what is held back. Status 1: the set in force differs from the zone. */
#include "ctl/ctl_zone.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include "ctl/text.h"
#include "util/clock.h"

#define POLL_MS 100
#define READ_S	20 /* the resolver's child starts, then two rounds of lookups of 5 s each */

static void print_exchanger(const json_t *e, bool answered)
{
	const json_t *zone = json_object_get(e, "zone_preference"), *address;
	size_t i;

	printf("  %5lld  %-40s", field_number(e, "preference"), field_text(e, "name"));
	json_array_foreach (json_object_get(e, "addresses"), i, address)
		printf("%s%s", i ? ", " : " ", json_string_value(address));
	if (*field_text(e, "configured"))
		printf(" set in the configuration: %s", field_text(e, "configured"));
	if (!answered)
		; /* what the zone says is not known */
	else if (json_is_null(zone))
		printf("  no longer in the zone");
	else if (json_integer_value(zone) != field_number(e, "preference"))
		printf("  in the zone: %lld", (long long)json_integer_value(zone));
	if (json_is_true(json_object_get(e, "alias")))
		printf("  an alias (RFC 2181 section 10.3)");
	putchar('\n');
	if (json_is_string(json_object_get(e, "unmapped")))
		printf("         %s: %s\n",
		       json_is_true(json_object_get(e, "used")) ? "note" : "not used",
		       field_text(e, "unmapped"));
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

	if (json_is_null(json_object_get(z, "mx"))) {
		printf("%s  servers of the file\n", service);
		print_tlsa(json_object_get(z, "tlsa"));
		return;
	}
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
		print_exchanger(e, json_is_string(json_object_get(z, "answered")));
	printf("  Exchange Online: %s\n", field_text(z, "exchange_online"));
	json_array_foreach (json_object_get(z, "held"), i, e)
		printf("  held back: %s\n", json_string_value(e));
	print_tlsa(json_object_get(z, "tlsa"));
}

/* The document of `show zone`. */
static enum ctl_exit ask_zones(const struct ctl *ctl, const char *service, json_t **all)
{
	char command[256];
	struct buf reply = {0};
	enum ctl_exit rc;

	snprintf(command, sizeof(command), "show zone %.200s", service ? service : "");
	rc = link_ask(ctl->socket, command, &reply);
	*all = rc ? NULL : json_loads(reply.data ? reply.data : "", 0, NULL);
	if (!rc && !*all)
		rc = ctl_refused(ctl, reply.data ? reply.data : "no answer");
	buf_free(&reply);
	return rc;
}

static enum ctl_exit print_zones(const struct ctl *ctl, json_t *all)
{
	bool differs = false, any = false;
	const char *name;
	json_t *z;

	if (ctl->json)
		ctl_print_json(all);
	json_object_foreach (all, name, z) {
		if (!json_is_object(z))
			continue;
		any = true;
		differs |= json_is_true(json_object_get(z, "differs"));
		if (!ctl->json)
			print_zone(name, z);
	}
	if (!any && !ctl->json)
		puts("no service has anything from DNS (mx, tlsa-name)");
	return differs ? CTL_REFUSED : CTL_DONE;
}

static enum ctl_exit print_accepted(const struct ctl *ctl, const char *reply)
{
	json_t *result;

	if (!ctl->json) {
		fputs(reply, stdout);
		return CTL_DONE;
	}
	result = json_pack("{s:s, s:s%}", "result", "done", "text", reply, strcspn(reply, "\n"));
	ctl_print_json(result);
	json_decref(result);
	return CTL_DONE;
}

static enum ctl_exit zone_send(const struct ctl *ctl, const char *service, const char *word)
{
	char command[256];
	struct buf reply = {0};
	enum ctl_exit rc;

	snprintf(command, sizeof(command), "zone %.200s %s", service, word);
	rc = link_ask(ctl->socket, command, &reply);
	if (!rc && reply.len)
		rc = strncmp(reply.data, "Accepted", 8) ? ctl_refused(ctl, reply.data)
							: print_accepted(ctl, reply.data);
	buf_free(&reply);
	return rc;
}

/* Waits until one more lookup has ended. *all: what is known then. */
static enum ctl_exit zone_read(const struct ctl *ctl, const char *service, json_t **all)
{
	long long limit = (ctl->timeout_s ? ctl->timeout_s : READ_S) * 1000LL, before, begin;
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	enum ctl_exit rc = ask_zones(ctl, service, all);

	before = field_number(json_object_get(*all, service), "lookups");
	begin = (long long)clock_ms();
	if (!rc)
		rc = zone_send(ctl, service, "read");
	while (!rc && field_number(json_object_get(*all, service), "lookups") == before) {
		if ((long long)clock_ms() - begin > limit)
			return ctl_failed(ctl,
					  "the lookup has begun and has not ended in time: see "
					  "mxlbctl zone later\n");
		nanosleep(&pause, NULL);
		json_decref(*all);
		rc = ask_zones(ctl, service, all);
	}
	return rc;
}

enum ctl_exit zone_run(const struct ctl *ctl, char **args)
{
	bool read = args[0] && args[1] && !strcmp(args[1], "read");
	json_t *all = NULL;
	enum ctl_exit rc;

	if (args[0] && args[1] && !read && strcmp(args[1], "accept")) {
		fputs("usage: mxlbctl zone [SERVICE [read | accept]]\n", stderr);
		return CTL_USAGE;
	}
	if (args[0] && args[1] && !read)
		return zone_send(ctl, args[0], "accept");
	rc = read ? zone_read(ctl, args[0], &all) : ask_zones(ctl, args[0], &all);
	if (!rc)
		rc = print_zones(ctl, all);
	json_decref(all);
	return rc;
}
