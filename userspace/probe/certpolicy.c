/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Judges the certificates of a server as Exchange Online would (docs/protocol-notes.md 2), after the handshake and
 * outside of it. The first rule that fails gives the reason:
 *
 *   1. none, encryption-only: any certificate is accepted.
 *   2. All others: the server's certificate is within its dates; EOP refuses an expired one under DANE as well, unlike
 *      RFC 7672 section 3.1.1. The length of the chain is limited.
 *   3. certificate-validation: a chain to the bundle, for a TLS server, each certificate within its dates, no MD5, no
 *      SHA-1, no key below 1,024 bits (OpenSSL's level 1). Each certificate of the bundle is trusted, including
 *      intermediates, and any path counts, because the one that OpenSSL tries first depends on the order of the bundle
 *      (cross-signed roots). Usage "any" includes TLS, as on Windows.
 *   4. domain-validation: rule 3, and a DNS name of the certificate or its common name matches tls-domain.
 *   5. dane: any record with usage 3 matches the server's own certificate; or any with usage 2 matches a higher one of
 *      the chain as sent, which leads to it, and the name matches tls-domain (RFC 7671 section 5).
 *   6. tls-certificate-name, if given: the subject is the configured one, then the issuer. Under encryption-only as
 *      well.
 */
#include <ctype.h>
#include <errno.h>
#include <openssl/sha.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/domain.h"
#include "probe/certpath.h"
#include "probe/certpolicy.h"
#include "probe/tls.h"
#include "util/utf8.h"

#define DEPTH_MAX  CERTPATH_DEPTH_MAX /* of a chain as it is built */
#define AUTH_LEVEL 1
#define OID_SIZE   80
#define SAY_DN	   120 /* so much of a name fits a finding's text twice */
#define SAY_WANTED 110 /* and with some words */

/* Errors of X509_verify_cert(); all others mean untrusted. */
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
	{X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, REASON_certificate_self_signed},
	{X509_V_ERR_INVALID_PURPOSE, REASON_certificate_wrong_purpose},
	{X509_V_ERR_CERT_REJECTED, REASON_certificate_wrong_purpose},
	{X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE, REASON_certificate_wrong_purpose},
	{X509_V_ERR_INVALID_CA, REASON_certificate_no_ca},
	{X509_V_ERR_INVALID_NON_CA, REASON_certificate_no_ca},
	{X509_V_ERR_KEYUSAGE_NO_CERTSIGN, REASON_certificate_no_ca},
	{X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA, REASON_certificate_no_ca},
	{X509_V_ERR_PATHLEN_WITHOUT_KU_KEY_CERT_SIGN, REASON_certificate_no_ca},
	{X509_V_ERR_KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA, REASON_certificate_no_ca},
	{X509_V_ERR_PATH_LENGTH_EXCEEDED, REASON_certificate_path_length},
	{X509_V_ERR_CERT_CHAIN_TOO_LONG, REASON_certificate_path_length},
	{X509_V_ERR_PATH_LOOP, REASON_certificate_path_length},
	{X509_V_ERR_PERMITTED_VIOLATION, REASON_certificate_name_constraint},
	{X509_V_ERR_EXCLUDED_VIOLATION, REASON_certificate_name_constraint},
	{X509_V_ERR_SUBTREE_MINMAX, REASON_certificate_name_constraint},
	{X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE, REASON_certificate_name_constraint},
	{X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX, REASON_certificate_name_constraint},
	{X509_V_ERR_UNSUPPORTED_NAME_SYNTAX, REASON_certificate_name_constraint},
	{X509_V_ERR_CERT_SIGNATURE_FAILURE, REASON_certificate_bad_signature},
	{X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE, REASON_certificate_bad_signature},
	{X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, REASON_certificate_bad_signature},
	{X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH, REASON_certificate_bad_signature},
	{X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY, REASON_certificate_bad_signature},
	{X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM, REASON_certificate_unsupported},
	{X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, REASON_certificate_unsupported},
	{X509_V_ERR_INVALID_EXTENSION, REASON_certificate_unsupported},
	{X509_V_ERR_INVALID_POLICY_EXTENSION, REASON_certificate_unsupported},
	{X509_V_ERR_UNSUPPORTED_EXTENSION_FEATURE, REASON_certificate_unsupported},
	{X509_V_ERR_EC_KEY_EXPLICIT_PARAMS, REASON_certificate_unsupported},
	{X509_V_ERR_OUT_OF_MEM, REASON_local_error},
};

struct judgement {
	const struct cert_question *q;
	X509 *cert;
	STACK_OF(X509) * chain;
	const struct tls_info *info;
	struct cert_finding *out;
};

/* Returns false, as the result of the rule that failed. */
static bool certpolicy_find(const struct judgement *j, enum reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool certpolicy_find(const struct judgement *j, enum reason reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(j->out->text, sizeof(j->out->text), format, args);
	va_end(args);
	utf8_scrub(j->out->text); /* a name may have been cut within a character */
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
		return certpolicy_find(j, REASON_certificate_expired, "%.*s: expired %s", SAY_DN,
				       i->subject, date(i->not_after, text));
	if (j->q->now_s < i->not_before)
		return certpolicy_find(j, REASON_certificate_not_yet_valid, "%.*s: valid from %s",
				       SAY_DN, i->subject, date(i->not_before, text));
	if (sk_X509_num(j->chain) > CERTPOLICY_CHAIN_MAX)
		return certpolicy_find(j, REASON_certificate_path_length,
				       "a chain of %d certificates", sk_X509_num(j->chain));
	return true;
}

static enum reason certpolicy_reason_of(int error)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].error == error)
			return errors[i].reason;
	return REASON_certificate_untrusted;
}

/* The purposes of the certificate, as text. */
static void usages(X509 *cert, char *text, size_t size)
{
	EXTENDED_KEY_USAGE *extended;
	size_t used = 0;

	snprintf(text, size, "by its key usage");
	if (X509_get_extended_key_usage(cert) & XKU_SSL_SERVER) /* or there is none: all bits */
		return;
	extended = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	for (int i = 0; i < sk_ASN1_OBJECT_num(extended) && used < size; i++) {
		char name[OID_SIZE];

		OBJ_obj2txt(name, sizeof(name), sk_ASN1_OBJECT_value(extended, i), 0);
		used += (size_t)snprintf(text + used, size - used, "%s%s",
					 used ? ", " : "only for ", name);
	}
	EXTENDED_KEY_USAGE_free(extended);
}

/*
 * If a chain ended too early and the server sent more than its own certificate, the authority is unknown rather than
 * an intermediate missing.
 */
static bool certpolicy_explain(const struct judgement *j, X509_STORE_CTX *ctx)
{
	int error = X509_STORE_CTX_get_error(ctx),
	    built = sk_X509_num(X509_STORE_CTX_get0_chain(ctx));
	X509 *at = X509_STORE_CTX_get_current_cert(ctx);
	char subject[SAY_DN] = "?", issuer[SAY_DN] = "?";
	enum reason reason = certpolicy_reason_of(error);

	if (at) {
		certfacts_name(X509_get_subject_name(at), subject, sizeof(subject));
		certfacts_name(X509_get_issuer_name(at), issuer, sizeof(issuer));
	}
	if (reason == REASON_certificate_wrong_purpose && at) {
		usages(at, issuer, sizeof(issuer));
		return certpolicy_find(j, reason, "%s: not for a TLS server, %s", subject, issuer);
	}
	if (reason != REASON_certificate_incomplete_chain)
		return certpolicy_find(j, reason, "%s: %s", subject,
				       X509_verify_cert_error_string(error));
	if (built > 1)
		return certpolicy_find(j, REASON_certificate_untrusted,
				       "%s is not in the CA bundle", issuer);
	return certpolicy_find(j, reason, "%s is neither sent nor in the CA bundle", issuer);
}

static int purpose_of(X509 *cert)
{
	uint32_t usage = X509_get_extended_key_usage(cert);

	return usage != UINT32_MAX && usage & XKU_ANYEKU ? X509_PURPOSE_ANY
							 : X509_PURPOSE_SSL_SERVER;
}

/* Rule 3, or 5 with its own anchors. Each anchor ends a chain, whether it is self-signed or not. */
static bool is_trusted(const struct judgement *j, X509_STORE *anchors, STACK_OF(X509) * chain)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	bool ok;

	if (!ctx || !X509_STORE_CTX_init(ctx, anchors, j->cert, chain)) {
		X509_STORE_CTX_free(ctx);
		return certpolicy_find(j, REASON_local_error, "no memory");
	}
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_purpose(param, purpose_of(j->cert));
	X509_VERIFY_PARAM_set_time(param, (time_t)j->q->now_s);
	X509_VERIFY_PARAM_set_depth(param, DEPTH_MAX);
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	ok = X509_verify_cert(ctx) == 1 || certpolicy_explain(j, ctx);
	X509_STORE_CTX_free(ctx);
	return ok;
}

/* Verifies one path by itself: its last certificate is the only anchor. */
static bool is_path_trusted(void *ctx, X509 *const *path, unsigned n)
{
	const struct judgement *outer = ctx;
	struct cert_finding ignored; /* the reason of the path that OpenSSL chose */
	struct judgement j = *outer;
	X509_STORE *anchor = X509_STORE_new();
	STACK_OF(X509) *between = sk_X509_new_null();
	bool ok = anchor && between && X509_STORE_add_cert(anchor, path[n - 1]);

	j.out = &ignored;
	for (unsigned i = 1; i + 1 < n && ok; i++)
		ok = sk_X509_push(between, path[i]) > 0;
	ok = ok && is_trusted(&j, anchor, between);
	sk_X509_free(between);
	X509_STORE_free(anchor);
	return ok;
}

static bool is_in_bundle(const struct judgement *j)
{
	if (!j->q->bundle)
		return certpolicy_find(j, REASON_local_error, "the CA bundle could not be loaded");
	if (is_trusted(j, j->q->bundle, j->chain))
		return true;
	if (!certpath_find(j->q->bundle, j->cert, j->chain, is_path_trusted, (void *)j))
		return false;
	*j->out = (struct cert_finding){.reason = REASON_ok};
	return true;
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
	return certpolicy_find(j, REASON_certificate_wrong_name, "for %.80s%s, not for %.80s",
			       i->n_names ? i->names[0] : i->subject,
			       i->n_names > 1 ? " and others" : "", domain);
}

static bool certpolicy_digest(const struct tlsa *t, const unsigned char *der, int len,
			      uint8_t out[64])
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
	bool matches = certpolicy_digest(t, der, len, found) && !memcmp(found, t->digest, size);

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
		return certpolicy_find(j, REASON_local_error, "no memory");
	for (int i = 0; i < sk_X509_num(j->chain); i++) {
		X509 *higher = sk_X509_value(j->chain, i);

		if (X509_cmp(higher, j->cert) && any_tlsa_matches(j, higher, TLSA_USAGE_TA))
			n += X509_STORE_add_cert(anchors, higher);
	}
	if (n)
		ok = is_trusted(j, anchors, j->chain) && is_for_domain(j);
	else
		certpolicy_find(j, REASON_tlsa_mismatch, "%.*s: none of %u records matches", SAY_DN,
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

/* From the issuer's or the subject's tag on, as it was configured. */
static const char *certpolicy_wanted(const char *name, char tag)
{
	for (const char *at = strchr(name, '<'); at; at = strchr(at + 1, '<'))
		if (tolower((unsigned char)at[1]) == tag && at[2] == '>')
			return at;
	return name;
}

/* Rule 6. */
static bool is_as_named(const struct judgement *j)
{
	struct certname_pair want;
	char why[CERTNAME_WHY_SIZE];

	if (!j->q->conf->name[0])
		return true;
	if (certname_parse_pair(j->q->conf->name, &want, why))
		return certpolicy_find(j, REASON_local_error, "tls-certificate-name: %s", why);
	if (!is_name(X509_get_subject_name(j->cert), &want.subject))
		return certpolicy_find(j, REASON_certificate_wrong_subject,
				       "the subject is %.*s, but must be %.*s", SAY_WANTED,
				       j->info->subject, SAY_WANTED,
				       certpolicy_wanted(j->q->conf->name, 's'));
	if (want.issuer.n && !is_name(X509_get_issuer_name(j->cert), &want.issuer))
		return certpolicy_find(j, REASON_certificate_wrong_issuer,
				       "the issuer is %.*s, but must be %.*s", SAY_WANTED,
				       j->info->issuer, SAY_WANTED,
				       certpolicy_wanted(j->q->conf->name, 'i'));
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
		certpolicy_find(&j, REASON_certificate_untrusted,
				"the server showed no certificate");
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
