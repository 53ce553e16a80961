/* SPDX-License-Identifier: BSD-2-Clause */
/* What answers of DNS are taken for, and their records (RFC 1035 section 3.3, 3596, 6698). */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "core/dns.h"

#define LABEL_MAX      63
#define RCODE_NOERROR  0
#define RCODE_NXDOMAIN 3
#define TLSA_HEADER    3

static const char *const names[] = {
	[DNS_OK] = "ok",	   [DNS_NODATA] = "nodata",	[DNS_NXDOMAIN] = "nxdomain",
	[DNS_NULL_MX] = "null_mx", [DNS_SERVFAIL] = "servfail", [DNS_TIMEOUT] = "timeout",
	[DNS_BOGUS] = "bogus",	   [DNS_UNSIGNED] = "unsigned", [DNS_UNUSABLE] = "unusable",
	[DNS_LOCAL] = "local",
};

const char *dns_result_name(enum dns_result r)
{
	return (unsigned)r < DNS_RESULTS ? names[r] : "?";
}

const char *dns_result_text(enum dns_result r)
{
	static const char *const texts[] = {
		[DNS_OK] = "",
		[DNS_NODATA] = "the name has no MX records",
		[DNS_NXDOMAIN] = "the name does not exist",
		[DNS_NULL_MX] = "the name has a null MX: it accepts no mail",
		[DNS_SERVFAIL] = "the resolver could not answer",
		[DNS_TIMEOUT] = "the resolver did not answer within 5 s",
		[DNS_BOGUS] = "the answer is bogus: DNSSEC validation failed",
		[DNS_UNSIGNED] = "the answer is not signed, which dnssec: require does not accept",
		[DNS_UNUSABLE] = "the records in the answer cannot be used",
		[DNS_LOCAL] = "this box could not ask",
	};

	return (unsigned)r < DNS_RESULTS ? texts[r] : "?";
}

enum dns_result dns_judge(const struct dns_answer *a, enum dnssec policy)
{
	if (a->bogus && policy != DNSSEC_OFF)
		return DNS_BOGUS;
	if (a->rcode != RCODE_NOERROR && a->rcode != RCODE_NXDOMAIN)
		return DNS_SERVFAIL;
	if (policy == DNSSEC_REQUIRE && !a->secure)
		return DNS_UNSIGNED;
	if (a->has_data && a->n)
		return DNS_OK;
	return a->nxdomain || a->rcode == RCODE_NXDOMAIN ? DNS_NXDOMAIN : DNS_NODATA;
}

static char letter(uint8_t byte)
{
	return isalnum(byte) || byte == '-' || byte == '_' ? (char)tolower(byte) : '?';
}

int dns_name(const uint8_t *data, size_t len, char out[DNS_NAME_SIZE])
{
	size_t at = 0, used = 0;

	while (at < len && data[at]) {
		size_t label = data[at++];

		/* the last byte is the root's; a name has 253 characters at most */
		if (label > LABEL_MAX || label >= len - at || used + label + 2 > DNS_NAME_SIZE - 2)
			return -EINVAL;
		if (used)
			out[used++] = '.';
		for (size_t i = 0; i < label; i++)
			out[used++] = letter(data[at++]);
	}
	out[used] = '\0';
	return at + 1 == len ? 0 : -EINVAL;
}

int dns_canonical(const char *text, char out[DNS_NAME_SIZE])
{
	size_t len = strlen(text), label = 0;

	if (len && text[len - 1] == '.')
		len--;
	if (!len || len > 253)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		label = text[i] == '.' ? 0 : label + 1;
		if ((text[i] == '.' && (!i || text[i - 1] == '.')) || label > LABEL_MAX)
			return -EINVAL;
		out[i] = text[i] == '.' ? '.' : letter((uint8_t)text[i]);
	}
	out[len] = '\0';
	return label ? 0 : -EINVAL;
}

int dns_mx(const struct dns_record *r, struct dns_mx *out)
{
	if (r->len < 3)
		return -EINVAL;
	out->preference = (uint16_t)(r->data[0] << 8 | r->data[1]);
	return dns_name(r->data + 2, r->len - 2, out->exchanger);
}

int dns_address(enum dns_type type, const struct dns_record *r, struct addr *out)
{
	size_t len = type == DNS_A ? 4 : 16;

	if ((type != DNS_A && type != DNS_AAAA) || r->len != len)
		return -EINVAL;
	addr_from_bytes(r->data, len, out);
	return 0;
}

int dns_tlsa(const struct dns_record *r, struct tlsa *out)
{
	char why[TLSA_WHY_SIZE];

	if (r->len <= TLSA_HEADER)
		return -EINVAL;
	return tlsa_make(r->data[0], r->data[1], r->data[2], r->data + TLSA_HEADER,
			 r->len - TLSA_HEADER, out, why);
}
