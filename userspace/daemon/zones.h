/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers and TLSA records from DNS: when something is looked up, and how an answer comes into force: as a reload
 * would bring it.
 */
#ifndef MXLB_ZONES_H
#define MXLB_ZONES_H

#include "core/zone_report.h"
#include "util/buf.h"

struct config;
struct daemon;
struct zones;
struct zones_draft;

/*
 * Fills in what is known for a configuration that is not in force yet: the set in force, the one of the last run, or the
 * servers that the service has now. The draft is committed or dropped. 0 or -errno.
 */
int zones_draft(struct daemon *d, struct config *config, struct zones_draft **out);
/* .config is in force from now on. replace: brings a copy with other servers into force: daemon_replace_config(). */
typedef int zones_replace_fn(struct daemon *d, const char *who, struct config *config);
void zones_commit(struct daemon *d, struct zones_draft *draft, zones_replace_fn *replace);
void zones_drop(struct zones_draft *draft);
/* What a plan cannot know or what is held back, line by line: of the draft's services with `mx`. */
void zones_plan(struct daemon *d, const struct zones_draft *draft, const struct config *config,
		struct buf *out);

void zones_start(struct daemon *d); /* lookups begin; the model is there */
void zones_stop(struct daemon *d);
/* A server was probed: its certificate may be another one. */
void zones_probed(struct daemon *d, const char *probe);
void zones_addresses_changed(struct daemon *d);		  /* of this box */
const struct zone_report *zones_report(struct daemon *d); /* NULL: nothing comes from DNS */
/* 0, -ENOENT: the service has nothing from DNS; zones_accept() -EAGAIN: zone_accept() gave 0; or -errno. */
int zones_read(struct daemon *d, const char *service);
int zones_accept(struct daemon *d, const char *service, const char *who);
/* What zones_accept() would change, line by line. Nothing if it cannot be accepted. */
void zones_held(struct daemon *d, const char *service, struct buf *out);

#endif
