/* SPDX-License-Identifier: BSD-2-Clause */
/* A refusal that moves no mail, and its end. */
#ifndef MXLB_WARNING_H
#define MXLB_WARNING_H

#include "core/model.h"

void warning_set(struct model *m, const struct service *s, struct server *b,
		 const struct probe_result *r, struct now now);
/* good: the probe was not refused. */
void warning_end(struct model *m, const struct service *s, struct server *b, bool good,
		 struct now now);
/* Records this result as the cause of the server's verdict, if that is not up. */
void warning_note_cause(struct server *b, const struct probe_result *r);
/* What is known of it from the reason alone: of a timeout, for instance, the earliest stage that it may be of. */
struct server_cause warning_cause_of(enum reason r);
/* Whether a refusal of the probe alone shows that the cause of the server's verdict is over. */
bool warning_passes(const struct server *b, const struct probe_result *r);
bool warning_restore(struct model *m, struct service *s, const struct server *b,
		     const struct probe_result *r, struct now now);

#endif
