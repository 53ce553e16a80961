/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Validates a CA file: PEM, at least one certificate, none of them broken. Other contents of a PEM file are ignored,
 * as by OpenSSL.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "conf/bundle.h"
#include "conf/file.h"
#include "util/log.h"
#include "util/statefile.h"

#define BUNDLE_MAX  (16u << 20)
#define NO_PASSWORD "" /* else OpenSSL asks at the terminal, and waits */

static const char *const places[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Red Hat */
	"/etc/ssl/ca-bundle.pem",	      /* SUSE */
	"/etc/ssl/cert.pem",		      /* Alpine */
};

const char *bundle_of_system(void)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!access(places[i], R_OK))
			return places[i];
	return NULL;
}

/* How many, or -1: one is broken. */
static int bundle_count_certificates(const struct buf *text)
{
	BIO *bio = BIO_new_mem_buf(text->len ? text->data : "", (int)text->len);
	unsigned long error;
	X509 *cert;
	int n = 0;

	ERR_clear_error();
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NO_PASSWORD))) {
		X509_free(cert);
		n++;
	}
	error = ERR_peek_last_error();
	ERR_clear_error();
	BIO_free(bio);
	return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE
		       ? n
		       : -1;
}

/* 0 and the file's text, or -errno and the reason; free the text in either case. */
static int read_bundle(const char *path, struct buf *text, bool *exposed, char why[VALUE_WHY_SIZE])
{
	int err = file_read(path, BUNDLE_MAX, text, exposed, why), n;

	if (err == -ENOMEM)
		snprintf(why, VALUE_WHY_SIZE, "not enough memory");
	if (err)
		return err;
	n = bundle_count_certificates(text);
	if (n <= 0)
		snprintf(why, VALUE_WHY_SIZE, "has %s certificate (PEM)", n ? "a broken" : "no");
	return n > 0 ? 0 : -EINVAL;
}

int bundle_check(const char *path, bool *exposed, char why[VALUE_WHY_SIZE])
{
	struct buf text = {.data = NULL};
	int err = read_bundle(path, &text, exposed, why);

	buf_free(&text);
	return err;
}

bool bundle_has_copy(const char *path)
{
	char copy[STATEFILE_PATH_SIZE], why[VALUE_WHY_SIZE];
	bool exposed;

	return statefile_path(BUNDLE_COPIES, path, copy) && !bundle_check(copy, &exposed, why);
}

void bundle_keep_copy(const char *path)
{
	char copy[STATEFILE_PATH_SIZE], why[VALUE_WHY_SIZE];
	struct buf text = {.data = NULL};
	bool exposed;
	int err = 0;

	if (statefile_path(BUNDLE_COPIES, path, copy) && !read_bundle(path, &text, &exposed, why))
		err = statefile_write(copy, text.data, text.len);
	if (err)
		log_warn("event=copy_failed file=%s copy=%s error=\"%s\"", path, copy,
			 strerror(-err));
	buf_free(&text);
}
