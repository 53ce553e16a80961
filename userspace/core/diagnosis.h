/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides, in one place, what is wrong and what to do next: status, doctor, check, the page and the log show these
 * findings, and no others about services, servers and overrides. Pure. The rules are numbered in diagnosis.c.
 */
#ifndef MXLB_DIAGNOSIS_H
#define MXLB_DIAGNOSIS_H

#include "core/finding.h"
#include "core/model.h"
#include "core/rejected.h"
#include "core/zone_report.h"

#define DIAGNOSIS_MAX 128

struct diagnosis {
	struct finding list[DIAGNOSIS_MAX]; /* the worst first */
	unsigned n, n_more;		    /* further findings that did not fit */
};

#define ALLOW_FILE_OLD_DAYS 14 /* Microsoft announces changes 30 days before they take effect */

struct diagnosis_box {			      /* input that the model does not have */
	const char *last_error;		      /* of the last reload; "" or NULL: none */
	const char *const *xdp_modes;	      /* by config.interfaces; NULL: not known */
	const int64_t *allow_changed_wall_ms; /* of allow-files, by service.id; NULL: not known */
	int64_t now_wall_ms;
	const struct rejected_summary *rejected; /* MXLB_MAX_SERVICES + 1; NULL: not known */
	const struct zone_report *zones; /* NULL: nothing comes from DNS, or it is not known */
	bool stopped;			 /* no mxlbd runs */
};

void diagnose(const struct model *m, const struct diagnosis_box *box, struct diagnosis *out);
const char *finding_level_name(enum finding_level l); /* "critical" "error" "warning" "note" */

#endif
