/* SPDX-License-Identifier: BSD-2-Clause */
/* A probe's report (probe/report.h) for people: what was said and when, the certificates, the judgements, the verdict. */
#ifndef MXLB_CTL_TRANSCRIPT_H
#define MXLB_CTL_TRANSCRIPT_H

#include <jansson.h>

void transcript_print(const json_t *report);

#endif
