/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns how a value is written so that every reader of YAML takes it for what it is: text that one could take for a number,
 * a truth value or nothing is quoted; the rest is plain, as conf/ wants numbers, durations and marks. An object of plain
 * values below the first two levels stands on one line, if it is short.
 */
#include "ctl/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#define FLOW_DEPTH 2 /* from here on an object of few scalars is a line */
#define FLOW_MAX   4
#define LINE_WIDTH 100
#define DEPTH_MAX  16

static bool is_word_of_yaml(const char *text)
{
	static const char *const words[] = {"",	  "~",	 "null", "true", "false", "yes",  "no",
					    "on", "off", "y",	 "n",	 ".inf",  ".nan", "<<"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcasecmp(text, words[i]))
			return true;
	return false;
}

/* Text without a letter is quoted, whatever it is, and what has a colon: 1:20 is a number to some. */
static bool must_quote(const char *text)
{
	return is_word_of_yaml(text) || strspn(text, "0123456789.+-_eE") == strlen(text) ||
	       strchr(text, ':');
}

static int yaml_emit(yaml_emitter_t *e, yaml_event_t *event, int made)
{
	return made && yaml_emitter_emit(e, event) ? 0 : -EINVAL;
}

static int scalar(yaml_emitter_t *e, const char *text, bool quoted)
{
	yaml_event_t event;

	return yaml_emit(e, &event,
			 yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *)text,
						      (int)strlen(text), 1, 1,
						      quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
							     : YAML_PLAIN_SCALAR_STYLE));
}

static bool is_line(const json_t *object, unsigned depth)
{
	const char *key;
	json_t *value;

	if (depth < FLOW_DEPTH || json_object_size(object) > FLOW_MAX)
		return !json_object_size(object);
	json_object_foreach ((json_t *)object, key, value)
		if (json_is_object(value) || json_is_array(value))
			return false;
	return true;
}

static int value_of(yaml_emitter_t *e, const json_t *json, unsigned depth);

static int mapping(yaml_emitter_t *e, const json_t *json, unsigned depth)
{
	yaml_event_t event;
	const char *key;
	json_t *value;
	int err = yaml_emit(
		e, &event,
		yaml_mapping_start_event_initialize(
			&event, NULL, NULL, 1,
			is_line(json, depth) ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE));

	json_object_foreach ((json_t *)json, key, value) {
		/* a tier's key is a number, and plain */
		if (!err)
			err = scalar(e, key, is_word_of_yaml(key));
		if (!err)
			err = value_of(e, value, depth + 1);
	}
	return err ?: yaml_emit(e, &event, yaml_mapping_end_event_initialize(&event));
}

static int sequence(yaml_emitter_t *e, const json_t *json, unsigned depth)
{
	yaml_event_t event;
	json_t *value;
	size_t i;
	int err = yaml_emit(e, &event,
			    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
								 YAML_FLOW_SEQUENCE_STYLE));

	json_array_foreach (json, i, value)
		err = err ?: value_of(e, value, depth + 1);
	return err ?: yaml_emit(e, &event, yaml_sequence_end_event_initialize(&event));
}

static int value_of(yaml_emitter_t *e, const json_t *json, unsigned depth)
{
	char number[32];

	if (depth > DEPTH_MAX)
		return -EINVAL;
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return mapping(e, json, depth);
	case JSON_ARRAY:
		return sequence(e, json, depth);
	case JSON_STRING:
		return scalar(e, json_string_value(json), must_quote(json_string_value(json)));
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(json));
		return scalar(e, number, false);
	case JSON_TRUE:
	case JSON_FALSE:
		return scalar(e, json_is_true(json) ? "true" : "false", false);
	default:
		return -EINVAL;
	}
}

int yaml_print(const json_t *json, FILE *to)
{
	yaml_emitter_t e;
	yaml_event_t event;
	int err;

	if (!yaml_emitter_initialize(&e))
		return -ENOMEM;
	yaml_emitter_set_output_file(&e, to);
	yaml_emitter_set_unicode(&e, 1);
	yaml_emitter_set_width(&e, LINE_WIDTH);
	err = yaml_emit(&e, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) ?:
	      yaml_emit(&e, &event,
		   yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1)) ?:
	      value_of(&e, json, 0) ?:
	      yaml_emit(&e, &event, yaml_document_end_event_initialize(&event, 1)) ?:
	      yaml_emit(&e, &event, yaml_stream_end_event_initialize(&event));
	yaml_emitter_delete(&e);
	return err ?: ferror(to) ? -EIO : 0;
}
