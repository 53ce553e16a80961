/* SPDX-License-Identifier: BSD-2-Clause */
/* core/certname.c, domain.c, tlsa.c: an administrator's settings about a certificate, and what they match. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include "core/certname.h"
#include "like.h"
#include "core/domain.h"
#include "core/tlsa.h"
#include "probe/certpolicy.h"
#include "probe/tls.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct certname parsed(const char *text)
{
	char why[CERTNAME_WHY_SIZE] = "";
	struct certname name;

	if (certname_parse(text, &name, why))
		fail_msg("%s: %s", text, why);
	return name;
}

static const struct pair_row {
	const char *a, *b;
} equal_rows[] = {
	{"CN=mail.contoso.com, O=\"Contoso, Ltd\", L=Seattle, S=WA, C=US",
	 "C=US, ST=WA, L=Seattle, O=Contoso\\, Ltd, CN=mail.contoso.com"},
	{"CN=mail.contoso.com,O=Contoso\\, Ltd,L=Seattle,ST=WA,C=US",
	 "CN=mail.contoso.com, O=\"Contoso, Ltd\", L=Seattle, S=WA, C=US"},
	{"O = \"Contoso, Ltd\", ST = WA, C = US", "O=\"contoso,  LTD\", s=wa, c=us"},
	{"CN=a   b", "cn=A B"},
	{"CN=\"  a b \"", "CN=a b"},
	{"CN=", "CN=\" \""},
	{"E=pki@contoso.com", "emailAddress=PKI@Contoso.com"},
	{"OID.2.5.4.3=x", "2.5.4.3=x"},
	{"oid.2.5.4.3=x", "CN=x"},
	{"O=\"the \"\"best\"\"\"", "O=the \\\"best\\\""},
	{"O=a\\b", "O=a\\x5cb"},
	{"O=Z\\xc3\\xbcrich", "O=Z\xc3\xbcrich"},
	{"CN=a + OU=b, O=x", "OU=b+CN=a, O=x"},
	{"CN=a + OU=b, O=x", "O=x; OU=b + CN=a"},
	{"DC=com, DC=contoso, CN=ca", "CN=ca, DC=contoso, DC=com"},
	{"CN=a=b", "CN=\"a=b\""},
	{"SERIALNUMBER=7, G=g, T=t, I=i", "serialNumber=7, GN=g, title=t, initials=i"},
};

static const struct pair_row unequal_rows[] = {
	{"CN=a", "CN=b"},
	{"CN=a", "OU=a"},
	{"CN=a", "CN=a, O=x"},
	{"CN=a, O=x", "CN=a"},
	{"CN=a, O=x", "CN=a + O=x"},
	{"CN=a + CN=a", "CN=a + CN=b"},
	{"CN=a + CN=b", "CN=a + CN=a"},
	{"CN=a, O=x, C=US", "O=x, CN=a, C=US"},
	{"CN=ab", "CN=a b"},
	{"CN=a\\x00b", "CN=a"},
	{"DC=com, DC=contoso, CN=ca", "DC=contoso, DC=com, CN=ca"},
	{"SN=7", "SERIALNUMBER=7"},   /* Windows' SN is the surname */
	{"O=\xc3\xbc", "O=\xc3\x9c"}, /* only ASCII is folded */
};

static void names_that_mean_the_same_are_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(equal_rows); i++) {
		struct certname a = parsed(equal_rows[i].a), b = parsed(equal_rows[i].b);

		if (!certname_equal(&a, &b) || !certname_equal(&b, &a))
			fail_msg("not equal: %s | %s", equal_rows[i].a, equal_rows[i].b);
	}
}

static void names_that_mean_something_else_are_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(unequal_rows); i++) {
		struct certname a = parsed(unequal_rows[i].a), b = parsed(unequal_rows[i].b);

		if (certname_equal(&a, &b) || certname_equal(&b, &a))
			fail_msg("equal: %s | %s", unequal_rows[i].a, unequal_rows[i].b);
	}
}

static const struct refused_row {
	const char *text, *why;
} refused_names[] = {
	{"", "no attribute (like CN=) at character 1"},
	{"CN", "no = at character 3"},
	{"mail.contoso.com", "an attribute that is not known (write OID.1.2.3=) at character 1"},
	{"CN=a,", "no attribute* at character 6"},
	{"CN=a,,O=b", "no attribute* at character 6"},
	{"XX=a", "an attribute* at character 1"},
	{"OID.=a", "an attribute* at character 1"},
	{"OID.1..2=a", "an attribute* at character 1"},
	{"1=a", "an attribute* at character 1"},
	{"CN=\"a", "a quote that does not end at character 6"},
	{"CN=\"a\"b", "something behind a quote at character 7"},
	{"CN=a\"b\"", "a quote within a value at character 5"},
	{"CN=#0403020101", "a value in hexadecimal, which is not supported, at character 4"},
	{"CN=a<b", "an unquoted < at character 5"},
};

static void an_invalid_name_is_refused_with_the_place(void **state)
{
	char why[CERTNAME_WHY_SIZE];
	struct certname name;

	(void)state;
	for (size_t i = 0; i < COUNT(refused_names); i++) {
		assert_true(certname_parse(refused_names[i].text, &name, why) < 0);
		if (!is_like(why, refused_names[i].why))
			fail_msg("%s: %s", refused_names[i].text, why);
	}
}

static void a_name_that_is_too_large_is_refused(void **state)
{
	char text[4096] = "CN=", why[CERTNAME_WHY_SIZE];
	struct certname name;

	(void)state;
	memset(text + 3, 'x', 1025);
	assert_true(certname_parse(text, &name, why) < 0);
	text[0] = '\0';
	for (int i = 0; i <= CERTNAME_ATTRIBUTES_MAX; i++)
		strcat(text, i ? ",CN=x" : "CN=x");
	assert_true(certname_parse(text, &name, why) < 0);
	text[strlen(text) - 5] = '\0';
	assert_int_equal(certname_parse(text, &name, why), 0);
	text[0] = '\0';
	for (int i = 0; i < 3; i++) { /* each fits, but not all together */
		strcat(text, i ? ",CN=" : "CN=");
		memset(text + strlen(text), 'y', 1000);
	}
	assert_true(certname_parse(text, &name, why) < 0);
}

static const struct pair_text {
	const char *text;
	bool ok, issuer;
} pairs[] = {
	{"<I>CN=ca<S>CN=mail", true, true},
	{"<i>CN=ca<s>CN=mail", true, true},
	{" <I> CN=ca <S> CN=mail ", true, true},
	{"<I>CN=\"a<S>CN=b\"<S>CN=mail", true, true},
	{"<S>CN=mail", true, false},
	{"CN=mail", true, false},
	{"<I>CN=ca", false, false},
	{"<S>CN=mail<I>CN=ca", false, false},
	{"<I><S>CN=mail", false, false},
	{"<I>CN=ca<S>", false, false},
	{"<I>CN=ca<S>CN=mail<S>CN=x", false, false},
	{"<X>CN=ca", false, false},
};

static void issuer_and_subject_are_distinguished(void **state)
{
	struct certname mail = parsed("CN=mail");
	char why[CERTNAME_WHY_SIZE];
	struct certname_pair pair;

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		int err = certname_parse_pair(pairs[i].text, &pair, why);

		if (!err != pairs[i].ok)
			fail_msg("%s: %s", pairs[i].text, err ? why : "taken");
		if (err)
			continue;
		assert_int_equal(!!pair.issuer.n, pairs[i].issuer);
		assert_true(certname_equal(&pair.subject, &mail));
	}
}

/* ---- printed names can be read back ---- */

static unsigned chosen(unsigned n)
{
	return (unsigned)rand() % n;
}

static size_t random_value(char *out)
{
	static const char *const pieces[] = {
		"a", "B",  " ",	 ",",  "+",	   "=",	 "\"",	"\\",  "<",   ">",     "#",
		";", "x4", "1f", "\n", "\xc3\xbc", "\t", "x5c", "Ltd", "<S>", "\\x41", "/",
	};
	unsigned n = chosen(8);

	out[0] = '\0';
	while (n--)
		strcat(out, pieces[chosen(COUNT(pieces))]);
	return strlen(out);
}

static X509_NAME *random_name(void)
{
	static const char *const oids[] = {
		"2.5.4.3",
		"2.5.4.6",
		"2.5.4.7",
		"2.5.4.8",
		"2.5.4.10",
		"2.5.4.11",
		"2.5.4.15",
		"1.2.840.113549.1.9.1",
		"1.3.6.1.4.1.99999.7",
	};
	X509_NAME *name = X509_NAME_new();
	unsigned n = 1 + chosen(5);

	for (unsigned i = 0; i < n; i++) {
		ASN1_OBJECT *type = OBJ_txt2obj(oids[chosen(COUNT(oids))], 1);
		char value[64];
		size_t len = random_value(value);
		X509_NAME_ENTRY *e = X509_NAME_ENTRY_create_by_OBJ(
			NULL, type, V_ASN1_UTF8STRING, (unsigned char *)value, (int)len);

		assert_int_equal(X509_NAME_add_entry(name, e, -1, i && !chosen(3) ? -1 : 0), 1);
		X509_NAME_ENTRY_free(e);
		ASN1_OBJECT_free(type);
	}
	return name;
}

static void a_printed_name_matches_when_pasted_back_and_no_other_does(void **state)
{
	unsigned others = 0;

	(void)state;
	srand(5);
	for (int i = 0; i < 20000; i++) {
		X509_NAME *a = random_name(), *b = random_name();
		char text[2][1024], line[2200], why[CERTNAME_WHY_SIZE];
		struct certname names[2];
		struct certname_pair pair;

		certfacts_name(a, text[0], sizeof(text[0]));
		certfacts_name(b, text[1], sizeof(text[1]));
		assert_int_equal(certpolicy_name(a, &names[0]), 0);
		assert_int_equal(certpolicy_name(b, &names[1]), 0);
		snprintf(line, sizeof(line), "<I>%s<S>%s", text[0], text[1]);
		if (certname_parse_pair(line, &pair, why))
			fail_msg("%s: %s", line, why);
		if (!certname_equal(&pair.issuer, &names[0]) ||
		    !certname_equal(&pair.subject, &names[1]))
			fail_msg("does not match itself: %s", line);
		others += !certname_equal(&names[0], &names[1]);
		if (!certname_equal(&names[0], &names[1]) &&
		    (certname_equal(&pair.issuer, &names[1]) ||
		     certname_equal(&pair.subject, &names[0])))
			fail_msg("matches the other: %s", line);
		X509_NAME_free(a);
		X509_NAME_free(b);
	}
	assert_true(others > 19000);
}

/* ---- domains ---- */

static const struct domain_row {
	const char *tls_domain, *name;
	bool matches;
} domains[] = {
	{"mail.contoso.com", "mail.contoso.com", true},
	{"mail.contoso.com", "MAIL.Contoso.COM.", true},
	{"mail.contoso.com.", "mail.contoso.com", true},
	{"mail.contoso.com", "contoso.com", false},
	{"mail.contoso.com", "xmail.contoso.com", false},
	{"mail.contoso.com", "mail.contoso.com.evil", false},
	{"mail.contoso.com", "*.contoso.com", true},
	{"a.mail.contoso.com", "*.contoso.com", false},
	{"contoso.com", "*.contoso.com", false},
	{"contoso.com", "*.com", false},
	{"mail.contoso.com", "*", false},
	{"mail.contoso.com", "*.*.com", false},
	{"mail.contoso.com", "m*.contoso.com", false},
	{"mail.contoso.com", "*l.contoso.com", false},
	{"mail.contoso.com", "mail.*.com", false},
	{"mail.contoso.com", "**.contoso.com", false},
	{"*.contoso.com", "mail.contoso.com", true},
	{"*.contoso.com", "*.contoso.com", true},
	{"*.contoso.com", "contoso.com", false},
	{"*.contoso.com", "a.mail.contoso.com", false},
	{"*.contoso.com", "mail.fabrikam.com", false},
	{"*.contoso.com", ".contoso.com", false},
	{"*.contoso.com", "f*.contoso.com", false},
	{"xn--mller-kva.example", "xn--mller-kva.example", true},
	{"xn--mller-kva.example", "m\xc3\xbcller.example", false},
	{"a.xn--mller-kva.example", "*.xn--mller-kva.example", true},
	{"localhost", "localhost", true},
	{"mail.contoso.com", "", false},
	{"mail.contoso.com", ".", false},
	{"mail.contoso.com", "mail..contoso.com", false},
};

static void a_name_is_for_a_domain_as_each_row_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(domains); i++)
		if (domain_matches(domains[i].tls_domain, domains[i].name,
				   strlen(domains[i].name)) != domains[i].matches)
			fail_msg("%s, %s", domains[i].tls_domain, domains[i].name);
	assert_false(domain_matches("mail.contoso.com", "mail.contoso.com\0.evil", 22));
	assert_false(domain_matches("mail.contoso.com", "mail.contoso.com\0", 17));
}

static void only_domains_and_leading_wildcards_are_taken_as_tls_domain(void **state)
{
	static const char *const good[] = {"contoso.com", "*.contoso.com", "MAIL.contoso.com.",
					   "xn--mller-kva.example"};
	static const struct refused_row bad[] = {
		{"domain.*.contoso.com", "elsewhere"},
		{"f*o.contoso.com", "elsewhere"},
		{"*", "elsewhere"},
		{"*.*.com", "elsewhere"},
		{"*.com", "top-level"},
		{"m\xc3\xbcller.example", "xn--"},
		{"a b", "not a domain"},
		{"a..b", "not a domain"},
		{".a", "not a domain"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_null(domain_refusal(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *why = domain_refusal(bad[i].text);

		if (!why || !strstr(why, bad[i].why))
			fail_msg("%s: %s", bad[i].text, why ? why : "taken");
	}
}

/* ---- TLSA ---- */

#define HEX32 "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

static void tlsa_records_are_read_as_in_a_zone_file(void **state)
{
	static const uint8_t data[] = {0xde, 0xad, 0xbe};
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char why[TLSA_WHY_SIZE];
	struct tlsa t;

	(void)state;
	assert_int_equal(tlsa_parse("3 1 1 " HEX32, &t, why), 0);
	assert_true(t.usage == 3 && t.selector == 1 && t.matching == TLSA_MATCHING_SHA256);
	for (int i = 0; i < 32; i++)
		assert_int_equal(t.digest[i], i);
	assert_int_equal(tlsa_parse(" 2 0  2 " HEX32 " " HEX32, &t, why), 0);
	assert_true(t.usage == 2 && t.selector == 0 && t.matching == TLSA_MATCHING_SHA512);
	assert_int_equal(t.digest[63], 31);
	assert_int_equal(tlsa_parse("3 0 0 DE ad bE", &t, why), 0);
	SHA256(data, sizeof(data), digest);
	assert_int_equal(t.matching, TLSA_MATCHING_SHA256);
	assert_memory_equal(t.digest, digest, sizeof(digest));
}

static void other_tlsa_records_are_refused(void **state)
{
	static const struct refused_row rows[] = {
		{"", "is not a TLSA record"},
		{"3 1", "is not a TLSA record"},
		{"3 1 1", "is not a TLSA record"},
		{"311 " HEX32, "is not a TLSA record"},
		{"x 1 1 " HEX32, "is not a TLSA record"},
		{"3 1 1 ", "hexadecimal"},
		{"3 1 1 0", "hexadecimal"},
		{"3 1 0 0g", "hexadecimal"},
		{"0 1 1 " HEX32, "usage 0 is unusable for SMTP"},
		{"1 1 1 " HEX32, "usage 1 "},
		{"4 1 1 " HEX32, "not between"},
		{"3 2 1 " HEX32, "not between"},
		{"3 1 3 " HEX32, "not between"},
		{"3 1 1 " HEX32 "00", "has 33 bytes of data where matching type 1 has 32"},
		{"3 1 2 " HEX32, "has 32 bytes"},
	};
	char why[TLSA_WHY_SIZE], large[8 + 2 * 4097] = "3 0 0 ";
	struct tlsa t;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		strcpy(why, "taken");
		if (!tlsa_parse(rows[i].text, &t, why) || !strstr(why, rows[i].why))
			fail_msg("%s: %s", rows[i].text, why);
	}
	memset(large + 6, '0', 2 * 4096);
	assert_int_equal(tlsa_parse(large, &t, why), 0);
	strcat(large, "0");
	assert_true(tlsa_parse(large, &t, why) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_mean_the_same_are_equal),
		cmocka_unit_test(names_that_mean_something_else_are_not),
		cmocka_unit_test(an_invalid_name_is_refused_with_the_place),
		cmocka_unit_test(a_name_that_is_too_large_is_refused),
		cmocka_unit_test(issuer_and_subject_are_distinguished),
		cmocka_unit_test(a_printed_name_matches_when_pasted_back_and_no_other_does),
		cmocka_unit_test(a_name_is_for_a_domain_as_each_row_says),
		cmocka_unit_test(only_domains_and_leading_wildcards_are_taken_as_tls_domain),
		cmocka_unit_test(tlsa_records_are_read_as_in_a_zone_file),
		cmocka_unit_test(other_tlsa_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
