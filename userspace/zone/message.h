/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What crosses the SOCK_SEQPACKET pair between mxlbd and its resolver child: requests of fixed size, and answers with
 * the records of one lookup behind a header. The parent checks every field of an answer, because the child reads what
 * strangers send.
 */
#ifndef MXLB_ZONE_MESSAGE_H
#define MXLB_ZONE_MESSAGE_H

#include "core/dns.h"

#define MESSAGE_MAGIC	  0x6d787a31u
#define MESSAGE_TEXT_SIZE 2048
#define MESSAGE_MAX	  (64 * 1024)

enum message_kind {
	MESSAGE_FORWARD = 1, /* text: "192.0.2.53@53" */
	MESSAGE_ANCHOR,	     /* text: a DS or DNSKEY record */
	MESSAGE_INSECURE,    /* text: a name */
	MESSAGE_START,	     /* the settings are complete; answered by one of id 0 */
	MESSAGE_LOOKUP,	     /* text: a name */
};

struct message_request {
	uint32_t magic, kind, id, type;
	char text[MESSAGE_TEXT_SIZE];
};

struct message_header {
	uint32_t magic, id; /* id 0: the child is ready, or .why it is not */
	uint16_t rcode;
	uint8_t has_data, nxdomain, secure, bogus;
	uint16_t n; /* records: each two bytes of length (in the host's order) and so many bytes */
	uint32_t ttl_s;
	char canonical[DNS_NAME_SIZE];
	char why[DNS_WHY_SIZE];
};

struct message_answer {
	struct message_header header;
	uint8_t records[MESSAGE_MAX - sizeof(struct message_header)];
};

/* 0 or -EBADMSG; *out points into a. */
int message_read(const struct message_answer *a, size_t len, struct dns_answer *out);
/* The child: another record. False: it does not fit, and the answer is to be one without records. */
bool message_add(struct message_answer *a, size_t *len, const void *data, size_t size);

#endif
