/* SPDX-License-Identifier: BSD-2-Clause */
/* From a file's name to a struct config: reads, parses, converts, checks, and prints errors. NUL bytes are refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "conf/bundle.h"
#include "conf/conf.h"
#include "conf/file.h"
#include "conf/schema.h"

static const struct place file_place = {1, 1};

static int refuse_nul(const struct buf *text, struct report *report)
{
	const char *nul = text->len ? memchr(text->data, '\0', text->len) : NULL;
	struct place at = file_place;

	if (!nul)
		return 0;
	for (const char *c = text->data; c < nul; c++) {
		at.column = *c == '\n' ? 1 : at.column + 1;
		at.line += *c == '\n';
	}
	report_error(report, at, "a NUL byte: this is not text");
	return -EINVAL;
}

static int read_text(const char *path, struct report *report, struct buf *text)
{
	char why[VALUE_WHY_SIZE];
	bool exposed = false;
	int err = file_read(path, CONF_FILE_MAX, text, &exposed, why);

	if (exposed)
		report_add(report, file_place, true, FILE_EXPOSED);
	if (err == -EINVAL)
		report_error(report, file_place, "%s", why);
	return err ? err : refuse_nul(text, report);
}

static int read_config(const struct buf *text, const struct config *running, bool use_copies,
		       struct report *report, struct config *c)
{
	struct tree tree = {.report = report};
	struct reader r = {.tree = &tree, .config = c, .running = running};
	int err;

	err = tree_parse(text->data ? text->data : "", text->len, report, &tree);
	if (err)
		goto out;
	tree.use_copies = use_copies;
	sections_read(&r);
	check_config(&tree, c);
	warn_config(&tree, c);
	if (r.no_memory)
		err = -ENOMEM;
out:
	tree_free(&tree);
	return err;
}

/* text NULL: path's. */
static int conf_load_any(const char *path, const struct buf *text, const struct config *running,
			 bool use_copies, struct config **out, struct buf *errors)
{
	struct report *report = calloc(1, sizeof(*report));
	struct config *c = calloc(1, sizeof(*c));
	struct buf own = {.data = NULL};
	int err = -ENOMEM;

	if (!report || !c)
		goto out;
	if (strlen(path) >= sizeof(c->file)) {
		report_error(report, file_place, "the name of the file is too long");
		err = -EINVAL;
		goto out;
	}
	strcpy(c->file, path);
	err = text ? refuse_nul(text, report) : read_text(path, report, &own);
	if (!err)
		err = read_config(text ? text : &own, running, use_copies, report, c);
	if (!err && report->n_errors)
		err = -EINVAL;
out:
	if (report)
		report_print(report, path, errors);
	if (err == -ENOMEM)
		buf_printf(errors, "%s:1:1: not enough memory\n", path);
	buf_free(&own);
	free(report);
	if (err)
		config_free(c);
	else
		*out = c;
	return err;
}

int conf_load(const char *path, const struct config *running, struct config **out,
	      struct buf *errors)
{
	return conf_load_any(path, NULL, running, false, out, errors);
}

int conf_load_or_copies(const char *path, struct config **out, struct buf *errors)
{
	return conf_load_any(path, NULL, NULL, true, out, errors);
}

/* Two services, one IPv4 and one IPv6, may use the same file, which may be valid for only one of them. */
static bool is_good_for_all(const struct config *c, const char *allow_file)
{
	for (unsigned i = 0; i < c->n_services; i++)
		if (!strcmp(c->services[i].allow_file, allow_file) &&
		    c->services[i].file_trouble[0])
			return false;
	return true;
}

void conf_keep_copies(const struct config *c)
{
	for (unsigned i = 0; i < c->n_services; i++)
		if (is_good_for_all(c, c->services[i].allow_file))
			allow_keep_copy(&c->services[i]);
	for (unsigned i = 0; i < c->n_probes; i++)
		if (c->probes[i].ca_file[0])
			bundle_keep_copy(c->probes[i].ca_file);
}

int conf_parse(const char *name, const struct buf *text, const struct config *running,
	       struct config **out, struct buf *errors)
{
	return conf_load_any(name, text, running, false, out, errors);
}
