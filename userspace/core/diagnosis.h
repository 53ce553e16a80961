/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides, in one place, what is wrong and what to do next: status, doctor, check, the page and the log show these
 * findings, and no others about services, servers and overrides. Pure. The rules are numbered in diagnosis.c.
 */
#ifndef MXLB_DIAGNOSIS_H
#define MXLB_DIAGNOSIS_H

#include "core/model.h"
#include "core/rejected.h"

#define DIAGNOSIS_MAX	    128
#define DIAGNOSIS_TEXT_SIZE 512
#define DIAGNOSIS_NEXT_SIZE 320

enum finding_level {
	FINDING_CRITICAL, /* mail does not flow, or to servers that should get none */
	FINDING_ERROR,	  /* a server or a file is broken; mail flows */
	FINDING_WARNING,  /* mail flows, and not as configured */
	FINDING_NOTE, /* no fault: an override that does no harm, senders that were turned away */
};

struct finding {
	enum finding_level level;
	const char *code; /* "service_down", "server_down", "override" ...: for programs */
	const char *service, *server;	/* borrowed from the model; "": the box, no server */
	char text[DIAGNOSIS_TEXT_SIZE]; /* object and cause; printable UTF-8 */
	char next[DIAGNOSIS_NEXT_SIZE]; /* what to do; may be empty */
};

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
	bool stopped;				 /* no mxlbd runs */
};

void diagnose(const struct model *m, const struct diagnosis_box *box, struct diagnosis *out);
const char *finding_level_name(enum finding_level l); /* "critical" "error" "warning" "note" */

#endif
