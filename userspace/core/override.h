/* SPDX-License-Identifier: BSD-2-Clause */
/* What the other files that change the model need of override.c; the rest is in model.h. */
#ifndef MXLB_OVERRIDE_H
#define MXLB_OVERRIDE_H

#include "core/model.h"

/*
 * One from an earlier mxlbd, by the wall clock. If its time is over, .until_ms is now. It lasts no longer than it was
 * given for, even if the clock has been set back.
 */
struct order override_adopt(const struct order *o, struct now now);
/* Rule 4. True: the wall clock's times have changed. */
bool override_follow_clock(struct order *o, struct now now);
/* Ends expired overrides. True if there were any. */
bool override_expire(struct model *m, struct service *s, struct now now);
void override_note_weight(struct model *m, const struct service *s, const struct server *b,
			  uint16_t from, uint16_t to, const char *who, const char *cause,
			  struct now now);

#endif
