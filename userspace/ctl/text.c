/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes text safe for a terminal: no control bytes, because a mail server's words end up here. */
#include "ctl/text.h"
#include "util/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *text_safe(char *text)
{
	size_t len = strlen(text), n;

	for (size_t i = 0; i < len; i += n ? n : 1) {
		n = utf8_printable(text + i, len - i);
		if (!n)
			text[i] = '?';
	}
	return text;
}

/* Keeps the first characters and the last `tail` ones; ".." stands for what is cut out between them. */
static char *shorten(const char *text, size_t width, size_t tail, char *buf, size_t size)
{
	size_t len = utf8_columns(text), head;

	if (width >= size)
		width = size - 1;
	if (tail + 2 > width)
		tail = 0;
	head = width > 2 ? width - tail - 2 : 0;
	if (len <= width)
		snprintf(buf, size, "%s", text);
	else
		snprintf(buf, size, "%.*s..%s", (int)utf8_bytes(text, head), text,
			 text + utf8_bytes(text, len - tail));
	return text_safe(buf);
}

char *text_name(const char *name, size_t width, char *buf, size_t size)
{
	return shorten(name, width, width > 8 ? width / 3 : 0, buf, size);
}

bool text_is_name(const char *text)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return *text && *text != '-' && *text != '.' && strlen(text) < TEXT_NAME_SIZE &&
	       !text[strspn(text, allowed)];
}

char *text_fit(const char *text, size_t width, char *buf, size_t size)
{
	return shorten(text, width, 0, buf, size);
}

char *text_age(long long s, char buf[TEXT_SHORT_SIZE])
{
	if (s < 0) /* the clock was set */
		s = 0;
	if (s < 60)
		snprintf(buf, TEXT_SHORT_SIZE, "%llds", s);
	else if (s < 3600)
		snprintf(buf, TEXT_SHORT_SIZE, "%lldm", s / 60);
	else if (s < 86400)
		snprintf(buf, TEXT_SHORT_SIZE, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else if (s < 100 * 86400)
		snprintf(buf, TEXT_SHORT_SIZE, "%lldd%lldh", s / 86400, s / 3600 % 24);
	else
		snprintf(buf, TEXT_SHORT_SIZE, "%lldd", s / 86400);
	return buf;
}

char *text_count(long long n, char buf[TEXT_SHORT_SIZE])
{
	static const char units[] = " kMGTPE";
	unsigned unit = 0;

	for (; n > 99999 || (unit && n > 9999); unit++)
		n /= 1000;
	snprintf(buf, TEXT_SHORT_SIZE, unit ? "%lld%c" : "%lld", n, units[unit]);
	return buf;
}

unsigned text_seconds(const char *text)
{
	static const struct {
		const char *unit;
		unsigned s;
	} units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
	size_t digits = strspn(text, "0123456789");
	unsigned long long n = digits && digits < 9 ? strtoull(text, NULL, 10) : 0;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(text + digits, units[i].unit) && n * units[i].s <= 366 * 86400)
			return (unsigned)(n * units[i].s);
	return 0;
}

static enum text_colouring colouring;

void text_set_colouring(enum text_colouring how)
{
	colouring = how;
}

static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM"); /* no-color.org */

	if (colouring != COLOUR_AUTO)
		return colouring == COLOUR_ALWAYS;
	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb");
}

static const char *sequence_of(const char *word)
{
	static const struct {
		const char *word, *sequence;
	} colours[] = {
		{"up", "\033[32m"},	   {"draining", "\033[33m"}, {"draining-only", "\033[33m"},
		{"fail-open", "\033[33m"}, {"unknown", "\033[33m"},  {"not-ready", "\033[33m"},
		{"warning", "\033[33m"},   {"down", "\033[31m"},     {"error", "\033[31m"},
		{"blind", "\033[31m"},	   {"panic", "\033[31m"},
	};

	for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		if (!strcmp(word, colours[i].word))
			return colours[i].sequence;
	return "";
}

const char *text_colour(const char *word)
{
	return wants_colour() ? sequence_of(word) : "";
}

const char *text_colour_end(const char *word)
{
	return *text_colour(word) ? "\033[0m" : "";
}

json_t *tier_servers(const json_t *tier)
{
	json_t *servers = json_object_get(tier, "servers");

	return servers ? servers : json_object_get(tier, "backends");
}

const char *field_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

long long field_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

bool field_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

time_t field_time(const json_t *object, const char *key)
{
	struct tm tm = {0};

	if (!strptime(field_text(object, key), "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	return timegm(&tm);
}

/* To the second: "2026-01-01T00:00:00Z". */
static const char *whole_seconds(const json_t *order, const char *key, char buf[TEXT_SHORT_SIZE])
{
	const char *time = field_text(order, key);

	snprintf(buf, TEXT_SHORT_SIZE, "%.19s%s", time, strlen(time) > 19 ? "Z" : "");
	return buf;
}

char *text_until(const json_t *order, char buf[TEXT_TIER_SIZE])
{
	char until[TEXT_SHORT_SIZE];

	whole_seconds(order, "until", until);
	snprintf(buf, TEXT_TIER_SIZE, "%s%s", *until ? " until " : "", until);
	return buf;
}

char *text_order(const json_t *order, char buf[TEXT_TIER_SIZE])
{
	char since[TEXT_SHORT_SIZE], until[TEXT_TIER_SIZE];

	*buf = '\0';
	if (!json_is_object(order))
		return buf;
	snprintf(buf, TEXT_TIER_SIZE, " by %.64s since %s%.40s", field_text(order, "who"),
		 whole_seconds(order, "since", since), text_until(order, until));
	return buf;
}

char *text_tier(const json_t *service, char buf[TEXT_TIER_SIZE])
{
	const json_t *active = json_object_get(service, "active_tier");
	const json_t *forced = json_object_get(service, "forced");
	const json_t *held = json_object_get(service, "held_back");
	char order[TEXT_TIER_SIZE], tier[32] = "no tier";
	long long wanted = field_number(forced, "tier");
	bool manual = !strcmp(field_text(service, "failback"), "manual");

	if (json_is_integer(active))
		snprintf(tier, sizeof(tier), "tier %lld", (long long)json_integer_value(active));
	text_order(forced, order);
	if (json_is_object(forced) && json_is_integer(active) &&
	    json_integer_value(active) == wanted)
		snprintf(buf, TEXT_TIER_SIZE, "%s, forced%.200s", tier, order);
	else if (json_is_object(forced))
		snprintf(buf, TEXT_TIER_SIZE, "%s; %lld is forced%.160s, but has no server up",
			 tier, wanted, order);
	else if (json_is_integer(held))
		snprintf(buf, TEXT_TIER_SIZE, "%s; %lld is up again, but %s", tier,
			 (long long)json_integer_value(held),
			 manual ? "failback is manual (tier SERVICE auto)"
				: "waits for failback-hold");
	else
		snprintf(buf, TEXT_TIER_SIZE, "%s", tier);
	return buf;
}
