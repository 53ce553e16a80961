/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fills a struct from a mapping by a table of keys: defaults, required keys and wrong types. A quoted scalar or key
 * means the same as a plain one, as in JSON and generated YAML.
 */
#include <string.h>
#include "conf/schema.h"

/* What tree_each() needs to match the entries of one mapping with its table. */
struct match {
	struct reader *r;
	const struct key *keys;
	void *object;
};

/* Converts a scalar; what is wrong with it is reported. */
static bool read_scalar(struct reader *r, const struct path *p, yaml_node_t *n, const struct key *k,
			void *field)
{
	char why[VALUE_WHY_SIZE];

	if (n->type != YAML_SCALAR_NODE)
		tree_error_at(r->tree, n, p, "must be a single value, not a %s",
			      n->type == YAML_SEQUENCE_NODE ? "list" : "mapping");
	else if (tree_is_null(n))
		tree_error(r->tree, p, "has no value");
	else if (strlen(tree_text(n)) != n->data.scalar.length)
		tree_error(r->tree, p, "has a NUL in it");
	else if (k->convert(&k->kind, tree_text(n), field, why))
		tree_error(r->tree, p, "%s", why);
	else
		return true;
	return false;
}

static void set_initial(const struct key *k, void *field)
{
	char why[VALUE_WHY_SIZE];

	if (k->initial)
		k->convert(&k->kind, k->initial, field, why);
}

static const struct key *find_key(const struct key *keys, const char *name)
{
	while (keys->name && strcmp(keys->name, name))
		keys++;
	return keys;
}

static void read_entry(struct path *p, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	struct match *m = ctx;
	const struct key *k = find_key(m->keys, p->key);

	if (!k->name)
		foreign_key(m->r->tree, p, key, m->keys);
	else if (k->convert && !read_scalar(m->r, p, value, k, (char *)m->object + k->offset))
		set_initial(k, (char *)m->object + k->offset);
}

void schema_read(struct reader *r, const struct path *p, yaml_node_t *n, const struct key *keys,
		 void *object)
{
	struct match m = {.r = r, .keys = keys, .object = object};

	for (const struct key *k = keys; k->name; k++)
		if (k->convert)
			set_initial(k, (char *)object + k->offset);
	if (!tree_each(r->tree, p, n, read_entry, &m))
		return;
	for (const struct key *k = keys; k->name; k++) {
		struct path here = {p, k->name};
		yaml_node_t *value = tree_get(r->tree, &here);

		if (!value && (k->flags & KEY_REQUIRED))
			tree_error(r->tree, &here, "is required");
		else if (k->nested)
			k->nested(r, &here, value, (char *)object + k->offset);
	}
}

bool schema_name_ok(struct reader *r, const struct path *p, const yaml_node_t *key,
		    value_fn *convert, char name[CONFIG_NAME_SIZE])
{
	const struct value_kind kind = {.size = CONFIG_NAME_SIZE};
	char why[VALUE_WHY_SIZE];

	if (!convert(&kind, p->key, name, why))
		return true;
	tree_error_at(r->tree, key, p, "%s", why);
	return false;
}
