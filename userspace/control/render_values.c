/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formats times, names and texts for all documents. Text that is not UTF-8 is escaped; times outside the calendar are
 * null.
 */
#include "control/render.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "util/log.h"

static const char *const counter_names[] = {
#define X(name, text) #name,
	MXLB_DROPS(X) MXLB_PASSES(X) MXLB_ANSWERS(X) MXLB_NOTES(X)
#undef X
};

const char *render_counter(unsigned i)
{
	return i < MXLB_COUNT_COUNT ? counter_names[i] : "?";
}

const char *render_time(int64_t wall_ms, char text[RENDER_TIME_SIZE])
{
	time_t s = wall_ms / 1000;
	struct tm tm;
	size_t len;

	if (wall_ms < 0 || s > RENDER_TIME_MAX_S || !gmtime_r(&s, &tm))
		return NULL;
	len = strftime(text, RENDER_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, RENDER_TIME_SIZE - len, ".%03dZ", (int)(wall_ms % 1000));
	return text;
}

json_t *render_json_text(const char *text)
{
	char quoted[1024];
	json_t *json;

	if (!text)
		return json_null();
	json = json_string(text);
	return json ? json : json_string(log_quote(text, strlen(text), quoted, sizeof(quoted)));
}

char *render_backend(struct model *m, uint32_t id, char text[RENDER_BACKEND_SIZE])
{
	const struct backend *b = model_backend(m, id, NULL);

	if (b)
		snprintf(text, RENDER_BACKEND_SIZE, "%s", b->conf.name);
	else
		snprintf(text, RENDER_BACKEND_SIZE, "#%u", id);
	return text;
}

json_t *render_json_time(int64_t wall_ms)
{
	char text[RENDER_TIME_SIZE];

	return render_json_text(wall_ms ? render_time(wall_ms, text) : NULL);
}

json_t *render_json_append(json_t *array, json_t *item)
{
	if (!json_array_append_new(array, item))
		return array;
	json_decref(array);
	return NULL;
}

static int append_json(const char *text, size_t len, void *buf)
{
	struct buf *out = buf;

	buf_append(out, text, len);
	return out->failed ? -1 : 0;
}

int render_json(json_t *json, struct buf *out)
{
	int rc = json && !json_dump_callback(json, append_json, out, JSON_COMPACT) ? 0 : -ENOMEM;

	json_decref(json);
	return rc;
}
