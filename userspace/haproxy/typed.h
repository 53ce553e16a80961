/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A field of `show stat` or `show info`: its value, and its form in HAProxy's `typed` and `json` output (management
 * guide, 9.2 "Typed output format").
 */
#ifndef MXLB_CONTROL_TYPED_H
#define MXLB_CONTROL_TYPED_H

#include <stdbool.h>
#include <stdint.h>
#include "util/buf.h"

enum typed_kind { TYPED_NONE, TYPED_TEXT, TYPED_U32, TYPED_U64, TYPED_S32 };
enum typed_format { FORMAT_PLAIN, FORMAT_TYPED, FORMAT_JSON };

struct typed_value {
	enum typed_kind kind; /* TYPED_NONE: has no value, and is left out */
	uint64_t n;	      /* TYPED_S32: an int32_t, cast */
	const char *text;     /* as long as the value is in use */
};

struct typed_field {
	unsigned pos;
	const char *name;
	const char *tags; /* origin, nature, scope: "MGP" is a metric, a gauge, of the process */
};

/* The value alone; text quoted as in CSV where it must be. */
void typed_plain(struct buf *out, const struct typed_value *v, bool csv);
/* "4.scur.1:MGP:u32:0", a line. */
void typed_line(struct buf *out, const struct typed_field *f, const struct typed_value *v);
/* An object's members from "field" on, with the brace that ends it. */
void typed_json(struct buf *out, const struct typed_field *f, const struct typed_value *v);
/* "typed" or "json". False: neither. */
bool typed_format(const char *word, enum typed_format *out);

#endif
