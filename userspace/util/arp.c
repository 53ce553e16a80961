/* SPDX-License-Identifier: BSD-2-Clause */
#include "util/arp.h"

#include <arpa/inet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <stddef.h>
#include <string.h>

void arp_fill(struct arp_frame *f, uint16_t op, const struct mac *mac, const uint8_t sender[4],
	      const uint8_t target[4])
{
	memset(f, 0, sizeof(*f));
	memset(f->eth.ether_dhost, 0xff, ETH_ALEN);
	memcpy(f->eth.ether_shost, mac, ETH_ALEN);
	f->eth.ether_type = htons(ETHERTYPE_ARP);
	f->arp.arp_hrd = htons(ARPHRD_ETHER);
	f->arp.arp_pro = htons(ETHERTYPE_IP);
	f->arp.arp_hln = ETH_ALEN;
	f->arp.arp_pln = 4;
	f->arp.arp_op = htons(op);
	memcpy(f->arp.arp_sha, mac, ETH_ALEN);
	memcpy(f->arp.arp_spa, sender, 4);
	if (op == ARPOP_REPLY)
		memcpy(f->arp.arp_tha, mac, ETH_ALEN);
	memcpy(f->arp.arp_tpa, target, 4);
}

/* Addresses, length, next header, then the message. */
uint16_t icmp6_checksum(const void *ip6)
{
	const uint8_t *head = ip6, *p = head + offsetof(struct ip6_hdr, ip6_src);
	const unsigned len = head[4] << 8 | head[5];
	const uint8_t *end = head + sizeof(struct ip6_hdr) + len;
	uint32_t sum = len + IPPROTO_ICMPV6;

	for (; p + 1 < end; p += 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	if (p < end)
		sum += (uint32_t)p[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}
