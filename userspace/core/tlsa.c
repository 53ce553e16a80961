/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which TLSA records are accepted. Usages 0 and 1 are refused, because they are unusable for SMTP (RFC 7672 section
 * 3.1.3): Exchange Online would then require TLS only, which is less than the administrator intended.
 */
#include <ctype.h>
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include "core/tlsa.h"

#define DATA_MAX      4096 /* of a record with matching 0: a certificate */

#define SAY(why, ...) (snprintf(why, TLSA_WHY_SIZE, __VA_ARGS__), -EINVAL)

/* Parses one digit and the blank after it; -1: something else. */
static int take_digit(const char **at)
{
	int digit;

	while (isspace((unsigned char)**at))
		(*at)++;
	if (!isdigit((unsigned char)**at) || !isspace((unsigned char)(*at)[1]))
		return -1;
	digit = *(*at)++ - '0';
	return digit;
}

static int tlsa_hex_digit(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* Bytes; -1: not hexadecimal, half a byte, or too many. */
static int take_hex(const char *at, uint8_t data[DATA_MAX])
{
	int digits = 0;

	for (; *at; at++) {
		int d = tlsa_hex_digit(*at);

		if (isspace((unsigned char)*at))
			continue;
		if (d < 0 || digits == 2 * DATA_MAX)
			return -1;
		data[digits / 2] = (uint8_t)(digits % 2 ? data[digits / 2] << 4 | d : d);
		digits++;
	}
	return digits % 2 ? -1 : digits / 2;
}

int tlsa_make(int usage, int selector, int matching, const uint8_t *data, size_t len,
	      struct tlsa *out, char why[TLSA_WHY_SIZE])
{
	static const size_t lengths[] = {0, SHA256_DIGEST_LENGTH, SHA512_DIGEST_LENGTH};

	if (usage < TLSA_USAGE_TA)
		return SAY(why,
			   "usage %d is unusable for SMTP (RFC 7672 section 3.1.3): publish 2 or 3",
			   usage);
	if (usage > TLSA_USAGE_EE || selector > TLSA_SELECTOR_SPKI ||
	    matching > TLSA_MATCHING_SHA512)
		return SAY(why, "%d %d %d is not between 2 0 0 and 3 1 2", usage, selector,
			   matching);
	if (!len || len > DATA_MAX)
		return SAY(why, "has no data or more than %d bytes", DATA_MAX);
	if (lengths[matching] && len != lengths[matching])
		return SAY(why, "has %zu bytes of data where matching type %d has %zu", len,
			   matching, lengths[matching]);
	memset(out, 0, sizeof(*out));
	out->usage = (uint8_t)usage;
	out->selector = (uint8_t)selector;
	out->matching = (uint8_t)(matching ? matching : TLSA_MATCHING_SHA256);
	if (matching == TLSA_MATCHING_FULL)
		SHA256(data, len, out->digest);
	else
		memcpy(out->digest, data, len);
	return 0;
}

int tlsa_parse(const char *text, struct tlsa *out, char why[TLSA_WHY_SIZE])
{
	int usage = take_digit(&text), selector = usage < 0 ? -1 : take_digit(&text);
	int matching = selector < 0 ? -1 : take_digit(&text), len;
	uint8_t data[DATA_MAX];

	if (matching < 0)
		return SAY(why, "is not a TLSA record like \"3 1 1 <hex>\"");
	len = take_hex(text, data);
	/* errors in the numbers are reported first */
	if (len <= 0 &&
	    !tlsa_make(usage, selector, TLSA_MATCHING_FULL, (const uint8_t *)"", 1, out, why) &&
	    matching <= TLSA_MATCHING_SHA512)
		return SAY(why, "has no or broken hexadecimal data, or more than %d bytes",
			   DATA_MAX);
	return tlsa_make(usage, selector, matching, data, len > 0 ? (size_t)len : 0, out, why);
}
