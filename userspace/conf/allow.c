/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The allow-list of a service: the prefixes of `allow` and of its allow-file in one list.
 *
 *   1. Only prefixes of the VIP's family are kept. A list without any is refused: it would lock everybody out or, if
 *      taken for an empty one, let everybody in.
 *   2. A file that cannot be read, is invalid, has no such prefix, or has less than half as many as are in force from
 *      it, changes nothing: those in force are kept and a warning gives the reason. If nothing is in force (a new
 *      service or file) it is an error, except for the size, with which nothing can be compared.
 *   3. At a start the last good copy of the file, if any, counts as in force.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "conf/endpoints.h"
#include "conf/file.h"
#include "conf/schema.h"
#include "util/log.h"
#include "util/statefile.h"

#define COPIES "allow" /* the kind of the copies in the state directory */

static bool is_v4(const struct service_conf *s)
{
	return addr_is_v4(&s->address);
}

static const char *family(const struct service_conf *s)
{
	return is_v4(s) ? "IPv4" : "IPv6";
}

static void allow_add(struct reader *r, struct prefixes *to, const struct prefix *more, unsigned n)
{
	if (prefixes_add(to, more, n))
		r->no_memory = true;
}

static void read_item(struct reader *r, const struct path *p, const yaml_node_t *n,
		      const struct service_conf *s, struct prefixes *out)
{
	const struct value_kind kind = {.size = sizeof(struct prefix)};
	char why[VALUE_WHY_SIZE];
	struct prefix prefix;

	if (n->type != YAML_SCALAR_NODE)
		tree_error_at(r->tree, n, p, "must be a list of prefixes");
	else if (strlen(tree_text(n)) != n->data.scalar.length)
		tree_error_at(r->tree, n, p, "has a NUL in it");
	else if (value_prefix(&kind, tree_text(n), &prefix, why))
		tree_error_at(r->tree, n, p, "%s", why);
	else if (addr_is_v4(&prefix.addr) == is_v4(s))
		allow_add(r, out, &prefix, 1);
}

/* Without an address, which was reported, there is no family to judge by. */
static bool is_judged(const struct service_conf *s)
{
	return !addr_is_zero(&s->address);
}

static void allow_read_list(struct reader *r, const struct path *p, yaml_node_t *n,
			    const struct service_conf *s, struct prefixes *out)
{
	unsigned n_errors = r->tree->report->n_errors;

	if (!n || tree_is_null(n))
		return;
	if (n->type != YAML_SEQUENCE_NODE) {
		tree_error(r->tree, p, "must be a list");
		return;
	}
	for (const int *id = n->data.sequence.items.start; id < n->data.sequence.items.top; id++)
		read_item(r, p, tree_node(r->tree, *id), s, out);
	if (!out->n && !tree_is_empty(n) && is_judged(s) && n_errors == r->tree->report->n_errors)
		tree_error(r->tree, p, "has no %s prefix, as the address of %s needs", family(s),
			   s->name); /* rule 1 */
}

/* The service in force whose prefixes may replace those of the file; NULL: none. */
static const struct service_conf *in_force(const struct reader *r, const struct service_conf *s)
{
	for (unsigned i = 0; r->running && i < r->running->n_services; i++) {
		const struct service_conf *was = &r->running->services[i];

		if (!strcmp(was->name, s->name) && !strcmp(was->allow_file, s->allow_file) &&
		    is_v4(was) == is_v4(s))
			return was;
	}
	return NULL;
}

/* n_before: how many are in force from this file, or were. */
static int allow_judge(const struct service_conf *s, unsigned n_before, const struct prefixes *file,
		       char *why)
{
	char copy[STATEFILE_PATH_SIZE];
	bool kept = statefile_path(COPIES, s->allow_file, copy);

	if (!file->n)
		snprintf(why, ENDPOINTS_WHY_SIZE, "has no %s prefix for TCP 25", family(s));
	else if (2 * file->n < n_before)
		snprintf(
			why, ENDPOINTS_WHY_SIZE,
			"has only %u; if that is right, %s%.200s%srestart mxlbd (the datapath goes on)",
			file->n, kept ? "remove " : "", copy, kept ? " and " : "");
	else
		return 0;
	return -EINVAL;
}

/* Rule 3. */
static void read_copy(const struct reader *r, const struct service_conf *s, struct prefixes *out)
{
	char copy[STATEFILE_PATH_SIZE], why[ENDPOINTS_WHY_SIZE];
	bool exposed;

	if (!r->tree->use_copies || !statefile_path(COPIES, s->allow_file, copy))
		return;
	if (endpoints_read(copy, is_v4(s), out, &exposed, why))
		out->n = 0;
	prefixes_tidy(out);
}

/* Rules 2 and 3. */
static void take_earlier(struct reader *r, const struct path *p, struct service_conf *s, int err,
			 const char *why, const struct prefixes *before, const char *whose,
			 struct prefixes *out)
{
	out->n = 0;
	if (err == -ENOMEM) {
		r->no_memory = true;
	} else if (!before->n) {
		tree_error(r->tree, p, "%s", why);
	} else {
		tree_warn(r->tree, p, "keeps the %u prefixes %s: %s", before->n, whose, why);
		snprintf(s->file_trouble, sizeof(s->file_trouble), "%s", why);
		allow_add(r, out, before->list, before->n);
	}
}

static void read_file(struct reader *r, const struct path *p, struct service_conf *s,
		      struct prefixes *out)
{
	const struct service_conf *was = in_force(r, s);
	struct prefixes copy = {.list = NULL}, before;
	char why[ENDPOINTS_WHY_SIZE];
	bool exposed = false;
	int err = endpoints_read(s->allow_file, is_v4(s), out, &exposed, why);

	if (!was)
		read_copy(r, s, &copy);
	before = was ? (struct prefixes){was->from_file, was->n_from_file} : copy;

	if (exposed)
		tree_warn(r->tree, p, FILE_EXPOSED);
	prefixes_tidy(out);
	if (!err)
		err = allow_judge(s, before.n, out, why);
	if (err)
		take_earlier(r, p, s, err, why, &before, was ? "in force" : "of its last good copy",
			     out);
	free(copy.list);
}

void allow_read(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	struct path file_path = {p->up, "allow-file"};
	struct prefixes all = {.list = NULL}, file = {.list = NULL};
	struct service_conf *s = object;

	allow_read_list(r, p, n, s, &all);
	if (s->allow_file[0] && is_judged(s))
		read_file(r, &file_path, s, &file);
	allow_add(r, &all, file.list, file.n);
	prefixes_tidy(&all);
	r->n_prefixes += all.n;
	if (r->n_prefixes > MXLB_MAX_PREFIXES)
		tree_error(r->tree, file.n ? &file_path : p, "more than %d prefixes in all",
			   MXLB_MAX_PREFIXES);
	s->allow = all.list;
	s->n_allow = all.n;
	s->from_file = file.list;
	s->n_from_file = file.n;
}

/* Whether the text contains the service's prefixes from its file, which may have changed since. */
static bool allow_says_the_same(const struct buf *text, const struct service_conf *s)
{
	char why[ENDPOINTS_WHY_SIZE];
	struct prefixes p = {.list = NULL};
	bool same = !endpoints_parse(text, is_v4(s), &p, why);

	prefixes_tidy(&p);
	same = same && p.n == s->n_from_file;
	for (unsigned i = 0; i < p.n && same; i++)
		same = p.list[i].len == s->from_file[i].len &&
		       addr_equal(&p.list[i].addr, &s->from_file[i].addr);
	free(p.list);
	return same;
}

void allow_keep_copy(const struct service_conf *s)
{
	char copy[STATEFILE_PATH_SIZE], why[ENDPOINTS_WHY_SIZE];
	struct buf text = {.data = NULL};
	bool exposed;
	int err = 0;

	if (!s->allow_file[0] || s->file_trouble[0] || !statefile_path(COPIES, s->allow_file, copy))
		return;
	if (!file_read(s->allow_file, ENDPOINTS_FILE_MAX, &text, &exposed, why) &&
	    allow_says_the_same(&text, s))
		err = statefile_write(copy, text.data, text.len);
	if (err)
		log_warn("event=copy_failed file=%s copy=%s error=\"%s\"", s->allow_file, copy,
			 strerror(-err));
	buf_free(&text);
}
