/* SPDX-License-Identifier: BSD-2-Clause */
/* tls-domain against a name of a certificate, as Exchange Online's DomainValidation does (docs/protocol-notes.md 2.3). Pure. */
#ifndef MXLB_DOMAIN_H
#define MXLB_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

/* NULL, or why this is no tls-domain. */
const char *domain_refusal(const char *tls_domain);
/* name: of the certificate, any bytes. */
bool domain_matches(const char *tls_domain, const char *name, size_t len);

#endif
