/* SPDX-License-Identifier: BSD-2-Clause */
/* Three authorities: a root, an intermediate, and an unknown one. */
#include "cert_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/x509v3.h>

struct maker root, inter, stranger;

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	if (!value)
		return;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

static void add_subject(X509_NAME *name, const char *text)
{
	char copy[512], *rest = copy, *part;

	snprintf(copy, sizeof(copy), "%s", text + 1);
	while ((part = strsep(&rest, "/"))) {
		char *value = strchr(part, '=');

		*value++ = '\0';
		assert_int_equal(X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8,
							    (unsigned char *)value, -1, -1, 0),
				 1);
	}
}

struct maker make(struct spec s)
{
	static long serial;
	struct maker m = {.cert = X509_new(), .key = s.key ? s.key : EVP_EC_gen("P-256")};
	X509 *issuer = s.issuer ? s.issuer->cert : m.cert;

	if (s.key)
		EVP_PKEY_up_ref(s.key);
	X509_set_version(m.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(m.cert), ++serial);
	ASN1_TIME_set(X509_getm_notBefore(m.cert), NOW + DAY * (s.from_days ? s.from_days : -1));
	ASN1_TIME_set(X509_getm_notAfter(m.cert), NOW + DAY * (s.to_days ? s.to_days : 90));
	if (s.subject[0])
		add_subject(X509_get_subject_name(m.cert), s.subject);
	X509_set_issuer_name(m.cert, X509_get_subject_name(issuer));
	X509_set_pubkey(m.cert, m.key);
	add_extension(m.cert, issuer, NID_basic_constraints, s.basic);
	add_extension(m.cert, issuer, NID_key_usage, s.usage);
	add_extension(m.cert, issuer, NID_ext_key_usage, s.extended);
	add_extension(m.cert, issuer, NID_subject_alt_name, s.san);
	add_extension(m.cert, issuer, NID_name_constraints, s.limits);
	assert_true(X509_sign(m.cert, s.issuer ? s.issuer->key : m.key,
			      s.sha1 ? EVP_sha1() : EVP_sha256()) > 0);
	return m;
}

void drop(struct maker *m)
{
	X509_free(m->cert);
	EVP_PKEY_free(m->key);
}

int open_authorities(void **state)
{
	(void)state;
	root = make((struct spec){.subject = CA_NAME, .basic = CA, .to_days = 3650});
	inter = make((struct spec){.subject = "/C=US/O=Contoso/CN=Contoso Issuing 1",
				   .issuer = &root,
				   .basic = CA,
				   .to_days = 365});
	stranger = make((struct spec){.subject = "/CN=Stranger", .basic = CA});
	return 0;
}

int close_authorities(void **state)
{
	(void)state;
	drop(&root);
	drop(&inter);
	drop(&stranger);
	return 0;
}

struct maker mail_cert(void)
{
	return make((struct spec){.subject = MAIL,
				  .issuer = &inter,
				  .san = "DNS:mail.contoso.com,DNS:a.contoso.com"});
}
