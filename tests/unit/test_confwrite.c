/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conf/write.c and ctl/yaml.c: a configuration that is written and read again is the same, no key is forgotten, and
 * secrets are shown only to those who may see them.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf/digest.h"
#include "conf/schema.h"
#include "conf_bench.h"
#include "ctl/yaml.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Every key with a value other than its default, and texts that YAML could read as another type. */
static const char all[] =
	"interfaces: {eth0: {mode: native, vlan: 12}, \"1e3\": {mode: generic, vlan: 1}}\n"
	"datapath: {pin: /sys/fs/bpf/a b, flows: 4096, hash-key: \"null\", mark: 0x10000/0xffff0000,\n"
	"           table: 1000, priority: 1001}\n"
	"control: {socket: /run/x, group: \"123\", operators: [anna, \"no\"], http: \"[2001:db8::9]:9125\"}\n"
	"ha: {name: lb-a, role: keepalived, fifo: /run/f, instance: one, priority-file: /run/p, preempt: true,\n"
	"     lease: 1500ms, announce-refresh: 0s, route: {table: 110, protocol: 159, metric: 7}}\n"
	"dns: {resolvers: [127.0.0.1, \"[2001:db8::53]:5353\"], dnssec: require, trust-anchors: [/dev/null],\n"
	"      insecure: [corp.example], refresh-min: 2s, refresh-max: 2h}\n"
	"probes:\n"
	"  dns: {tls: dane, tlsa-name: Mail.Example.net.}\n"
	"  \"true\": {interval: 1500ms, fast-interval: 1s, timeout: 90s, connect-timeout: 61s, fall: 4,\n"
	"      rise: 1, target: real, depth: starttls, helo: \"[192.0.2.1]\", tls: dane, tls-domain: \"*.contoso.com\",\n"
	"      tls-certificate-name: \"<I>CN=CA, O=\\\"Contoso, \xc3\xa4\\\"<S>CN=mail.contoso.com\", tlsa: [3 1 1 " HEX
	", 2 0 2 " HEX HEX "],\n"
	"      sni: \"1\", ca-file: /dev/null, min-tls-version: \"1.3\", expiry-warn: 0s}\n"
	"services:\n"
	"  \"0.1\": {address: \"2001:db8::25\", port: 26, interface: \"1e3\", advertise: none, probe: \"true\", min-up: 2,\n"
	"      tier-mode: add, failback: auto, failback-hold: 25h, all-down: drop, on-unreachable: keep,\n"
	"      allow: [\"2001:db8:1::/48\", \"::/1\"], allow-mode: observe, syn-limit: 7, log-connections: true,\n"
	"      tiers: {20: {c: {address: 192.0.2.1, forward: ipip}}, 10: {a: {address: \"2001:db8::1\", weight: 0},\n"
	"      b: {address: \"2001:db8::2\"}}}}\n"
	"  x: {address: 203.0.113.25, interface: eth0, allow: [198.51.100.0/24], failback: manual, advertise: route, withdraw: never,\n"
	"      tiers: {7: {z: {address: 203.0.113.9}}}}\n"
	"  zone: {address: 203.0.113.26, interface: eth0, probe: dns, mx: h.example.net, within: [10.0.0.0/8],\n"
	"      servers: {a: {address: 10.0.0.1, weight: 3, forward: ipip}, b.example.com: {weight: 2}}}\n"
	"notify: /usr/local/bin/tell  them\n"
	"decap: {from: [192.0.2.7, \"2001:db8::7\"]}\n";

static struct config *load_all(void)
{
	struct config *c = NULL;
	struct buf errors = {0};

	if (bench_load_text(all, &c, &errors))
		fail_msg("%s", errors.data);
	buf_free(&errors);
	return c;
}

static struct config *load_changed(const char *from, const char *to)
{
	char text[sizeof(all) + 64];
	const char *at = strstr(all, from);
	struct config *c = NULL;
	struct buf errors = {0};

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - all), all, to, at + strlen(from));
	if (bench_load_text(text, &c, &errors))
		fail_msg("%s", errors.data);
	buf_free(&errors);
	return c;
}

/* The bytes after the end of a text and the padding between members do not count. */
static void sections_are_compared_by_their_contents(void **state)
{
	static const char *const sections[] = {"interfaces", "datapath", "control", "decap"};
	static const struct {
		const char *section, *from, *to;
	} rows[] = {
		{"interfaces", "mode: native", "mode: auto"},
		{"interfaces", "vlan: 12", "vlan: 13"},
		{"datapath", "/sys/fs/bpf/a b", "/sys/fs/bpf/a c"},
		{"datapath", "flows: 4096", "flows: 8192"},
		{"datapath", "hash-key: \"null\"", "hash-key: none"},
		{"datapath", "0x10000/", "0x20000/"},
		{"datapath", "/0xffff0000", "/0x7fff0000"},
		{"datapath", "table: 1000", "table: 2000"},
		{"datapath", "priority: 1001", "priority: 1002"},
		{"control", "/run/x", "/run/y"},
		{"control", "group: \"123\"", "group: mxlb"},
		{"control", "anna", "berta"},
		{"control", "9125", "9126"},
		{"decap", "192.0.2.7", "192.0.2.8"},
	};
	struct config *a = load_all(), *b = load_all();

	(void)state;
	memset(b->datapath.pin + strlen(b->datapath.pin) + 1, 0xa5, 8);
	memset(b->control.operators[1] + strlen(b->control.operators[1]) + 1, 0xa5, 8);
	memset(b->control.operators[2], 0xa5, 8); /* beyond n_operators */
	memset(b->interfaces[0].name + strlen(b->interfaces[0].name) + 1, 0xa5, 4);
	memset(&b->decap[b->n_decap], 0xa5, sizeof(b->decap[0]));
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		assert_true(conf_same_section(a, b, sections[i]));
	config_free(b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		b = load_changed(rows[i].from, rows[i].to);
		for (size_t k = 0; k < sizeof(sections) / sizeof(sections[0]); k++)
			if (conf_same_section(a, b, sections[k]) !=
			    !!strcmp(sections[k], rows[i].section))
				fail_msg("%s: %s", sections[k], rows[i].to);
		config_free(b);
	}
	config_free(a);
}

static void assert_keys(const struct key *keys, const json_t *object)
{
	for (const struct key *k = keys; k->name; k++)
		if (strcmp(k->name, "allow-file") && !json_object_get(object, k->name))
			fail_msg("%s is not written", k->name);
}

static const json_t *at(const json_t *json, const char *const *path)
{
	while (*path)
		json = json_object_get(json, *path++);
	assert_non_null(json);
	return json;
}

#define AT(json, ...) at(json, (const char *const[]){__VA_ARGS__, NULL})

static void every_key_of_the_tables_is_written(void **state)
{
	struct config *c = load_all();
	json_t *json = conf_json(c, true);

	(void)state;
	assert_keys(top_keys, json);
	assert_keys(interface_keys, AT(json, "interfaces", "eth0"));
	assert_keys(datapath_keys, AT(json, "datapath"));
	assert_keys(control_keys, AT(json, "control"));
	assert_keys(probe_keys, AT(json, "probes", "true"));
	assert_keys(service_keys, AT(json, "services", "0.1"));
	assert_keys(server_keys, AT(json, "services", "0.1", "tiers", "20", "c"));
	assert_keys(decap_keys, AT(json, "decap"));
	assert_keys(dns_keys, AT(json, "dns"));
	assert_keys(zone_server_keys, AT(json, "services", "zone", "servers", "a.h.example.net"));
	json_decref(json);
	config_free(c);
}

/* The text of the configuration, as mxlbctl prints it. The caller frees it. */
static char *as_yaml(const struct config *c)
{
	json_t *json = conf_json(c, true);
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(json);
	assert_int_equal(yaml_print(json, out), 0);
	fclose(out);
	json_decref(json);
	return text;
}

static void assert_same_again(const char *text)
{
	struct config *was = NULL, *is = NULL;
	struct buf errors = {0};
	json_t *a, *b;
	char *yaml;

	assert_int_equal(bench_load_text(text, &was, &errors), 0);
	yaml = as_yaml(was);
	if (bench_load_text(yaml, &is, &errors))
		fail_msg("%s\n%s", errors.data, yaml);
	a = conf_json(was, true);
	b = conf_json(is, true);
	if (!json_equal(a, b))
		fail_msg("not the same:\n%s\n%s", text, yaml);
	assert_memory_equal(was->probes, is->probes, sizeof(was->probes));
	assert_memory_equal(&was->datapath, &is->datapath, sizeof(was->datapath));
	assert_memory_equal(&was->control, &is->control, sizeof(was->control));
	assert_memory_equal(was->interfaces, is->interfaces, sizeof(was->interfaces));
	json_decref(a);
	json_decref(b);
	config_free(was);
	config_free(is);
	buf_free(&errors);
	free(yaml);
}

static void a_written_configuration_reads_back_the_same(void **state)
{
	(void)state;
	assert_same_again(LEAST);
	assert_same_again(all);
	assert_same_again("interfaces: {eth0: {}}\ndecap: {from: [192.0.2.7]}\n");
}

/* The prefixes of the file are not added to `allow`. */
static void an_allow_file_stays_a_file(void **state)
{
	static const char records[] =
		"[{\"id\": 10, \"serviceArea\": \"Exchange\", \"tcpPorts\": \"25\", \"ips\": [\"40.92.0.0/15\"]}]";
	char file[] = "/tmp/mxlb-allow-XXXXXX", text[1024];
	int fd = mkstemp(file);
	struct config *c;
	json_t *json;

	(void)state;
	assert_int_equal(write(fd, records, strlen(records)), strlen(records));
	close(fd);
	snprintf(
		text, sizeof(text),
		"%s    allow-file: %s\n    allow: [192.0.2.0/24, 40.92.1.0/24]\n",
		"interfaces: {eth0: {}}\nservices:\n  a:\n    address: 203.0.113.25\n    interface: eth0\n"
		"    tiers: {10: {x: {address: 203.0.113.11}}}\n",
		file);
	c = bench_load_good(text, "");
	json = conf_json(c, true);
	assert_int_equal(json_array_size(AT(json, "services", "a", "allow")), 1);
	assert_string_equal(
		json_string_value(json_array_get(AT(json, "services", "a", "allow"), 0)),
		"192.0.2.0/24");
	assert_same_again(text);
	json_decref(json);
	config_free(c);
	unlink(file);
}

static void secrets_are_left_out_with_a_note(void **state)
{
	struct config *c = load_all();
	json_t *json = conf_json(c, false);

	(void)state;
	assert_null(json_object_get(json_object_get(json, "datapath"), "hash-key"));
	assert_string_equal(json_string_value(json_array_get(json_object_get(json, "hidden"), 0)),
			    "datapath.hash-key");
	json_decref(json);
	c->datapath.hash_key[0] = '\0';
	json = conf_json(c, false); /* nothing to hide */
	assert_null(json_object_get(json, "hidden"));
	assert_non_null(AT(json, "datapath", "hash-key"));
	json_decref(json);
	config_free(c);
}

/* Peers need not have the same answers of DNS at the same time. */
static void the_digest_of_a_service_from_dns_is_that_of_its_mx(void **state)
{
	static const uint8_t key[16] = {1};
	struct config *c = load_all(),
		      *other = load_changed("mx: h.example.net", "mx: g.example.net");
	struct server_conf *answer = calloc(1, sizeof(*answer));
	char before[DIGEST_TEXT_SIZE], after[DIGEST_TEXT_SIZE], others[DIGEST_TEXT_SIZE];
	unsigned zone = c->n_services - 1;

	(void)state;
	assert_string_equal(c->services[zone].zone.mx, "h.example.net");
	assert_int_equal(digest_service(c, zone, key, before), 0);
	assert_int_equal(digest_service(other, zone, key, others), 0);
	assert_string_not_equal(before, others);
	strcpy(answer->name, "a");
	answer->address = c->services[zone].address;
	c->services[zone].servers = answer;
	c->services[zone].n_servers = 1;
	c->probes[c->services[zone].probe].cert.n_tlsa = 1;
	assert_int_equal(digest_service(c, zone, key, after), 0);
	assert_string_equal(before, after);
	config_free(c);
	config_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_digest_of_a_service_from_dns_is_that_of_its_mx),
		cmocka_unit_test(every_key_of_the_tables_is_written),
		cmocka_unit_test(sections_are_compared_by_their_contents),
		cmocka_unit_test(a_written_configuration_reads_back_the_same),
		cmocka_unit_test(an_allow_file_stays_a_file),
		cmocka_unit_test(secrets_are_left_out_with_a_note),
	};

	return cmocka_run_group_tests(tests, bench_open, bench_close);
}
