/* SPDX-License-Identifier: BSD-2-Clause */
/* For the files that change the model: what follows from a change. */
#ifndef MXLB_DECIDE_H
#define MXLB_DECIDE_H

#include "core/model.h"

/* After a result has changed the server's health: records for panic.c since when it has not been reached. */
void decide_note_result(struct server *b, enum reason r, uint64_t now_ms);
/* The server has not been probed for some time: what panic.c knows of it is forgotten. */
void decide_forget_results(struct server *b);
/* Lets the service decide again. cause: NULL: time has passed. True if its state or its ring's members changed. */
bool decide_service(struct model *m, struct service *s, const char *cause, struct now now);
/* Every service. */
void decide_all(struct model *m, const char *cause, struct now now);

#endif
