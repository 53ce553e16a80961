/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes valid and invalid certificates of every kind for tests. */
#ifndef CERT_MAKER_H
#define CERT_MAKER_H

#include <stdbool.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#define NOW	1800000000 /* 2027-01-15 */
#define DAY	86400
#define CA	"critical,CA:TRUE"
#define CA_NAME "/C=US/O=Contoso/CN=Contoso Root"
#define MAIL	"/C=US/ST=WA/O=Contoso, Ltd/CN=mail.contoso.com"

struct maker { /* a certificate and its key */
	X509 *cert;
	EVP_PKEY *key;
};

struct spec {
	const char *subject;	    /* "/CN=x", values without a slash */
	const struct maker *issuer; /* NULL: itself */
	const char *basic, *usage, *extended, *san, *limits;
	long from_days, to_days; /* from NOW; 0, 0: -1 and 90 */
	bool sha1;
	EVP_PKEY *key; /* NULL: a new one */
};

extern struct maker root, inter, stranger; /* inter is issued by root */

struct maker make(struct spec s); /* drop() ends it */
void drop(struct maker *m);
struct maker mail_cert(void);	    /* of MAIL, by inter */
int open_authorities(void **state); /* of a group of tests */
int close_authorities(void **state);

#endif
