/* SPDX-License-Identifier: BSD-2-Clause */
/* The growing text buffer: its memory and limit. An append succeeds completely or not at all. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util/buf.h"

#define BUF_CAP_DEFAULT (64 * 1024 * 1024)
#define BUF_FIRST_SIZE	256

/* Makes room for len more bytes and a NUL; false, and the buffer failed, where that can't be. */
static bool reserve(struct buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : BUF_CAP_DEFAULT;
	size_t size = b->size ? b->size : BUF_FIRST_SIZE;
	char *data;

	if (b->failed)
		return false;
	if (cap > SIZE_MAX / 2)
		cap = SIZE_MAX / 2;
	if (b->len > cap || len > cap - b->len)
		goto fail;
	while (size <= b->len + len)
		size *= 2;
	if (size != b->size) {
		data = realloc(b->data, size);
		if (!data)
			goto fail;
		b->data = data;
		b->size = size;
	}
	return true;
fail:
	b->failed = true;
	return false;
}

void buf_append(struct buf *b, const void *bytes, size_t len)
{
	if (!reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, bytes, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	if (len < 0) {
		b->failed = true;
	} else if (reserve(b, (size_t)len)) {
		vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
		b->len += (size_t)len;
	}
	va_end(again);
	va_end(args);
}

void buf_consume(struct buf *b, size_t len)
{
	if (len > b->len)
		len = b->len;
	if (!len)
		return;
	memmove(b->data, b->data + len, b->len - len + 1);
	b->len -= len;
}

void buf_free(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->size = 0;
	b->failed = false;
}
