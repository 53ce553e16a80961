/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What change.c, order.c, cert.c and model.c share of a model's changes; for them alone.
 */
#ifndef MXLB_CHANGE_H
#define MXLB_CHANGE_H

#include "core/model.h"

/* A new event of this service, and of this backend where there is one; cause, from and to are the caller's to write. */
struct event *change_note(struct model *m, enum event_kind kind, const struct service *s,
			  const struct backend *b, struct now now);
void change_text(char *to, size_t size, const char *text);
/* The service chooses anew. True when another state or other members came of it. */
bool change_decide(struct model *m, struct service *s, const char *cause, struct now now);

/* A verdict that has changed from this one, by this result. */
void change_verdict_note(struct model *m, const struct service *s, const struct backend *b,
			 enum verdict was, const struct probe_result *r, struct now now);

/* warning.c: a refusal that moves no mail; the end of it. good: by a probe that was not refused. */
void warning_set(struct model *m, const struct service *s, struct backend *b,
		 const struct probe_result *r, struct now now);
void warning_end(struct model *m, const struct service *s, struct backend *b, bool good,
		 struct now now);
bool warning_restore(struct model *m, struct service *s, const struct backend *b,
		     const struct probe_result *r, struct now now);

/* order.c: what is over by now. True when anything was. */
bool order_end(struct model *m, struct service *s, struct now now);
void order_note_weight(struct model *m, const struct service *s, const struct backend *b,
		       uint16_t from, uint16_t to, const char *who, const char *cause,
		       struct now now);

#endif
