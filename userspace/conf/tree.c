/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The YAML document: parsed by libyaml; look-ups and errors by path. Refused before a tree is built: aliases and
 * anchors (an alias may name its own parent, and the document API resolves it to that very node), tags, a second
 * document, and more depth or nodes than any real configuration has.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "conf/tree.h"
#include "util/log.h"

#define PATH_TEXT_SIZE 320
#define KEY_TEXT_SIZE  72 /* a name of 63 characters fits, what is longer is cut */

static struct place place_of_mark(yaml_mark_t mark)
{
	return (struct place){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* For the reader's errors: libyaml gives a byte offset for those. */
static struct place place_of_offset(const char *text, size_t offset)
{
	struct place at = {1, 1};

	for (size_t i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			at.line++;
			at.column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			at.column++;
		}
	}
	return at;
}

/* The parser's message for a tab in front of a key does not mention a tab. */
static const char *advice_of_tab(const char *text, size_t len, unsigned line)
{
	size_t i = 0;

	while (i < len && line > 1)
		line -= text[i++] == '\n';
	while (i < len && text[i] == ' ')
		i++;
	return i < len && text[i] == '\t' ? ": a tab; YAML is indented by blanks" : "";
}

static int syntax_error(const yaml_parser_t *parser, const char *text, size_t len,
			struct report *report)
{
	const char *problem = parser->problem ? parser->problem : "not YAML";
	struct place at = place_of_mark(parser->problem_mark);
	struct place began = place_of_mark(parser->context_mark);
	const char *advice;

	/* libyaml 0.2.5 fails without a message if a stack cannot grow */
	if (parser->error == YAML_MEMORY_ERROR || parser->error == YAML_NO_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		at = place_of_offset(text,
				     parser->problem_offset < len ? parser->problem_offset : len);
	advice = advice_of_tab(text, len, at.line);
	if (parser->context && place_cmp(began, at))
		report_error(report, at, "%s %s that began at line %u, column %u%s", problem,
			     parser->context, began.line, began.column, advice);
	else if (parser->context)
		report_error(report, at, "%s %s%s", problem, parser->context, advice);
	else
		report_error(report, at, "%s%s", problem, advice);
	return -EINVAL;
}

/* What the scan before the tree knows of the text so far. */
struct scan {
	struct report *report;
	unsigned documents, nodes, depth;
};

static void refuse_properties(struct scan *s, const yaml_event_t *e, const yaml_char_t *anchor,
			      const yaml_char_t *tag)
{
	if (anchor)
		report_error(s->report, place_of_mark(e->start_mark),
			     "anchors are refused: write the value where it is needed");
	if (tag)
		report_error(s->report, place_of_mark(e->start_mark),
			     "tags are refused: the key determines the type of its value");
}

/* Takes one event; false ends the scan. */
static bool scan_event(struct scan *s, const yaml_event_t *e)
{
	struct place at = place_of_mark(e->start_mark);

	s->nodes++;
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (s->documents++) {
			report_error(s->report, at, "a second document begins here");
			return false;
		}
		break;
	case YAML_ALIAS_EVENT:
		report_error(s->report, at, "aliases are refused: write the value out");
		break;
	case YAML_SCALAR_EVENT:
		refuse_properties(s, e, e->data.scalar.anchor, e->data.scalar.tag);
		break;
	case YAML_MAPPING_START_EVENT:
		s->depth++;
		refuse_properties(s, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		break;
	case YAML_SEQUENCE_START_EVENT:
		s->depth++;
		refuse_properties(s, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		break;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		s->depth--;
		break;
	default:
		break;
	}
	if (s->depth > TREE_MAX_DEPTH)
		report_error(s->report, at, "nested deeper than %d levels", TREE_MAX_DEPTH);
	if (s->nodes > TREE_MAX_NODES)
		report_error(s->report, at, "more than %d values", TREE_MAX_NODES);
	return s->depth <= TREE_MAX_DEPTH && s->nodes <= TREE_MAX_NODES;
}

static bool parser_start(yaml_parser_t *parser, const char *text, size_t len)
{
	if (!yaml_parser_initialize(parser))
		return false;
	yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(parser, (const unsigned char *)text, len);
	return true;
}

static int scan(const char *text, size_t len, struct report *report)
{
	struct scan s = {.report = report};
	bool more = true;
	yaml_parser_t parser;
	yaml_event_t event;
	int err = 0;

	if (!parser_start(&parser, text, len))
		return -ENOMEM;
	while (more) {
		if (!yaml_parser_parse(&parser, &event)) {
			err = syntax_error(&parser, text, len, report);
			break;
		}
		more = scan_event(&s, &event) && event.type != YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (!err && report->n_errors)
		err = -EINVAL;
	return err;
}

int tree_parse(const char *text, size_t len, struct report *report, struct tree *out)
{
	yaml_parser_t parser;
	int err;

	out->loaded = false;
	out->report = report;
	err = scan(text, len, report);
	if (err)
		return err;
	if (!parser_start(&parser, text, len))
		return -ENOMEM;
	if (yaml_parser_load(&parser, &out->document))
		out->loaded = true;
	else
		err = syntax_error(&parser, text, len, report);
	yaml_parser_delete(&parser);
	return err;
}

void tree_free(struct tree *t)
{
	if (t->loaded)
		yaml_document_delete(&t->document);
	t->loaded = false;
}

yaml_node_t *tree_root(struct tree *t)
{
	return yaml_document_get_root_node(&t->document);
}

yaml_node_t *tree_node(struct tree *t, int id)
{
	return yaml_document_get_node(&t->document, id);
}

const char *tree_text(const yaml_node_t *scalar)
{
	return (const char *)scalar->data.scalar.value;
}

bool tree_is_null(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!strcmp(tree_text(n), "") || !strcmp(tree_text(n), "~") ||
		!strcmp(tree_text(n), "null"));
}

bool tree_is_empty(const yaml_node_t *n)
{
	switch (n->type) {
	case YAML_SCALAR_NODE:
		return tree_is_null(n) || !n->data.scalar.length;
	case YAML_SEQUENCE_NODE:
		return n->data.sequence.items.top == n->data.sequence.items.start;
	case YAML_MAPPING_NODE:
		return n->data.mapping.pairs.top == n->data.mapping.pairs.start;
	default:
		return true;
	}
}

static struct place tree_place(const yaml_node_t *n)
{
	return place_of_mark(n->start_mark);
}

/* A key that holds a NUL is none. */
static bool is_key(const yaml_node_t *n, const char *name)
{
	return n->type == YAML_SCALAR_NODE && n->data.scalar.length == strlen(name) &&
	       !strcmp(tree_text(n), name);
}

/* The value under the key, which is left where it is; NULL: there is none. */
static yaml_node_t *lookup(struct tree *t, const yaml_node_t *mapping, const char *name,
			   yaml_node_t **key)
{
	const yaml_node_pair_t *pair, *end;

	if (!mapping || mapping->type != YAML_MAPPING_NODE)
		return NULL;
	end = mapping->data.mapping.pairs.top;
	for (pair = mapping->data.mapping.pairs.start; pair < end; pair++) {
		*key = tree_node(t, pair->key);
		if (is_key(*key, name))
			return tree_node(t, pair->value);
	}
	return NULL;
}

/* The value at the path or NULL; *at is the place to complain at. Paths are as deep as the schema. */
static yaml_node_t *tree_resolve(struct tree *t, const struct path *p, struct place *at)
{
	yaml_node_t *node, *key;

	if (!p) {
		*at = (struct place){1, 1};
		return tree_root(t);
	}
	node = lookup(t, tree_resolve(t, p->up, at), p->key, &key);
	if (node)
		*at = tree_place(node->type == YAML_MAPPING_NODE ? key : node);
	return node;
}

yaml_node_t *tree_get(struct tree *t, const struct path *p)
{
	struct place at;

	return tree_resolve(t, p, &at);
}

bool tree_is_sound(struct tree *t, const struct path *p)
{
	struct place at;

	tree_resolve(t, p, &at);
	return !report_has_error(t->report, at);
}

/* "services.hybrid-mail.port" */
static void path_text(const struct path *p, char *buf, size_t size)
{
	char key[KEY_TEXT_SIZE];
	size_t used;

	buf[0] = '\0';
	if (!p)
		return;
	path_text(p->up, buf, size);
	used = strlen(buf);
	snprintf(buf + used, size - used, "%s%s", used ? "." : "",
		 log_quote(p->key, strlen(p->key), key, sizeof(key)));
}

static void tree_complain(struct tree *t, struct place at, bool warning, const struct path *p,
			  const char *format, va_list args)
{
	char where[PATH_TEXT_SIZE], text[REPORT_TEXT_SIZE];
	size_t used;

	path_text(p, where, sizeof(where));
	used = (size_t)snprintf(text, sizeof(text), "%s%s", where, where[0] ? ": " : "");
	vsnprintf(text + used, sizeof(text) - used, format, args);
	report_add(t->report, at, warning, text);
}

void tree_error(struct tree *t, const struct path *p, const char *format, ...)
{
	struct place at;
	va_list args;

	tree_resolve(t, p, &at);
	va_start(args, format);
	tree_complain(t, at, false, p, format, args);
	va_end(args);
}

void tree_warn(struct tree *t, const struct path *p, const char *format, ...)
{
	struct place at;
	va_list args;

	tree_resolve(t, p, &at);
	va_start(args, format);
	tree_complain(t, at, true, p, format, args);
	va_end(args);
}

void tree_error_at(struct tree *t, const yaml_node_t *n, const struct path *p, const char *format,
		   ...)
{
	va_list args;

	va_start(args, format);
	tree_complain(t, tree_place(n), false, p, format, args);
	va_end(args);
}

/* The earlier key of the same text, or NULL. */
static yaml_node_t *tree_earlier(struct tree *t, const yaml_node_t *mapping,
				 const yaml_node_pair_t *until, const char *name)
{
	const yaml_node_pair_t *pair;

	for (pair = mapping->data.mapping.pairs.start; pair < until; pair++) {
		yaml_node_t *key = tree_node(t, pair->key);

		if (is_key(key, name))
			return key;
	}
	return NULL;
}

static void each_pair(struct tree *t, const struct path *p, yaml_node_t *n,
		      const yaml_node_pair_t *pair, tree_entry_fn *fn, void *ctx)
{
	yaml_node_t *key = tree_node(t, pair->key), *first;
	struct path here = {.up = p};

	if (key->type != YAML_SCALAR_NODE || strlen(tree_text(key)) != key->data.scalar.length) {
		tree_error_at(t, key, p, "a key must be a word");
		return;
	}
	here.key = tree_text(key);
	first = tree_earlier(t, n, pair, here.key);
	if (first)
		tree_error_at(t, key, &here, "repeated: it was given at line %u, column %u",
			      tree_place(first).line, tree_place(first).column);
	else
		fn(&here, key, tree_node(t, pair->value), ctx);
}

bool tree_each(struct tree *t, const struct path *p, yaml_node_t *n, tree_entry_fn *fn, void *ctx)
{
	const yaml_node_pair_t *pair, *end;

	if (!n || tree_is_null(n))
		return true;
	if (n->type != YAML_MAPPING_NODE) {
		tree_error_at(t, n, p, "must be a mapping (key: value), not a %s",
			      n->type == YAML_SEQUENCE_NODE ? "list" : "single value");
		return false;
	}
	pair = n->data.mapping.pairs.start;
	end = n->data.mapping.pairs.top;
	if (end - pair > TREE_MAX_ENTRIES) {
		tree_error(t, p, "more than %d entries", TREE_MAX_ENTRIES);
		return false;
	}
	for (; pair < end; pair++)
		each_pair(t, p, n, pair, fn, ctx);
	return true;
}
