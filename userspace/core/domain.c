/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Matches names of a certificate against tls-domain. Names with a NUL, or that are not host names, never match.
 *
 *   1. Equal names match, ignoring case and a final dot.
 *   2. "*" as the whole leftmost label stands for exactly one label, in tls-domain as well as in the certificate; at
 *      least two labels must follow (RFC 6125 section 6.4.3; no wildcard for a whole top-level domain).
 *   3. Any other "*" ("f*o.contoso.com", "mail.*.com") is refused in tls-domain and matches nothing in a certificate.
 */
#include <string.h>
#include <strings.h>
#include "core/domain.h"

#define NAME_MAX_LEN  253 /* RFC 1035 section 2.3.4, without the final dot */
#define LABEL_MAX_LEN 63
#define LABEL_CHARS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

struct name {
	const char *text;
	size_t len;
};

static bool is_wild(const struct name *n)
{
	return n->len > 2 && n->text[0] == '*' && n->text[1] == '.';
}

/* The part after the first label and its dot. */
static struct name rest_of(const struct name *n)
{
	const char *dot = memchr(n->text, '.', n->len);
	struct name rest = {dot ? dot + 1 : n->text + n->len, 0};

	rest.len = (size_t)(n->text + n->len - rest.text);
	return rest;
}

static bool is_label(const char *text, size_t len)
{
	if (!len || len > LABEL_MAX_LEN)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!text[i] || !strchr(LABEL_CHARS, text[i]))
			return false;
	return true;
}

/* 0: not a valid host name. */
static unsigned count_labels(struct name n)
{
	unsigned count = 0;

	for (size_t start = 0, i = 0; i <= n.len; i++) {
		if (i < n.len && n.text[i] != '.')
			continue;
		if (!is_label(n.text + start, i - start))
			return 0;
		start = i + 1;
		count++;
	}
	return count;
}

/* Rules 2 and 3. */
static bool is_sound(const struct name *n)
{
	if (!n->len || n->len > NAME_MAX_LEN)
		return false;
	return is_wild(n) ? count_labels(rest_of(n)) >= 2 : count_labels(*n) > 0;
}

static struct name domain_name_of(const char *text, size_t len)
{
	return (struct name){text, len && text[len - 1] == '.' ? len - 1 : len};
}

static bool same(const struct name *a, const struct name *b)
{
	return a->len == b->len && !strncasecmp(a->text, b->text, a->len);
}

const char *domain_refusal(const char *tls_domain)
{
	struct name n = domain_name_of(tls_domain, strlen(tls_domain));
	const char *star = strchr(tls_domain, '*');

	if (is_sound(&n))
		return NULL;
	if (star && (star != tls_domain || !is_wild(&n) || strchr(star + 1, '*')))
		return "has a * elsewhere than before the first dot, which Exchange Online does not accept";
	if (star)
		return "is a * for a whole top-level domain";
	for (const char *c = tls_domain; *c; c++)
		if (*c & 0x80)
			return "is not ASCII: write its labels as xn--...";
	return "is not a domain name";
}

bool domain_matches(const char *tls_domain, const char *name, size_t len)
{
	struct name want = domain_name_of(tls_domain, strlen(tls_domain)),
		    have = domain_name_of(name, len);
	struct name want_rest, have_rest;

	if (!is_sound(&want) || !is_sound(&have))
		return false;
	if (same(&want, &have))
		return true;
	want_rest = rest_of(&want);
	have_rest = rest_of(&have);
	return (is_wild(&want) || is_wild(&have)) && same(&want_rest, &have_rest);
}
