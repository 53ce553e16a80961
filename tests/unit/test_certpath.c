/* SPDX-License-Identifier: BSD-2-Clause */
/* probe/certpath.c and certpolicy.c's results for paths: any valid one counts, and each fault has its own reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <openssl/x509v3.h>
#include "cert_maker.h"
#include "probe/certpath.h"
#include "probe/certpolicy.h"
#include "probe/tls.h"
#include "util/utf8.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MOST	 32

struct list {
	const struct maker *of[MOST];
};

/* Under certificate-validation, with this bundle in this order. */
static struct cert_finding judge(const struct maker *leaf, const struct list *sent,
				 const struct list *trusted)
{
	X509_STORE *bundle = X509_STORE_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct cert_conf conf = {.n_tlsa = 0};
	struct cert_question q = {.policy = TLS_CERTIFICATE_VALIDATION,
				  .conf = &conf,
				  .now_s = NOW,
				  .bundle = bundle};
	struct tls_info info = {.n_names = 0};
	struct cert_finding found;

	for (unsigned i = 0; i < MOST && trusted->of[i]; i++)
		X509_STORE_add_cert(bundle, trusted->of[i]->cert);
	for (unsigned i = 0; i < MOST && sent->of[i]; i++)
		sk_X509_push(chain, sent->of[i]->cert);
	certfacts_describe(leaf->cert, &info);
	certpolicy_judge(&q, leaf->cert, chain, &info, &found);
	sk_X509_free(chain);
	X509_STORE_free(bundle);
	return found;
}

static void expect(const char *what, struct cert_finding found, enum reason reason,
		   const char *text)
{
	if (found.reason != reason || !strstr(found.text, text))
		fail_msg("%s: %s \"%s\"", what, reason_name(found.reason), found.text);
}

/* A new root, and the same one cross-signed by an expired old one: the server's chain leads to either. */
static void a_valid_path_is_found_in_any_order_of_the_bundle(void **state)
{
	struct maker old = make((struct spec){
		.subject = "/CN=Old Root", .basic = CA, .from_days = -4000, .to_days = -30});
	struct maker new = make((struct spec){.subject = "/CN=New Root", .basic = CA});
	struct maker cross = make((struct spec){
		.subject = "/CN=New Root", .basic = CA, .issuer = &old, .key = new.key});
	struct maker stale = make((struct spec){.subject = "/CN=New Root",
						.basic = CA,
						.issuer = &old,
						.key = new.key,
						.from_days = -90,
						.to_days = -2});
	struct maker sub = make((struct spec){.subject = "/CN=Sub", .basic = CA, .issuer = &new});
	struct maker leaf = make((struct spec){.subject = MAIL, .issuer = &sub});
	const struct list bundles[] = {
		{{&new}},
		{{&new, &cross}},
		{{&cross, &new}},
		{{&new, &cross, &old}},
		{{&old, &cross, &new}},
		{{&old, &stale, &new}},
		{{&stale, &cross}},
		{{&stale, &old, &new}},
		{{&cross}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bundles); i++) {
		expect("with the intermediate", judge(&leaf, &(struct list){{&sub}}, &bundles[i]),
		       REASON_ok, "");
		expect("with a cross-signed copy",
		       judge(&leaf, &(struct list){{&sub, &cross}}, &bundles[i]), REASON_ok, "");
	}
	expect("only what has expired",
	       judge(&leaf, &(struct list){{&sub}}, &(struct list){{&old, &stale}}),
	       REASON_certificate_expired, "CN=New Root");
	drop(&leaf);
	drop(&sub);
	drop(&stale);
	drop(&cross);
	drop(&new);
	drop(&old);
}

static void an_intermediate_alone_in_the_bundle_is_trusted(void **state)
{
	struct maker leaf = mail_cert();
	struct list none = {{NULL}};

	(void)state;
	expect("intermediate", judge(&leaf, &none, &(struct list){{&inter}}), REASON_ok, "");
	expect("nothing of it", judge(&leaf, &none, &(struct list){{&stranger}}),
	       REASON_certificate_incomplete_chain, "CN=Contoso Issuing 1");
	expect("its root is missing",
	       judge(&leaf, &(struct list){{&inter}}, &(struct list){{&stranger}}),
	       REASON_certificate_untrusted,
	       "CN=Contoso Root, O=Contoso, C=US is not in the CA bundle");
	drop(&leaf);
}

/* Two intermediates with the same name and key; the path through the first one ends nowhere. */
static void a_path_through_the_second_of_two_intermediates_counts(void **state)
{
	struct maker blind =
		make((struct spec){.subject = "/CN=Twin", .basic = CA, .issuer = &stranger});
	struct maker good = make((struct spec){
		.subject = "/CN=Twin", .basic = CA, .issuer = &root, .key = blind.key});
	struct maker leaf = make((struct spec){.subject = MAIL, .issuer = &blind});
	struct list bundle = {{&root}};

	(void)state;
	expect("good first", judge(&leaf, &(struct list){{&good, &blind}}, &bundle), REASON_ok, "");
	expect("blind first", judge(&leaf, &(struct list){{&blind, &good}}, &bundle), REASON_ok,
	       "");
	expect("blind alone", judge(&leaf, &(struct list){{&blind}}, &bundle),
	       REASON_certificate_untrusted, "CN=Stranger");
	drop(&leaf);
	drop(&good);
	drop(&blind);
}

/* Certificates that are all each other's issuers by name: there are as many paths as orders. */
static void a_hostile_maze_costs_little(void **state)
{
	struct maker maze[CERTPOLICY_CHAIN_MAX - 1], leaf;
	struct list sent = {{NULL}}, bundle = {{&stranger}};
	double began;

	(void)state;
	for (unsigned i = 0; i < COUNT(maze); i++) {
		maze[i] = make((struct spec){
			.subject = "/CN=Maze", .basic = CA, .issuer = i ? &maze[0] : NULL});
		sent.of[i] = &maze[i];
	}
	leaf = make((struct spec){.subject = MAIL, .issuer = &maze[3]});
	began = (double)clock();
	assert_int_not_equal(judge(&leaf, &sent, &bundle).reason, REASON_ok);
	assert_true(((double)clock() - began) * 1000 / CLOCKS_PER_SEC < 100);
	for (unsigned i = 0; i < COUNT(maze); i++)
		drop(&maze[i]);
	drop(&leaf);
}

static const struct fault {
	const char *what;
	struct spec leaf;
	enum reason reason;
	const char *text;
} faults[] = {
	{"for clients",
	 {.subject = MAIL, .extended = "clientAuth"},
	 REASON_certificate_wrong_purpose,
	 "CN=mail.contoso.com, O=\"Contoso, Ltd\", S=WA, C=US: not for a TLS server, only for TLS Web "
	 "Client Authentication"},
	{"for mail and code",
	 {.subject = MAIL, .extended = "emailProtection,codeSigning"},
	 REASON_certificate_wrong_purpose,
	 "only for E-mail Protection, Code Signing"},
	{"key usage of an authority",
	 {.subject = MAIL, .usage = "critical,keyCertSign,cRLSign", .extended = "serverAuth"},
	 REASON_certificate_wrong_purpose,
	 "not for a TLS server, by its key usage"},
	{"for a server", {.subject = MAIL, .extended = "serverAuth"}, REASON_ok, ""},
	{"for clients and servers",
	 {.subject = MAIL, .extended = "clientAuth,serverAuth"},
	 REASON_ok,
	 ""},
	{"for anything", {.subject = MAIL, .extended = "anyExtendedKeyUsage"}, REASON_ok, ""},
	{"for anything but expired",
	 {.subject = MAIL, .extended = "anyExtendedKeyUsage", .from_days = -9, .to_days = -1},
	 REASON_certificate_expired,
	 ""},
};

static void each_usage_has_its_verdict_and_names_itself(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(faults); i++) {
		struct spec s = faults[i].leaf;
		struct maker leaf;

		s.issuer = &inter;
		leaf = make(s);
		expect(faults[i].what,
		       judge(&leaf, &(struct list){{&inter}}, &(struct list){{&root}}),
		       faults[i].reason, faults[i].text);
		drop(&leaf);
	}
}

static void each_violation_of_an_authoritys_limits_has_its_reason(void **state)
{
	struct maker narrow = make((struct spec){.subject = "/CN=narrow",
						 .issuer = &root,
						 .basic = CA,
						 .limits = "critical,permitted;DNS:fabrikam.com"});
	struct maker low = make((struct spec){
		.subject = "/CN=low", .issuer = &root, .basic = "critical,CA:TRUE,pathlen:0"});
	struct maker below =
		make((struct spec){.subject = "/CN=below", .issuer = &low, .basic = CA});
	struct maker no_ca = make(
		(struct spec){.subject = "/CN=no", .issuer = &root, .basic = "critical,CA:FALSE"});
	struct maker forged =
		make((struct spec){.subject = "/CN=forged", .issuer = &root, .basic = CA});
	struct maker other =
		make((struct spec){.subject = "/CN=forged", .issuer = &root, .basic = CA});
	const struct {
		const struct maker *issuer;
		struct list sent;
		enum reason reason;
		const char *text;
	} rows[] = {
		{&narrow, {{&narrow}}, REASON_certificate_name_constraint, "CN=mail.contoso.com"},
		{&below, {{&below, &low}}, REASON_certificate_path_length, "CN=low"},
		{&no_ca, {{&no_ca}}, REASON_certificate_no_ca, "CN=no"},
		{&other, {{&forged}}, REASON_certificate_bad_signature, "CN=mail.contoso.com"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct maker leaf = make((struct spec){
			.subject = MAIL, .issuer = rows[i].issuer, .san = "DNS:mail.contoso.com"});

		expect(rows[i].text, judge(&leaf, &rows[i].sent, &(struct list){{&root}}),
		       rows[i].reason, rows[i].text);
		drop(&leaf);
	}
	drop(&other);
	drop(&forged);
	drop(&no_ca);
	drop(&below);
	drop(&low);
	drop(&narrow);
}

static void text_is_utf8_that_is_safe_to_show(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} rows[] = {
		{"a", 1},
		{"\xc3\xbc", 2},
		{"\xe6\xa0\xaa", 3},
		{"\xf0\x9f\x93\xa7", 4},
		{"\n", 0},
		{"\x7f", 0},
		{"\xc2\x9b", 0},	 /* C1: CSI */
		{"\xe2\x80\xae", 0},	 /* right-to-left override */
		{"\xe2\x80\x8b", 0},	 /* zero width space */
		{"\xed\xa0\x80", 0},	 /* a surrogate */
		{"\xc1\xa1", 0},	 /* overlong */
		{"\xf4\x90\x80\x80", 0}, /* beyond Unicode */
		{"\xc3", 0},		 /* cut */
		{"\xff", 0},
	};
	char cut[] = "M\xc3\xbcll\xe6\xa0";

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(utf8_printable(rows[i].text, strlen(rows[i].text)), rows[i].len);
	utf8_scrub(cut);
	assert_string_equal(cut, "M\xc3\xbcll");
	assert_int_equal(utf8_columns(cut), 4);
	assert_int_equal(utf8_bytes(cut, 2), 3);
	assert_int_equal(utf8_bytes(cut, 9), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_valid_path_is_found_in_any_order_of_the_bundle),
		cmocka_unit_test(an_intermediate_alone_in_the_bundle_is_trusted),
		cmocka_unit_test(a_path_through_the_second_of_two_intermediates_counts),
		cmocka_unit_test(a_hostile_maze_costs_little),
		cmocka_unit_test(each_usage_has_its_verdict_and_names_itself),
		cmocka_unit_test(each_violation_of_an_authoritys_limits_has_its_reason),
		cmocka_unit_test(text_is_utf8_that_is_safe_to_show),
	};

	return cmocka_run_group_tests_name("certpath", tests, open_authorities, close_authorities);
}
