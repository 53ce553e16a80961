/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Distinguished names: what Windows prints, what people paste, what a certificate contains. Pure; independent of any
 * X.509 library. The rules are numbered in certname.c.
 */
#ifndef MXLB_CERTNAME_H
#define MXLB_CERTNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CERTNAME_ATTRIBUTES_MAX 32
#define CERTNAME_POOL_SIZE	2048
#define CERTNAME_WHY_SIZE	160

/* A parsed name: types are dotted OIDs, values are folded. In the order of the text or certificate. */
struct certname {
	unsigned n;
	struct certname_attribute {
		uint16_t rdn; /* attributes of one RDN have the same number, from 0 */
		uint16_t type, type_len, value, value_len; /* in the pool */
	} attributes[CERTNAME_ATTRIBUTES_MAX];
	size_t used;
	char pool[CERTNAME_POOL_SIZE];
};

/* "<I>issuer<S>subject"; .issuer.n is 0 if only a subject was given. */
struct certname_pair {
	struct certname issuer, subject;
};

/* Appends one attribute: a dotted OID and a UTF-8 value of any bytes. 0, or -E2BIG: then the name can't be compared. */
int certname_add(struct certname *name, const char *oid, const char *value, size_t len,
		 bool same_rdn);
/* Returns 0, or -EINVAL and in `why` the error and its position. */
int certname_parse(const char *text, struct certname *out, char why[CERTNAME_WHY_SIZE]);
/* tls-certificate-name: both names, "<S>subject", or a subject without a tag. As above. */
int certname_parse_pair(const char *text, struct certname_pair *out, char why[CERTNAME_WHY_SIZE]);
/* The same RDNs, in the same or the opposite order. */
bool certname_equal(const struct certname *a, const struct certname *b);
/* What Windows calls the attribute type ("CN", "S"), or NULL: "OID.1.2.3" there. */
const char *certname_type(const char *oid);

#endif
