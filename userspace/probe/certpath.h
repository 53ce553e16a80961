/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paths from a certificate to a trusted one, through the certificates that were sent. OpenSSL follows one of them and
 * does not backtrack, so whether it finds a valid one depends on the order of a CA file with cross-signed copies.
 */
#ifndef MXLB_CERTPATH_H
#define MXLB_CERTPATH_H

#include <openssl/x509.h>
#include <stdbool.h>

#define CERTPATH_DEPTH_MAX 10
#define CERTPATH_TRIES	   8   /* paths: each costs one signature per certificate */
#define CERTPATH_STEPS	   256 /* candidates examined, so that a hostile chain costs little */

/*
 * Calls judge() with each path: path[0] is cert, path[n - 1] is a certificate of the store, those between were sent.
 * If it returns true, the search ends and returns true.
 */
bool certpath_find(X509_STORE *store, X509 *cert, STACK_OF(X509) * sent,
		   bool (*judge)(void *ctx, X509 *const *path, unsigned n), void *ctx);

#endif
