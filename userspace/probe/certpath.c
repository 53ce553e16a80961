/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Searches for certification paths (RFC 4158, depth first, each certificate once). Checks no signature; the judge of a
 * path does. Bounded by CERTPATH_TRIES and CERTPATH_STEPS.
 */
#include "probe/certpath.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

struct search {
	X509_STORE_CTX *store;
	STACK_OF(X509) * sent;
	X509 *path[CERTPATH_DEPTH_MAX + 1];
	unsigned tries, steps; /* left */
	bool (*judge)(void *ctx, X509 *const *path, unsigned n);
	void *ctx;
};

static bool is_next(struct search *s, unsigned n, X509 *candidate)
{
	if (!s->steps)
		return false;
	s->steps--;
	for (unsigned i = 0; i < n; i++)
		if (!X509_cmp(s->path[i], candidate))
			return false;
	return X509_check_issued(candidate, s->path[n - 1]) == X509_V_OK;
}

static bool try_anchors(struct search *s, unsigned n)
{
	STACK_OF(X509) *known =
		X509_STORE_CTX_get1_certs(s->store, X509_get_issuer_name(s->path[n - 1]));
	bool found = false;

	for (int i = 0; i < sk_X509_num(known) && !found && s->tries; i++) {
		if (!is_next(s, n, sk_X509_value(known, i)))
			continue;
		s->path[n] = sk_X509_value(known, i);
		s->tries--;
		found = s->judge(s->ctx, s->path, n + 1);
	}
	sk_X509_pop_free(known, X509_free);
	return found;
}

static bool extend(struct search *s, unsigned n)
{
	if (try_anchors(s, n))
		return true;
	for (int i = 0; i < sk_X509_num(s->sent) && n < CERTPATH_DEPTH_MAX; i++) {
		if (!s->tries || !is_next(s, n, sk_X509_value(s->sent, i)))
			continue;
		s->path[n] = sk_X509_value(s->sent, i);
		if (extend(s, n + 1))
			return true;
	}
	return false;
}

bool certpath_find(X509_STORE *store, X509 *cert, STACK_OF(X509) * sent,
		   bool (*judge)(void *ctx, X509 *const *path, unsigned n), void *ctx)
{
	struct search s = {.store = X509_STORE_CTX_new(),
			   .sent = sent,
			   .path = {cert},
			   .tries = CERTPATH_TRIES,
			   .steps = CERTPATH_STEPS,
			   .judge = judge,
			   .ctx = ctx};
	bool found = s.store && X509_STORE_CTX_init(s.store, store, cert, NULL) && extend(&s, 1);

	X509_STORE_CTX_free(s.store);
	return found;
}
