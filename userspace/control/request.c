/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of commands share: replies, and what the words of a command name. */
#include "control/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util/utf8.h"

#define SENTENCE_MAX 1024

enum { LEVEL_ERROR = 3, LEVEL_INFO = 6 }; /* syslog's, which HAProxy's severities are */

static void put_severity(struct request *r, int level)
{
	if (r->caller->severity == SEVERITY_NUMBER)
		buf_printf(r->out, "[%d]: ", level);
	else if (r->caller->severity == SEVERITY_STRING)
		buf_printf(r->out, "[%s]: ", level == LEVEL_ERROR ? "err" : "info");
}

static void put_sentence(struct request *r, const char *format, va_list args)
{
	char text[SENTENCE_MAX];

	vsnprintf(text, sizeof(text), format, args);
	buf_printf(r->out, "%s", text);
}

void command_error(struct request *r, const char *format, ...)
{
	va_list args;

	put_severity(r, LEVEL_ERROR);
	va_start(args, format);
	put_sentence(r, format, args);
	va_end(args);
}

void command_info(struct request *r, const char *format, ...)
{
	va_list args;

	put_severity(r, LEVEL_INFO);
	va_start(args, format);
	put_sentence(r, format, args);
	va_end(args);
}

struct service *request_service(struct request *r, const char *name)
{
	struct model *m = r->env->model;

	for (unsigned i = 0; i < m->n_services; i++)
		if (!strcmp(m->services[i].conf.name, name))
			return &m->services[i];
	command_error(r, "No such service.\n");
	return NULL;
}

void command_append_lines(struct buf *out, const char *text)
{
	char last = '\n';

	for (size_t n; text && *text; text += n ? n : 1) {
		n = utf8_printable(text, strlen(text));
		if (n)
			buf_append(out, text, n);
		else if (*text != '\n')
			buf_append(out, "?", 1);
		else if (last != '\n')
			buf_append(out, "\n", 1);
		last = *text;
	}
	if (last != '\n')
		buf_append(out, "\n", 1);
}

struct control_info request_info(struct request *r)
{
	struct control_info info = {0};

	r->env->cb.refresh(r->env->cb.ctx, &info);
	return info;
}

static bool has_service(const struct model *m, const char *name)
{
	for (unsigned i = 0; i < m->n_services; i++)
		if (!strcmp(m->services[i].conf.name, name))
			return true;
	return false;
}

struct server *request_server(struct request *r)
{
	struct model *m = r->env->model;
	char *service = r->n_args ? r->args[0] : NULL,
	     *slash = service ? strchr(service, '/') : NULL;
	struct server *b;

	if (!slash || slash == service || !slash[1]) {
		command_error(r, "Require 'backend/server'.\n");
		return NULL;
	}
	*slash = '\0';
	b = model_find(m, service, slash + 1);
	if (!b)
		command_error(r, "%s\n",
			      has_service(m, service) ? "No such server." : "No such backend.");
	return b;
}

/* Parses "for 900" at the end of a command, in seconds ("900s" too). False, after an error reply: it is something else. */
bool request_for(struct request *r, unsigned first, uint64_t *for_ms)
{
	const char *text = r->n_args == first + 2 ? r->args[first + 1] : "";
	char *end = NULL;
	unsigned long long s;

	*for_ms = 0;
	if (r->n_args <= first)
		return true;
	errno = 0;
	s = strtoull(text, &end, 10);
	if (strcmp(r->args[first], "for") || !isdigit((unsigned char)*text) ||
	    (*end && strcmp(end, "s")) || errno || !s || s > ORDER_FOR_MAX_MS / 1000) {
		command_error(r, "Expects 'for <seconds>', at most a year.\n");
		return false;
	}
	*for_ms = s * 1000;
	return true;
}
