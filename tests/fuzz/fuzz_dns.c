/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers of DNS as mxlbd takes them from its resolver child: one or more messages, each four bytes (what kind, flags, the
 * number of records, the length in units of eight) and that many bytes in place of the records. With the highest bit of
 * the kind the bytes replace the header instead. What passes message_read() goes on as in the daemon, into a zone or a set
 * of TLSA records.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "core/tlsaset.h"
#include "core/zone.h"
#include "fuzz.h"
#include "zone/lookup.h"
#include "zone/message.h"

#define HEAD 4

/* lookup.c's rounds are not what is tested here. */
int resolver_ask(struct resolver *r, const char *name, enum dns_type type, resolver_done_fn *done,
		 void *ctx)
{
	(void)r, (void)name, (void)type, (void)done, (void)ctx;
	return -ENOMEM;
}

static struct world {
	enum dnssec policy;
	struct service_conf service;
	struct dns_conf dns;
	struct addr vip, local;
	struct prefix network;
	struct zone_box box;
	struct zone_view view;
	struct zone_answer answer;
	bool asked;
	struct zone zone;
	struct zone_map map;
	struct tlsaset tlsa;
	struct message_answer message;
	struct dns_answer parsed;
} w;

static void begin(uint8_t how)
{
	static const uint8_t network[] = {203, 0, 113, 0}, vip[] = {203, 0, 113, 25},
			     local[] = {203, 0, 113, 5};

	memset(&w, 0, offsetof(struct world, message));
	w.policy = how % 3;
	strcpy(w.service.zone.mx, "hybrid.example.net");
	addr_from_bytes(vip, 4, &w.vip);
	addr_from_bytes(local, 4, &w.local);
	addr_from_bytes(network, 4, &w.network.addr);
	w.network.len = 120;
	w.service.address = w.vip;
	w.dns = (struct dns_conf){.refresh_min_ms = 30000, .refresh_max_ms = 3600000};
	w.box = (struct zone_box){&w.vip, &w.local, &w.network, 1, 1, 1};
	w.view = (struct zone_view){.service = &w.service,
				    .dns = &w.dns,
				    .box = &w.box,
				    .room = ZONE_MAX_SERVERS,
				    .now_ms = 1000,
				    .wall_ms = 1000};
	w.zone.state = ZONE_KEPT;
	w.tlsa.state = TLSASET_KEPT;
}

static void must_be_name(const char *name)
{
	size_t len = strlen(name);

	MUST(len && len <= 253 && name[len - 1] != '.');
	for (; *name; name++)
		MUST(isalnum((unsigned char)*name) ? !isupper((unsigned char)*name)
						   : *name && strchr("-_.?", *name));
}

static void check_parsed(const uint8_t *end)
{
	MUST(w.parsed.n <= DNS_RECORDS_MAX);
	must_be_text(w.parsed.why, sizeof(w.parsed.why));
	if (*w.parsed.canonical)
		must_be_name(w.parsed.canonical);
	for (unsigned i = 0; i < w.parsed.n; i++) {
		MUST(w.parsed.records[i].data >= w.message.records);
		MUST(w.parsed.records[i].data + w.parsed.records[i].len <= end);
	}
	for (unsigned i = 0; i + 1 < w.parsed.n; i++)
		MUST(w.parsed.records[i].data + w.parsed.records[i].len <
		     w.parsed.records[i + 1].data);
}

static void check_servers(void)
{
	MUST(w.zone.in_force.n <= ZONE_MAX_EXCHANGERS && w.map.n <= ZONE_MAX_SERVERS);
	for (unsigned i = 0; i < w.zone.in_force.n; i++)
		must_be_text(w.map.unmapped[i], ZONE_WHY_SIZE);
	for (unsigned i = 0; i < w.map.n; i++) {
		must_be_name(w.map.servers[i].name);
		MUST(!strchr(w.map.servers[i].name, '?'));
		MUST(addr_in_prefix(&w.map.servers[i].address, &w.network));
		MUST(!addr_equal(&w.map.servers[i].address, &w.vip));
		MUST(!addr_equal(&w.map.servers[i].address, &w.local));
	}
	if (w.zone.has_set)
		MUST(w.zone.in_force.n); /* an empty zone never empties a service */
}

/* All lookups for the zone have come. */
static void answered(void)
{
	if (!w.asked)
		return;
	w.asked = false;
	zone_answered(&w.zone, &w.answer, &w.view, &w.map);
	must_be_text(w.zone.why, sizeof(w.zone.why));
	check_servers();
}

static void use_mx(void)
{
	answered();
	memset(&w.answer, 0, sizeof(w.answer));
	lookup_read_mx(&w.parsed, w.policy, &w.answer);
	w.asked = true;
	MUST(w.answer.set.n <= ZONE_MAX_EXCHANGERS);
	MUST((w.answer.mx == DNS_OK) == (w.answer.set.n > 0));
	MUST(!w.parsed.bogus || w.policy == DNSSEC_OFF || w.answer.mx == DNS_BOGUS);
	for (unsigned i = 0; i < w.answer.set.n; i++)
		must_be_name(w.answer.set.list[i].name);
	must_be_text(w.answer.why, sizeof(w.answer.why));
}

static void use_addresses(enum dns_type type)
{
	for (unsigned i = 0; i < w.answer.set.n; i++) {
		struct zone_exchanger *e = &w.answer.set.list[i];

		lookup_read_addresses(&w.parsed, w.policy, type, i % 2 ? DNS_A : DNS_AAAA, e,
				      &w.answer);
		MUST(e->n <= ZONE_MAX_ADDRESSES);
	}
}

static void use_tlsa(void)
{
	const struct tlsaset_view v = {.dns = &w.dns, .now_ms = w.view.now_ms, .wall_ms = 1};
	const struct tlsaset was = w.tlsa;

	tlsaset_answered(&w.tlsa, &w.parsed, false, &v);
	MUST(w.tlsa.n <= CONFIG_MAX_TLSA);
	MUST(w.tlsa.state != TLSASET_KEPT || w.tlsa.n == was.n);
	MUST(w.tlsa.state != TLSASET_CURRENT || (w.parsed.secure && !w.parsed.bogus));
	MUST((w.tlsa.state == TLSASET_CURRENT) <= (w.tlsa.n > 0));
	must_be_text(w.tlsa.why, sizeof(w.tlsa.why));
	for (unsigned i = 0; i < w.tlsa.n; i++)
		MUST(w.tlsa.list[i].usage == TLSA_USAGE_TA ||
		     w.tlsa.list[i].usage == TLSA_USAGE_EE);
}

static size_t make_message(const uint8_t head[HEAD], const uint8_t *data, size_t len)
{
	struct message_header *h = &w.message.header;
	size_t space = sizeof(*h);

	memset(h, 0, sizeof(*h));
	h->magic = MESSAGE_MAGIC;
	h->id = 1;
	h->rcode = head[1] & 0x10 ? 3 : head[1] & 0x20 ? 2 : 0;
	h->has_data = head[1] & 1;
	h->nxdomain = head[1] >> 1 & 1;
	h->secure = head[1] >> 2 & 1;
	h->bogus = head[1] >> 3 & 1;
	h->n = head[2];
	h->ttl_s = head[1];
	if (head[1] & 0x40)
		strcpy(h->canonical, "alias.example.net.");
	if (!(head[0] & 0x80)) {
		memcpy(w.message.records, data, len);
		return sizeof(*h) + len;
	}
	memcpy((uint8_t *)h + 4, data, len < space - 4 ? len : space - 4);
	return space;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = {DNS_MX, DNS_A, DNS_AAAA, DNS_TLSA};

	if (!size)
		return 0;
	begin(*data++);
	size--;
	while (size >= HEAD) {
		const uint8_t *head = data;
		size_t len = 8u * head[3], whole;
		enum dns_type type = types[head[0] & 3];

		data += HEAD;
		size -= HEAD;
		len = len < size ? len : size;
		whole = make_message(head, data, len);
		data += len;
		size -= len;
		w.view.now_ms += (head[0] >> 2 & 7) * 30000ull;
		if (message_read(&w.message, whole, &w.parsed))
			continue;
		check_parsed((const uint8_t *)&w.message + whole);
		if (type == DNS_MX)
			use_mx();
		else if (type == DNS_TLSA)
			use_tlsa();
		else
			use_addresses(type);
	}
	answered();
	return 0;
}
