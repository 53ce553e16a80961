/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names as hostile certificates have them and as people write them. The first byte says which:
 *   t  the rest is text for certname_parse_pair()
 *   d  the rest is DER of a Name: printed, parsed and compared with itself
 *   n  the rest is attributes (type, same RDN or not and ASN.1 type, length, bytes) of a Name: likewise
 * tls-domain and TLSA records are read from the text too.
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/domain.h"
#include "probe/certpolicy.h"
#include "probe/tls.h"
#include "util/utf8.h"

#define TEXT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void take_text(const char *text)
{
	char why[CERTNAME_WHY_SIZE], tlsa_why[TLSA_WHY_SIZE];
	struct certname_pair pair;
	struct tlsa tlsa;

	if (!certname_parse_pair(text, &pair, why)) {
		must(pair.subject.n > 0, "a pair has a subject");
		must(certname_equal(&pair.subject, &pair.subject), "a name is equal to itself");
		must(certname_equal(&pair.issuer, &pair.issuer), "a name is equal to itself");
		must(certname_equal(&pair.issuer, &pair.subject) ==
			     certname_equal(&pair.subject, &pair.issuer),
		     "equality has no direction");
	}
	must(domain_matches(text, text, strlen(text)) == !domain_refusal(text),
	     "a domain is for itself if it is one");
	tlsa_parse(text, &tlsa, tlsa_why);
}

/* If the printed form is complete and has attributes of a name, parsing it gives the same name. */
static void take_name(const X509_NAME *name)
{
	char text[TEXT_MAX], why[CERTNAME_WHY_SIZE] = "";
	struct certname has, says;
	int err = certpolicy_name(name, &has);

	certfacts_name(name, text, sizeof(text));
	for (const char *c = text; *c;) {
		size_t n = utf8_printable(c, strlen(c));

		must(n, "what is printed is printable");
		c += n;
	}
	if (err || !has.n || strlen(text) == sizeof(text) - 1)
		return;
	err = certname_parse(text, &says, why);
	if (err && strstr(why, "too long"))
		return;
	must(!err, why);
	must(certname_equal(&has, &says) && certname_equal(&says, &has), text);
}

static X509_NAME *build(const uint8_t *at, const uint8_t *end)
{
	static const char *const oids[] = {"2.5.4.3",  "2.5.4.6",  "2.5.4.8",  "2.5.4.10",
					   "2.5.4.11", "2.5.4.15", "1.2.3.4.5"};
	static const int kinds[] = {V_ASN1_UTF8STRING,	 V_ASN1_PRINTABLESTRING, V_ASN1_BMPSTRING,
				    V_ASN1_T61STRING,	 V_ASN1_UNIVERSALSTRING, V_ASN1_IA5STRING,
				    V_ASN1_OCTET_STRING, V_ASN1_NUMERICSTRING};
	X509_NAME *name = X509_NAME_new();

	while (end - at > 3) {
		size_t len = at[2] < end - at - 3 ? at[2] : (size_t)(end - at - 3);
		ASN1_OBJECT *type = OBJ_txt2obj(oids[at[0] % 7], 1);
		X509_NAME_ENTRY *e = X509_NAME_ENTRY_create_by_OBJ(NULL, type, kinds[at[1] % 8],
								   at + 3, (int)len);

		if (e)
			X509_NAME_add_entry(name, e, -1, at[1] & 0x80 ? -1 : 0);
		X509_NAME_ENTRY_free(e);
		ASN1_OBJECT_free(type);
		at += 3 + len;
	}
	return name;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned char *der = data + 1;
	X509_NAME *name = NULL;

	if (!size || size > TEXT_MAX)
		return 0;
	if (data[0] == 't') {
		char *text = strndup((const char *)data + 1, size - 1);

		take_text(text);
		free(text);
	} else if (data[0] == 'd') {
		name = d2i_X509_NAME(NULL, &der, (long)size - 1);
	} else if (data[0] == 'n') {
		name = build(data + 1, data + size);
	}
	if (name)
		take_name(name);
	X509_NAME_free(name);
	ERR_clear_error();
	return 0;
}
