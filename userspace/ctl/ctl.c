/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends a command to mxlbd and reports its errors. The daemon's answer is treated as untrusted data. */
#include "ctl/ctl.h"

#include <string.h>
#include "ctl/ctl_complete.h"
#include "ctl/pinned.h"
#include "ctl/text.h"
#include "util/utf8.h"

void ctl_print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
}

void ctl_print_lines(FILE *to, const char *text)
{
	size_t len = strlen(text), n;

	for (size_t i = 0; i < len; i += n ? n : 1) {
		n = utf8_printable(text + i, len - i);
		if (n)
			fwrite(text + i, 1, n, to);
		else
			putc(text[i] == '\n' ? '\n' : '?', to);
	}
}

static enum ctl_exit say_no(const struct ctl *ctl, const char *what, const char *sentence)
{
	size_t len = strlen(sentence);
	json_t *json;

	if (ctl->json) {
		while (len && sentence[len - 1] == '\n')
			len--;
		json = json_stringn(sentence, len);
		json = json_pack("{s:o}", "error",
				 json ? json : json_string("text that is not UTF-8"));
		ctl_print_json(json);
		json_decref(json);
	} else {
		fprintf(stderr, "mxlbctl: %s", what);
		ctl_print_lines(stderr, sentence);
	}
	return CTL_REFUSED;
}

/* Adds what helps: the existing names after a mistyped one, or who may make changes. */
static void hint(const struct ctl *ctl, const char *sentence)
{
	static const struct {
		const char *sentence, *kind;
	} rows[] = {
		{"No such server.", "backend"},
		{"No such service.", "service"},
		{"No such tier.", "tier"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strncmp(sentence, rows[i].sentence, strlen(rows[i].sentence)))
			complete_hint(ctl, rows[i].kind);
	if (!strncmp(sentence, "Permission denied", 17))
		fputs("  Run it as root, or as a user listed in control.operators.\n", stderr);
}

enum ctl_exit ctl_refused(const struct ctl *ctl, const char *sentence)
{
	enum ctl_exit rc = say_no(ctl, "refused: ", sentence);

	if (!ctl->json)
		hint(ctl, sentence);
	return rc;
}

enum ctl_exit ctl_failed(const struct ctl *ctl, const char *sentence)
{
	return say_no(ctl, "", sentence);
}

static enum ctl_exit load_status(const struct ctl *ctl, const struct buf *reply, json_t **document)
{
	*document = json_loadb(reply->data, reply->len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_array(json_object_get(*document, "services")))
		return CTL_DONE;
	json_decref(*document);
	*document = NULL;
	return ctl_refused(ctl, reply->len && *reply->data != '{' ? reply->data
								  : "no status document came\n");
}

enum ctl_exit ctl_status(const struct ctl *ctl, json_t **document)
{
	struct buf reply = {0};
	enum ctl_exit rc = link_ask(ctl->socket, "show status", &reply);

	*document = NULL;
	if (!rc)
		rc = load_status(ctl, &reply, document);
	buf_free(&reply);
	return rc;
}

enum ctl_exit ctl_status_or_pinned(const struct ctl *ctl, json_t **document, bool *stopped)
{
	struct buf reply = {0};
	enum ctl_exit rc = pinned_ask(ctl, "show status", &reply, stopped);

	*document = NULL;
	if (!rc)
		rc = load_status(ctl, &reply, document);
	buf_free(&reply);
	return rc;
}

static bool is_named(const char *wanted, const char *service, const char *server)
{
	size_t len = strlen(service);

	if (!strcmp(wanted, server))
		return true;
	return !strncmp(wanted, service, len) && wanted[len] == '/' &&
	       !strcmp(wanted + len + 1, server);
}

size_t ctl_find(const json_t *document, const char *wanted, struct ctl_found out[CTL_FOUND_MAX])
{
	json_t *service, *tier, *server;
	size_t i, k, n, found = 0;

	json_array_foreach (json_object_get(document, "services"), i, service)
		json_array_foreach (json_object_get(service, "tiers"), k, tier)
			json_array_foreach (tier_servers(tier), n, server) {
				if (found < CTL_FOUND_MAX &&
				    is_named(wanted, field_text(service, "name"),
					     field_text(server, "name")))
					out[found++] = (struct ctl_found){service, tier, server};
			}
	return found;
}
