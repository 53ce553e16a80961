/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Converts a struct config back to the form of a file, by the tables that read it: their keys need no code here,
 * except for nested ones.
 *
 *   1. Every default is written, except for sections whose presence has a meaning (null). A number without a default
 *      that is outside its range was not given.
 *   2. `allow` contains the prefixes that are not in the file; together they are the list in force (allow.c).
 *   3. A TLSA record that contained the data itself is written with its hash, which matches the same certificates.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "conf/conf.h"
#include "conf/schema.h"

/* Takes the value. */
static void write_put(json_t **object, const char *key, json_t *value)
{
	if (*object && json_object_set_new(*object, key, value)) {
		json_decref(*object);
		*object = NULL;
	}
}

static void write_append(json_t **list, json_t *value)
{
	if (*list && json_array_append_new(*list, value)) {
		json_decref(*list);
		*list = NULL;
	}
}

static uint64_t fetch(const struct key *k, const void *field)
{
	uint64_t v64 = 0;
	uint32_t v32 = 0;
	uint16_t v16 = 0;

	memcpy(k->kind.size == 2   ? (void *)&v16
	       : k->kind.size == 4 ? (void *)&v32
				   : (void *)&v64,
	       field, k->kind.size);
	return v16 + (uint64_t)v32 + v64;
}

static json_t *write_integer(const struct key *k, const void *field)
{
	return json_integer((json_int_t)fetch(k, field));
}

static json_t *write_duration(const struct key *k, const void *field)
{
	char text[VALUE_DURATION_SIZE];

	return json_string(value_duration_text(fetch(k, field), text));
}

static json_t *write_enum(const struct key *k, const void *field)
{
	return json_string(k->kind.words[fetch(k, field) - k->kind.min]);
}

static json_t *write_bool(const struct key *k, const void *field)
{
	(void)k;
	return json_boolean(*(const bool *)field);
}

static json_t *write_address(const struct key *k, const void *field)
{
	char text[ADDR_TEXT_SIZE];

	(void)k;
	return json_string(addr_text(field, text));
}

static json_t *write_listen(const struct key *k, const void *field)
{
	const struct listen_conf *listen = field;
	char text[ADDR_TEXT_SIZE];

	(void)k;
	return json_string(listen->port ? addr_port_text(&listen->address, listen->port, text)
					: "");
}

static json_t *write_mark(const struct key *k, const void *field)
{
	uint32_t mark[2];

	(void)k;
	memcpy(mark, field, sizeof(mark));
	return json_sprintf("0x%" PRIx32 "/0x%" PRIx32, mark[0], mark[1]);
}

static json_t *write_text(const struct key *k, const void *field)
{
	(void)k;
	return json_string(field);
}

static json_t *write_scalar(const struct key *k, const void *field)
{
	static const struct {
		value_fn *convert;
		json_t *(*write)(const struct key *k, const void *field);
	} kinds[] = {
		{value_integer, write_integer}, {value_duration, write_duration},
		{value_word, write_enum},	{value_address, write_address},
		{value_bool, write_bool},	{value_mark, write_mark},
		{value_listen, write_listen},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].convert == k->convert)
			return kinds[i].write(k, field);
	return write_text(k, field);
}

/* Rule 1. */
static bool is_given(const struct key *k, const void *field)
{
	uint64_t value;

	if (k->convert != value_integer || k->initial)
		return true;
	value = fetch(k, field);
	return value >= k->kind.min && value <= k->kind.max;
}

static json_t *write_keys(const struct config *c, const struct key *keys, const void *object)
{
	json_t *json = json_object();

	for (const struct key *k = keys; k->name; k++) {
		const void *field = (const char *)object + k->offset;

		json_t *nested = k->write ? k->write(c, field) : NULL;

		if (json_is_null(nested))
			continue;
		if (k->write)
			write_put(&json, k->name, nested);
		else if (k->convert && is_given(k, field))
			write_put(&json, k->name, write_scalar(k, field));
	}
	return json;
}

json_t *write_interfaces(const struct config *c, const void *object)
{
	json_t *json = json_object();

	(void)object;
	for (unsigned i = 0; i < c->n_interfaces; i++)
		write_put(&json, c->interfaces[i].name,
			  write_keys(c, interface_keys, &c->interfaces[i]));
	return json;
}

json_t *write_datapath(const struct config *c, const void *object)
{
	return write_keys(c, datapath_keys, object);
}

json_t *write_control(const struct config *c, const void *object)
{
	return write_keys(c, control_keys, object);
}

/* A box that is alone has no such section, and reading its defaults would make it one of several. */
json_t *write_ha(const struct config *c, const void *object)
{
	return c->ha.given ? write_keys(c, ha_keys, object) : json_null();
}

json_t *write_route(const struct config *c, const void *object)
{
	return write_keys(c, route_keys, object);
}

json_t *write_operators(const struct config *c, const void *object)
{
	json_t *json = json_array();

	(void)object;
	for (unsigned i = 0; i < c->control.n_operators; i++)
		write_append(&json, json_string(c->control.operators[i]));
	return json;
}

json_t *write_probes(const struct config *c, const void *object)
{
	json_t *json = json_object();

	(void)object;
	for (unsigned i = 0; i < c->n_probes; i++)
		write_put(&json, c->probes[i].name, write_keys(c, probe_keys, &c->probes[i]));
	return json;
}

/* Rule 3. */
json_t *write_tlsa(const struct config *c, const void *object)
{
	const struct cert_conf *conf = object;
	const struct probe_conf *probe =
		(const struct probe_conf *)((const char *)object -
					    offsetof(struct probe_conf, cert));
	json_t *json = json_array();

	(void)c;
	if (probe->tlsa_name[0]) { /* they are DNS's */
		json_decref(json);
		return json_null();
	}
	for (unsigned i = 0; i < conf->n_tlsa; i++) {
		const struct tlsa *t = &conf->tlsa[i];
		size_t len = t->matching == TLSA_MATCHING_SHA512 ? 64 : 32;
		char hex[2 * sizeof(t->digest) + 1];

		for (size_t k = 0; k < len; k++)
			snprintf(hex + 2 * k, 3, "%02x", t->digest[k]);
		write_append(&json,
			     json_sprintf("%d %d %d %s", t->usage, t->selector, t->matching, hex));
	}
	return json;
}

json_t *write_services(const struct config *c, const void *object)
{
	json_t *json = json_object();

	(void)object;
	for (unsigned i = 0; i < c->n_services; i++) {
		struct service_draft draft = {.conf = c->services[i]};

		strcpy(draft.interface, c->interfaces[draft.conf.interface].name);
		strcpy(draft.probe, c->probes[draft.conf.probe].name);
		write_put(&json, draft.conf.name, write_keys(c, service_keys, &draft));
	}
	return json;
}

static bool is_of_file(const struct service_conf *s, const struct prefix *p)
{
	for (unsigned i = 0; i < s->n_from_file; i++)
		if (p->len >= s->from_file[i].len && addr_in_prefix(&p->addr, &s->from_file[i]))
			return true;
	return false;
}

/* Rule 2. */
json_t *write_allow(const struct config *c, const void *object)
{
	const struct service_conf *s = object;
	char text[ADDR_TEXT_SIZE];
	json_t *json = json_array();

	(void)c;
	for (unsigned i = 0; i < s->n_allow; i++)
		if (!is_of_file(s, &s->allow[i]))
			write_append(&json, json_string(addr_prefix_text(&s->allow[i], text)));
	return json;
}

json_t *write_within(const struct config *c, const void *object)
{
	const struct zone_conf *z = &((const struct service_conf *)object)->zone;
	char text[ADDR_TEXT_SIZE];
	json_t *json = json_array();

	(void)c;
	for (unsigned i = 0; i < z->n_within; i++)
		write_append(&json, json_string(addr_prefix_text(&z->within[i], text)));
	return json;
}

json_t *write_zone_servers(const struct config *c, const void *object)
{
	const struct zone_conf *z = &((const struct service_conf *)object)->zone;
	json_t *json = json_object(), *server;

	for (unsigned i = 0; i < z->n_servers; i++) {
		server = write_keys(c, zone_server_keys, &z->servers[i]);
		if (addr_is_zero(&z->servers[i].address))
			json_object_del(server, "address");
		write_put(&json, z->servers[i].exchanger, server);
	}
	return json;
}

json_t *write_dns(const struct config *c, const void *object)
{
	return write_keys(c, dns_keys, object);
}

json_t *write_resolvers(const struct config *c, const void *object)
{
	const struct dns_conf *dns = object;
	char text[ADDR_TEXT_SIZE];
	json_t *json = json_array();

	(void)c;
	for (unsigned i = 0; i < dns->n_resolvers; i++)
		write_append(&json, json_string(addr_port_text(&dns->resolvers[i].address,
							       dns->resolvers[i].port, text)));
	return json;
}

static json_t *write_texts(const char *texts, size_t size, unsigned n)
{
	json_t *json = json_array();

	for (unsigned i = 0; i < n; i++)
		write_append(&json, json_string(texts + i * size));
	return json;
}

json_t *write_anchors(const struct config *c, const void *object)
{
	const struct dns_conf *dns = object;

	(void)c;
	return write_texts(dns->anchors[0], sizeof(dns->anchors[0]), dns->n_anchors);
}

json_t *write_insecure(const struct config *c, const void *object)
{
	const struct dns_conf *dns = object;

	(void)c;
	return write_texts(dns->insecure[0], sizeof(dns->insecure[0]), dns->n_insecure);
}

/* Of a zone the file has no tiers, and says nothing about mx if it has. */
json_t *write_tiers(const struct config *c, const void *object)
{
	const struct service_conf *s = object;
	json_t *json = json_object(), *tier = NULL;
	char key[8];

	if (s->zone.mx[0]) {
		json_decref(json);
		return json_null();
	}
	for (unsigned i = 0; i < s->n_servers && json; i++) {
		const struct server_conf *b = &s->servers[i];

		if (!i || b->preference != s->servers[i - 1].preference) {
			tier = json_object();
			snprintf(key, sizeof(key), "%u", b->preference);
			write_put(&json, key, tier);
		}
		if (json && json_object_set_new(tier, b->name, write_keys(c, server_keys, b)))
			write_put(&json, key, NULL);
	}
	return json;
}

json_t *write_decap(const struct config *c, const void *object)
{
	return write_keys(c, decap_keys, object);
}

json_t *write_peers(const struct config *c, const void *object)
{
	char text[ADDR_TEXT_SIZE];
	json_t *json = json_array();

	(void)object;
	for (unsigned i = 0; i < c->n_decap; i++)
		write_append(&json, json_string(addr_text(&c->decap[i], text)));
	return json;
}

json_t *conf_json(const struct config *c, bool secrets)
{
	json_t *json = write_keys(c, top_keys, c);

	if (json && !secrets && c->datapath.hash_key[0]) {
		json_object_del(json_object_get(json, "datapath"), "hash-key");
		write_put(&json, "hidden", json_pack("[s]", "datapath.hash-key"));
	}
	return json;
}

bool conf_same_section(const struct config *a, const struct config *b, const char *section)
{
	json_t *one = write_keys(a, top_keys, a), *other = write_keys(b, top_keys, b);
	const json_t *was = json_object_get(one, section), *is = json_object_get(other, section);
	bool same = one && other && (json_equal(was, is) || (!was && !is));

	json_decref(one);
	json_decref(other);
	return same;
}

static void compare_keys(const json_t *was, const json_t *is, const char *what, const char *name,
			 struct buf *out)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)is, key, value)
		if (!json_equal(value, json_object_get(was, key)))
			buf_printf(out, "%s %s: %s changes\n", what, name, key);
}

void conf_compare_probes(const struct config *a, const struct config *b, struct buf *out)
{
	json_t *one = write_keys(a, top_keys, a), *other = write_keys(b, top_keys, b), *probe;
	const json_t *was = json_object_get(one, "probes"), *is = json_object_get(other, "probes");
	const char *name;

	json_object_foreach ((json_t *)was, name, probe)
		if (!json_object_get(is, name))
			buf_printf(out, "probe %s: removed\n", name);
	json_object_foreach ((json_t *)is, name, probe)
		if (!json_object_get(was, name))
			buf_printf(out, "probe %s: added\n", name);
		else
			compare_keys(json_object_get(was, name), probe, "probe", name, out);
	json_decref(one);
	json_decref(other);
}
