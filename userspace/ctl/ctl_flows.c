/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queries of the flow table. Arguments that the daemon would take for several words are refused, so that the command
 * is the one that was typed.
 */
#include "ctl/ctl_flows.h"

#include <string.h>
#include "ctl/pinned.h"

static bool ctl_flows_is_word(const char *arg)
{
	for (const char *p = arg; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == ';')
			return false;
	return *arg;
}

static enum ctl_exit print_document(const struct ctl *ctl, const struct buf *reply)
{
	json_t *json = json_loadb(reply->data, reply->len, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(json)) {
		json_decref(json);
		return ctl_refused(ctl, reply->len ? reply->data : "mxlbd sent no document\n");
	}
	ctl_print_json(json);
	json_decref(json);
	return CTL_DONE;
}

/* A reply of text begins with '#'; any other is a sentence about what is wrong. */
static enum ctl_exit ctl_flows_ask(const struct ctl *ctl, const char *command, const char *args)
{
	struct buf line = {0}, reply = {0};
	bool stopped = false;
	enum ctl_exit rc;

	buf_printf(&line, "%s %s%s", command, args, ctl->json ? " json" : "");
	rc = line.failed ? ctl_failed(ctl, "no memory\n")
			 : pinned_ask(ctl, line.data, &reply, &stopped);
	if (!rc && ctl->json)
		rc = print_document(ctl, &reply);
	else if (!rc && reply.len && *reply.data == '#')
		ctl_print_lines(stdout, reply.data);
	else if (!rc)
		rc = ctl_refused(ctl, reply.len ? reply.data : "mxlbd sent no reply\n");
	if (!rc && stopped)
		rc = CTL_NO_DAEMON;
	buf_free(&line);
	buf_free(&reply);
	return rc;
}

static enum ctl_exit refuse_words(void)
{
	fputs("mxlbctl: names and addresses cannot contain blanks, ';' or non-ASCII bytes\n",
	      stderr);
	return CTL_USAGE;
}

enum ctl_exit flows_list(const struct ctl *ctl, char **args)
{
	return ctl_flows_is_word(args[0]) ? ctl_flows_ask(ctl, "show flows", args[0])
					  : refuse_words();
}

enum ctl_exit flows_rejected(const struct ctl *ctl, char **args)
{
	struct buf words = {0};
	enum ctl_exit rc;

	if (args[0] && !ctl_flows_is_word(args[0]))
		return refuse_words();
	buf_printf(&words, "%s", args[0] ? args[0] : "");
	if (ctl->count)
		buf_printf(&words, " %u", ctl->count);
	rc = words.failed ? ctl_failed(ctl, "no memory\n")
			  : ctl_flows_ask(ctl, "show rejected", words.data);
	buf_free(&words);
	return rc;
}

enum ctl_exit flows_explain(const struct ctl *ctl, char **args)
{
	struct buf words = {0};
	enum ctl_exit rc;

	if (!ctl_flows_is_word(args[0]) || !ctl_flows_is_word(args[1]))
		return refuse_words();
	buf_printf(&words, "%s %s", args[0], args[1]);
	rc = words.failed ? ctl_failed(ctl, "no memory\n")
			  : ctl_flows_ask(ctl, "explain", words.data);
	buf_free(&words);
	return rc;
}
