/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extracts the facts of a certificate, for people to read and compare. Names are printed as Windows prints them
 * (CertNameToStr with CERT_X500_NAME_STR and CERT_NAME_STR_REVERSE_FLAG, docs/protocol-notes.md 2.2), so that they can
 * be pasted into PowerShell. Judges nothing; whatever is not printable UTF-8 is printed as \xNN.
 */
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include "core/certname.h"
#include "probe/tls.h"
#include "util/utf8.h"

/* A text of fixed size under construction: what does not fit is cut. */
struct certfacts_line {
	char *text;
	size_t len, size;
};

static void certfacts_put(struct certfacts_line *l, const char *text)
{
	size_t n = strlen(text);

	if (n >= l->size - l->len) {
		n = l->size - l->len - 1;
		while (n && ((unsigned char)text[n] & 0xc0) == 0x80) /* no part of a character */
			n--;
	}
	memcpy(l->text + l->len, text, n);
	l->len += n;
	l->text[l->len] = '\0';
}

static void put_byte(struct certfacts_line *l, unsigned char c)
{
	char text[8];

	snprintf(text, sizeof(text), c >= ' ' && c <= '~' ? "%c" : "\\x%02x", c);
	certfacts_put(l, text);
}

/* Appends one character, or one byte that is not part of one. Returns the number of bytes. */
static int put_character(struct certfacts_line *l, const unsigned char *v, int len)
{
	size_t n = utf8_printable((const char *)v, (size_t)len);
	char text[8];

	if (n < 2) {
		put_byte(l, *v);
		return 1;
	}
	snprintf(text, sizeof(text), "%.*s", (int)n, (const char *)v);
	certfacts_put(l, text);
	return (int)n;
}

static void put_attribute(struct certfacts_line *l, const ASN1_OBJECT *type)
{
	const char *name;
	char oid[80];

	OBJ_obj2txt(oid, sizeof(oid), type, 1);
	name = certname_type(oid);
	certfacts_put(l, name ? name : "OID.");
	certfacts_put(l, name ? "" : oid);
}

static bool certfacts_is_blank(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool needs_quotes(const unsigned char *v, int len)
{
	if (len > 0 && (certfacts_is_blank(v[0]) || certfacts_is_blank(v[len - 1])))
		return true;
	for (int i = 0; i < len; i++)
		if (v[i] && strchr(",+=\"\n<>#;", v[i]))
			return true;
	return false;
}

/* Backslashes are literal (Windows), unless they could be taken for an escape (certname.c, rule 2). */
static bool misleads(const unsigned char *v, int len, int i, bool quoted)
{
	if (i + 1 == len)
		return !quoted;
	return i + 3 < len && v[i + 1] == 'x' && isxdigit(v[i + 2]) && isxdigit(v[i + 3]);
}

static void put_value(struct certfacts_line *l, const ASN1_STRING *value)
{
	unsigned char *v = NULL;
	int len = ASN1_STRING_to_UTF8(&v, value); /* < 0: no string at all, printed as nothing */
	const char *quote = needs_quotes(v, len) ? "\"" : "";

	certfacts_put(l, quote);
	for (int i = 0, n = 1; i < len; i += n) {
		n = 1;
		if (v[i] == '"')
			certfacts_put(l, "\"");
		if (v[i] == '\\' && misleads(v, len, i, *quote))
			certfacts_put(l, "\\x5c");
		else
			n = put_character(l, v + i, len - i);
	}
	certfacts_put(l, quote);
	OPENSSL_free(v);
}

/* The entries of one RDN are adjacent and share its number; they keep their order while the RDNs are reversed. */
void certfacts_name(const X509_NAME *name, char *out, size_t size)
{
	struct certfacts_line l = {.text = out, .size = size};
	int end = X509_NAME_entry_count(name), start;

	out[0] = '\0';
	for (; end > 0; end = start) {
		int rdn = X509_NAME_ENTRY_set(X509_NAME_get_entry(name, end - 1));

		for (start = end - 1; start > 0; start--)
			if (X509_NAME_ENTRY_set(X509_NAME_get_entry(name, start - 1)) != rdn)
				break;
		for (int i = start; i < end; i++) {
			const X509_NAME_ENTRY *e = X509_NAME_get_entry(name, i);

			certfacts_put(&l, i > start ? " + " : l.len ? ", " : "");
			put_attribute(&l, X509_NAME_ENTRY_get_object(e));
			certfacts_put(&l, "=");
			put_value(&l, X509_NAME_ENTRY_get_data(e));
		}
	}
}

static void describe_names(X509 *cert, struct tls_info *info)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && info->n_names < TLS_NAMES_MAX; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		struct certfacts_line l = {.text = info->names[info->n_names],
					   .size = TLS_NAME_SIZE};

		if (n->type != GEN_DNS)
			continue;
		for (int k = 0; k < ASN1_STRING_length(n->d.dNSName); k++)
			put_byte(&l, ASN1_STRING_get0_data(n->d.dNSName)[k]);
		info->n_names++;
	}
	GENERAL_NAMES_free(names);
}

/* Not by libc's calendar, which reads the time zone from a file. */
static int64_t seconds_since_1970(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_new();
	int days = 0, seconds = 0;

	if (epoch && ASN1_TIME_set_string(epoch, "19700101000000Z"))
		ASN1_TIME_diff(&days, &seconds, epoch, t);
	ASN1_TIME_free(epoch);
	return (int64_t)days * 86400 + seconds;
}

static void describe_digests(X509 *cert, struct tls_info *info)
{
	unsigned char *spki = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);

	X509_digest(cert, EVP_sha1(), info->sha1, NULL);
	X509_digest(cert, EVP_sha256(), info->cert_sha256, NULL);
	X509_digest(cert, EVP_sha512(), info->cert_sha512, NULL);
	if (len > 0) {
		SHA256(spki, (size_t)len, info->spki_sha256);
		SHA512(spki, (size_t)len, info->spki_sha512);
	}
	OPENSSL_free(spki);
}

void certfacts_describe(X509 *cert, struct tls_info *info)
{
	certfacts_name(X509_get_subject_name(cert), info->subject, sizeof(info->subject));
	certfacts_name(X509_get_issuer_name(cert), info->issuer, sizeof(info->issuer));
	describe_names(cert, info);
	info->not_before = seconds_since_1970(X509_get0_notBefore(cert));
	info->not_after = seconds_since_1970(X509_get0_notAfter(cert));
	describe_digests(cert, info);
}
