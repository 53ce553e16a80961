/* SPDX-License-Identifier: BSD-2-Clause */
/* All lookups for one service: its MX records, then the addresses of the exchangers that have none in the configuration. */
#ifndef MXLB_LOOKUP_H
#define MXLB_LOOKUP_H

#include "core/zone.h"
#include "zone/resolver.h"

struct lookup_round;
typedef void lookup_done_fn(void *ctx, const struct zone_answer *a);

/* conf: copied as far as needed. The callback is called once, never from within. 0 or -ENOMEM. */
int lookup_start(struct resolver *r, const struct service_conf *conf, enum dnssec policy,
		 lookup_done_fn *done, void *ctx, struct lookup_round **out);
/* The callback will not be called. With the resolver's end it is freed by lookup_free(). */
void lookup_cancel(struct lookup_round *l);
void lookup_free(struct lookup_round *l); /* only when the resolver is gone */

/* The exchangers of an answer about MX records, without their addresses; for lookup.c and the fuzz target. */
void lookup_read_mx(const struct dns_answer *a, enum dnssec policy, struct zone_answer *out);
/* The addresses of an exchanger. family: the VIP's. */
void lookup_read_addresses(const struct dns_answer *a, enum dnssec policy, enum dns_type type,
			   enum dns_type family, struct zone_exchanger *e, struct zone_answer *out);

#endif
