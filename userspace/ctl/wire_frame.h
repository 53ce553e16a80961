/* SPDX-License-Identifier: BSD-2-Clause */
/* Ethernet frames that doctor sends and receives: claims of addresses, and TCP segments that pass. Pure. */
#ifndef MXLB_CTL_FRAME_H
#define MXLB_CTL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include "util/addr.h"

#define FRAME_MAX 96 /* of those that are sent */

enum frame_kind {
	FRAME_OTHER,
	FRAME_CLAIM,   /* ARP, either way, or a neighbour advertisement: .mac has .from */
	FRAME_SEGMENT, /* TCP, not behind an IPv6 extension header nor in a later fragment */
};

struct frame {
	enum frame_kind kind;
	struct mac mac; /* of the claimer, or of the sender of the segment */
	struct addr from, to;
	uint16_t port; /* that the segment comes from */
	bool opens;    /* SYN without ACK */
};

/* What a frame says, of any length and content. */
void frame_read(const uint8_t *bytes, size_t len, struct frame *out);
/*
 * Asks for the owner of an address, without a sender address: an ARP probe (RFC 5227 section 2.1.1) or the solicitation of
 * duplicate address detection (RFC 4862 section 5.4.2). Answers go to mac, or to all. Returns the length.
 */
size_t frame_question(const struct addr *target, const struct mac *mac, uint8_t out[FRAME_MAX]);

#endif
