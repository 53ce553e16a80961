/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One TLS client session over memory: bytes from the peer in, bytes for the peer out; the socket is the caller's. The
 * handshake judges nothing (docs/protocol-notes.md 1.3), because a server whose certificate is refused in it logs
 * errors. What the server presented is in struct tls_info; it is judged elsewhere.
 */
#ifndef MXLB_TLS_H
#define MXLB_TLS_H

#include <openssl/ssl.h>
#include <sys/types.h>
#include "core/verdict.h"
#include "probe/certpolicy.h"
#include "util/buf.h"

struct tls;

/* Loads everything that OpenSSL could want from files, before the sandbox. 0 or -ENOMEM. */
int tls_init(SSL_CTX **out);
/* A file of PEM certificates, opened here: before the sandbox. 0, -ENOMEM, or -EINVAL: nothing in it that can be read. */
int tls_load_bundle(const char *path, X509_STORE **out);
/* CPU time of generating a P-384 key pair, which no server influences: the speed of this machine. */
uint32_t tls_reference_us(void);
/* sni: empty for none. NULL when there is no memory. */
struct tls *tls_new(SSL_CTX *ctx, const char *sni);
void tls_free(struct tls *t); /* NULL is fine */

int tls_feed(struct tls *t, const void *bytes, size_t len); /* from the peer; 0 or -ENOMEM */
void tls_drain(struct tls *t, struct buf *out);		    /* for the peer: appended to out */

/* Each 0 (read: bytes), or -EAGAIN: feed more; -ENOMEM; -EPIPE: close_notify; -EPROTO: tls_error() says why. */
int tls_handshake(struct tls *t);
ssize_t tls_read(struct tls *t, char *bytes, size_t size);
int tls_write(struct tls *t, const char *bytes, size_t len);
void tls_shutdown(
	struct tls *t); /* close_notify, for tls_drain() to fetch; the peer's is not waited for */

const char *tls_error(const struct tls *t);
uint16_t tls_version(const struct tls *t); /* as on the wire: 0x0303 */
void tls_describe(const struct tls *t, struct tls_info *info);
/* info: what tls_describe() gave. */
void tls_judge(const struct tls *t, const struct cert_question *q, const struct tls_info *info,
	       struct cert_finding *out);
/* The server's certificates as it sent them, its own first: borrowed; NULL before they came. */
const STACK_OF(X509) * tls_chain(const struct tls *t);

/* certfacts.c: everything in info that comes from the certificate. */
void certfacts_describe(X509 *cert, struct tls_info *info);
/* The name as Windows prints it: docs/protocol-notes.md 2.2. Always terminates; cuts at size. */
void certfacts_name(const X509_NAME *name, char *out, size_t size);

#endif
