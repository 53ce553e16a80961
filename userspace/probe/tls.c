/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OpenSSL as a pure transformer of bytes, and the settings of its context. It opens nothing (no config file, no CA
 * file, no engine) and judges nothing: every version and cipher that OpenSSL supports is offered, so that an old
 * server is reported as old and not as broken.
 */
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "probe/stall.h"
#include "probe/tls.h"
#include "util/clock.h"

#define CERT_LIST_MAX (64 * 1024) /* bytes of a chain; a real one has 3 to 8 KiB */

/*
 * No key exchange whose size the server chooses: a DHE prime of 10,000 bits takes more than a second, ffdhe8192 0.2 s. Exchange Online
 * offers ECDHE and RSA only (docs/protocol-notes.md 2.4). Each of these groups takes about a millisecond.
 */
#define CIPHERS	      "DEFAULT:!kDHE:!kDHEPSK:!PSK:!SRP:@SECLEVEL=0"
#define GROUPS	      "X25519:P-256:X448:P-521:P-384"

/* OpenSSL from 3.2 on inflates what a server compressed (RFC 8879). */
#ifndef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
#define SSL_OP_NO_RX_CERTIFICATE_COMPRESSION 0
#endif

struct tls {
	SSL *ssl;
	BIO *in, *out; /* the ssl's own */
	unsigned long error;
};

/* Replaces building and checking a chain, which costs time and is not needed here. */
static int accept_any_chain(X509_STORE_CTX *store, void *arg)
{
	(void)store, (void)arg;
	return 1;
}

static void configure(SSL_CTX *ctx)
{
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, 0);
	SSL_CTX_set_cipher_list(ctx, CIPHERS);
	SSL_CTX_set1_groups_list(ctx, GROUPS);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, accept_any_chain, NULL);
	SSL_CTX_set_max_cert_list(ctx, CERT_LIST_MAX);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* A server without RFC 5746 is old, not broken. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_LEGACY_SERVER_CONNECT |
					 SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
					 SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
}

int tls_init(SSL_CTX **out)
{
	SSL_CTX *ctx;

	tzset(); /* OpenSSL's gmtime_r() would read /etc/localtime at its first call */
	if (!OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS |
				      OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
			      NULL))
		return -ENOMEM;
	ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx)
		return -ENOMEM;
	configure(ctx);
	*out = ctx;
	return 0;
}

int tls_load_bundle(const char *path, X509_STORE **out)
{
	X509_STORE *store = X509_STORE_new();

	if (!store)
		return -ENOMEM;
	if (!X509_STORE_load_file(store, path)) {
		X509_STORE_free(store);
		return -EINVAL;
	}
	*out = store;
	return 0;
}

uint32_t tls_reference_us(void)
{
	uint64_t least_us = UINT32_MAX;

	for (int i = 0; i < 3; i++) { /* the first also fetches the algorithm */
		uint64_t began_us = clock_thread_cpu_us(), us;

		EVP_PKEY_free(EVP_EC_gen("P-384"));
		us = clock_thread_cpu_us() - began_us;
		if (us < least_us)
			least_us = us;
	}
	return (uint32_t)least_us;
}

struct tls *tls_new(SSL_CTX *ctx, const char *sni)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ssl = SSL_new(ctx);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (!t->ssl || !t->in || !t->out || (sni[0] && !SSL_set_tlsext_host_name(t->ssl, sni))) {
		BIO_free(t->in);
		BIO_free(t->out);
		SSL_free(t->ssl);
		free(t);
		return NULL;
	}
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_connect_state(t->ssl);
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	free(t);
}

int tls_feed(struct tls *t, const void *bytes, size_t len)
{
	return BIO_write(t->in, bytes, (int)len) == (int)len ? 0 : -ENOMEM;
}

void tls_drain(struct tls *t, struct buf *out)
{
	char *bytes;
	long len = BIO_get_mem_data(t->out, &bytes);

	if (len > 0)
		buf_append(out, bytes, (size_t)len);
	(void)BIO_reset(t->out);
}

/* The meaning of an OpenSSL call that returned rc <= 0. */
static int outcome(struct tls *t, int rc)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return -EPIPE;
	}
	t->error = ERR_peek_error();
	return ERR_GET_REASON(t->error) == ERR_R_MALLOC_FAILURE ? -ENOMEM : -EPROTO;
}

int tls_handshake(struct tls *t)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	return rc > 0 ? 0 : outcome(t, rc);
}

ssize_t tls_read(struct tls *t, char *bytes, size_t size)
{
	int rc;

	ERR_clear_error();
	rc = SSL_read(t->ssl, bytes, (int)size);
	return rc > 0 ? rc : outcome(t, rc);
}

int tls_write(struct tls *t, const char *bytes, size_t len)
{
	int rc;

	ERR_clear_error();
	rc = SSL_write(t->ssl, bytes, (int)len);
	return rc > 0 ? 0 : outcome(t, rc);
}

void tls_shutdown(struct tls *t)
{
	ERR_clear_error();
	if (SSL_is_init_finished(t->ssl))
		SSL_shutdown(t->ssl);
}

const char *tls_error(const struct tls *t)
{
	const char *text = ERR_reason_error_string(t->error);

	if (ERR_GET_LIB(t->error) == ERR_LIB_SSL &&
	    ERR_GET_REASON(t->error) == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE &&
	    !SSL_get_current_cipher(t->ssl))
		return "handshake failure: the server may have no cipher suite in common with "
		       "the probe, which offers ECDHE and RSA key exchange, as Exchange Online "
		       "does, but no DHE";
	return text ? text : "no reason given";
}

uint16_t tls_version(const struct tls *t)
{
	return (uint16_t)SSL_version(t->ssl);
}

void tls_describe(const struct tls *t, struct tls_info *info)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);

	snprintf(info->version, sizeof(info->version), "%s", SSL_get_version(t->ssl));
	snprintf(info->cipher, sizeof(info->cipher), "%s", SSL_get_cipher_name(t->ssl));
	if (cert)
		certfacts_describe(cert, info);
}

void tls_judge(const struct tls *t, const struct cert_question *q, const struct tls_info *info,
	       struct cert_finding *out)
{
	ERR_clear_error();
	certpolicy_judge(q, SSL_get0_peer_certificate(t->ssl), SSL_get_peer_cert_chain(t->ssl),
			 info, out);
}

const STACK_OF(X509) * tls_chain(const struct tls *t)
{
	return SSL_get_peer_cert_chain(t->ssl);
}
