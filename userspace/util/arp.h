/* SPDX-License-Identifier: BSD-2-Clause */
/* Fills frames of ARP (RFC 826), and the checksum of neighbour discovery. */
#ifndef MXLB_ARP_H
#define MXLB_ARP_H

#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <stdint.h>
#include "util/addr.h"

struct arp_frame {
	struct ether_header eth;
	struct ether_arp arp;
} __attribute__((packed));

/* To everybody, from mac. op: ARPOP_*; in a reply the target's MAC address is mac, too, as in iputils' arping -A. */
void arp_fill(struct arp_frame *f, uint16_t op, const struct mac *mac, const uint8_t sender[4],
	      const uint8_t target[4]);
/*
 * Of what is behind this IPv6 header, as much as it says, its checksum being 0 (RFC 4443 section 2.3); as it goes on the wire.
 * Nothing has to be aligned.
 */
uint16_t icmp6_checksum(const void *ip6);

#endif
