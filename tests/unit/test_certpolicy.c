/* SPDX-License-Identifier: BSD-2-Clause */
/* probe/certpolicy.c: valid and invalid chains of every kind, made here, under every policy. probe/wallclock.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include "cert_maker.h"
#include "probe/certpolicy.h"
#include "probe/tls.h"
#include "probe/wallclock.h"
#include "util/utf8.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CPU_MS	 50
#define MAIL_DN	 "CN=mail.contoso.com, O=\"Contoso, Ltd\", S=WA, C=US"
#define INTER_DN "CN=Contoso Issuing 1, O=Contoso, C=US"

struct asked {
	enum tls_policy policy;
	const char *domain, *name;
	struct tlsa tlsa;
	bool no_bundle;
};

/* Judges the leaf and the certificates sent with it; the bundle holds the root. */
static struct cert_finding judge(struct asked a, const struct maker *leaf, unsigned n_sent,
				 const struct maker *const *sent)
{
	X509_STORE *bundle = X509_STORE_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct tls_info info = {.n_names = 0};
	struct cert_conf conf = {.n_tlsa = a.tlsa.usage ? 1 : 0, .tlsa = {a.tlsa}};
	struct cert_question q = {.policy = a.policy, .conf = &conf, .now_s = NOW};
	struct cert_finding found;

	snprintf(conf.domain, sizeof(conf.domain), "%s", a.domain ? a.domain : "");
	snprintf(conf.name, sizeof(conf.name), "%s", a.name ? a.name : "");
	X509_STORE_add_cert(bundle, root.cert);
	q.bundle = a.no_bundle ? NULL : bundle;
	sk_X509_push(chain, leaf->cert);
	for (unsigned i = 0; i < n_sent; i++)
		sk_X509_push(chain, sent[i]->cert);
	certfacts_describe(leaf->cert, &info);
	certpolicy_judge(&q, leaf->cert, chain, &info, &found);
	for (const char *c = found.text; *c; c += utf8_printable(c, strlen(c)))
		assert_int_not_equal(utf8_printable(c, strlen(c)), 0);
	sk_X509_free(chain);
	X509_STORE_free(bundle);
	return found;
}

#define SENT(...)                                                               \
	sizeof((const struct maker *[]){__VA_ARGS__}) / sizeof(struct maker *), \
		(const struct maker *[])                                        \
	{                                                                       \
		__VA_ARGS__                                                     \
	}

static void expect(const char *what, struct cert_finding found, enum reason reason,
		   const char *text)
{
	if (found.reason != reason || !strstr(found.text, text))
		fail_msg("%s: %s \"%s\"", what, reason_name(found.reason), found.text);
}

/* ---- chains ---- */

static const struct asked by_chain = {.policy = TLS_CERTIFICATE_VALIDATION};

static void a_good_chain_passes_every_policy(void **state)
{
	struct maker leaf = mail_cert();
	struct asked domain = {.policy = TLS_DOMAIN_VALIDATION, .domain = "mail.contoso.com"};

	(void)state;
	expect("none", judge((struct asked){.policy = TLS_NONE}, &leaf, 0, NULL), REASON_ok, "");
	expect("encryption-only",
	       judge((struct asked){.policy = TLS_ENCRYPTION_ONLY}, &leaf, 0, NULL), REASON_ok, "");
	expect("chain", judge(by_chain, &leaf, SENT(&inter)), REASON_ok, "");
	expect("with the root", judge(by_chain, &leaf, SENT(&inter, &root)), REASON_ok, "");
	expect("in any order", judge(by_chain, &leaf, SENT(&root, &stranger, &inter)), REASON_ok,
	       "");
	expect("domain", judge(domain, &leaf, SENT(&inter)), REASON_ok, "");
	drop(&leaf);
}

static const struct chain_row {
	const char *what;
	struct spec leaf;
	bool send_inter;
	enum reason reason;
	const char *text;
} chains[] = {
	{"expired",
	 {.subject = MAIL, .issuer = &inter, .from_days = -90, .to_days = -2},
	 true,
	 REASON_certificate_expired,
	 "expired 2027-01-13T08:00:00Z"},
	{"not yet valid",
	 {.subject = MAIL, .issuer = &inter, .from_days = 2},
	 true,
	 REASON_certificate_not_yet_valid,
	 "valid from 2027-01-17T08:00:00Z"},
	{"self-signed", {.subject = MAIL}, false, REASON_certificate_self_signed, "self"},
	{"self-signed and expired",
	 {.subject = MAIL, .from_days = -90, .to_days = -2},
	 false,
	 REASON_certificate_expired,
	 ""},
	{"of an unknown authority that is not sent",
	 {.subject = MAIL, .issuer = &stranger},
	 false,
	 REASON_certificate_incomplete_chain,
	 "CN=Stranger is neither sent nor in the CA bundle"},
	{"a missing intermediate",
	 {.subject = MAIL, .issuer = &inter},
	 false,
	 REASON_certificate_incomplete_chain,
	 INTER_DN " is neither sent"},
	{"not for a TLS server",
	 {.subject = MAIL, .issuer = &inter, .usage = "critical,cRLSign"},
	 true,
	 REASON_certificate_wrong_purpose,
	 "not for a TLS server"},
	{"signed with SHA-1",
	 {.subject = MAIL, .issuer = &inter, .sha1 = true},
	 true,
	 REASON_certificate_weak,
	 "digest"},
};

static void each_broken_chain_has_its_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(chains); i++) {
		struct maker leaf = make(chains[i].leaf);

		expect(chains[i].what,
		       chains[i].send_inter ? judge(by_chain, &leaf, SENT(&inter))
					    : judge(by_chain, &leaf, 0, NULL),
		       chains[i].reason, chains[i].text);
		drop(&leaf);
	}
}

static void an_unknown_authority_that_is_sent_is_untrusted(void **state)
{
	struct maker between =
		make((struct spec){.subject = "/CN=between", .issuer = &stranger, .basic = CA});
	struct maker leaf = make((struct spec){.subject = MAIL, .issuer = &between});

	(void)state;
	expect("with its root", judge(by_chain, &leaf, SENT(&between, &stranger)),
	       REASON_certificate_untrusted, "self");
	expect("without", judge(by_chain, &leaf, SENT(&between)), REASON_certificate_untrusted,
	       "CN=Stranger is not in the CA bundle");
	drop(&leaf);
	drop(&between);
}

static void errors_higher_up_in_the_chain_count(void **state)
{
	struct maker old = make((struct spec){.subject = "/CN=old",
					      .issuer = &root,
					      .basic = CA,
					      .from_days = -90,
					      .to_days = -3});
	struct maker no_ca = make(
		(struct spec){.subject = "/CN=no", .issuer = &root, .basic = "critical,CA:FALSE"});
	struct maker narrow = make((struct spec){.subject = "/CN=narrow",
						 .issuer = &root,
						 .basic = CA,
						 .limits = "critical,permitted;DNS:fabrikam.com"});
	struct maker rsa512 = make((struct spec){
		.subject = "/CN=small", .issuer = &root, .basic = CA, .key = EVP_RSA_gen(512)});
	const struct {
		struct maker *issuer;
		enum reason reason;
		const char *text;
	} rows[] = {
		{&old, REASON_certificate_expired, "CN=old"},
		{&no_ca, REASON_certificate_no_ca, "CN=no"},
		{&narrow, REASON_certificate_name_constraint, "subtree"},
		{&rsa512, REASON_certificate_weak, "key too"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct maker leaf = make((struct spec){
			.subject = MAIL, .issuer = rows[i].issuer, .san = "DNS:mail.contoso.com"});

		expect(rows[i].text, judge(by_chain, &leaf, SENT(rows[i].issuer)), rows[i].reason,
		       rows[i].text);
		drop(&leaf);
	}
	EVP_PKEY_free(rsa512.key); /* make() holds it too */
	drop(&old);
	drop(&no_ca);
	drop(&narrow);
	drop(&rsa512);
}

static void a_bundle_that_is_missing_is_our_trouble(void **state)
{
	struct maker leaf = mail_cert();
	struct asked a = {.policy = TLS_CERTIFICATE_VALIDATION, .no_bundle = true};

	(void)state;
	expect("no bundle", judge(a, &leaf, SENT(&inter)), REASON_local_error, "bundle");
	drop(&leaf);
}

static void no_certificate_is_no_good(void **state)
{
	struct cert_conf conf = {.n_tlsa = 0};
	struct cert_question q = {.policy = TLS_ENCRYPTION_ONLY, .conf = &conf, .now_s = NOW};
	struct tls_info info = {.n_names = 0};
	struct cert_finding found;

	(void)state;
	certpolicy_judge(&q, NULL, NULL, &info, &found);
	expect("none shown", found, REASON_certificate_untrusted, "no certificate");
}

static double cpu_ms(void)
{
	return (double)clock() * 1000 / CLOCKS_PER_SEC;
}

static void a_long_chain_costs_little(void **state)
{
	struct maker links[100], leaf;
	const struct maker *sent[100];
	double began;

	(void)state;
	for (int i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "/CN=link %d", i);
		links[i] = make((struct spec){
			.subject = name, .issuer = i ? &links[i - 1] : &root, .basic = CA});
		sent[99 - i] = &links[i];
	}
	leaf = make((struct spec){.subject = MAIL, .issuer = &links[99]});
	began = cpu_ms();
	expect("100 links", judge(by_chain, &leaf, 100, sent), REASON_certificate_path_length,
	       "chain of 101");
	assert_true(cpu_ms() - began < CPU_MS);
	drop(&leaf);
	leaf = make((struct spec){.subject = MAIL, .issuer = &links[14]});
	began = cpu_ms();
	expect("15 links", judge(by_chain, &leaf, 15, sent + 85), REASON_certificate_path_length,
	       "too long");
	assert_true(cpu_ms() - began < CPU_MS);
	drop(&leaf);
	for (int i = 0; i < 100; i++)
		drop(&links[i]);
}

/* ---- names ---- */

static const struct domain_row {
	const char *subject, *san, *domain;
	bool ok;
} domains[] = {
	{MAIL, NULL, "mail.contoso.com", true},
	{MAIL, "DNS:x.contoso.com", "mail.contoso.com", true}, /* Exchange takes the CN too */
	{"/CN=x", "DNS:y.contoso.com,DNS:mail.contoso.com", "mail.contoso.com", true},
	{"/CN=x", "DNS:y.contoso.com,DNS:z.contoso.com", "mail.contoso.com", false},
	{"", "DNS:mail.contoso.com", "mail.contoso.com", true},
	{"/CN=x", "DNS:*.contoso.com", "mail.contoso.com", true},
	{"/CN=*.contoso.com", NULL, "mail.contoso.com", true},
	{"/CN=x", "DNS:*.contoso.com", "a.mail.contoso.com", false},
	{"/CN=x", "DNS:m*.contoso.com", "mail.contoso.com", false},
	{"/CN=x", "DNS:mail.contoso.com", "*.contoso.com", true},
	{"/CN=x", "IP:192.0.2.1,email:mail.contoso.com,URI:http://mail.contoso.com",
	 "mail.contoso.com", false},
	{"/O=mail.contoso.com/CN=first/CN=mail.contoso.com", NULL, "mail.contoso.com", true},
	{"/CN=x", "DNS:xn--mller-kva.example", "xn--mller-kva.example", true},
	{"/CN=m\xc3\xbcller.example", NULL, "xn--mller-kva.example", false},
};

static void a_certificate_is_for_a_domain_as_each_row_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(domains); i++) {
		struct asked a = {.policy = TLS_DOMAIN_VALIDATION, .domain = domains[i].domain};
		struct maker leaf = make((struct spec){
			.subject = domains[i].subject, .issuer = &inter, .san = domains[i].san});

		expect(domains[i].san ? domains[i].san : domains[i].subject,
		       judge(a, &leaf, SENT(&inter)),
		       domains[i].ok ? REASON_ok : REASON_certificate_wrong_name,
		       domains[i].ok ? "" : domains[i].domain);
		drop(&leaf);
	}
}

static void a_nul_in_a_name_hides_nothing(void **state)
{
	static const unsigned char evil[] = "mail.contoso.com\0.evil.example";
	struct asked a = {.policy = TLS_DOMAIN_VALIDATION, .domain = "mail.contoso.com"};
	struct maker leaf = make((struct spec){.subject = "/O=x", .issuer = &inter});
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();

	(void)state;
	X509_NAME_add_entry_by_txt(X509_get_subject_name(leaf.cert), "CN", MBSTRING_UTF8, evil,
				   sizeof(evil) - 1, -1, 0);
	GENERAL_NAME_set0_value(name, GEN_DNS, ASN1_IA5STRING_new());
	ASN1_STRING_set(name->d.dNSName, evil, sizeof(evil) - 1);
	sk_GENERAL_NAME_push(names, name);
	X509_add1_ext_i2d(leaf.cert, NID_subject_alt_name, names, 0, 0);
	X509_sign(leaf.cert, inter.key, EVP_sha256());
	expect("NUL", judge(a, &leaf, SENT(&inter)), REASON_certificate_wrong_name, "");
	GENERAL_NAMES_free(names);
	drop(&leaf);
}

static void ten_thousand_names_cost_little(void **state)
{
	struct asked a = {.policy = TLS_DOMAIN_VALIDATION, .domain = "h9999.contoso.com"};
	char *san = malloc(10000 * 24), *at = san;
	struct maker leaf;
	double began;

	(void)state;
	for (int i = 0; i < 10000; i++)
		at += sprintf(at, "%sDNS:h%d.contoso.com", i ? "," : "", i);
	leaf = make((struct spec){.subject = MAIL, .issuer = &inter, .san = san});
	began = cpu_ms();
	expect("the last of them", judge(a, &leaf, SENT(&inter)), REASON_ok, "");
	a.domain = "h10000.contoso.com";
	expect("none of them", judge(a, &leaf, SENT(&inter)), REASON_certificate_wrong_name,
	       "for h0.contoso.com and others, not for h10000.contoso.com");
	assert_true(cpu_ms() - began < 2 * CPU_MS);
	drop(&leaf);
	free(san);
}

/* ---- tls-certificate-name ---- */

static const struct name_row {
	const char *name;
	enum reason reason;
} named[] = {
	{"<I>" INTER_DN "<S>" MAIL_DN, REASON_ok},
	{"<i>" INTER_DN "<s>" MAIL_DN, REASON_ok},
	{"<I>C=US, O=Contoso, CN=Contoso Issuing 1<S>C=US, ST=WA, O=Contoso\\, Ltd, CN=MAIL.contoso.com",
	 REASON_ok},
	{"<S>" MAIL_DN, REASON_ok},
	{MAIL_DN, REASON_ok},
	{"<I>CN=Contoso Issuing 2, O=Contoso, C=US<S>" MAIL_DN, REASON_certificate_wrong_issuer},
	{"<I>" INTER_DN "<S>CN=mail.contoso.com", REASON_certificate_wrong_subject},
	{"<I>CN=x<S>CN=x", REASON_certificate_wrong_subject},
	{"<I>" MAIL_DN "<S>" INTER_DN, REASON_certificate_wrong_subject},
	{"<S>CN=mail.contoso.com, O=\"Contoso, Ltd\", S=WA", REASON_certificate_wrong_subject},
};

static void the_certificate_is_the_named_one_or_not_under_each_policy(void **state)
{
	struct maker leaf = mail_cert();

	(void)state;
	for (size_t i = 0; i < COUNT(named); i++) {
		struct asked a = {.name = named[i].name, .policy = TLS_ENCRYPTION_ONLY};

		expect(a.name, judge(a, &leaf, 0, NULL), named[i].reason, "");
		a.policy = TLS_CERTIFICATE_VALIDATION;
		expect(a.name, judge(a, &leaf, SENT(&inter)), named[i].reason, "");
	}
	expect("the issuer is told",
	       judge((struct asked){.name = named[5].name, .policy = TLS_ENCRYPTION_ONLY}, &leaf, 0,
		     NULL),
	       REASON_certificate_wrong_issuer, "the issuer is " INTER_DN);
	drop(&leaf);
}

static void the_chain_is_judged_before_the_name(void **state)
{
	struct maker leaf = make((struct spec){.subject = MAIL, .from_days = -9, .to_days = -2});
	struct asked a = {.policy = TLS_CERTIFICATE_VALIDATION, .name = "<S>CN=x"};

	(void)state;
	expect("both", judge(a, &leaf, 0, NULL), REASON_certificate_expired, "");
	a.policy = TLS_ENCRYPTION_ONLY;
	expect("the name alone", judge(a, &leaf, 0, NULL), REASON_certificate_wrong_subject, "");
	drop(&leaf);
}

/* ---- DANE ---- */

static struct tlsa record(X509 *cert, int usage, int selector, int matching)
{
	unsigned char *der = NULL, digest[64];
	int len =
		selector ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der) : i2d_X509(cert, &der);
	const unsigned char *data = matching ? digest : der;
	char text[8192], why[TLSA_WHY_SIZE], *at = text;
	struct tlsa t;

	if (matching == 1)
		SHA256(der, (size_t)len, digest);
	if (matching == 2)
		SHA512(der, (size_t)len, digest);
	at += sprintf(at, "%d %d %d ", usage, selector, matching);
	for (int i = 0; i < (matching == 1 ? 32 : matching == 2 ? 64 : len); i++)
		at += sprintf(at, "%02x", data[i]);
	assert_int_equal(tlsa_parse(text, &t, why), 0);
	OPENSSL_free(der);
	return t;
}

static void every_selector_and_matching_of_both_usages_matches_and_not_another(void **state)
{
	struct maker leaf = mail_cert(), other = mail_cert();

	(void)state;
	for (int i = 0; i < 6; i++) {
		int selector = i / 3, matching = i % 3;
		struct asked a = {.policy = TLS_DANE, .domain = "mail.contoso.com"};

		a.tlsa = record(leaf.cert, 3, selector, matching);
		expect("EE", judge(a, &leaf, 0, NULL), REASON_ok, "");
		expect("another's EE", judge(a, &other, SENT(&inter)), REASON_tlsa_mismatch, "");
		a.tlsa = record(inter.cert, 2, selector, matching);
		expect("TA", judge(a, &leaf, SENT(&inter)), REASON_ok, "");
		expect("TA, not sent", judge(a, &leaf, 0, NULL), REASON_tlsa_mismatch, "");
		a.tlsa = record(root.cert, 2, selector, matching);
		expect("root", judge(a, &leaf, SENT(&inter, &root)), REASON_ok, "");
		a.tlsa = record(stranger.cert, 2, selector, matching);
		expect("a TA that did not sign", judge(a, &leaf, SENT(&inter, &stranger)),
		       REASON_certificate_untrusted, "");
		a.tlsa = record(leaf.cert, 2, selector, matching);
		expect("the leaf as TA", judge(a, &leaf, SENT(&inter)), REASON_tlsa_mismatch, "");
		a.tlsa = record(inter.cert, 3, selector, matching);
		expect("the TA as EE", judge(a, &leaf, SENT(&inter)), REASON_tlsa_mismatch, "");
	}
	drop(&leaf);
	drop(&other);
}

static void dane_asks_for_the_name_with_an_authority_only_and_for_dates_always(void **state)
{
	struct maker leaf = mail_cert();
	struct maker old = make(
		(struct spec){.subject = MAIL, .issuer = &inter, .from_days = -9, .to_days = -2});
	struct asked a = {.policy = TLS_DANE, .domain = "mx.fabrikam.com"};

	(void)state;
	a.tlsa = record(leaf.cert, 3, 1, 1);
	expect("EE of another name", judge(a, &leaf, SENT(&inter)), REASON_ok, "");
	a.tlsa = record(inter.cert, 2, 1, 1);
	expect("TA of another name", judge(a, &leaf, SENT(&inter)), REASON_certificate_wrong_name,
	       "");
	a.tlsa = record(old.cert, 3, 1, 1);
	expect("expired", judge(a, &old, SENT(&inter)), REASON_certificate_expired, "");
	drop(&leaf);
	drop(&old);
}

/* ---- the clock ---- */

#define HOUR_MS 3600000

static void a_clock_that_jumps_is_not_believed_for_an_hour(void **state)
{
	static const int64_t jumps_ms[] = {2LL * HOUR_MS, -2LL * HOUR_MS, 87600LL * HOUR_MS,
					   -87600LL * HOUR_MS};
	const int64_t wall_ms = NOW * 1000LL;

	(void)state;
	for (size_t i = 0; i < COUNT(jumps_ms); i++) {
		struct wallclock w;

		wallclock_start(&w, 1000, wall_ms);
		assert_true(wallclock_is_sound(&w, 1000, wall_ms));
		assert_true(wallclock_is_sound(&w, 2000, wall_ms + 1000 + HOUR_MS));
		assert_false(wallclock_is_sound(&w, 3000, wall_ms + 2000 + jumps_ms[i]));
		assert_false(wallclock_is_sound(&w, 3000 + HOUR_MS - 1,
						wall_ms + 2000 + HOUR_MS + jumps_ms[i]));
		assert_true(wallclock_is_sound(&w, 3000 + HOUR_MS,
					       wall_ms + 2000 + HOUR_MS + jumps_ms[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_chain_passes_every_policy),
		cmocka_unit_test(each_broken_chain_has_its_reason),
		cmocka_unit_test(an_unknown_authority_that_is_sent_is_untrusted),
		cmocka_unit_test(errors_higher_up_in_the_chain_count),
		cmocka_unit_test(a_bundle_that_is_missing_is_our_trouble),
		cmocka_unit_test(no_certificate_is_no_good),
		cmocka_unit_test(a_long_chain_costs_little),
		cmocka_unit_test(a_certificate_is_for_a_domain_as_each_row_says),
		cmocka_unit_test(a_nul_in_a_name_hides_nothing),
		cmocka_unit_test(ten_thousand_names_cost_little),
		cmocka_unit_test(the_certificate_is_the_named_one_or_not_under_each_policy),
		cmocka_unit_test(the_chain_is_judged_before_the_name),
		cmocka_unit_test(
			every_selector_and_matching_of_both_usages_matches_and_not_another),
		cmocka_unit_test(
			dane_asks_for_the_name_with_an_authority_only_and_for_dates_always),
		cmocka_unit_test(a_clock_that_jumps_is_not_believed_for_an_hour),
	};

	return cmocka_run_group_tests(tests, open_authorities, close_authorities);
}
