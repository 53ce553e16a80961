/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `mxlbctl doctor`: finds what on this box or network would stop mail. A check is a row of one of the tables below; it
 * calls doctor_find() for each fault. A check without a finding is ok.
 */
#ifndef MXLB_CTL_DOCTOR_H
#define MXLB_CTL_DOCTOR_H

#include "ctl/ctl.h"
#include "ctl/nl.h"
#include "util/addr.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_ERROR, DOCTOR_NOT_CHECKED };

#define DOCTOR_LEVELS (DOCTOR_NOT_CHECKED + 1)

extern const char *const doctor_level_names[DOCTOR_LEVELS];

struct doctor {
	const struct ctl *ctl;
	json_t *config;	    /* as conf_json() has it: in force, or else the file's; NULL: none */
	json_t *status;	    /* NULL: no mxlbd answers */
	struct buf refused; /* what is wrong with the file, where mxlbd does not answer */
	bool root;
	const struct doctor_check *check; /* that runs */
	json_t *findings;		  /* a list, in the order of the checks */
	unsigned counts[DOCTOR_LEVELS];
};

/* Requirements of a check: without them it is reported as not checked. */
#define NEEDS_CONFIG (1u << 0)
#define NEEDS_STATUS (1u << 1)
#define NEEDS_ROOT   (1u << 2)

struct doctor_check {
	const char *name;
	const char *fine; /* the text if nothing is found */
	unsigned needs;
	void (*run)(struct doctor *d);
};

/* Each ends with a NULL name. */
extern const struct doctor_check doctor_box_checks[], doctor_files_checks[], doctor_net_checks[],
	doctor_device_checks[], doctor_mail_checks[], doctor_wire_checks[], doctor_own_checks[],
	doctor_ha_checks[];

/* One sentence for the fault and one for the remedy; both are owned by the callee (json_sprintf()), advice may be NULL. */
void doctor_find(struct doctor *d, enum doctor_level level, json_t *text, json_t *advice);

/* A check of box.c's table: does this kernel load mxlbd's BPF program? */
void doctor_check_load(struct doctor *d);

/* Calls fn for each server of the status. */
void doctor_each_server(struct doctor *d, void (*fn)(struct doctor *d, const struct ctl_found *f));
/* The same for each service of the configuration. */
void doctor_each_service(struct doctor *d,
			 void (*fn)(struct doctor *d, const char *name, const json_t *service));
/* For each interface of the configuration that is there. */
void doctor_each_interface(struct doctor *d,
			   void (*fn)(struct doctor *d, const char *name, const json_t *conf,
				      const struct nl_link *link));
/* False, and a zero address: it has none. */
bool doctor_address(const json_t *object, const char *key, struct addr *out);

/* box.c: does a process of this name (the first 15 characters) run in this network? */
bool doctor_runs_here(const char *comm);

/*
 * Runs all possible checks: of a running mxlbd, or by the configuration file (ctl->file; the default's). CTL_DONE: no
 * errors; CTL_REFUSED: errors; CTL_NO_DAEMON: mxlbd does not run, whatever was found. A file without a socket means
 * the file: then mxlbd is not asked.
 */
enum ctl_exit doctor_run(const struct ctl *ctl, char **args);

#endif
