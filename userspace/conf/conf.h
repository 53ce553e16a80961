/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration file: YAML text in, a checked struct config out, or every error with its place.
 * Asks the system nothing but the file itself, those it names, and the host's name (the default of helo).
 */
#ifndef MXLB_CONF_H
#define MXLB_CONF_H

#include <jansson.h>
#include "core/config.h"
#include "util/buf.h"

#define CONF_FILE_MAX (1024 * 1024)

/*
 * 0 and *out, or -EINVAL and `errors` holds one "file:line:col: what is wrong" line for each error (and
 * warnings, as "file:line:col: warning: ...", in either case). -ENOMEM likewise with a line.
 *
 * running is the configuration in force, borrowed, or NULL. Where it has a service of the same name with the same
 * allow-file, a file that is no good or has lost more than half is only warned of, and what is in force is kept.
 */
int conf_load(const char *path, const struct config *running, struct config **out,
	      struct buf *errors);

/*
 * The same at a start: nothing is in force, but where a file that the configuration names is no good, its last good copy in
 * the state directory (conf_keep_copies()) is taken, with a warning.
 */
int conf_load_or_copies(const char *path, struct config **out, struct buf *errors);
/* Keeps copies of the files that this configuration was made from, for the next start. Failures are logged. */
void conf_keep_copies(const struct config *c);

/* salvage.c: what a detach needs of a file that is broken or gone; the rest is defaults. 0 or -errno. */
int conf_salvage(const char *path, struct config **out);

/* The same for a text that the caller has read, under this name; the files that it names are read. */
int conf_parse(const char *name, const struct buf *text, const struct config *running,
	       struct config **out, struct buf *errors);

/*
 * write.c: the configuration as a file would say it, every default written out, and so that reading it again gives the
 * same: objects are mappings, in the order of the example, userspace/etc/mxlb.yaml. Without `secrets` those are left out, and "hidden" is a list of
 * their keys. The caller's to json_decref(); NULL: no memory.
 */
json_t *conf_json(const struct config *c, bool secrets);
/* A line for each probe that comes or goes, and for each key of one that changes: "probe exo: ca-file changes". */
void conf_compare_probes(const struct config *a, const struct config *b, struct buf *out);
/* Do both say the same there, key by key? section: a key of the file's first level ("datapath"). */
bool conf_same_section(const struct config *a, const struct config *b, const char *section);

#endif
