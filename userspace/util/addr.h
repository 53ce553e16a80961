/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One form for every address: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
 * Compare with addr_equal(). Nothing here allocates; nothing here resolves names.
 */
#ifndef MXLB_ADDR_H
#define MXLB_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/socket.h>

#define ADDR_TEXT_SIZE 64 /* fits any address, prefix or MAC, with its NUL */

struct addr {
	uint8_t b[16];
};

struct mac {
	uint8_t b[6];
};

struct prefix {
	struct addr addr; /* bits beyond len are zero */
	uint8_t len;	  /* of the 16-byte form: an IPv4 /24 is 120 */
};

bool addr_is_v4(const struct addr *a);
bool addr_is_zero(const struct addr *a); /* :: and 0.0.0.0 */
/* Loopback, multicast, broadcast, unspecified, link-local: no host that mail can be sent to. */
bool addr_is_martian(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_in_prefix(const struct addr *a, const struct prefix *p);
/* Orders by bytes: v4 before most of v6, numerically inside a family. */
int addr_cmp(const struct addr *a, const struct addr *b);
/* Strict dotted quad or RFC 4291 text; no zone, no port, no leading zeros. 0 or -EINVAL. */
int addr_parse(const char *text, struct addr *out);
/*
 * "192.0.2.0/24" or "2001:db8::/32". 0, -EINVAL, or -ERANGE: bits beyond the length are set, and *out is the
 * prefix without them.
 */
int addr_parse_prefix(const char *text, struct prefix *out);
/* Writes canonical text (RFC 5952) and returns buf. */
char *addr_text(const struct addr *a, char buf[ADDR_TEXT_SIZE]);
/* "192.0.2.1:25" or "[2001:db8::1]:25". */
char *addr_port_text(const struct addr *a, uint16_t port, char buf[ADDR_TEXT_SIZE]);
char *addr_prefix_text(const struct prefix *p, char buf[ADDR_TEXT_SIZE]);
char *addr_mac_text(const struct mac *m, char buf[ADDR_TEXT_SIZE]);
/* From/to network-order bytes: len is 4 or 16. addr_to_bytes returns 4 or 16. */
void addr_from_bytes(const void *bytes, size_t len, struct addr *out);
size_t addr_to_bytes(const struct addr *a, uint8_t out[16]);
/* Fills ss and returns its length. port in host order. */
socklen_t addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ss);
/* Without the port. Of neither IP family: ::. */
void addr_from_sockaddr(const struct sockaddr_storage *ss, struct addr *out);

#endif
