/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The converters of single values. Ambiguous ones are refused: octal and hexadecimal, signs, fractions, numbers
 * without their unit, and text that could end a line or a word of SMTP or of a log.
 */
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "conf/value.h"
#include "core/certname.h"
#include "core/config.h"
#include "core/dns.h"
#include "core/domain.h"
#include "mxlb/limits.h"
#include "util/addr.h"
#include "util/log.h"

#define DIGITS	    "0123456789"
#define LETTERS	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS_MAX  10 /* as UINT32_MAX has; this number of days in ms fits into 64 bits */
#define QUOTE_SIZE  80
#define ACCOUNT_MAX 32 /* useradd(8) */

static const struct {
	const char *name;
	uint64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

#define N_UNITS	      (sizeof(units) / sizeof(units[0]))

#define SAY(why, ...) (snprintf(why, VALUE_WHY_SIZE, __VA_ARGS__), -EINVAL)

static const char *quote(const char *text, char buf[QUOTE_SIZE])
{
	return log_quote(text, strlen(text), buf, QUOTE_SIZE);
}

static void value_store(const struct value_kind *kind, uint64_t value, void *field)
{
	uint16_t v16 = (uint16_t)value;
	uint32_t v32 = (uint32_t)value;
	const void *from = kind->size == 2 ? (void *)&v16 : kind->size == 4 ? (void *)&v32 : &value;

	memcpy(field, from, kind->size);
}

static int store_text(const struct value_kind *kind, const char *text, void *field, char *why)
{
	size_t len = strlen(text);

	if (len >= kind->size)
		return SAY(why, "longer than %zu characters", kind->size - 1);
	memset(field, 0, kind->size);
	memcpy(field, text, len);
	return 0;
}

/* The digits at the start of text; what is too long for any range becomes UINT64_MAX. */
static int parse_digits(const char *text, size_t *used, uint64_t *out)
{
	size_t n = strspn(text, DIGITS);
	uint64_t value = 0;

	if (!n || (n > 1 && text[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		value = n > DIGITS_MAX ? UINT64_MAX : value * 10 + (uint64_t)(text[i] - '0');
	*used = n;
	*out = value;
	return 0;
}

/* Explains why text, which should begin with a number, does not. */
static int refuse_number(const char *text, const char *what, char *why)
{
	size_t n = strspn(text, DIGITS), zeros = strspn(text, "0");
	char q[QUOTE_SIZE], without[QUOTE_SIZE];

	if (n > 1 && text[0] == '0' && n > zeros)
		return SAY(why, "%s has a leading zero: write %s (there is no octal here)",
			   quote(text, q), quote(text + zeros, without));
	return SAY(why, "\"%s\" is not %s", quote(text, q), what);
}

int value_integer(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char q[QUOTE_SIZE];
	uint64_t value;
	size_t used;

	if (parse_digits(text, &used, &value) || text[used])
		return refuse_number(text, "a whole number", why);
	if (value < kind->min || value > kind->max)
		return SAY(why, "%s is not between %" PRIu64 " and %" PRIu64, quote(text, q),
			   kind->min, kind->max);
	value_store(kind, value, field);
	return 0;
}

char *value_duration_text(uint64_t ms, char buf[VALUE_DURATION_SIZE])
{
	size_t i = 0;

	while (i < N_UNITS - 1 && (!ms || ms % units[i].ms))
		i++;
	snprintf(buf, VALUE_DURATION_SIZE, "%" PRIu64 "%s", ms / units[i].ms,
		 ms ? units[i].name : "s");
	return buf;
}

int value_duration(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char min[VALUE_DURATION_SIZE], max[VALUE_DURATION_SIZE], q[QUOTE_SIZE];
	uint64_t value;
	size_t used, i;

	if (parse_digits(text, &used, &value))
		return refuse_number(text, "a duration like 250ms, 10s, 15m, 1h or 21d", why);
	for (i = 0; i < N_UNITS; i++)
		if (!strcmp(text + used, units[i].name))
			break;
	if (i == N_UNITS && !text[used])
		return SAY(why, "%s has no unit: write %ss, or another of ms, s, m, h, d",
			   quote(text, q), q);
	if (i == N_UNITS)
		return SAY(why, "\"%s\" is not a duration like 250ms, 10s, 15m, 1h or 21d",
			   quote(text, q));
	if (value != UINT64_MAX)
		value *= units[i].ms;
	if (value < kind->min || value > kind->max) {
		return SAY(why, "%s is not between %s and %s", quote(text, q),
			   value_duration_text(kind->min, min),
			   value_duration_text(kind->max, max));
	}
	value_store(kind, value, field);
	return 0;
}

int value_word(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char q[QUOTE_SIZE];
	size_t used;
	unsigned i;

	for (i = 0; kind->words[i] && strcmp(kind->words[i], text); i++)
		;
	if (kind->words[i]) {
		value_store(kind, kind->min + i, field);
		return 0;
	}
	used = (size_t)snprintf(why, VALUE_WHY_SIZE, "\"%s\" is not one of", quote(text, q));
	for (i = 0; kind->words[i] && used < VALUE_WHY_SIZE; i++)
		used += (size_t)snprintf(why + used, VALUE_WHY_SIZE - used, "%s %s", i ? "," : "",
					 kind->words[i]);
	return -EINVAL;
}

int value_bool(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char q[QUOTE_SIZE];

	(void)kind;
	if (strcmp(text, "true") && strcmp(text, "false"))
		return SAY(why, "\"%s\" is not one of true, false", quote(text, q));
	*(bool *)field = *text == 't';
	return 0;
}

int value_address(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char q[QUOTE_SIZE];
	char plain[ADDR_TEXT_SIZE];
	struct addr addr;

	(void)kind;
	if (addr_parse(text, &addr))
		return SAY(why, "\"%s\" is not an IPv4 or IPv6 address%s", quote(text, q),
			   strchr(text, '/') ? ": write it without the prefix length" : "");
	if (addr_is_v4(&addr) && strchr(text, ':'))
		return SAY(why, "%s is an IPv4-mapped IPv6 address: write %s", quote(text, q),
			   addr_text(&addr, plain));
	if (addr_is_martian(&addr))
		return SAY(why,
			   "%s is a loopback, link-local, multicast, broadcast or reserved address",
			   quote(text, q));
	memcpy(field, &addr, sizeof(addr));
	return 0;
}

/* The address in brackets has colons, the one without has none (RFC 3986 section 3.2.2). */
int value_listen(const struct value_kind *kind, const char *text, void *field, char *why)
{
	const struct value_kind port = {.min = 1, .max = UINT16_MAX, .size = sizeof(uint16_t)};
	bool bracket = text[0] == '[';
	const char *colon = strrchr(text, ':');
	struct listen_conf listen = {.port = 0};
	char address[ADDR_TEXT_SIZE], ignored[VALUE_WHY_SIZE], q[QUOTE_SIZE];
	int len = colon ? (int)(colon - text) - 2 * bracket : 0;

	(void)kind;
	memset(field, 0, sizeof(listen));
	if (!text[0])
		return 0;
	if (len > 0 && len < ADDR_TEXT_SIZE && (!bracket || colon[-1] == ']')) {
		snprintf(address, sizeof(address), "%.*s", len, text + bracket);
		if (!addr_parse(address, &listen.address) &&
		    addr_is_v4(&listen.address) == !bracket &&
		    !value_integer(&port, colon + 1, &listen.port, ignored)) {
			memcpy(field, &listen, sizeof(listen));
			return 0;
		}
	}
	return SAY(why, "\"%s\" is not an address and a port like 127.0.0.1:9125 or [::1]:9125",
		   quote(text, q));
}

int value_prefix(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char q[QUOTE_SIZE], right[ADDR_TEXT_SIZE];
	struct prefix prefix = {.len = 128};
	int err;

	(void)kind;
	if (!addr_parse(text, &prefix.addr))
		return SAY(why, "%s has no length: write %s", text,
			   addr_prefix_text(&prefix, right));
	err = addr_parse_prefix(text, &prefix);
	if (err == -ERANGE)
		return SAY(why, "%s has bits beyond its length: write %s", text,
			   addr_prefix_text(&prefix, right));
	if (err)
		return SAY(why, "\"%s\" is not a prefix like 192.0.2.0/24 or 2001:db8::/32",
			   quote(text, q));
	memcpy(field, &prefix, sizeof(prefix));
	return 0;
}

/* "0x" and one to eight hexadecimal digits; returns how many characters that were, or 0. */
static size_t parse_hex(const char *text, uint32_t *out)
{
	size_t n;

	if (strncmp(text, "0x", 2))
		return 0;
	n = strspn(text + 2, DIGITS "abcdefABCDEF");
	if (!n || n > 8 || sscanf(text + 2, "%8" SCNx32, out) != 1)
		return 0;
	return n + 2;
}

int value_mark(const struct value_kind *kind, const char *text, void *field, char *why)
{
	size_t used, rest;
	uint32_t mark[2] = {0, 0};
	char q[QUOTE_SIZE];

	(void)kind;
	used = parse_hex(text, &mark[0]);
	rest = used && text[used] == '/' ? parse_hex(text + used + 1, &mark[1]) : 0;
	if (!rest || text[used + 1 + rest])
		return SAY(why, "\"%s\" is not a mark and mask like 0x6d780000/0xffff0000",
			   quote(text, q));
	if (!mark[0])
		return SAY(why, "a mark of 0 would be on every packet");
	if (mark[0] & ~mark[1])
		return SAY(why, "0x%" PRIx32 " has bits outside of its mask 0x%" PRIx32, mark[0],
			   mark[1]);
	if (mark[1] & (MXLB_MAX_SERVERS - 1))
		return SAY(why,
			   "the mask 0x%" PRIx32 " does not leave the low %d bits to the servers",
			   mark[1], __builtin_ctz(MXLB_MAX_SERVERS));
	memcpy(field, mark, sizeof(mark));
	return 0;
}

int value_name(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char q[QUOTE_SIZE];

	if (!text[0] || strspn(text, LETTERS DIGITS "._-") != strlen(text) ||
	    !strspn(text, LETTERS DIGITS))
		return SAY(why,
			   "\"%s\" is not a name: letters, digits, dots, hyphens and underscores, "
			   "beginning with a letter or digit",
			   quote(text, q));
	return store_text(kind, text, field, why);
}

/* As dev_valid_name() of the kernel's net/core/dev.c has it, and printable. */
int value_interface(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char q[QUOTE_SIZE];
	bool ok = text[0] && strlen(text) < IF_NAMESIZE && strcmp(text, ".") && strcmp(text, "..");

	for (const char *c = text; *c; c++)
		ok = ok && *c > ' ' && *c < 0x7f && *c != '/' && *c != ':';
	if (!ok)
		return SAY(why, "\"%s\" is not a valid interface name", quote(text, q));
	return store_text(kind, text, field, why);
}

int value_account(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char q[QUOTE_SIZE];
	size_t len = strlen(text);

	if (!len || len > ACCOUNT_MAX || text[0] == '-' ||
	    strspn(text, LETTERS DIGITS "._-@\\") != len)
		return SAY(why, "\"%s\" is not a valid name of a user or group", quote(text, q));
	return store_text(kind, text, field, why);
}

/* RFC 5321 section 4.1.2 and 4.1.3, no stricter than servers are: nothing that could end the command. */
int value_host(const struct value_kind *kind, const char *text, void *field, char *why)
{
	size_t len = strlen(text), body = strspn(text, LETTERS DIGITS ".-_");
	char q[QUOTE_SIZE];

	if (text[0] == '[') {
		body = 1 + strspn(text + 1, LETTERS DIGITS ".:-");
		body += text[body] == ']';
	}
	if (body != len || (text[0] == '[' && text[len - 1] != ']') || text[0] == '.' ||
	    text[0] == '-')
		return SAY(why, "\"%s\" is neither a host name nor an address literal",
			   quote(text, q));
	return store_text(kind, text, field, why);
}

/* What MAIL FROM may hold without quoting (RFC 5321 section 4.1.2): a dot-string and a domain. */
int value_domain(const struct value_kind *kind, const char *text, void *field, char *why)
{
	char name[DNS_NAME_SIZE] = "", q[QUOTE_SIZE];
	struct addr ignored;

	if (*text &&
	    (dns_canonical(text, name) || strchr(name, '?') || !addr_parse(name, &ignored)))
		return SAY(why, "\"%s\" is not a domain name", quote(text, q));
	return store_text(kind, name, field, why);
}

int value_sender(const struct value_kind *kind, const char *text, void *field, char *why)
{
	size_t local = strspn(text, LETTERS DIGITS "!#$%&'*+-/=?^_`{|}~.");
	size_t domain = text[local] == '@' ? strspn(text + local + 1, LETTERS DIGITS ".-") : 0;
	char q[QUOTE_SIZE];

	if (text[0] && (!local || !domain || text[local + 1 + domain] || text[0] == '.' ||
			text[local - 1] == '.' || text[local + 1] == '.'))
		return SAY(why, "%s is not a mail address; for the null sender write \"\"",
			   quote(text, q));
	return store_text(kind, text, field, why);
}

int value_path(const struct value_kind *kind, const char *text, void *field, char *why)
{
	if (text[0] != '/')
		return SAY(why, "must be an absolute path");
	return value_text(kind, text, field, why);
}

int value_file(const struct value_kind *kind, const char *text, void *field, char *why)
{
	return (text[0] ? value_path : value_text)(kind, text, field, why);
}

/* No shell is involved, so characters that are special to a shell are refused, because they would have no effect. */
int value_command(const struct value_kind *kind, const char *text, void *field, char *why)
{
	const char *shell = strpbrk(text, "\"'`$|&;<>()\\");

	if (shell)
		return SAY(why, "has a %c, but no shell reads it: a program and its words", *shell);
	return value_file(kind, text, field, why);
}

int value_tls_domain(const struct value_kind *kind, const char *text, void *field, char *why)
{
	const char *refusal = text[0] ? domain_refusal(text) : NULL;
	char q[QUOTE_SIZE];

	if (refusal)
		return SAY(why, "\"%s\" %s", quote(text, q), refusal);
	return store_text(kind, text, field, why);
}

/* What is beyond ASCII came from PowerShell as UTF-8, which the YAML parser has checked. */
int value_certname(const struct value_kind *kind, const char *text, void *field, char *why)
{
	struct certname_pair pair;
	char what[CERTNAME_WHY_SIZE];

	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return SAY(why, "has control characters");
	if (text[0] && certname_parse_pair(text, &pair, what))
		return SAY(why,
			   "is not like \"<I>CN=Contoso CA, O=Contoso<S>CN=mail.contoso.com\": %s",
			   what);
	return store_text(kind, text, field, why);
}

int value_text(const struct value_kind *kind, const char *text, void *field, char *why)
{
	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			return SAY(why, "has characters that are not printable ASCII");
	return store_text(kind, text, field, why);
}
