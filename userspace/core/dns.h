/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers of DNS: what they are taken for, and their records. Rdata is in wire form and written by strangers: a name,
 * an address or a TLSA record that is not exactly one is refused. Pure.
 */
#ifndef MXLB_DNS_H
#define MXLB_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include "core/tlsa.h"
#include "util/addr.h"

#define DNS_NAME_SIZE	256
#define DNS_WHY_SIZE	160
#define DNS_CAUSE_SIZE	280 /* why this box could not ask, and the next step: resolver.h */
#define DNS_RECORDS_MAX 256

enum dns_type { DNS_A = 1, DNS_MX = 15, DNS_AAAA = 28, DNS_TLSA = 52 };
enum dnssec { DNSSEC_REQUIRE, DNSSEC_PREFER, DNSSEC_OFF };

/* What an answer is taken for. The names appear in metrics. */
enum dns_result {
	DNS_OK,
	DNS_NODATA,
	DNS_NXDOMAIN,
	DNS_NULL_MX, /* RFC 7505: only of lookups of a zone's MX records */
	DNS_SERVFAIL,
	DNS_TIMEOUT,
	DNS_BOGUS,
	DNS_UNSIGNED, /* with dnssec: require */
	DNS_UNUSABLE, /* its records: too many, or not well formed */
	DNS_LOCAL,    /* this box could not ask: no library, no resolver, no child */
	DNS_RESULTS,
};

struct dns_record {
	const uint8_t *data;
	size_t len;
};

struct dns_answer {
	uint16_t rcode;
	bool has_data, nxdomain, secure, bogus;
	uint32_t ttl_s;
	char canonical
		[DNS_NAME_SIZE]; /* the name at the end of aliases; "": the one that was asked for */
	char why[DNS_WHY_SIZE];	 /* of a bogus one; printable */
	unsigned n;
	struct dns_record records[DNS_RECORDS_MAX]; /* borrowed */
};

struct dns_mx {
	uint16_t preference;
	char exchanger[DNS_NAME_SIZE]; /* as dns_name(); "": the null MX */
};

const char *dns_result_name(enum dns_result r); /* "ok", "servfail" */
const char *dns_result_text(enum dns_result r); /* in words; DNS_OK: "" */
/* Bogus comes first, because bogus answers have data. With DNSSEC_OFF they count as any other. */
enum dns_result dns_judge(const struct dns_answer *a, enum dnssec policy);

/*
 * A name in wire form that ends where the data does, without compression: lower case, without the last dot. Bytes that
 * are neither letters, digits, hyphens nor underscores become "?", so that the name is no server's. 0 or -EINVAL.
 */
int dns_name(const uint8_t *data, size_t len, char out[DNS_NAME_SIZE]);
/* A name from a configuration or from the resolver in that form: 0, or -EINVAL: too long, or empty labels. */
int dns_canonical(const char *text, char out[DNS_NAME_SIZE]);
int dns_mx(const struct dns_record *r, struct dns_mx *out);
int dns_address(enum dns_type type, const struct dns_record *r, struct addr *out);
/* 0; -EINVAL: no TLSA record or unusable for SMTP (RFC 7672 section 3.1.3). */
int dns_tlsa(const struct dns_record *r, struct tlsa *out);

#endif
