// SPDX-License-Identifier: BSD-2-Clause
/*
 * Preloaded (LD_PRELOAD) by tests/e2e/test_errors.py: allocation number $NTH fails, and at exit the number of
 * allocations goes to stderr. libcrypto's own are left alone, because OpenSSL 3.0 uses locks that it could not
 * allocate, and crashes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* glibc's own functions, under the names that it exports for this purpose. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

static unsigned long n, nth;
static int begun;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("NTH");

	nth = text ? strtoul(text, NULL, 10) : 0;
	begun = 1;
}

__attribute__((destructor)) static void end(void)
{
	begun = 0;
	fprintf(stderr, "allocations: %lu\n", n);
}

static int fails(const void *caller)
{
	Dl_info from;

	if (!begun || (dladdr(caller, &from) && strstr(from.dli_fname, "/libcrypto.")))
		return 0;
	if (++n != nth)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}
