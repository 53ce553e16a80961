/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Judges the certificates of a server as Exchange Online would (field-notes 1.1 to 1.4), after the handshake and outside
 * of it. The first of these that fails names the reason:
 *
 *  1. none, encryption-only: the certificate is anybody's.
 *  2. All others: the server's certificate is within its dates; EOP refuses an expired one under DANE too, where RFC
 *     7672 section 3.1.1 would not. The chain has a bounded length.
 *  3. certificate-validation: a chain to the bundle, for a TLS server, each within its dates, no MD5, no SHA-1, no key below
 *     1,024 bits (OpenSSL's level 1).
 *  4. domain-validation: rule 3, then a DNS name of the certificate or its common name is for tls-domain.
 *  5. dane: any record with usage 3 matches the server's own certificate; or any with usage 2 matches a higher one of the
 *     chain as it was sent, which leads there, and the name is for tls-domain (RFC 7671 section 5).
 *  6. tls-certificate-name, if given: the subject is that one; then the issuer is. Under encryption-only too.
 */
#include <errno.h>
#include <openssl/sha.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/domain.h"
#include "probe/certpolicy.h"
#include "probe/tls.h"

#define DEPTH_MAX  10 /* of a chain as it is built */
#define AUTH_LEVEL 1
#define OID_SIZE   80
#define SAY_DN	   120 /* so much of a name fits a finding's text twice */

/* What X509_verify_cert() says; all else is untrusted. */
static const struct {
	int error;
	enum reason reason;
} errors[] = {
	{X509_V_ERR_CERT_HAS_EXPIRED, REASON_certificate_expired},
	{X509_V_ERR_CERT_NOT_YET_VALID, REASON_certificate_not_yet_valid},
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, REASON_certificate_incomplete_chain},
	{X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, REASON_certificate_incomplete_chain},
	{X509_V_ERR_EE_KEY_TOO_SMALL, REASON_certificate_weak},
	{X509_V_ERR_CA_KEY_TOO_SMALL, REASON_certificate_weak},
	{X509_V_ERR_CA_MD_TOO_WEAK, REASON_certificate_weak},
	{X509_V_ERR_OUT_OF_MEM, REASON_local_error},
};

struct judgement {
	const struct cert_question *q;
	X509 *cert;
	STACK_OF(X509) * chain;
	const struct tls_info *info;
	struct cert_finding *out;
};

/* False, for the rule that found it. */
static bool find(const struct judgement *j, enum reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool find(const struct judgement *j, enum reason reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(j->out->text, sizeof(j->out->text), format, args);
	va_end(args);
	j->out->reason = reason;
	return false;
}

static const char *date(int64_t seconds, char text[32])
{
	time_t t = seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		strcpy(text, "?");
	return text;
}

/* Rule 2. */
static bool is_within_dates(const struct judgement *j)
{
	const struct tls_info *i = j->info;
	char text[32];

	if (j->q->now_s > i->not_after)
		return find(j, REASON_certificate_expired, "%.*s: expired %s", SAY_DN, i->subject,
			    date(i->not_after, text));
	if (j->q->now_s < i->not_before)
		return find(j, REASON_certificate_not_yet_valid, "%.*s: valid from %s", SAY_DN,
			    i->subject, date(i->not_before, text));
	if (sk_X509_num(j->chain) > CERTPOLICY_CHAIN_MAX)
		return find(j, REASON_certificate_untrusted, "a chain of %d certificates",
			    sk_X509_num(j->chain));
	return true;
}

static enum reason reason_of(int error)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].error == error)
			return errors[i].reason;
	return REASON_certificate_untrusted;
}

/* Where a chain ended too early and the server sent more than its own certificate, it is the authority that is unknown. */
static bool explain(const struct judgement *j, X509_STORE_CTX *ctx)
{
	int error = X509_STORE_CTX_get_error(ctx),
	    built = sk_X509_num(X509_STORE_CTX_get0_chain(ctx));
	X509 *at = X509_STORE_CTX_get_current_cert(ctx);
	char subject[SAY_DN] = "?", issuer[SAY_DN] = "?";
	enum reason reason = reason_of(error);

	if (at) {
		certfacts_name(X509_get_subject_name(at), subject, sizeof(subject));
		certfacts_name(X509_get_issuer_name(at), issuer, sizeof(issuer));
	}
	if (reason != REASON_certificate_incomplete_chain)
		return find(j, reason, "%s: %s", subject, X509_verify_cert_error_string(error));
	if (built > 1)
		return find(j, REASON_certificate_untrusted, "%s is not in the CA bundle", issuer);
	return find(j, reason, "%s is neither sent nor in the CA bundle", issuer);
}

/* Rule 3, or 5 with anchors of its own. */
static bool is_trusted(const struct judgement *j, X509_STORE *anchors, unsigned long flags)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	bool ok;

	if (!ctx || !X509_STORE_CTX_init(ctx, anchors, j->cert, j->chain)) {
		X509_STORE_CTX_free(ctx);
		return find(j, REASON_local_error, "no memory");
	}
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_time(param, (time_t)j->q->now_s);
	X509_VERIFY_PARAM_set_depth(param, DEPTH_MAX);
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	X509_VERIFY_PARAM_set_flags(param, flags);
	ok = X509_verify_cert(ctx) == 1 || explain(j, ctx);
	X509_STORE_CTX_free(ctx);
	return ok;
}

static bool is_in_bundle(const struct judgement *j)
{
	if (!j->q->bundle)
		return find(j, REASON_local_error, "the CA bundle could not be loaded");
	return is_trusted(j, j->q->bundle, 0);
}

static bool any_dns_name_matches(X509 *cert, const char *domain)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool matches = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !matches; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

		if (n->type == GEN_DNS)
			matches = domain_matches(domain,
						 (const char *)ASN1_STRING_get0_data(n->d.dNSName),
						 (size_t)ASN1_STRING_length(n->d.dNSName));
	}
	GENERAL_NAMES_free(names);
	return matches;
}

static bool any_common_name_matches(X509 *cert, const char *domain)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	bool matches = false;

	for (int i = -1; !matches;) {
		unsigned char *cn = NULL;
		int len;

		i = X509_NAME_get_index_by_NID(subject, NID_commonName, i);
		if (i < 0)
			break;
		len = ASN1_STRING_to_UTF8(
			&cn, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
		matches = len > 0 && domain_matches(domain, (char *)cn, (size_t)len);
		OPENSSL_free(cn);
	}
	return matches;
}

/* Rule 4. */
static bool is_for_domain(const struct judgement *j)
{
	const char *domain = j->q->conf->domain;
	const struct tls_info *i = j->info;

	if (any_dns_name_matches(j->cert, domain) || any_common_name_matches(j->cert, domain))
		return true;
	return find(j, REASON_certificate_wrong_name, "for %.80s%s, not for %.80s",
		    i->n_names ? i->names[0] : i->subject, i->n_names > 1 ? " and others" : "",
		    domain);
}

static bool digest(const struct tlsa *t, const unsigned char *der, int len, uint8_t out[64])
{
	if (len <= 0)
		return false;
	if (t->matching == TLSA_MATCHING_SHA512)
		SHA512(der, (size_t)len, out);
	else
		SHA256(der, (size_t)len, out);
	return true;
}

static bool tlsa_matches(const struct tlsa *t, X509 *cert)
{
	size_t size = t->matching == TLSA_MATCHING_SHA512 ? 64 : 32;
	unsigned char *der = NULL;
	uint8_t found[64];
	int len = t->selector == TLSA_SELECTOR_SPKI
			  ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der)
			  : i2d_X509(cert, &der);
	bool matches = digest(t, der, len, found) && !memcmp(found, t->digest, size);

	OPENSSL_free(der);
	return matches;
}

static bool any_tlsa_matches(const struct judgement *j, X509 *cert, uint8_t usage)
{
	const struct cert_conf *c = j->q->conf;

	for (unsigned i = 0; i < c->n_tlsa; i++)
		if (c->tlsa[i].usage == usage && tlsa_matches(&c->tlsa[i], cert))
			return true;
	return false;
}

/* Rule 5. */
static bool is_in_dane(const struct judgement *j)
{
	X509_STORE *anchors;
	bool ok = false;
	int n = 0;

	if (any_tlsa_matches(j, j->cert, TLSA_USAGE_EE))
		return true;
	anchors = X509_STORE_new();
	if (!anchors)
		return find(j, REASON_local_error, "no memory");
	for (int i = 0; i < sk_X509_num(j->chain); i++) {
		X509 *higher = sk_X509_value(j->chain, i);

		if (X509_cmp(higher, j->cert) && any_tlsa_matches(j, higher, TLSA_USAGE_TA))
			n += X509_STORE_add_cert(anchors, higher);
	}
	if (n)
		ok = is_trusted(j, anchors, X509_V_FLAG_PARTIAL_CHAIN) && is_for_domain(j);
	else
		find(j, REASON_tlsa_mismatch, "%.*s: none of %u records matches", SAY_DN,
		     j->info->subject, j->q->conf->n_tlsa);
	X509_STORE_free(anchors);
	return ok;
}

int certpolicy_name(const X509_NAME *from, struct certname *to)
{
	int rdn = -1, err = 0;

	to->n = 0;
	to->used = 0;
	for (int i = 0; i < X509_NAME_entry_count(from) && !err; i++) {
		const X509_NAME_ENTRY *e = X509_NAME_get_entry(from, i);
		unsigned char *value = NULL;
		int len = ASN1_STRING_to_UTF8(&value, X509_NAME_ENTRY_get_data(e));
		char oid[OID_SIZE];
		int oid_len = OBJ_obj2txt(oid, sizeof(oid), X509_NAME_ENTRY_get_object(e), 1);

		if (len < 0 || oid_len <= 0 || oid_len >= OID_SIZE ||
		    certname_add(to, oid, len ? (char *)value : "", (size_t)len,
				 X509_NAME_ENTRY_set(e) == rdn))
			err = -EINVAL;
		rdn = X509_NAME_ENTRY_set(e);
		OPENSSL_free(value);
	}
	return err;
}

static bool is_name(const X509_NAME *name, const struct certname *want)
{
	struct certname have;

	return !certpolicy_name(name, &have) && certname_equal(&have, want);
}

/* Rule 6. */
static bool is_as_named(const struct judgement *j)
{
	struct certname_pair want;
	char why[CERTNAME_WHY_SIZE];

	if (!j->q->conf->name[0])
		return true;
	if (certname_parse_pair(j->q->conf->name, &want, why))
		return find(j, REASON_local_error, "tls-certificate-name: %s", why);
	if (!is_name(X509_get_subject_name(j->cert), &want.subject))
		return find(j, REASON_certificate_wrong_subject, "the subject is %s",
			    j->info->subject);
	if (want.issuer.n && !is_name(X509_get_issuer_name(j->cert), &want.issuer))
		return find(j, REASON_certificate_wrong_issuer, "the issuer is %s",
			    j->info->issuer);
	return true;
}

bool certpolicy_wants_bundle(enum tls_policy policy)
{
	return policy == TLS_CERTIFICATE_VALIDATION || policy == TLS_DOMAIN_VALIDATION;
}

void certpolicy_judge(const struct cert_question *q, X509 *cert, STACK_OF(X509) * chain,
		      const struct tls_info *info, struct cert_finding *out)
{
	const struct judgement j = {.q = q, .cert = cert, .chain = chain, .info = info, .out = out};
	bool ok = true;

	*out = (struct cert_finding){.reason = REASON_ok};
	if (!cert) {
		find(&j, REASON_certificate_untrusted, "the server showed no certificate");
		return;
	}
	if (q->policy > TLS_ENCRYPTION_ONLY)
		ok = is_within_dates(&j);
	if (ok && certpolicy_wants_bundle(q->policy))
		ok = is_in_bundle(&j);
	if (ok && q->policy == TLS_DOMAIN_VALIDATION)
		ok = is_for_domain(&j);
	if (ok && q->policy == TLS_DANE)
		ok = is_in_dane(&j);
	if (ok && q->policy != TLS_NONE)
		is_as_named(&j);
}
