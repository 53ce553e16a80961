/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing text buffer with a cap. The code that declares it owns it and calls buf_free(). After any failed
 * append (no memory, over the cap) the buffer stays valid, .failed is set and later appends do nothing,
 * so that callers check once at the end.
 */
#ifndef MXLB_BUF_H
#define MXLB_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* NUL-terminated once anything was appended, else NULL */
	size_t len;
	size_t size;
	size_t cap; /* most bytes it may hold; 0: 64 MiB */
	bool failed;
};

void buf_append(struct buf *b, const void *bytes, size_t len);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t len); /* drops len bytes from the front */
void buf_free(struct buf *b);

#endif
