/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookups by the resolver child. A child lives for one round: it starts when something is to be looked up, and is
 * closed when nothing is left. So nothing of one round (a cache, a judgement of a resolver, a hostile answer) affects
 * the next, and between lookups there is no child.
 */
#ifndef MXLB_RESOLVER_H
#define MXLB_RESOLVER_H

#include <ev.h>
#include "core/config.h"
#include "core/dns.h"

#define RESOLVER_TIMEOUT_MS 5000 /* of a lookup */
#define RESOLVER_OPEN_MAX   16	 /* lookups at once */

struct resolver;

/*
 * a NULL: there is no answer. why: "": none came within RESOLVER_TIMEOUT_MS; else why this box could not ask, and behind
 * the last "; " the remedy. May ask for more.
 */
typedef void resolver_done_fn(void *ctx, const struct dns_answer *a, const char *why);

int resolver_new(struct ev_loop *loop, struct resolver **out);
void resolver_free(struct resolver *r); /* without callbacks; NULL is fine */
/* The settings of the next child: copied. tlsa: it is to validate, whatever .dnssec is, because only secure records count. */
void resolver_set(struct resolver *r, const struct dns_conf *conf, bool tlsa);
/* The callback is called once, never from within. 0 or -ENOMEM. */
int resolver_ask(struct resolver *r, const char *name, enum dns_type type, resolver_done_fn *done,
		 void *ctx);

/* Can the child find the library? Loads it: for a process that ends soon. */
bool resolver_has_library(void);
/* The child's life; never returns. */
int resolver_child_main(int fd) __attribute__((noreturn));

#endif
