// SPDX-License-Identifier: BSD-2-Clause
/* The answers of the resolver child: made by it, and checked by its parent. */
#include "zone/message.h"

#include <errno.h>
#include <string.h>

static bool message_text_ok(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!text[i])
			return true;
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return false;
}

static bool header_ok(const struct message_header *h, size_t len)
{
	return len >= sizeof(*h) && len <= MESSAGE_MAX && h->magic == MESSAGE_MAGIC &&
	       h->has_data <= 1 && h->nxdomain <= 1 && h->secure <= 1 && h->bogus <= 1 &&
	       h->n <= DNS_RECORDS_MAX && h->rcode < 4096 &&
	       message_text_ok(h->canonical, sizeof(h->canonical)) &&
	       message_text_ok(h->why, sizeof(h->why));
}

int message_read(const struct message_answer *a, size_t len, struct dns_answer *out)
{
	const struct message_header *h = &a->header;
	size_t at = 0;

	if (!header_ok(h, len))
		return -EBADMSG;
	len -= sizeof(*h);
	*out = (struct dns_answer){.rcode = h->rcode,
				   .has_data = h->has_data,
				   .nxdomain = h->nxdomain,
				   .secure = h->secure,
				   .bogus = h->bogus,
				   .ttl_s = h->ttl_s};
	if (*h->canonical && dns_canonical(h->canonical, out->canonical))
		return -EBADMSG;
	memcpy(out->why, h->why, sizeof(out->why));
	while (out->n < h->n) {
		uint16_t size;

		if (len - at < sizeof(size))
			return -EBADMSG;
		memcpy(&size, a->records + at, sizeof(size));
		at += sizeof(size);
		if (len - at < size)
			return -EBADMSG;
		out->records[out->n++] = (struct dns_record){a->records + at, size};
		at += size;
	}
	return at == len ? 0 : -EBADMSG;
}

bool message_add(struct message_answer *a, size_t *len, const void *data, size_t size)
{
	size_t at = *len - sizeof(a->header);
	uint16_t size16 = (uint16_t)size;

	if (a->header.n == DNS_RECORDS_MAX || size > UINT16_MAX ||
	    size + sizeof(size16) > sizeof(a->records) - at)
		return false;
	memcpy(a->records + at, &size16, sizeof(size16));
	memcpy(a->records + at + sizeof(size16), data, size);
	*len += sizeof(size16) + size;
	a->header.n++;
	return true;
}
