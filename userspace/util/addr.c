/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Converts addresses and prefixes between text, bytes and the one 16-byte form. Ambiguous text is refused: zones,
 * ports, leading zeros in a dotted quad, host bits in a prefix.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "util/addr.h"

#define V4_BITS 96 /* an IPv4 prefix of n bits has 96 + n in the 16-byte form */
#define V4(...)                                                               \
	{                                                                     \
		{                                                             \
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, __VA_ARGS__ \
		}                                                             \
	}
#define V4_PREFIX(n) (V4_BITS + (n))

static const struct prefix martians[] = {
	{V4(0), V4_PREFIX(8)},	       /* "this network", RFC 1122 section 3.2.1.3 */
	{V4(127), V4_PREFIX(8)},       /* loopback */
	{V4(169, 254), V4_PREFIX(16)}, /* link-local, RFC 3927 */
	{V4(224), V4_PREFIX(4)},       /* multicast */
	{V4(240), V4_PREFIX(4)},       /* reserved, RFC 1112 section 4, and the broadcast */
	{{{0}}, 128},		       /* unspecified */
	{{{[15] = 1}}, 128},	       /* loopback */
	{{{0xfe, 0x80}}, 10},	       /* link-local */
	{{{0xff}}, 8},		       /* multicast */
};

bool addr_in_prefix(const struct addr *a, const struct prefix *p)
{
	unsigned bytes = p->len / 8, bits = p->len % 8;
	uint8_t mask = (uint8_t)(0xff00 >> bits);

	if (memcmp(p->addr.b, a->b, bytes))
		return false;
	return !bits || !((p->addr.b[bytes] ^ a->b[bytes]) & mask);
}

bool addr_is_v4(const struct addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(a->b, mapped, sizeof(mapped));
}

bool addr_is_zero(const struct addr *a)
{
	static const struct addr zero, zero_v4 = V4(0);

	return addr_equal(a, &zero) || addr_equal(a, &zero_v4);
}

bool addr_is_martian(const struct addr *a)
{
	for (size_t i = 0; i < sizeof(martians) / sizeof(martians[0]); i++)
		if (addr_in_prefix(a, &martians[i]))
			return true;
	return false;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

int addr_cmp(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

/* inet_pton() of glibc and musl refuses zones, blanks and leading zeros in a dotted quad. */
int addr_parse(const char *text, struct addr *out)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		addr_from_bytes(bytes, 4, out);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		addr_from_bytes(bytes, 16, out);
	else
		return -EINVAL;
	return 0;
}

/* One to three digits, no sign, no leading zero. */
static int parse_bits(const char *text, unsigned max, unsigned *out)
{
	unsigned value = 0;
	size_t n = strspn(text, "0123456789");

	if (!n || n > 3 || text[n] || (n > 1 && text[0] == '0'))
		return -EINVAL;
	for (; *text; text++)
		value = value * 10 + (unsigned)(*text - '0');
	if (value > max)
		return -EINVAL;
	*out = value;
	return 0;
}

int addr_parse_prefix(const char *text, struct prefix *out)
{
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN];
	struct addr addr;
	unsigned bits;
	bool dotted;
	int err = 0;

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	dotted = !strchr(host, ':');
	if (addr_parse(host, &addr) || parse_bits(slash + 1, dotted ? 32 : 128, &bits))
		return -EINVAL;
	if (dotted)
		bits += V4_BITS;
	for (unsigned i = bits; i < 128; i++) {
		uint8_t bit = (uint8_t)(0x80 >> (i % 8));

		if (addr.b[i / 8] & bit)
			err = -ERANGE;
		addr.b[i / 8] &= (uint8_t)~bit;
	}
	out->addr = addr;
	out->len = (uint8_t)bits;
	return err;
}

char *addr_text(const struct addr *a, char buf[ADDR_TEXT_SIZE])
{
	uint8_t bytes[16];
	size_t len = addr_to_bytes(a, bytes);

	if (!inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, buf, ADDR_TEXT_SIZE))
		buf[0] = '\0';
	return buf;
}

/* The length counts in the family of the address: an IPv6 prefix that holds all of IPv4 is no IPv4 prefix. */
char *addr_port_text(const struct addr *a, uint16_t port, char buf[ADDR_TEXT_SIZE])
{
	char address[ADDR_TEXT_SIZE];

	snprintf(buf, ADDR_TEXT_SIZE, addr_is_v4(a) ? "%.39s:%u" : "[%.39s]:%u",
		 addr_text(a, address), port);
	return buf;
}

char *addr_prefix_text(const struct prefix *p, char buf[ADDR_TEXT_SIZE])
{
	size_t used = strlen(addr_text(&p->addr, buf));

	snprintf(buf + used, ADDR_TEXT_SIZE - used, "/%d",
		 addr_is_v4(&p->addr) ? p->len - V4_BITS : p->len);
	return buf;
}

char *addr_mac_text(const struct mac *m, char buf[ADDR_TEXT_SIZE])
{
	snprintf(buf, ADDR_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2],
		 m->b[3], m->b[4], m->b[5]);
	return buf;
}

void addr_from_bytes(const void *bytes, size_t len, struct addr *out)
{
	static const struct addr v4 = V4(0);

	if (len == 4) {
		*out = v4;
		memcpy(out->b + 12, bytes, 4);
	} else {
		memcpy(out->b, bytes, 16);
	}
}

size_t addr_to_bytes(const struct addr *a, uint8_t out[16])
{
	if (addr_is_v4(a)) {
		memcpy(out, a->b + 12, 4);
		return 4;
	}
	memcpy(out, a->b, 16);
	return 16;
}

socklen_t addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (addr_is_v4(a)) {
		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		memcpy(&sin->sin_addr, a->b + 12, 4);
		return sizeof(*sin);
	}
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(port);
	memcpy(&sin6->sin6_addr, a->b, 16);
	return sizeof(*sin6);
}

void addr_from_sockaddr(const struct sockaddr_storage *ss, struct addr *out)
{
	memset(out, 0, sizeof(*out));
	if (ss->ss_family == AF_INET)
		addr_from_bytes(&((const struct sockaddr_in *)ss)->sin_addr, 4, out);
	else if (ss->ss_family == AF_INET6)
		addr_from_bytes(&((const struct sockaddr_in6 *)ss)->sin6_addr, 16, out);
}
