/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ends the connection of a client whose server is unreachable: sends a SYN in the server's name. The established
 * client answers with an ACK that carries the numbers it expects (RFC 5961 section 4.2); that ACK arrives here, and
 * the datapath answers it with the RST that ends the connection. So the mail in it is queued again now instead of
 * after a timeout of ten minutes.
 */
#ifndef MXLB_FORGE_H
#define MXLB_FORGE_H

#include "util/addr.h"

struct forge;

/* 0 or -errno (-EPERM: CAP_NET_RAW is missing). forge_free() ends it. */
int forge_new(struct forge **out);
void forge_free(struct forge *f); /* NULL is fine */
/* From the VIP and its port to the client and its port, both of one family, routed as any packet of this box.
 * Ports in host order. Never blocks. 0 or -errno. */
int forge_syn(struct forge *f, const struct addr *vip, uint16_t vip_port, const struct addr *client,
	      uint16_t client_port);

#endif
