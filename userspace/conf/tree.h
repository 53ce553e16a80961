/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A YAML text as a tree of nodes with places, and the paths by which the rest of conf/ talks about it.
 */
#ifndef MXLB_CONF_TREE_H
#define MXLB_CONF_TREE_H

#include <yaml.h>
#include "conf/errors.h"

#define TREE_MAX_DEPTH	 16
#define TREE_MAX_NODES	 131072 /* some 12 MB in libyaml */
#define TREE_MAX_ENTRIES 4096	/* of one mapping or list */

struct tree {
	yaml_document_t document;
	bool loaded;
	struct report *report; /* borrowed */
	bool use_copies;       /* where a file that is named is no good, its last good copy is */
};

/* A key and what it is under; chained on the stack. NULL is the whole document. */
struct path {
	const struct path *up;
	const char *key;
};

/* 0; -EINVAL, and the report says where and why; -ENOMEM. tree_free() ends it in each case. */
int tree_parse(const char *text, size_t len, struct report *report, struct tree *out);
void tree_free(struct tree *t);

/* NULL for an empty document. */
yaml_node_t *tree_root(struct tree *t);
yaml_node_t *tree_node(struct tree *t, int id);
const char *tree_text(const yaml_node_t *scalar);
/* A plain scalar that says nothing: empty, ~ or null. */
bool tree_is_null(const yaml_node_t *n);
/* Null, "", a list or mapping of nothing. */
bool tree_is_empty(const yaml_node_t *n);
/* The value at the path or NULL; of repeated keys the first counts. */
yaml_node_t *tree_get(struct tree *t, const struct path *p);

/* At the path's value if it is there and no mapping, else at the nearest key above. */
void tree_error(struct tree *t, const struct path *p, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void tree_warn(struct tree *t, const struct path *p, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same, at the place of a node. */
void tree_error_at(struct tree *t, const yaml_node_t *n, const struct path *p, const char *format,
		   ...) __attribute__((format(printf, 4, 5)));
/* True when the value of the path is there or has a default, and no error was reported at its place. */
bool tree_is_sound(struct tree *t, const struct path *p);

/*
 * Calls fn for each entry of a mapping whose key is a scalar not seen before; reports the others. A null
 * node is an empty mapping. False when n is no mapping at all (reported).
 */
typedef void tree_entry_fn(struct path *p, yaml_node_t *key, yaml_node_t *value, void *ctx);
bool tree_each(struct tree *t, const struct path *p, yaml_node_t *n, tree_entry_fn *fn, void *ctx);

#endif
