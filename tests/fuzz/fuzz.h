/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the fuzz targets. A target is one function, libFuzzer's; a broken promise aborts, and the input is kept. */
#ifndef MXLB_TESTS_FUZZ_H
#define MXLB_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                         \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* The text is terminated within its buffer and is printable ASCII. */
static inline void must_be_text(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!text[i])
			return;
		MUST(text[i] >= ' ' && text[i] <= '~');
	}
	MUST(!"a text without an end");
}

#endif
