// SPDX-License-Identifier: BSD-2-Clause
/* The files are read like any input: a wrong one is ignored, and the next good answer replaces it. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "util/log.h"
#include "util/statefile.h"
#include "zone/zone_store.h"

#define FILE_MAX	(1 << 20) /* bytes */
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static bool path_of(const char *folder, const char *name, bool make, char path[STATEFILE_PATH_SIZE])
{
	const char *dir = statefile_dir();

	if (!dir ||
	    snprintf(path, STATEFILE_PATH_SIZE, "%s/%s", dir, folder) >= STATEFILE_PATH_SIZE)
		return false;
	if (make)
		mkdir(path, 0700);
	return snprintf(path, STATEFILE_PATH_SIZE, "%s/%s/%s.json", dir, folder, name) <
	       STATEFILE_PATH_SIZE - 8;
}

static void write_json(const char *folder, const char *name, json_t *json)
{
	char path[STATEFILE_PATH_SIZE], *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	int err;

	json_decref(json);
	if (text && path_of(folder, name, true, path)) {
		err = statefile_write(path, text, strlen(text));
		if (err)
			log_warn("event=zone_not_kept file=%s error=\"%s\" note=\"a start without "
				 "DNS would not know it\"",
				 path, strerror(-err));
	}
	free(text);
}

static const char *const namings[] = {
	[ZONE_UNNAMED] = "unused", [ZONE_BARE] = "bare", [ZONE_SUFFIXED] = "suffixed"};

/* The addresses in order, each with how its server is named; and what of it is no longer in the zone. */
static json_t *exchanger_json(const struct zone_exchanger *e)
{
	json_t *addresses = json_object(), *absent = json_array();
	char text[ADDR_TEXT_SIZE];

	if (e->absent.lookups)
		json_array_append_new(absent, json_string(e->name));
	for (unsigned k = 0; k < e->n; k++) {
		json_object_set_new(addresses, addr_text(&e->addresses[k].addr, text),
				    json_string(namings[e->addresses[k].naming]));
		if (e->addresses[k].absent.lookups)
			json_array_append_new(absent, json_string(text));
	}
	return json_pack("{s:s, s:i, s:o, s:o}", "name", e->name, "preference", e->preference,
			 "addresses", addresses, "absent", absent);
}

void store_zone(const char *service, const char *mx, const struct zone *z)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < z->in_force.n; i++)
		json_array_append_new(list, exchanger_json(&z->in_force.list[i]));
	write_json("zone", service,
		   json_pack("{s:s, s:I, s:b, s:o}", "mx", mx, "time", (json_int_t)z->set_wall_ms,
			     "secure", z->secure, "exchangers", list));
}

static const char *const forwards[] = {[FORWARD_L2] = "l2", [FORWARD_IPIP] = "ipip"};

void store_servers(const char *service, const char *mx, const struct addr *vip,
		   const struct zone_map *map)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_SIZE];

	for (unsigned i = 0; i < map->n; i++) {
		const struct server_conf *b = &map->servers[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:s}", "name", b->name,
						      "address", addr_text(&b->address, text),
						      "preference", b->preference, "weight",
						      b->weight, "forward", forwards[b->forward]));
	}
	write_json("zone", service,
		   json_pack("{s:s, s:s, s:o}", "mx", mx, "vip", addr_text(vip, text), "servers",
			     list));
}

void store_forget_servers(const char *service)
{
	char path[STATEFILE_PATH_SIZE];

	if (path_of("zone", service, false, path) && unlink(path) && errno != ENOENT)
		log_warn("event=zone_not_forgotten file=%s error=\"%s\"", path, strerror(errno));
}

static void tell_unreadable(const char *folder, const char *name, const char *error)
{
	log_warn("event=zone_file_unreadable file=%s/%s/%s.json error=\"%s\"", statefile_dir(),
		 folder, name, error);
}

static json_t *read_json(const char *folder, const char *name, const char *key, const char *of)
{
	char path[STATEFILE_PATH_SIZE];
	json_error_t error = {.text = "larger than 1 MiB"};
	json_t *json = NULL;
	struct stat st;
	const char *is;

	if (!path_of(folder, name, false, path) || stat(path, &st))
		return NULL;
	if (st.st_size <= FILE_MAX)
		json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	is = json_string_value(json_object_get(json, key));
	if (is && !strcmp(is, of))
		return json;
	if (!json)
		tell_unreadable(folder, name, error.text);
	json_decref(json);
	return NULL;
}

static bool read_exchanger(const json_t *json, struct zone_exchanger *e)
{
	const char *name = json_string_value(json_object_get(json, "name")), *text, *how;
	json_int_t preference = json_integer_value(json_object_get(json, "preference"));
	json_t *value;

	*e = (struct zone_exchanger){.preference = (uint16_t)preference, .result = DNS_OK};
	if (!name || dns_canonical(name, e->name) || preference < 0 || preference > UINT16_MAX)
		return false;
	json_object_foreach (json_object_get(json, "addresses"), text, value) {
		struct zone_address *a = &e->addresses[e->n];

		how = json_string_value(value);
		if (e->n == ZONE_MAX_ADDRESSES || !how || addr_parse(text, &a->addr))
			return false;
		for (int i = ZONE_UNNAMED; i <= ZONE_SUFFIXED; i++)
			if (!strcmp(how, namings[i]))
				a->naming = (enum zone_naming)i;
		e->n++;
	}
	return true;
}

static void read_absent(const json_t *list, uint64_t now_ms, struct zone_exchanger *e)
{
	const struct zone_absence absent = {.lookups = 1, .since_ms = now_ms};
	const char *text;
	struct addr a;
	json_t *one;
	size_t i;

	json_array_foreach (list, i, one) {
		text = json_string_value(one);
		if (text && !strcmp(text, e->name))
			e->absent = absent;
		for (unsigned k = 0; text && !addr_parse(text, &a) && k < e->n; k++)
			if (addr_equal(&e->addresses[k].addr, &a))
				e->addresses[k].absent = absent;
	}
}

static bool stored_server(const json_t *json, const struct zone_map *map, struct server_conf *b)
{
	const char *name = json_string_value(json_object_get(json, "name")),
		   *address = json_string_value(json_object_get(json, "address")),
		   *forward = json_string_value(json_object_get(json, "forward"));
	json_int_t preference = json_integer_value(json_object_get(json, "preference")),
		   weight = json_integer_value(json_object_get(json, "weight"));

	memset(b, 0, sizeof(*b));
	if (!name || !*name || strlen(name) >= sizeof(b->name) ||
	    name[strspn(name, NAME_CHARACTERS)] || !address || addr_parse(address, &b->address) ||
	    !forward || preference < 0 || preference > UINT16_MAX || weight < 0 ||
	    weight > MXLB_MAX_WEIGHT)
		return false;
	strcpy(b->name, name);
	b->preference = (uint16_t)preference;
	b->weight = (uint16_t)weight;
	b->forward = strcmp(forward, forwards[FORWARD_IPIP]) ? FORWARD_L2 : FORWARD_IPIP;
	for (unsigned i = 0; i < map->n; i++)
		if (!strcmp(map->servers[i].name, b->name) ||
		    addr_equal(&map->servers[i].address, &b->address))
			return false;
	return true;
}

static bool is_of_vip(const json_t *json, const struct addr *vip)
{
	const char *text = json_string_value(json_object_get(json, "vip"));
	struct addr a;

	return text && !addr_parse(text, &a) && addr_equal(&a, vip);
}

static bool read_servers(const json_t *json, struct zone_map *map)
{
	json_t *one;
	bool ok = true;
	size_t i;

	map->n = 0;
	json_array_foreach (json_object_get(json, "servers"), i, one) {
		ok = ok && map->n < ZONE_MAX_SERVERS &&
		     stored_server(one, map, &map->servers[map->n]);
		map->n += ok;
	}
	if (!ok)
		map->n = 0;
	return map->n;
}

static bool read_set(const json_t *json, uint64_t now_ms, struct zone *z)
{
	json_t *one;
	bool ok = true;
	size_t i;

	z->in_force.n = 0;
	json_array_foreach (json_object_get(json, "exchangers"), i, one) {
		struct zone_exchanger *e = &z->in_force.list[z->in_force.n];

		ok = ok && z->in_force.n < ZONE_MAX_EXCHANGERS && read_exchanger(one, e);
		if (ok)
			read_absent(json_object_get(one, "absent"), now_ms, e);
		z->in_force.n += ok;
	}
	z->has_set = ok && z->in_force.n;
	if (!z->has_set) {
		z->in_force.n = 0;
		return false;
	}
	z->secure = json_is_true(json_object_get(json, "secure"));
	z->set_wall_ms = json_integer_value(json_object_get(json, "time"));
	zone_sort(&z->in_force);
	return true;
}

bool store_read_zone(const char *service, const char *mx, const struct addr *vip, uint64_t now_ms,
		     struct zone *z, struct zone_map *map)
{
	json_t *json = read_json("zone", service, "mx", mx);
	bool servers = json_object_get(json, "servers"), other = servers && !is_of_vip(json, vip);
	bool ok = json && !other && (servers ? read_servers(json, map) : read_set(json, now_ms, z));

	if (json && !ok && !other)
		tell_unreadable("zone", service, "mxlbd did not write it like that");
	json_decref(json);
	return ok;
}

void store_tlsa(const char *probe, const char *name, const struct tlsaset *s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->n; i++) {
		const struct tlsa *t = &s->list[i];
		char hex[2 * sizeof(t->digest) + 1];
		size_t len = t->matching == TLSA_MATCHING_SHA512 ? 64 : 32;

		for (size_t k = 0; k < len; k++)
			snprintf(hex + 2 * k, 3, "%02x", t->digest[k]);
		json_array_append_new(
			list, json_sprintf("%d %d %d %s", t->usage, t->selector, t->matching, hex));
	}
	write_json("tlsa", probe,
		   json_pack("{s:s, s:I, s:o}", "name", name, "time", (json_int_t)s->set_wall_ms,
			     "records", list));
}

bool store_read_tlsa(const char *probe, const char *name, struct tlsaset *s)
{
	json_t *json = read_json("tlsa", probe, "name", name), *one;
	char why[TLSA_WHY_SIZE];
	bool ok = json;
	size_t i;

	json_array_foreach (json_object_get(json, "records"), i, one)
		ok = ok && s->n < CONFIG_MAX_TLSA && json_is_string(one) &&
		     !tlsa_parse(json_string_value(one), &s->list[s->n++], why);
	if (json && !ok)
		tell_unreadable("tlsa", probe, "mxlbd did not write it like that");
	if (!ok)
		s->n = 0;
	s->set_wall_ms = ok ? json_integer_value(json_object_get(json, "time")) : 0;
	json_decref(json);
	return ok;
}
