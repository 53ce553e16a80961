/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of a probe about certificates, and the files that they name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ui.h>
#include <openssl/x509.h>
#include "conf_bench.h"
#include "core/certname.h"

static char ca_file[] = "/tmp/mxlb-ca-XXXXXX";
static char pem[4096];

static void write_file(const char *text, size_t len)
{
	int fd = open(ca_file, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static int open_files(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());

	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_sign(cert, key, EVP_sha256());
	PEM_write_bio_X509(bio, cert);
	BIO_read(bio, pem, sizeof(pem) - 1);
	BIO_free(bio);
	X509_free(cert);
	EVP_PKEY_free(key);
	close(mkstemp(ca_file));
	return bench_open(state);
}

static int close_files(void **state)
{
	unlink(ca_file);
	return bench_close(state);
}

#define HEX32 "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

/* LEAST and a probe p with these keys, ca-file among them as %s. */
static const char *with_probe(const char *keys)
{
	static char text[4096];

	snprintf(text, sizeof(text), LEAST "probes:\n  p: {%s, ca-file: %s}\n", keys, ca_file);
	return text;
}

static void the_keys_of_a_certificate_reach_their_fields(void **state)
{
	const struct probe_conf *p;
	struct certname_pair pair;
	char why[CERTNAME_WHY_SIZE];
	struct config *c;

	(void)state;
	write_file(pem, strlen(pem));
	c = bench_load_good(with_probe("tls: domain-validation, tls-domain: '*.contoso.com', "
				       "tls-certificate-name: '<I>CN=Z\xc3\xbcrich CA<S>CN=mail, "
				       "O=\"Contoso, Ltd\"', expiry-warn: 100d"),
			    "");
	p = &c->probes[0];
	assert_int_equal(p->tls, TLS_DOMAIN_VALIDATION);
	assert_string_equal(p->cert.domain, "*.contoso.com");
	assert_int_equal(certname_parse_pair(p->cert.name, &pair, why), 0);
	assert_int_equal(pair.subject.n, 2);
	assert_string_equal(p->ca_file, ca_file);
	assert_true(p->expiry_warn_ms == 100ull * 86400 * 1000);
	config_free(c);
	c = bench_load_good(with_probe("tls: dane, tls-domain: mx.contoso.com, tlsa: ['3 1 1 " HEX32
				       "', 2 0 0 DEADBEEF]"),
			    "");
	p = &c->probes[0];
	assert_int_equal(p->tls, TLS_DANE);
	assert_int_equal(p->cert.n_tlsa, 2);
	assert_int_equal(p->cert.tlsa[0].usage, 3);
	assert_int_equal(p->cert.tlsa[1].usage, 2);
	assert_string_equal(p->ca_file, ""); /* dane looks at none */
	assert_true(p->expiry_warn_ms == 21ull * 86400 * 1000);
	config_free(c);
}

static void without_a_ca_file_the_systems_is_taken(void **state)
{
	struct config *c;

	(void)state;
	if (access("/etc/ssl/certs/ca-certificates.crt", R_OK))
		skip();
	c = bench_load_good(LEAST "probes: {p: {tls: certificate-validation}}\n", "");
	assert_string_equal(c->probes[0].ca_file, "/etc/ssl/certs/ca-certificates.crt");
	config_free(c);
}

static void a_key_that_the_policy_passes_over_is_warned_of(void **state)
{
	struct config *c = bench_load_good(
		LEAST "probes:\n"
		      "  p: {tls: encryption-only, tls-domain: a.example, tlsa: ['3 1 1 " HEX32
		      "']}\n",
		"11:41: warning: probes.p.tls-domain: ignored: only domain-validation and usage "
		"2 of dane use it\n"
		"11:58: warning: probes.p.tlsa: ignored: only tls: dane uses it\n");

	(void)state;
	config_free(c);
}

static int on_question(UI *ui)
{
	(void)ui;
	fail_msg("somebody is asked for a password");
	return 0;
}

static void an_encrypted_ca_file_prompts_for_no_password(void **state)
{
	static const char locked[] = "-----BEGIN CERTIFICATE-----\n"
				     "Proc-Type: 4,ENCRYPTED\n"
				     "DEK-Info: AES-256-CBC,0123456789ABCDEF0123456789ABCDEF\n\n"
				     "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n"
				     "-----END CERTIFICATE-----\n";
	UI_METHOD *asks = UI_create_method("test");
	char expected[512];

	(void)state;
	UI_method_set_opener(asks, on_question);
	UI_set_default_method(asks);
	write_file(locked, strlen(locked));
	snprintf(expected, sizeof(expected),
		 "11:45: probes.p.ca-file: %s: has a broken certificate (PEM)\n", ca_file);
	bench_expect("locked", with_probe("tls: certificate-validation"), -EINVAL, expected);
	UI_set_default_method(NULL);
	UI_destroy_method(asks);
}

static void a_ca_file_that_is_none_is_an_error_with_its_place(void **state)
{
	char expected[512], broken[2 * sizeof(pem)];
	const struct {
		const char *text, *why;
	} rows[] = {
		{"", "has no certificate (PEM)"},
		{"# none\n", "has no certificate*"},
		{broken, "has a broken certificate (PEM)"},
	};

	(void)state;
	strcpy(broken, pem);
	memset(strchr(broken, '\n') + 1, 'A', 60);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file(rows[i].text, strlen(rows[i].text));
		snprintf(expected, sizeof(expected), "11:45: probes.p.ca-file: %s: %s\n", ca_file,
			 rows[i].why);
		bench_expect(rows[i].why, with_probe("tls: certificate-validation"), -EINVAL,
			     expected);
	}
	write_file(pem, strlen(pem));
	strcat(broken, pem);
	write_file(broken, strlen(broken));
	bench_expect("one of two", with_probe("tls: certificate-validation"), -EINVAL, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_keys_of_a_certificate_reach_their_fields),
		cmocka_unit_test(without_a_ca_file_the_systems_is_taken),
		cmocka_unit_test(a_key_that_the_policy_passes_over_is_warned_of),
		cmocka_unit_test(a_ca_file_that_is_none_is_an_error_with_its_place),
		cmocka_unit_test(an_encrypted_ca_file_prompts_for_no_password),
	};

	return cmocka_run_group_tests(tests, open_files, close_files);
}
