/* SPDX-License-Identifier: BSD-2-Clause */
/* A configuration's digests: digest.h. Every default is filled in; the order in the file does not matter. */
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include "conf/conf.h"
#include "conf/digest.h"

#define DIGEST_BYTES 8

static const char *const free_keys[] = {"interface", "advertise", "withdraw", "log-connections",
					"allow-file"};

/* Takes json; NULL: no memory. */
static int digest_of(json_t *json, const uint8_t key[16], char out[DIGEST_TEXT_SIZE])
{
	char *text = json ? json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	json_decref(json);
	if (!text || !HMAC(EVP_sha256(), key, 16, (const uint8_t *)text, strlen(text), mac, &len)) {
		free(text);
		return -ENOMEM;
	}
	free(text);
	for (unsigned i = 0; i < DIGEST_BYTES; i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
	return 0;
}

/* All prefixes in force, those of the file too: they are sorted. */
static json_t *prefixes(const struct service_conf *s)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_SIZE];

	for (unsigned i = 0; i < s->n_allow; i++)
		json_array_append_new(list, json_string(addr_prefix_text(&s->allow[i], text)));
	return list;
}

static json_t *settings(const struct config *c, unsigned i)
{
	const struct service_conf *s = &c->services[i];
	json_t *all = conf_json(c, true);
	json_t *service = json_object_get(json_object_get(all, "services"), s->name);
	json_t *probe = json_object_get(json_object_get(all, "probes"), c->probes[s->probe].name);

	json_incref(service);
	for (size_t k = 0; k < sizeof(free_keys) / sizeof(free_keys[0]); k++)
		json_object_del(service, free_keys[k]);
	json_object_set(service, "probe", probe);
	json_object_set_new(service, "allow", prefixes(s));
	json_object_set_new(service, "name", json_string(s->name));
	json_decref(all);
	return service;
}

int digest_service(const struct config *c, unsigned i, const uint8_t key[16],
		   char out[DIGEST_TEXT_SIZE])
{
	return digest_of(settings(c, i), key, out);
}

int digest_box(const struct config *c, const uint8_t key[16], char out[DIGEST_TEXT_SIZE])
{
	json_t *all = json_object();

	for (unsigned i = 0; i < c->n_services; i++) {
		char one[DIGEST_TEXT_SIZE];

		if (digest_service(c, i, key, one)) {
			json_decref(all);
			return -ENOMEM;
		}
		json_object_set_new(all, c->services[i].name, json_string(one));
	}
	return digest_of(all, key, out);
}
