/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parses and compares distinguished names. Sources: CertNameToStr's quoting and Exchange's TlsCertificateName
 * (docs/protocol-notes.md 2.2), RFC 4514 for OpenSSL's output, RFC 5280 section 7.1 for the comparison.
 *
 *   1. Attribute types may be given by any of their names, in any case, or as "OID.1.2.3" or "1.2.3"; they are
 *      compared as OIDs.
 *   2. Values may be in double quotes, with inner quotes doubled (Windows). In unquoted values a backslash escapes one
 *      of , + " < > ; = # (RFC 4514). "\xNN" is the byte NN everywhere, which is how mxlb prints unprintable bytes.
 *      Any other backslash is literal, as on Windows.
 *   3. Values are compared ignoring the case of ASCII letters, blanks at the ends, and the length of inner blanks.
 *   4. The attributes of one RDN ("CN=a + OU=b") are a set; RDNs are compared in order, or all in reverse order,
 *      because Windows prints the most specific first and others use the certificate's order.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "core/certname.h"

#define OID_SIZE   80
#define VALUE_SIZE 1024 /* of one value as it is written */

/* The first name of an OID is Windows'. */
static const struct {
	const char *name, *oid;
} types[] = {
	{"CN", "2.5.4.3"},
	{"commonName", "2.5.4.3"},
	{"SN", "2.5.4.4"},
	{"surname", "2.5.4.4"},
	{"SERIALNUMBER", "2.5.4.5"},
	{"C", "2.5.4.6"},
	{"countryName", "2.5.4.6"},
	{"L", "2.5.4.7"},
	{"localityName", "2.5.4.7"},
	{"S", "2.5.4.8"},
	{"ST", "2.5.4.8"},
	{"stateOrProvinceName", "2.5.4.8"},
	{"STREET", "2.5.4.9"},
	{"streetAddress", "2.5.4.9"},
	{"O", "2.5.4.10"},
	{"organizationName", "2.5.4.10"},
	{"OU", "2.5.4.11"},
	{"organizationalUnitName", "2.5.4.11"},
	{"T", "2.5.4.12"},
	{"title", "2.5.4.12"},
	{"Description", "2.5.4.13"},
	{"PostalCode", "2.5.4.17"},
	{"POBox", "2.5.4.18"},
	{"Phone", "2.5.4.20"},
	{"telephoneNumber", "2.5.4.20"},
	{"X21Address", "2.5.4.24"},
	{"G", "2.5.4.42"},
	{"GN", "2.5.4.42"},
	{"GivenName", "2.5.4.42"},
	{"I", "2.5.4.43"},
	{"initials", "2.5.4.43"},
	{"dnQualifier", "2.5.4.46"},
	{"DC", "0.9.2342.19200300.100.1.25"},
	{"domainComponent", "0.9.2342.19200300.100.1.25"},
	{"UID", "0.9.2342.19200300.100.1.1"},
	{"userId", "0.9.2342.19200300.100.1.1"},
	{"E", "1.2.840.113549.1.9.1"},
	{"Email", "1.2.840.113549.1.9.1"},
	{"emailAddress", "1.2.840.113549.1.9.1"},
	{"businessCategory", "2.5.4.15"},
	{"organizationIdentifier", "2.5.4.97"},
	{"jurisdictionC", "1.3.6.1.4.1.311.60.2.1.3"},
	{"jurisdictionST", "1.3.6.1.4.1.311.60.2.1.2"},
	{"jurisdictionL", "1.3.6.1.4.1.311.60.2.1.1"},
};

/* Those that only others call by a name: Windows prints the OID. */
static const char *const nameless[] = {
	"0.9.2342.19200300.100.1.1",
	"2.5.4.15",
	"2.5.4.97",
	"1.3.6.1.4.1.311.60.2.1.3",
	"1.3.6.1.4.1.311.60.2.1.2",
	"1.3.6.1.4.1.311.60.2.1.1",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *certname_type(const char *oid)
{
	for (size_t i = 0; i < COUNT(nameless); i++)
		if (!strcmp(nameless[i], oid))
			return NULL;
	for (size_t i = 0; i < COUNT(types); i++)
		if (!strcmp(types[i].oid, oid))
			return types[i].name;
	return NULL;
}

static bool certname_is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Rule 3. The folded value is never longer. */
static size_t certname_fold(const char *value, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (!certname_is_blank(value[i]))
			out[n++] = lower(value[i]);
		else if (n && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	return n && out[n - 1] == ' ' ? n - 1 : n;
}

int certname_add(struct certname *name, const char *oid, const char *value, size_t len,
		 bool same_rdn)
{
	struct certname_attribute *a = &name->attributes[name->n];
	size_t type_len = strlen(oid);

	if (name->n == CERTNAME_ATTRIBUTES_MAX || type_len > CERTNAME_POOL_SIZE - name->used ||
	    len > CERTNAME_POOL_SIZE - name->used - type_len)
		return -E2BIG;
	a->rdn = name->n ? (uint16_t)(a[-1].rdn + !same_rdn) : 0;
	a->type = (uint16_t)name->used;
	a->type_len = (uint16_t)type_len;
	memcpy(name->pool + name->used, oid, type_len);
	name->used += type_len;
	a->value = (uint16_t)name->used;
	a->value_len = (uint16_t)certname_fold(value, len, name->pool + name->used);
	name->used += a->value_len;
	name->n++;
	return 0;
}

struct cursor {
	const char *start, *at;
	char *why;
};

static int certname_refuse(const struct cursor *c, const char *what)
{
	snprintf(c->why, CERTNAME_WHY_SIZE, "%s at character %zu", what,
		 (size_t)(c->at - c->start) + 1);
	return -EINVAL;
}

static void skip_blanks(struct cursor *c)
{
	while (certname_is_blank(*c->at))
		c->at++;
}

static int certname_hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *d = c ? strchr(digits, lower(c)) : NULL;

	return d ? (int)(d - digits) : -1;
}

/* The byte of "\xNN" at p, or -1. */
static int hex_byte(const char *p)
{
	if (p[0] != '\\' || p[1] != 'x' || certname_hex_digit(p[2]) < 0 ||
	    certname_hex_digit(p[3]) < 0)
		return -1;
	return certname_hex_digit(p[2]) << 4 | certname_hex_digit(p[3]);
}

static bool is_oid(const char *text, size_t len)
{
	bool digit = false;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.' && !digit)
			return false;
		digit = text[i] >= '0' && text[i] <= '9';
		if (!digit && text[i] != '.')
			return false;
	}
	return digit && memchr(text, '.', len);
}

/* Rule 1. */
static int parse_type(struct cursor *c, char oid[OID_SIZE])
{
	const char *name = c->at;
	size_t len = strcspn(name, "=,;+<>\"\\ \t\r\n");

	if (!len)
		return certname_refuse(c, "no attribute (like CN=)");
	for (size_t i = 0; i < COUNT(types); i++) {
		if (strlen(types[i].name) != len || strncasecmp(types[i].name, name, len))
			continue;
		strcpy(oid, types[i].oid);
		c->at += len;
		return 0;
	}
	if (len > 4 && !strncasecmp(name, "OID.", 4)) {
		name += 4;
		len -= 4;
	}
	if (len >= OID_SIZE || !is_oid(name, len))
		return certname_refuse(c, "an attribute that is not known (write OID.1.2.3=)");
	memcpy(oid, name, len);
	oid[len] = '\0';
	c->at = name + len;
	return 0;
}

struct value {
	char text[VALUE_SIZE];
	size_t len;
};

static int certname_put(const struct cursor *c, struct value *v, int byte)
{
	if (v->len == sizeof(v->text))
		return certname_refuse(c, "a value that is too long");
	v->text[v->len++] = (char)byte;
	return 0;
}

static int parse_quoted(struct cursor *c, struct value *v)
{
	int err = 0, byte;

	for (c->at++; !err; c->at++) {
		if (!*c->at)
			return certname_refuse(c, "a quote that does not end");
		byte = hex_byte(c->at);
		if (byte >= 0) {
			c->at += 3;
			err = certname_put(c, v, byte);
			continue;
		}
		if (*c->at == '"' && *++c->at != '"')
			return 0;
		err = certname_put(c, v, *c->at);
	}
	return err;
}

static int parse_plain(struct cursor *c, struct value *v)
{
	size_t solid = 0; /* so much of it without the blanks behind it */
	int err = 0, byte;

	for (; *c->at && !strchr(",;+<", *c->at) && !err; c->at++) {
		bool blank = certname_is_blank(*c->at);

		byte = hex_byte(c->at);
		if (byte >= 0) {
			c->at += 3;
		} else {
			if (*c->at == '"')
				return certname_refuse(c, "a quote within a value");
			if (*c->at == '\\' && c->at[1] && strchr(",+\"<>;=#", c->at[1]))
				c->at++;
			byte = *c->at;
		}
		err = certname_put(c, v, byte);
		solid = blank ? solid : v->len;
	}
	v->len = solid;
	return err;
}

static int parse_attribute(struct cursor *c, struct certname *out, bool same_rdn)
{
	struct value v = {.len = 0};
	char oid[OID_SIZE];
	int err;

	skip_blanks(c);
	err = parse_type(c, oid);
	if (err)
		return err;
	skip_blanks(c);
	if (*c->at != '=')
		return certname_refuse(c, "no =");
	c->at++;
	skip_blanks(c);
	if (*c->at == '#')
		return certname_refuse(c, "a value in hexadecimal, which is not supported,");
	err = *c->at == '"' ? parse_quoted(c, &v) : parse_plain(c, &v);
	if (err)
		return err;
	skip_blanks(c);
	return certname_add(out, oid, v.text, v.len, same_rdn)
		       ? certname_refuse(c, "a name that is too long")
		       : 0;
}

/* A name, up to the end or a tag. */
static int parse_name(struct cursor *c, struct certname *out)
{
	bool same_rdn = false;
	int err;

	out->n = 0;
	out->used = 0;
	for (;;) {
		err = parse_attribute(c, out, same_rdn);
		if (err || !*c->at || *c->at == '<')
			return err;
		if (!strchr(",;+", *c->at))
			return certname_refuse(c, "something behind a quote");
		same_rdn = *c->at++ == '+';
	}
}

static bool take_tag(struct cursor *c, char tag)
{
	skip_blanks(c);
	if (c->at[0] != '<' || lower(c->at[1]) != tag || c->at[2] != '>')
		return false;
	c->at += 3;
	return true;
}

int certname_parse(const char *text, struct certname *out, char why[CERTNAME_WHY_SIZE])
{
	struct cursor c = {.start = text, .at = text, .why = why};
	int err = parse_name(&c, out);

	return !err && *c.at ? certname_refuse(&c, "an unquoted <") : err;
}

int certname_parse_pair(const char *text, struct certname_pair *out, char why[CERTNAME_WHY_SIZE])
{
	struct cursor c = {.start = text, .at = text, .why = why};
	int err;

	out->issuer.n = 0;
	if (take_tag(&c, 'i')) {
		err = parse_name(&c, &out->issuer);
		if (err)
			return err;
		if (!take_tag(&c, 's'))
			return certname_refuse(&c, "no <S> behind the issuer");
	} else {
		take_tag(&c, 's');
	}
	err = parse_name(&c, &out->subject);
	return !err && *c.at ? certname_refuse(&c, "an unquoted <") : err;
}

static bool same_bytes(const struct certname *a, uint16_t at, uint16_t len,
		       const struct certname *b, uint16_t b_at, uint16_t b_len)
{
	return len == b_len && !memcmp(a->pool + at, b->pool + b_at, len);
}

static bool same_attribute(const struct certname *a, const struct certname_attribute *x,
			   const struct certname *b, const struct certname_attribute *y)
{
	return same_bytes(a, x->type, x->type_len, b, y->type, y->type_len) &&
	       same_bytes(a, x->value, x->value_len, b, y->value, y->value_len);
}

/* Rule 4: each attribute of a's RDN has one of b's for itself, and none is left. */
static bool same_rdn(const struct certname *a, unsigned rdn_a, const struct certname *b,
		     unsigned rdn_b)
{
	bool taken[CERTNAME_ATTRIBUTES_MAX] = {false};
	unsigned n_a = 0, n_b = 0;

	for (unsigned j = 0; j < b->n; j++)
		n_b += b->attributes[j].rdn == rdn_b;
	for (unsigned i = 0, j; i < a->n; i++) {
		if (a->attributes[i].rdn != rdn_a)
			continue;
		n_a++;
		for (j = 0; j < b->n; j++)
			if (b->attributes[j].rdn == rdn_b && !taken[j] &&
			    same_attribute(a, &a->attributes[i], b, &b->attributes[j]))
				break;
		if (j == b->n)
			return false;
		taken[j] = true;
	}
	return n_a == n_b;
}

static unsigned count_rdns(const struct certname *name)
{
	return name->n ? name->attributes[name->n - 1].rdn + 1u : 0;
}

bool certname_equal(const struct certname *a, const struct certname *b)
{
	unsigned n = count_rdns(a);
	bool forward = true, backward = true;

	if (n != count_rdns(b))
		return false;
	for (unsigned i = 0; i < n && (forward || backward); i++) {
		forward = forward && same_rdn(a, i, b, i);
		backward = backward && same_rdn(a, i, b, n - 1 - i);
	}
	return forward || backward;
}
