/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of the frames that doctor receives and sends. Frames that are too short or of no interest are
 * FRAME_OTHER. Read byte by byte, so nothing has to be aligned.
 */
#include "ctl/wire_frame.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <string.h>
#include "util/arp.h"

#define ARP_LEN	    28
#define IPV4_LEN    20
#define IPV6_LEN    40
#define NA_LEN	    24
#define TCP_LEN	    20
#define FRAGMENT    0x1fff /* offset, in the word at byte 6 of an IPv4 header */
#define TCP_SYN	    0x02
#define TCP_ACK	    0x10
#define NEXT_TCP    6
#define NEXT_ICMPV6 58

struct solicitation {
	struct ether_header eth;
	struct ip6_hdr ip6;
	struct nd_neighbor_solicit ns;
} __attribute__((packed));

static size_t fill_solicitation(struct solicitation *f, const struct mac *mac,
				const uint8_t target[16])
{
	static const uint8_t group[16] = {0xff,
					  2, [11] = 1, [12] = 0xff}; /* RFC 4291 section 2.7.1 */

	memset(f, 0, sizeof(*f));
	memcpy(f->eth.ether_dhost, "\x33\x33\xff", 3);
	memcpy(f->eth.ether_dhost + 3, target + 13, 3);
	memcpy(f->eth.ether_shost, mac, ETH_ALEN);
	f->eth.ether_type = htons(ETHERTYPE_IPV6);
	f->ip6.ip6_flow = htonl(6U << 28);
	f->ip6.ip6_plen = htons(sizeof(f->ns));
	f->ip6.ip6_nxt = IPPROTO_ICMPV6;
	f->ip6.ip6_hlim = 255;
	memcpy(&f->ip6.ip6_dst, group, 16);
	memcpy((uint8_t *)&f->ip6.ip6_dst + 13, target + 13, 3);
	f->ns.nd_ns_type = ND_NEIGHBOR_SOLICIT;
	memcpy(&f->ns.nd_ns_target, target, 16);
	f->ns.nd_ns_cksum = icmp6_checksum(&f->ip6);
	return sizeof(*f);
}

size_t frame_question(const struct addr *target, const struct mac *mac, uint8_t out[FRAME_MAX])
{
	union {
		struct arp_frame arp;
		struct solicitation ns;
	} frame;
	static const uint8_t nobody[4]; /* the sender of an ARP probe (RFC 5227 section 2.1.1) */
	uint8_t bytes[16];
	size_t len = sizeof(frame.arp);

	_Static_assert(sizeof(frame) <= FRAME_MAX, "it fits");
	if (addr_to_bytes(target, bytes) == 4)
		arp_fill(&frame.arp, ARPOP_REQUEST, mac, nobody, bytes);
	else
		len = fill_solicitation(&frame.ns, mac, bytes);
	memcpy(out, &frame, len);
	return len;
}

static uint16_t word(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* RFC 826: the sender's two addresses claim the address. */
static void read_arp(const uint8_t *arp, size_t len, struct frame *out)
{
	if (len < ARP_LEN || word(arp) != ARPHRD_ETHER || word(arp + 2) != ETHERTYPE_IP ||
	    arp[4] != ETH_ALEN || arp[5] != 4)
		return;
	out->kind = FRAME_CLAIM;
	memcpy(&out->mac, arp + 8, ETH_ALEN);
	addr_from_bytes(arp + 14, 4, &out->from);
}

static void read_tcp(const uint8_t *tcp, size_t len, const uint8_t *from, const uint8_t *to,
		     size_t size, struct frame *out)
{
	if (len < TCP_LEN)
		return;
	out->kind = FRAME_SEGMENT;
	addr_from_bytes(from, size, &out->from);
	addr_from_bytes(to, size, &out->to);
	out->port = word(tcp);
	out->opens = (tcp[13] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static void read_v4(const uint8_t *ip, size_t len, struct frame *out)
{
	size_t header = len ? (ip[0] & 15) * 4 : 0;

	if (len >= IPV4_LEN && ip[0] >> 4 == 4 && header >= IPV4_LEN && header <= len &&
	    ip[9] == NEXT_TCP && !(word(ip + 6) & FRAGMENT))
		read_tcp(ip + header, len - header, ip + 12, ip + 16, 4, out);
}

static void read_v6(const uint8_t *ip, size_t len, struct frame *out)
{
	const uint8_t *body = ip + IPV6_LEN;

	if (len < IPV6_LEN || ip[0] >> 4 != 6)
		return;
	if (ip[6] == NEXT_TCP) {
		read_tcp(body, len - IPV6_LEN, ip + 8, ip + 24, 16, out);
	} else if (ip[6] == NEXT_ICMPV6 && len >= IPV6_LEN + NA_LEN &&
		   body[0] == ND_NEIGHBOR_ADVERT) {
		out->kind = FRAME_CLAIM; /* .mac: as the frame came */
		addr_from_bytes(body + 8, 16, &out->from);
	}
}

void frame_read(const uint8_t *bytes, size_t len, struct frame *out)
{
	memset(out, 0, sizeof(*out));
	if (len < ETH_HLEN)
		return;
	memcpy(&out->mac, bytes + ETH_ALEN, ETH_ALEN);
	switch (word(bytes + 12)) {
	case ETHERTYPE_ARP:
		read_arp(bytes + ETH_HLEN, len - ETH_HLEN, out);
		break;
	case ETHERTYPE_IP:
		read_v4(bytes + ETH_HLEN, len - ETH_HLEN, out);
		break;
	case ETHERTYPE_IPV6:
		read_v6(bytes + ETH_HLEN, len - ETH_HLEN, out);
		break;
	default:
		break;
	}
}
