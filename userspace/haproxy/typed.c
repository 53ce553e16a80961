/* SPDX-License-Identifier: BSD-2-Clause */
/* The two long forms of a field. Its values are numbers and printable text. */
#include "haproxy/typed.h"

#include <string.h>

static const char *const kinds[] = {
	[TYPED_TEXT] = "str", [TYPED_U32] = "u32", [TYPED_U64] = "u64", [TYPED_S32] = "s32"};

static const char *tag_name(char tag, unsigned place)
{
	static const struct {
		char tag;
		const char *name;
	} names[3][10] = {
		{{'M', "Metric"}, {'S', "Status"}, {'K', "Key"}, {'C', "Config"}, {'P', "Product"}},
		{{'G', "Gauge"},
		 {'L', "Limit"},
		 {'M', "Max"},
		 {'R', "Rate"},
		 {'C', "Counter"},
		 {'D', "Duration"},
		 {'A', "Age"},
		 {'N', "Name"},
		 {'O', "Output"},
		 {'a', "Avg"}},
		{{'P', "Process"}, {'S', "Service"}},
	};

	for (unsigned i = 0; i < 10 && names[place][i].tag; i++)
		if (names[place][i].tag == tag)
			return names[place][i].name;
	return "?";
}

/* RFC 4180: quoted if it contains a quotation mark or a separator; inner quotation marks are doubled. */
static void csv_text(struct buf *out, const char *text)
{
	if (!text[strcspn(text, "\",\n\r")]) {
		buf_printf(out, "%s", text);
		return;
	}
	buf_append(out, "\"", 1);
	for (; *text; text++)
		buf_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
	buf_append(out, "\"", 1);
}

void typed_plain(struct buf *out, const struct typed_value *v, bool csv)
{
	if (v->kind == TYPED_TEXT && csv)
		csv_text(out, v->text);
	else if (v->kind == TYPED_TEXT)
		buf_printf(out, "%s", v->text);
	else if (v->kind == TYPED_S32)
		buf_printf(out, "%d", (int32_t)v->n);
	else if (v->kind)
		buf_printf(out, "%llu", (unsigned long long)v->n);
}

void typed_line(struct buf *out, const struct typed_field *f, const struct typed_value *v)
{
	buf_printf(out, "%u.%s.1:%s:%s:", f->pos, f->name, f->tags, kinds[v->kind]);
	typed_plain(out, v, false);
	buf_append(out, "\n", 1);
}

static void json_text(struct buf *out, const char *text)
{
	buf_append(out, "\"", 1);
	for (; *text; text++) {
		if (strchr("\"\\", *text))
			buf_append(out, "\\", 1);
		buf_append(out, text, 1);
	}
	buf_append(out, "\"", 1);
}

void typed_json(struct buf *out, const struct typed_field *f, const struct typed_value *v)
{
	buf_printf(
		out,
		"\"field\":{\"pos\":%u,\"name\":\"%s\"},\"processNum\":1,\"tags\":{\"origin\":"
		"\"%s\",\"nature\":\"%s\",\"scope\":\"%s\"},\"value\":{\"type\":\"%s\",\"value\":",
		f->pos, f->name, tag_name(f->tags[0], 0), tag_name(f->tags[1], 1),
		tag_name(f->tags[2], 2), kinds[v->kind]);
	if (v->kind == TYPED_TEXT)
		json_text(out, v->text);
	else
		typed_plain(out, v, false);
	buf_printf(out, "}}");
}

bool typed_format(const char *word, enum typed_format *out)
{
	if (!strcmp(word, "typed"))
		*out = FORMAT_TYPED;
	else if (!strcmp(word, "json"))
		*out = FORMAT_JSON;
	else
		return false;
	return true;
}
