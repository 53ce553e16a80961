/* SPDX-License-Identifier: BSD-2-Clause */
/* conf/: good configurations become values. Run from the tree's root: the example file is read too. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf_bench.h"

#define EXAMPLE "userspace/etc/mxlb.yaml"

static void assert_address(const struct addr *a, const char *text)
{
	char buf[ADDR_TEXT_SIZE];

	assert_string_equal(addr_text(a, buf), text);
}

static void expect_default_probe(const struct probe_conf *p)
{
	char host[256];

	assert_string_equal(p->name, "default");
	assert_int_equal(p->interval_ms, 10000);
	assert_int_equal(p->fast_interval_ms, 2000);
	assert_int_equal(p->timeout_ms, 10000);
	assert_int_equal(p->connect_timeout_ms, 3000);
	assert_int_equal(p->fall, 3);
	assert_int_equal(p->rise, 2);
	assert_int_equal(p->target, PROBE_TARGET_VIP);
	assert_int_equal(p->depth, DEPTH_MAIL_FROM);
	assert_int_equal(p->tls, TLS_NONE);
	assert_int_equal(gethostname(host, sizeof(host)), 0);
	assert_string_equal(p->helo, host);
	assert_string_equal(p->sni, "");
	assert_int_equal(p->min_tls_version, 0x0303);
}

static void expect_default_service(const struct service_conf *s)
{
	assert_string_equal(s->name, "a");
	assert_address(&s->address, "203.0.113.25");
	assert_int_equal(s->port, 25);
	assert_int_equal(s->interface, 0);
	assert_int_equal(s->probe, 0);
	assert_int_equal(s->advertise, ADVERTISE_ARP);
	assert_int_equal(s->min_up, 1);
	assert_int_equal(s->tier_mode, TIER_MODE_SWITCH);
	assert_int_equal(s->failback, FAILBACK_AUTO);
	assert_int_equal(s->failback_hold_ms, 30000);
	assert_int_equal(s->all_down, ALL_DOWN_RESET);
	assert_int_equal(s->on_unreachable, ON_UNREACHABLE_RESET);
	assert_int_equal(s->n_allow, 0);
	assert_string_equal(s->allow_file, "");
	assert_int_equal(s->allow_mode, ALLOW_ENFORCE);
	assert_int_equal(s->syn_limit, 0);
	assert_int_equal(s->n_servers, 2);
	assert_string_equal(s->servers[1].name, "y");
	assert_address(&s->servers[1].address, "203.0.113.12");
	assert_int_equal(s->servers[1].preference, 10);
	assert_int_equal(s->servers[1].weight, 1);
	assert_int_equal(s->servers[1].forward, FORWARD_L2);
}

static void the_least_has_every_default(void **state)
{
	struct config *c = bench_load_good(LEAST, "");

	(void)state;
	assert_string_equal(c->file, bench_file);
	assert_int_equal(c->n_interfaces, 1);
	assert_string_equal(c->interfaces[0].name, "eth0");
	assert_int_equal(c->interfaces[0].mode, XDP_MODE_AUTO);
	assert_string_equal(c->datapath.pin, "/sys/fs/bpf/mxlb");
	assert_int_equal(c->datapath.flows, 262144);
	assert_string_equal(c->datapath.hash_key, "");
	assert_int_equal(c->datapath.mark, 0x6d780000);
	assert_int_equal(c->datapath.mark_mask, 0xffff0000);
	assert_int_equal(c->datapath.table, 27000);
	assert_int_equal(c->datapath.priority, 27000);
	assert_string_equal(c->control.socket, "/run/mxlb/mxlb.sock");
	assert_string_equal(c->control.group, "mxlb");
	assert_int_equal(c->control.n_operators, 0);

	assert_int_equal(c->n_probes, 1);
	expect_default_probe(&c->probes[0]);
	assert_int_equal(c->n_services, 1);
	expect_default_service(&c->services[0]);
	config_free(c);
}

/* Sections in any order, both address families, tiers in reverse order. */
static const char everything[] =
	"services:\n"
	"  mail_6.b: {address: '2001:db8::25', port: 587, interface: lan.7, probe: deep, tiers: {\n"
	"    65535: {w: {address: 192.0.2.9, weight: 0}},\n"
	"    20: {c: {address: '2001:db8::c', weight: 256}, B: {address: 192.0.2.8}},\n"
	"    0: {z: {address: '2001:db8::a', forward: ipip}, 0a: {address: 192.0.2.7, forward: l2}}},\n"
	"    advertise: none, min-up: 2, failback: manual, failback-hold: 0s, all-down: drop, on-unreachable: keep}\n"
	"  other: {address: 192.0.2.25, interface: eth0, probe: quick, tiers: {1: {z: {address: "
	"192.0.2.7}}}}\n"
	"probes:\n"
	"  quick: {interval: 1s, timeout: 2s, helo: '[IPv6:2001:db8::1]', depth: connect, target: real}\n"
	"  deep: {interval: 1h, fast-interval: 250ms, timeout: 10m, connect-timeout: 1m, fall: 1, rise: 1,\n"
	"    tls: encryption-only, sni: mail.example.net, min-tls-version: 1.3, helo: probe.lan}\n"
	"control: {operators: [alice, bob], group: adm, socket: /run/x}\n"
	"datapath: {pin: /sys/fs/bpf/b, flows: 1024, hash-key: 12 ab, mark: 0x10000000/0xF0000000,\n"
	"  table: 256, priority: 1}\n"
	"interfaces: {eth0: {mode: native}, lan.7: {mode: generic, vlan: 4094}}\n"
	"decap: {from: [192.0.2.5, '2001:db8::5']}\n";

static void expect_probes_of_everything(const struct probe_conf *quick,
					const struct probe_conf *deep)
{
	assert_int_equal(quick->fast_interval_ms,
			 1000); /* the default would be longer than interval */
	assert_int_equal(quick->connect_timeout_ms, 2000);
	assert_int_equal(quick->target, PROBE_TARGET_REAL);
	assert_int_equal(quick->depth, DEPTH_CONNECT);
	assert_string_equal(quick->helo, "[IPv6:2001:db8::1]");
	assert_int_equal(deep->interval_ms, 3600000);
	assert_int_equal(deep->fast_interval_ms, 250);
	assert_int_equal(deep->timeout_ms, 600000);
	assert_int_equal(deep->connect_timeout_ms, 60000);
	assert_int_equal(deep->fall, 1);
	assert_int_equal(deep->rise, 1);
	assert_int_equal(deep->tls, TLS_ENCRYPTION_ONLY);
	assert_string_equal(deep->sni, "mail.example.net");
	assert_string_equal(deep->helo, "probe.lan");
	assert_int_equal(deep->min_tls_version, 0x0304);
}

static void expect_service_of_everything(const struct service_conf *s)
{
	static const char *const order[] = {"z", "0a", "c", "B", "w"};
	static const unsigned preference[] = {0, 0, 20, 20, 65535}, weight[] = {1, 1, 256, 1, 0};

	assert_string_equal(s->name, "mail_6.b");
	assert_address(&s->address, "2001:db8::25");
	assert_int_equal(s->port, 587);
	assert_int_equal(s->interface, 1);
	assert_int_equal(s->probe, 1);
	assert_int_equal(s->advertise, ADVERTISE_NONE);
	assert_int_equal(s->min_up, 2);
	assert_int_equal(s->failback, FAILBACK_MANUAL);
	assert_int_equal(s->failback_hold_ms, 0);
	assert_int_equal(s->all_down, ALL_DOWN_DROP);
	assert_int_equal(s->on_unreachable, ON_UNREACHABLE_KEEP);
	assert_int_equal(s->n_servers, N(order));
	for (unsigned i = 0; i < N(order); i++) {
		assert_string_equal(s->servers[i].name, order[i]);
		assert_int_equal(s->servers[i].preference, preference[i]);
		assert_int_equal(s->servers[i].weight, weight[i]);
		assert_int_equal(s->servers[i].forward, i ? FORWARD_L2 : FORWARD_IPIP);
	}
}

static void every_key_reaches_its_field(void **state)
{
	struct config *c = bench_load_good(
		everything, "6:30: warning: services.mail_6.b.min-up: tier 65535 has 1*\n");

	(void)state;
	assert_string_equal(c->datapath.pin, "/sys/fs/bpf/b");
	assert_int_equal(c->datapath.flows, 1024);
	assert_string_equal(c->datapath.hash_key, "12 ab");
	assert_int_equal(c->datapath.mark, 0x10000000);
	assert_int_equal(c->datapath.mark_mask, 0xf0000000);
	assert_int_equal(c->datapath.table, 256);
	assert_int_equal(c->datapath.priority, 1);
	assert_string_equal(c->control.socket, "/run/x");
	assert_string_equal(c->control.group, "adm");
	assert_int_equal(c->control.n_operators, 2);
	assert_string_equal(c->control.operators[1], "bob");
	assert_int_equal(c->interfaces[0].mode, XDP_MODE_NATIVE);
	assert_int_equal(c->interfaces[0].vlan, 0);
	assert_int_equal(c->interfaces[1].mode, XDP_MODE_GENERIC);
	assert_int_equal(c->interfaces[1].vlan, 4094);
	assert_int_equal(c->n_decap, 2);
	assert_address(&c->decap[0], "192.0.2.5");
	assert_address(&c->decap[1], "2001:db8::5");

	assert_int_equal(c->n_probes, 2);
	expect_probes_of_everything(&c->probes[0], &c->probes[1]);
	expect_service_of_everything(&c->services[0]);
	config_free(c);
}

static void http_listens_at_one_address_and_port_or_nowhere(void **state)
{
	static const struct {
		const char *text, *address;
		unsigned port; /* 0: it listens nowhere */
	} good[] = {
		{"", "::", 0},
		{"127.0.0.1:9125", "127.0.0.1", 9125},
		{"[::1]:1", "::1", 1},
		{"[::]:65535", "::", 65535},
		{"0.0.0.0:80", "0.0.0.0", 80},
	};
	static const char *const bad[] = {
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:0",
		"127.0.0.1:65536",
		"127.0.0.1:+80",
		"[127.0.0.1]:80",
		"::1:9125",
		"[::1]",
		"[::1]x9125",
		"localhost:9125",
		":9125",
		"[::1:9125",
		"[]:9125",
		"[",
		"[:",
		":",
		"[::1%lo]:9125",
		"127.0.0.1:9125:80",
		"127.0.0.1: 80",
		"9125",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		struct buf warnings = {0};
		struct config *c;

		snprintf(text, sizeof(text), LEAST "control: {http: \"%s\"}\n", good[i].text);
		assert_int_equal(bench_load_text(text, &c, &warnings), 0);
		buf_free(&warnings); /* of what everyone can read */
		assert_address(&c->control.http.address, good[i].address);
		assert_int_equal(c->control.http.port, good[i].port);
		config_free(c);
	}
	for (size_t i = 0; i < N(bad); i++) {
		struct config *c = NULL;
		struct buf errors = {0};

		snprintf(text, sizeof(text), LEAST "control: {http: \"%s\"}\n", bad[i]);
		if (bench_load_text(text, &c, &errors) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_non_null(strstr(errors.data, "control.http: \""));
		assert_null(c);
		buf_free(&errors);
	}
}

static void a_probe_named_default_is_the_default(void **state)
{
	struct config *c =
		bench_load_good(LEAST "probes: {x: {fall: 7}, default: {fall: 9}}\n", "");

	(void)state;
	assert_int_equal(c->n_probes, 2);
	assert_int_equal(c->services[0].probe, 1);
	assert_int_equal(c->probes[1].fall, 9);
	config_free(c);
}

static void empty_sections_are_absent_ones(void **state)
{
	struct config *c =
		bench_load_good(LEAST "datapath:\ncontrol: ~\nprobes: null\ndecap: {}\n", "");

	(void)state;
	assert_int_equal(c->datapath.table, 27000);
	config_free(c);
}

static void a_far_end_that_only_strips_needs_no_services(void **state)
{
	static const char *const without[] = {"", "services:\n", "services: {}\n"};

	(void)state;
	for (unsigned i = 0; i < N(without); i++) {
		char text[256];
		struct config *c;

		snprintf(text, sizeof(text), "interfaces: {eth0: }\ndecap: {from: [192.0.2.5]}\n%s",
			 without[i]);
		c = bench_load_good(text, "");
		assert_int_equal(c->n_services, 0);
		assert_int_equal(c->n_decap, 1);
		config_free(c);
	}
}

static void windows_editors_are_understood(void **state)
{
	struct config *c =
		bench_load_good("\xef\xbb\xbfinterfaces: {eth0: {}}\r\nservices:\r\n  a: {address: "
				"1.2.3.4, interface: eth0,\r\n    tiers: {1: {b: {address: "
				"1.2.3.5}}}}\r\n",
				"");

	(void)state;
	assert_string_equal(c->services[0].servers[0].name, "b");
	config_free(c);
	bench_expect(
		"a place after the mark and CRLF", "\xef\xbb\xbfx: 1\r\ny: 2\r\n", -EINVAL,
		"1:1: x: unknown key;* interfaces, datapath, control, ha, dns, probes, services, notify, decap\n"
		"1:1: interfaces: is required\n"
		"1:1: services: is required\n"
		"2:1: y: unknown key;* interfaces, datapath, control, ha, dns, probes, services, notify, decap\n");
}

static void the_example_loads_and_is_the_contracts(void **state)
{
	struct buf errors = {.data = NULL};
	const struct service_conf *s;
	struct config *c;

	(void)state;
	assert_int_equal(conf_load(EXAMPLE, NULL, &c, &errors), 0);
	assert_int_equal(errors.len, 0);
	s = &c->services[0];
	assert_string_equal(s->name, "hybrid-mail");
	assert_int_equal(s->n_servers, 3);
	assert_string_equal(s->servers[2].name, "nuneaton");
	assert_int_equal(s->servers[2].preference, 20);
	assert_string_equal(c->probes[s->probe].name, "exo");
	assert_int_equal(c->probes[s->probe].tls, TLS_ENCRYPTION_ONLY);
	config_free(c);
	buf_free(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_has_every_default),
		cmocka_unit_test(every_key_reaches_its_field),
		cmocka_unit_test(http_listens_at_one_address_and_port_or_nowhere),
		cmocka_unit_test(a_probe_named_default_is_the_default),
		cmocka_unit_test(empty_sections_are_absent_ones),
		cmocka_unit_test(a_far_end_that_only_strips_needs_no_services),
		cmocka_unit_test(windows_editors_are_understood),
		cmocka_unit_test(the_example_loads_and_is_the_contracts),
	};

	return cmocka_run_group_tests_name("conf: keys", tests, bench_open, bench_close);
}
