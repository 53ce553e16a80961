/* SPDX-License-Identifier: BSD-2-Clause */
/* TLSA records in the form of a zone file (RFC 6698 section 2.2). Pure. */
#ifndef MXLB_TLSA_H
#define MXLB_TLSA_H

#include <stddef.h>
#include <stdint.h>

#define TLSA_WHY_SIZE 160

enum tlsa_usage { TLSA_USAGE_TA = 2, TLSA_USAGE_EE = 3 };
enum tlsa_selector { TLSA_SELECTOR_CERT, TLSA_SELECTOR_SPKI };
enum tlsa_matching { TLSA_MATCHING_FULL, TLSA_MATCHING_SHA256, TLSA_MATCHING_SHA512 };

/* A record that gives the data itself (matching 0) is kept by its SHA-256: equal data have equal ones. */
struct tlsa {
	uint8_t usage, selector, matching; /* matching: never FULL */
	uint8_t digest[64];		   /* SHA-256: the first 32 */
};

/* "3 1 1 <hex>", blanks within the hexadecimal allowed. 0, or -EINVAL and in `why` what is wrong with it. */
int tlsa_parse(const char *text, struct tlsa *out, char why[TLSA_WHY_SIZE]);
/* The same of a record's parts. */
int tlsa_make(int usage, int selector, int matching, const uint8_t *data, size_t len,
	      struct tlsa *out, char why[TLSA_WHY_SIZE]);

#endif
