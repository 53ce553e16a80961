/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configurations as programs write them, keys of other products, and settings that are allowed but probably not
 * intended.
 */
#include "conf_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
/* after the others */
#include <cmocka.h>

struct row {
	const char *what, *text, *said;
};

static const char json[] =
	"{\"interfaces\": {\"eth0\": {\"mode\": \"auto\", \"vlan\": \"7\"}},\n"
	"  \"probes\": {\"exo\": {\"interval\": \"1m\", \"connect-timeout\": \"1s\", \"fall\": \"4\",\n"
	"    \"min-tls-version\": 1.3, \"tlsa\": []}},\n"
	" \"datapath\": {\"flows\": \"4096\", \"mark\": \"0x6d780000/0xffff0000\", \"table\": 27001},\n"
	" \"services\": {\"mail\": {\"address\": \"203.0.113.25\", \"port\": \"25\", \"interface\": \"eth0\",\n"
	"  \"log-connections\": \"true\", \"probe\": \"exo\", \"allow\": [\"192.0.2.0/24\"],\n"
	"  \"tiers\": {\"10\": {\"oxford-a\": {\"address\": \"203.0.113.11\", \"weight\": \"3\"}},\n"
	"   \"20\": {\"nuneaton\": {\"address\": \"203.0.113.13\"}}}}}}\n";

/* The output of `to_nice_yaml` for a dictionary with text keys. */
static const char generated[] =
	"---\n"
	"\"interfaces\":\n  'eth0': {}\n"
	"services:\n  mail:\n    address: '203.0.113.25'\n    interface: \"eth0\"\n"
	"    log-connections: 'false'\n    min-up: '2'\n    port: '587'\n    tiers:\n"
	"      '10':\n        'a':\n          address: 203.0.113.11\n"
	"        'b':\n          address: 203.0.113.12\n          weight: \"256\"\n";

static void json_and_generated_yaml_mean_what_plain_yaml_means(void **state)
{
	struct config *c = bench_load_good(json, "");

	(void)state;
	assert_int_equal(c->interfaces[0].vlan, 7);
	assert_int_equal(c->probes[0].interval_ms, 60000);
	assert_int_equal(c->probes[0].connect_timeout_ms, 1000);
	assert_int_equal(c->probes[0].fall, 4);
	assert_int_equal(c->probes[0].min_tls_version, 0x0304);
	assert_int_equal(c->datapath.flows, 4096);
	assert_int_equal(c->datapath.table, 27001);
	assert_int_equal(c->services[0].port, 25);
	assert_true(c->services[0].log_connections);
	assert_int_equal(c->services[0].n_servers, 2);
	assert_int_equal(c->services[0].servers[0].weight, 3);
	assert_int_equal(c->services[0].servers[1].preference, 20);
	config_free(c);
	c = bench_load_good(generated, "");
	assert_int_equal(c->services[0].port, 587);
	assert_int_equal(c->services[0].min_up, 2);
	assert_false(c->services[0].log_connections);
	assert_int_equal(c->services[0].servers[1].weight, 256);
	config_free(c);
}

#define PORT                                                                                \
	"unknown key: a server listens on its service's port: direct server return cannot " \
	"translate ports; remove it here\n"
#define PROBES \
	"unknown key: health checks are configured under probes, and the service names one with probe: NAME\n"

static const struct row foreign[] = {
	{"a server's port", LEAST "        z: {address: 203.0.113.13, port: 25}\n",
	 "10:36: services.a.tiers.10.z.port: " PORT},
	{"HAProxy's backup", LEAST "        z: {address: 203.0.113.13, backup: true}\n",
	 "10:36: services.a.tiers.10.z.backup: unknown key: put the server into a tier with a higher "
	 "number: it gets mail while no lower tier can take any\n"},
	{"HAProxy's check", LEAST "        z: {address: 203.0.113.13, check: true}\n",
	 "10:36: services.a.tiers.10.z.check: " PROBES},
	{"F5's monitor", LEAST "    monitor: smtp\n", "10:5: services.a.monitor: " PROBES},
	{"F5's pool", LEAST "    members: [a]\n",
	 "10:5: services.a.members: unknown key: write the servers under tiers, by preference: tiers: "
	 "{10: {NAME: {address: ADDRESS}}}\n"},
	{"HAProxy's balance", LEAST "    balance: roundrobin\n",
	 "10:5: services.a.balance: unknown key: remove it: the method is always Maglev, by weight\n"},
	{"keepalived's delay_loop", LEAST "probes: {p: {delay_loop: 10}}\n",
	 "10:14: probes.p.delay_loop: unknown key: the key is interval\n"},
	{"a section of HAProxy", LEAST "frontend: {}\n",
	 "10:1: frontend: unknown key: this is a section of another product; the sections here are interfaces, "
	 "probes and services (see coming-from.md)\n"},
	{"a key of another table", LEAST "    helo: mx.example.net\n",
	 "10:5: services.a.helo: unknown key: it belongs to a probe\n"},
	{"a slip", LEAST "    prot: 25\n", "10:5: services.a.prot: unknown key:*port?\n"},
	{"like no other", LEAST "        z: {address: 203.0.113.13, colour: red}\n",
	 "10:36: services.a.tiers.10.z.colour: unknown key;* address, weight, forward\n"},
	{"an interface that is none",
	 LEAST
	 "  b: {address: 203.0.113.26, interface: eth9, tiers: {1: {c: {address: 203.0.113.14}}}}\n",
	 "10:41: services.b.interface: eth9 *one of the interfaces: eth0\n"},
	{"a probe that is none", LEAST "    probe: exo\nprobes: {one: {}, two: {}}\n",
	 "10:12: services.a.probe: no probe*exo; *: one, two\n"},
	{"IPv4 as IPv6",
	 LEAST
	 "  b: {address: '::ffff:203.0.113.26', interface: eth0, tiers: {1: {c: {address: 203.0.113.14}}}}\n",
	 "10:16: services.b.address: ::ffff:203.0.113.26 is an IPv4-mapped IPv6 address: write 203.0.113.26\n"},
};

static void keys_of_other_products_are_answered_with_what_to_write(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(foreign); i++)
		bench_expect(foreign[i].what, foreign[i].text, -EINVAL, foreign[i].said);
}

#define READ_BY_ALL                                                                               \
	"warning: control.http: everyone who can reach this box can read the status page: write " \
	"127.0.0.1 or a management address, or restrict the port by a firewall\n"

static const struct row warned[] = {
	{"the page for everyone", LEAST "control: {http: '0.0.0.0:9125'}\n", "10:17: " READ_BY_ALL},
	{"the page for everyone, IPv6", LEAST "control: {http: '[::]:9125'}\n",
	 "10:17: " READ_BY_ALL},
	{"the page for this box", LEAST "control: {http: '127.0.0.1:9125'}\n", ""},
	{"a notify program that is not there", LEAST "notify: /usr/lib/mxlb/no-such-program -x\n",
	 "10:9: warning: notify: /usr/lib/mxlb/no-such-program: No such file or directory: no event "
	 "will be reported\n"},
	{"a notify program that is none", LEAST "notify: /etc/passwd\n",
	 "10:9: warning: notify: /etc/passwd is not an executable file: *\n"},
	{"a notify program", LEAST "notify: /bin/true x\n", ""},
	{"a helo without a dot", LEAST "probes: {p: {helo: edge}}\n",
	 "10:20: warning: probes.p.helo: edge has no dot: many servers accept only a full name like "
	 "mail.example.net\n"},
	{"a helo that is an address", LEAST "probes: {p: {helo: '[192.0.2.1]'}}\n", ""},
	{"an IPv6 server of an IPv4 VIP", LEAST "        z: {address: '2001:db8::1'}\n",
	 "10:22: warning: services.a.tiers.10.z.address: an IPv6 address, but the VIP is IPv4: only the "
	 "server's MAC address is taken from it (forward: l2); write its IPv4 address, or forward: "
	 "ipip\n"},
	{"the same by a tunnel", LEAST "        z: {address: '2001:db8::1', forward: ipip}\n", ""},
	{"boxes that are each other's last tier",
	 LEAST "        z: {address: 192.0.2.13, forward: ipip}\ndecap: {from: [192.0.2.13]}\n",
	 "10:43: warning: services.a.tiers.10.z.forward: z is in decap.from as well: mail that comes from "
	 "there by tunnel is not sent into a tunnel again, so it is reset while only this server is up\n"},
	{"another peer",
	 LEAST "        z: {address: 192.0.2.13, forward: ipip}\ndecap: {from: [192.0.2.14]}\n",
	 ""},
	{"a connect-timeout that fits", LEAST "probes: {p: {timeout: 2s}}\n", ""},
};

static void probable_mistakes_are_warned_about(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(warned); i++)
		bench_expect(warned[i].what, warned[i].text, 0, warned[i].said);
}

static void a_secret_that_everyone_can_read_is_warned_of(void **state)
{
	static const char text[] = LEAST "datapath: {hash-key: very secret}\n";
	struct buf errors = {.data = NULL};
	struct config *c;

	(void)state;
	bench_expect("readable by its group", text, 0, "");
	assert_int_equal(chmod(bench_file, 0644), 0);
	assert_int_equal(bench_load(&c, &errors), 0);
	assert_non_null(strstr(
		errors.data, "10:22: warning: datapath.hash-key: a secret in a file that everyone "
			     "can read: chmod 640 and chgrp mxlb"));
	config_free(c);
	buf_free(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_and_generated_yaml_mean_what_plain_yaml_means),
		cmocka_unit_test(keys_of_other_products_are_answered_with_what_to_write),
		cmocka_unit_test(probable_mistakes_are_warned_about),
		cmocka_unit_test(a_secret_that_everyone_can_read_is_warned_of),
	};

	return cmocka_run_group_tests_name("confforeign", tests, bench_open, bench_close);
}
