/* SPDX-License-Identifier: BSD-2-Clause */
/* For the files that change the model: what follows from a change. */
#ifndef MXLB_DECIDE_H
#define MXLB_DECIDE_H

#include "core/model.h"

/* Lets the service decide again. True if its state or its ring's members changed. */
bool decide_service(struct model *m, struct service *s, const char *cause, struct now now);
/* Every service. */
void decide_all(struct model *m, const char *cause, struct now now);

#endif
