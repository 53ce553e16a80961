/* SPDX-License-Identifier: BSD-2-Clause */
/* For the files that change the model: how they report it. */
#ifndef MXLB_MODEL_EVENT_H
#define MXLB_MODEL_EVENT_H

#include "core/model.h"

/* Adds an event about this service, and this server unless NULL. The caller writes cause, from and to. */
struct event *model_event(struct model *m, enum event_kind kind, const struct service *s,
			  const struct server *b, struct now now);
void event_text(char *to, size_t size, const char *text);
/* "refused: connection refused": the reason's name, then the server's words or the reason's text. */
void model_event_cause(char *to, size_t size, const struct probe_result *r);
/* Adds the events of a verdict that has changed from `was`, because of this result. */
void model_event_verdict(struct model *m, const struct service *s, const struct server *b,
			 enum verdict was, const struct probe_result *r, struct now now);

#endif
