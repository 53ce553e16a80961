/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by change.c, override.c, cert.c, warning.c and model.c only. */
#ifndef MXLB_CHANGE_H
#define MXLB_CHANGE_H

#include "core/model.h"

/* Adds an event about this service, and this server unless NULL. The caller writes cause, from and to. */
struct event *change_note(struct model *m, enum event_kind kind, const struct service *s,
			  const struct backend *b, struct now now);
void change_text(char *to, size_t size, const char *text);
/* Lets the service decide again. True if its state or its ring's members changed. */
bool change_decide(struct model *m, struct service *s, const char *cause, struct now now);

/* Adds the events of a verdict that has changed from `was`, because of this result. */
void change_verdict_note(struct model *m, const struct service *s, const struct backend *b,
			 enum verdict was, const struct probe_result *r, struct now now);

/* warning.c: a refusal that moves no mail, and its end. good: the probe was not refused. */
void warning_set(struct model *m, const struct service *s, struct backend *b,
		 const struct probe_result *r, struct now now);
void warning_end(struct model *m, const struct service *s, struct backend *b, bool good,
		 struct now now);
bool warning_restore(struct model *m, struct service *s, const struct backend *b,
		     const struct probe_result *r, struct now now);

/* override.c: ends expired overrides. True if there were any. */
bool order_end(struct model *m, struct service *s, struct now now);
void order_note_weight(struct model *m, const struct service *s, const struct backend *b,
		       uint16_t from, uint16_t to, const char *who, const char *cause,
		       struct now now);

#endif
