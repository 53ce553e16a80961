/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model as text. Pure: the same state and time give the same bytes.
 */
#ifndef MXLB_CONTROL_RENDER_H
#define MXLB_CONTROL_RENDER_H

#include <jansson.h>
#include "control/control.h"
#include "haproxy/typed.h"

#define RENDER_TIME_SIZE   32
#define RENDER_TIME_MAX_S  253402300799LL /* 9999-12-31T23:59:59Z: the last time of RFC 3339 */
#define RENDER_SERVER_SIZE CONFIG_NAME_SIZE

/* Appends the JSON document of `show status` as one line. 0, or -ENOMEM and out holds no document. */
int render_status(const struct model *m, const struct control_info *info, struct now now,
		  struct buf *out);
/* Appends HAProxy's fields, as far as they apply, and mxlb's own: "Key: value" lines, or its longer forms. */
void render_info(const struct model *m, const struct control_info *info, int64_t now_wall_ms,
		 enum typed_format format, struct buf *out);
/*
 * Appends one event as JSON with every key, without a newline. dropped: the number of events that its reader missed
 * before it. 0 or -ENOMEM.
 */
int render_event(const struct event_log *log, const struct event *e, uint64_t dropped,
		 struct buf *out);

/* This box among several (docs/high-availability.md); null without `ha` in the configuration. */
json_t *render_role(const struct model *m, const struct control_info *info);

/* What became of the runs of the program of `notify`; null: there is none. */
/* cmd_zone.c: null: the service has tiers; by its place in the configuration. */
json_t *render_zone(const struct model *m, const struct control_info *info, unsigned service);
json_t *render_notify(const struct notify_state *s);

/* Of enum mxlb_counter. */
const char *render_counter(unsigned i);
/* "2026-01-31T12:00:00.000Z" (RFC 3339), or NULL for a time that no four-digit year has. Returns text. */
const char *render_time(int64_t wall_ms, char text[RENDER_TIME_SIZE]);
/* The name, or "#17" for an id that flows refer to after its server was removed. Returns text. */
char *render_server(struct model *m, uint32_t id, char text[RENDER_SERVER_SIZE]);
/* The server's words if they explain the verdict's reason, else the reason's text. */
const char *render_reason(const struct server *b);

/* Appends the JSON, without a newline, and drops it. 0 or -ENOMEM, also where json is NULL. */
int render_json(json_t *json, struct buf *out);
/* null for NULL. json_string() wants UTF-8 and gives NULL for all else: that is escaped here. */
json_t *render_json_text(const char *text);
/* null for 0, which is never, too. */
json_t *render_json_time(int64_t wall_ms);
/* NULL where either is: json_pack() then gives NULL too, and so one failure fails the whole document. */
json_t *render_json_append(json_t *array, json_t *item);

/* The version that HAProxy's clients are given: "2.6.0-mxlb-0.9.0". */
void render_dialect(const struct control_info *info, char *text, size_t size);

#endif
