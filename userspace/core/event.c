/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring buffer of the last events, their numbers, and their one-line form. change.c decides what is an event. */
#include <stdio.h>
#include <string.h>
#include "core/event.h"
#include "util/log.h"

static const char *const kinds[] = {
	[EVENT_BACKEND_VERDICT] = "backend_verdict",
	[EVENT_BACKEND_ADMIN] = "backend_admin",
	[EVENT_BACKEND_NEXTHOP] = "backend_nexthop",
	[EVENT_BACKEND_WEIGHT] = "backend_weight",
	[EVENT_SERVICE_STATE] = "service_state",
	[EVENT_SERVICE_TIER] = "service_tier",
	[EVENT_SERVICE_FORCED] = "service_forced",
	[EVENT_CONFIG] = "config",
	[EVENT_RELOAD_FAILED] = "reload_failed",
	[EVENT_STARTED] = "started",
	[EVENT_STOPPED] = "stopped",
	[EVENT_DETACH] = "detach",
	[EVENT_INTERFACE] = "interface",
	[EVENT_LINK] = "link",
	[EVENT_PROBE_CHILD] = "probe_child",
	[EVENT_VIP_CONFLICT] = "vip_conflict",
	[EVENT_CERTIFICATE_EXPIRES] = "certificate_expires",
	[EVENT_CERTIFICATE_DIFFERS] = "certificate_differs",
	[EVENT_PROBLEM] = "problem",
	[EVENT_PUT_BACK] = "put_back",
	[EVENT_INTERFACE_BLIND] = "interface_blind",
	[EVENT_PROBE_COST] = "probe_cost",
	[EVENT_BACKEND_WARNING] = "backend_warning",
	[EVENT_ROLE] = "role",
	[EVENT_ROLE_SOURCE] = "role_source",
	[EVENT_ROUTE] = "route",
	[EVENT_NOTIFY_TEST] = "notify_test",
	[EVENT_ZONE] = "zone",
	[EVENT_TLSA] = "tlsa",
};

const char *event_kind_name(enum event_kind k)
{
	return (unsigned)k < sizeof(kinds) / sizeof(*kinds) ? kinds[k] : "?";
}

struct event *event_add(struct event_log *log, enum event_kind kind, int64_t time_ms)
{
	struct event *e;

	if (!log->next_seq)
		log->next_seq = 1;
	e = &log->ring[log->next_seq % EVENT_LOG_SIZE];
	memset(e, 0, sizeof(*e));
	e->seq = log->next_seq++;
	e->time_ms = time_ms;
	e->kind = kind;
	return e;
}

static enum log_level zone_level(const struct event *e)
{
	bool again = !strcmp(e->reason, ZONE_REMINDER);

	if (!strcmp(e->to, "current"))
		return *e->reason ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
	return !strcmp(e->to, "refused") || (!strcmp(e->to, "held") && again) ? LOG_LEVEL_ERROR
									      : LOG_LEVEL_WARN;
}

static enum log_level tlsa_level(const struct event *e)
{
	if (!strcmp(e->to, "kept"))
		return LOG_LEVEL_ERROR;
	return *e->reason ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
}

static enum log_level error_if(bool bad)
{
	return bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO;
}

enum log_level event_level(const struct event *e)
{
	switch (e->kind) {
	case EVENT_RELOAD_FAILED:
	case EVENT_PROBE_CHILD:
	case EVENT_NOTIFY_TEST: /* so that no filter keeps it back */
		return LOG_LEVEL_ERROR;
	case EVENT_CERTIFICATE_EXPIRES:
	case EVENT_CERTIFICATE_DIFFERS:
	case EVENT_DETACH:
	case EVENT_PUT_BACK:
		return LOG_LEVEL_WARN;
	case EVENT_ZONE:
		return zone_level(e);
	case EVENT_TLSA:
		return tlsa_level(e);
	case EVENT_PROBLEM:
		return error_if(strcmp(e->to, "none"));
	case EVENT_PROBE_COST:
		return strcmp(e->to, "cheap") ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
	case EVENT_BACKEND_WARNING:
		return strcmp(e->to, "none") ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
	case EVENT_SERVICE_STATE:
		return error_if(!strcmp(e->to, service_state_name(SERVICE_FAIL_OPEN)) ||
				!strcmp(e->to, service_state_name(SERVICE_DOWN)) ||
				!strcmp(e->to, service_state_name(SERVICE_BLIND)) ||
				!strcmp(e->to, service_state_name(SERVICE_PANIC)));
	case EVENT_INTERFACE:
		return error_if(!strcmp(e->to, "detached"));
	case EVENT_INTERFACE_BLIND:
		return error_if(!strcmp(e->to, "blind"));
	case EVENT_ROLE_SOURCE:
		return error_if(!strcmp(e->to, "lost"));
	case EVENT_VIP_CONFLICT:
		return error_if(!strcmp(e->to, "claimed"));
	case EVENT_LINK:
		return error_if(strcmp(e->to, "up"));
	default:
		return LOG_LEVEL_INFO;
	}
}

const struct event *event_get(const struct event_log *log, uint64_t seq)
{
	const struct event *e = &log->ring[seq % EVENT_LOG_SIZE];

	return seq && e->seq == seq ? e : NULL;
}

/* Appends " key=value" if there is a value. */
static size_t event_put(char *buf, size_t size, size_t at, const char *key, const char *value)
{
	int n;

	if (!*value || at >= size)
		return at;
	n = snprintf(buf + at, size - at, " %s=%s", key, value);
	return n < 0 ? at : at + (size_t)n;
}

char *event_line(const struct event *e, char *buf, size_t size)
{
	char words[EVENT_TEXT_SIZE * 2], quoted[sizeof(words) + 2];
	size_t at;

	if (!size)
		return buf;
	at = (size_t)snprintf(buf, size, "event=%s", event_kind_name(e->kind));
	at = event_put(buf, size, at, "service", e->service);
	at = event_put(buf, size, at, "backend", e->server);
	at = event_put(buf, size, at, "interface", e->interface);
	at = event_put(buf, size, at, "from", e->from);
	at = event_put(buf, size, at, "to", e->to);
	at = event_put(buf, size, at, "user", e->user);
	if (*e->cause) {
		log_quote(e->cause, strlen(e->cause), words, sizeof(words));
		snprintf(quoted, sizeof(quoted), "\"%s\"", words);
		event_put(buf, size, at, "cause", quoted);
	}
	return buf;
}
