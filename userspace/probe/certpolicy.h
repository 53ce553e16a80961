/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a server's certificate satisfies a policy of Exchange Online. Pure: the certificates in memory, a time and a
 * policy in, a reason out; opens nothing, fetches nothing, aborts no handshake. The rules are numbered in
 * certpolicy.c.
 */
#ifndef MXLB_CERTPOLICY_H
#define MXLB_CERTPOLICY_H

#include <openssl/x509.h>
#include "core/certname.h"
#include "core/config.h"
#include "core/verdict.h"

/* Windows' client accepts 32 KiB of certificates, which is room for about as many. */
#define CERTPOLICY_CHAIN_MAX 20

struct cert_finding {
	enum reason reason;	    /* ok, certificate_*, tlsa_mismatch, local_error */
	char text[PROBE_TEXT_SIZE]; /* printable; what exactly was found */
};

struct cert_question {
	enum tls_policy policy;
	const struct cert_conf *conf;
	X509_STORE *
		bundle; /* for certificate- and domain-validation; NULL: could not be loaded, a local_error */
	int64_t now_s; /* seconds since 1970 */
};

/* True when the policy needs a CA bundle. */
bool certpolicy_wants_bundle(enum tls_policy policy);
/*
 * cert: the server's own; chain: all it sent, with or without cert (NULL: nothing); info: certfacts_describe()'s of
 * cert. All borrowed.
 */
void certpolicy_judge(const struct cert_question *q, X509 *cert, STACK_OF(X509) * chain,
		      const struct tls_info *info, struct cert_finding *out);
/* A name for comparison. 0, or -EINVAL if it cannot be represented as text, or is too long. */
int certpolicy_name(const X509_NAME *from, struct certname *to);

#endif
