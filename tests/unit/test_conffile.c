/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conf/: good configurations become values, and nothing that a file can hold or be makes the reader hang or
 * crash. Run from the tree's root: the example file is read too.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "conf_bench.h"

#define EXAMPLE "userspace/etc/mxlb.yaml"

static void assert_address(const struct addr *a, const char *text)
{
	char buf[ADDR_TEXT_SIZE];

	assert_string_equal(addr_text(a, buf), text);
}

static void the_least_has_every_default(void **state)
{
	struct config *c = bench_load_good(LEAST, "");
	const struct service_conf *s;
	const struct probe_conf *p;
	char host[256];

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
	p = &c->probes[0];
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

	assert_int_equal(c->n_services, 1);
	s = &c->services[0];
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
	assert_int_equal(s->n_backends, 2);
	assert_string_equal(s->backends[1].name, "y");
	assert_address(&s->backends[1].address, "203.0.113.12");
	assert_int_equal(s->backends[1].preference, 10);
	assert_int_equal(s->backends[1].weight, 1);
	assert_int_equal(s->backends[1].forward, FORWARD_L2);
	config_free(c);
}

/* Sections in any order, families mixed, tiers from the worst to the best. */
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
	"    tls: encryption-only, sni: mail.example.net, min-tls-version: 1.3, helo: probe}\n"
	"control: {operators: [alice, bob], group: adm, socket: /run/x}\n"
	"datapath: {pin: /sys/fs/bpf/b, flows: 1024, hash-key: 12 ab, mark: 0x10000000/0xF0000000,\n"
	"  table: 256, priority: 1}\n"
	"interfaces: {eth0: {mode: native}, lan.7: {mode: generic, vlan: 4094}}\n"
	"decap: {from: [192.0.2.5, '2001:db8::5']}\n";

static void every_key_reaches_its_field(void **state)
{
	static const char *const order[] = {"z", "0a", "c", "B", "w"};
	static const unsigned preference[] = {0, 0, 20, 20, 65535}, weight[] = {1, 1, 256, 1, 0};
	struct config *c = bench_load_good(
		everything, "6:30: warning: services.mail_6.b.min-up: tier 65535 has 1: it is "
			    "used only if no tier has enough\n");
	const struct service_conf *s = &c->services[0];
	const struct probe_conf *quick = &c->probes[0], *deep = &c->probes[1];

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
	assert_int_equal(quick->fast_interval_ms, 1000); /* the default is longer than interval */
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
	assert_string_equal(deep->helo, "probe");
	assert_int_equal(deep->min_tls_version, 0x0304);

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
	assert_int_equal(s->n_backends, N(order));
	for (unsigned i = 0; i < N(order); i++) {
		assert_string_equal(s->backends[i].name, order[i]);
		assert_int_equal(s->backends[i].preference, preference[i]);
		assert_int_equal(s->backends[i].weight, weight[i]);
		assert_int_equal(s->backends[i].forward, i ? FORWARD_L2 : FORWARD_IPIP);
	}
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
		struct config *c;

		snprintf(text, sizeof(text), LEAST "control: {http: \"%s\"}\n", good[i].text);
		c = bench_load_good(text, "");
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
	assert_string_equal(c->services[0].backends[0].name, "b");
	config_free(c);
	bench_expect(
		"a place after the mark and CRLF", "\xef\xbb\xbfx: 1\r\ny: 2\r\n", -EINVAL,
		"1:1: x: unknown key\n1:1: interfaces: is required\n1:1: services: is required\n"
		"2:1: y: unknown key\n");
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
	assert_int_equal(s->n_backends, 3);
	assert_string_equal(s->backends[2].name, "nuneaton");
	assert_int_equal(s->backends[2].preference, 20);
	assert_string_equal(c->probes[s->probe].name, "exo");
	assert_int_equal(c->probes[s->probe].tls, TLS_ENCRYPTION_ONLY);
	config_free(c);
	buf_free(&errors);
}

/* Every line of the report begins with two numbers; bench_load() has looked at the name before them. */
static void assert_places(const char *lines)
{
	unsigned line, column;

	for (; *lines; lines = strchr(lines, '\n') + 1)
		assert_int_equal(sscanf(lines, "%u:%u: ", &line, &column), 2);
}

/* True when it loads; in both cases the outcome is a proper one. */
static bool loads_or_says_why(const char *bytes, size_t len)
{
	struct buf errors = {.data = NULL};
	struct config *c = NULL;
	int err;

	bench_write(bytes, len);
	err = bench_load(&c, &errors);
	assert_true(err == 0 || err == -EINVAL);
	assert_true(!err || errors.len);
	assert_places(errors.data);
	if (!err) {
		assert_true(c->n_services && c->services[0].n_backends);
		config_free(c);
	}
	buf_free(&errors);
	return !err;
}

static size_t read_example(char *text, size_t size)
{
	FILE *f = fopen(EXAMPLE, "r");
	size_t len;

	assert_non_null(f);
	len = fread(text, 1, size, f);
	fclose(f);
	assert_true(len && len < size);
	return len;
}

static void every_truncation_of_the_example_loads_or_says_why(void **state)
{
	unsigned loaded = 0;
	char text[8192];
	size_t len = read_example(text, sizeof(text));
	const char *first = memmem(text, len, "203.0.113.11}", 13);

	(void)state;
	assert_non_null(first);
	for (size_t cut = 0; cut <= len; cut++) {
		bool ok = loads_or_says_why(text, cut);

		loaded += ok;
		assert_true(!ok || text + cut > first);
	}
	assert_true(loaded > 0 && loaded < len / 4);
}

static void every_byte_of_the_example_replaced_loads_or_says_why(void **state)
{
	static const char bytes[] = "\0\n\t {}[]:#&*!-'\"0\xff";
	char text[8192];
	size_t len = read_example(text, sizeof(text));

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char was = text[i];

		text[i] = bytes[i % sizeof(bytes)];
		loads_or_says_why(text, len);
		text[i] = was;
	}
}

/* The file itself stands for the row; what is in its place is removed afterwards. */
static void expect_file(int expected_err, const char *expected)
{
	struct buf errors = {.data = NULL};
	struct config *c = NULL;
	int err;

	alarm(30); /* ends the test where the reader waits */
	err = bench_load(&c, &errors);
	alarm(0);
	assert_int_equal(err, expected_err);
	assert_string_equal(errors.data, expected);
	if (!err)
		config_free(c);
	buf_free(&errors);
	assert_int_equal(remove(bench_file), 0);
}

static void what_is_no_regular_file_is_refused_without_waiting(void **state)
{
	(void)state;
	remove(bench_file);
	assert_int_equal(mkdir(bench_file, 0700), 0);
	expect_file(-EINVAL, "1:1: a directory, not a regular file\n");
	assert_int_equal(mkfifo(bench_file, 0600), 0);
	expect_file(-EINVAL, "1:1: a device, FIFO or socket, not a regular file\n");
	assert_int_equal(symlink("/dev/zero", bench_file), 0);
	expect_file(-EINVAL, "1:1: a device, FIFO or socket, not a regular file\n");
	assert_int_equal(symlink("nowhere", bench_file), 0);
	expect_file(-EINVAL, "1:1: can't be read: No such file or directory\n");
}

static void a_link_to_a_file_is_followed(void **state)
{
	char target[80];

	(void)state;
	snprintf(target, sizeof(target), "%s.real", bench_file);
	bench_write(LEAST, strlen(LEAST));
	assert_int_equal(rename(bench_file, target), 0);
	assert_int_equal(symlink(target, bench_file), 0);
	expect_file(0, "");
	assert_int_equal(unlink(target), 0);
}

static void size_and_bytes_of_a_file_are_bounded(void **state)
{
	const size_t size = 10 * 1024 * 1024;
	char *big = malloc(size);

	(void)state;
	assert_non_null(big);
	memset(big, '\n', size);
	memcpy(big, LEAST, strlen(LEAST));
	bench_write(big, size);
	expect_file(-EINVAL, "1:1: larger than 1 MiB\n");
	bench_write(big, CONF_FILE_MAX + 1);
	expect_file(-EINVAL, "1:1: larger than 1 MiB\n");
	bench_write(big, CONF_FILE_MAX);
	expect_file(0, "");
	bench_write(LEAST "#\0", strlen(LEAST) + 2);
	expect_file(-EINVAL, "10:2: a NUL byte: this is not text\n");
	free(big);
}

static void a_file_that_anybody_may_write_draws_a_warning(void **state)
{
	(void)state;
	bench_write(LEAST, strlen(LEAST));
	assert_int_equal(chmod(bench_file, 0666), 0);
	expect_file(0, "1:1: warning: anybody may write this file\n");
}

static void a_name_that_is_too_long_is_refused(void **state)
{
	struct buf errors = {.data = NULL};
	char name[CONFIG_PATH_SIZE + 1];
	struct config *c;

	(void)state;
	memset(name, 'x', CONFIG_PATH_SIZE);
	name[CONFIG_PATH_SIZE] = '\0';
	assert_int_equal(conf_load(name, NULL, &c, &errors), -EINVAL);
	assert_non_null(strstr(errors.data, "the name of the file is too long"));
	buf_free(&errors);
}

static void a_hundred_errors_are_shown_and_the_rest_counted(void **state)
{
	struct buf text = {.data = NULL}, errors = {.data = NULL};
	struct config *c;
	unsigned lines = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		buf_printf(&text, "k%d: 1\n", i);
	assert_int_equal(bench_load_text(text.data, &c, &errors), -EINVAL);
	for (char *at = errors.data; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 101);
	assert_non_null(strstr(errors.data, "\n98:1: k97: unknown key\n98:1: and 202 more\n"));
	buf_free(&text);
	buf_free(&errors);
}

/* Text with n entries made by one format, %u being the entry's number, after a head and before a tail. */
struct many {
	const char *what, *head, *entry, *tail;
	unsigned fits;
	const char *error; /* of one more */
};

#define ONE_SERVICE \
	"services: {a: {address: 1.2.3.4, interface: eth0, tiers: {1: {b: {address: 1.2.3.5}}}}}\n"

static const struct many limits[] = {
	{"interfaces", ONE_SERVICE "interfaces:\n  eth0: {}\n", "  x%u: {}\n", "",
	 MXLB_MAX_PORTS - 1, ": interfaces.x15: more than 16 interfaces\n"},
	{"probes", "interfaces: {eth0: }\n" ONE_SERVICE "probes:\n", "  p%u: {}\n", "",
	 CONFIG_MAX_PROBES - 1, ": probes.p63: more than 63 probes\n"},
	{"operators", "interfaces: {eth0: }\n" ONE_SERVICE "control:\n  operators:\n",
	 "    - u%u\n", "", CONFIG_MAX_OPERATORS, ": control.operators: more than 32 names\n"},
	{"services", "interfaces: {eth0: }\nservices:\n",
	 "  s%1$u: {address: 1.2.3.%1$u, interface: eth0, tiers: {1: {b: {address: 2.2.2.2}}}}\n",
	 "", MXLB_MAX_SERVICES, ": services.s64: more than 64 services\n"},
	{"services of one VIP", "interfaces: {eth0: }\nservices:\n",
	 "  s%1$u: {address: 1.2.3.4, port: 2%1$u, interface: eth0, tiers: {1: {b: {address: 2.2.2.2}}}}"
	 "\n",
	 "", MXLB_MAX_VIP_PORTS, ": services.s8.address: more than 8 services on one address\n"},
	{"backends",
	 "interfaces: {eth0: }\nservices:\n  a: {address: 1.2.3.4, interface: eth0, tiers: {1: {\n",
	 "    b%1$u: {address: '2001:db8::%1$u'},\n", "    }}}\n", MXLB_MAX_BACKENDS - 1,
	 ": services.a.tiers.1.b4095: more than 4095 backends in all\n"},
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int load_many(const struct many *m, unsigned n, struct buf *errors)
{
	struct buf text = {.data = NULL};
	struct config *c = NULL;
	char entry[128];
	int err;

	buf_printf(&text, "%s", m->head);
	for (unsigned i = 0; i < n; i++) {
		snprintf(entry, sizeof(entry), m->entry, i);
		buf_append(&text, entry, strlen(entry));
	}
	buf_printf(&text, "%s", m->tail);
	err = bench_load_text(text.data, &c, errors);
	if (!err)
		config_free(c);
	buf_free(&text);
	return err;
}
#pragma GCC diagnostic pop

static void each_limit_is_reached_and_not_passed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(limits); i++) {
		struct buf errors = {.data = NULL};
		const char *colon;

		if (load_many(&limits[i], limits[i].fits, &errors))
			fail_msg("%s: %s", limits[i].what, errors.data);
		assert_int_equal(load_many(&limits[i], limits[i].fits + 1, &errors), -EINVAL);
		colon = strstr(errors.data, ": ");
		if (!colon || strcmp(colon, limits[i].error))
			fail_msg("%s: %s", limits[i].what, errors.data);
		buf_free(&errors);
	}
}

static void more_nodes_than_any_configuration_has_are_refused(void **state)
{
	static const struct many nodes = {.head = "a: [", .entry = "%u,", .tail = "]\n"};
	static const struct many entries = {.head = "services:\n", .entry = "  s%u:\n", .tail = ""};
	struct buf errors = {.data = NULL};

	(void)state;
	assert_int_equal(load_many(&nodes, 140000, &errors), -EINVAL);
	assert_non_null(strstr(errors.data, ": more than 131072 values\n"));
	buf_free(&errors);
	assert_int_equal(load_many(&entries, 5000, &errors), -EINVAL);
	assert_non_null(strstr(errors.data, "1:1: services: more than 4096 entries\n"));
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
		cmocka_unit_test(every_truncation_of_the_example_loads_or_says_why),
		cmocka_unit_test(every_byte_of_the_example_replaced_loads_or_says_why),
		cmocka_unit_test(what_is_no_regular_file_is_refused_without_waiting),
		cmocka_unit_test(a_link_to_a_file_is_followed),
		cmocka_unit_test(size_and_bytes_of_a_file_are_bounded),
		cmocka_unit_test(a_file_that_anybody_may_write_draws_a_warning),
		cmocka_unit_test(a_name_that_is_too_long_is_refused),
		cmocka_unit_test(a_hundred_errors_are_shown_and_the_rest_counted),
		cmocka_unit_test(each_limit_is_reached_and_not_passed),
		cmocka_unit_test(more_nodes_than_any_configuration_has_are_refused),
	};

	return cmocka_run_group_tests_name("conf: files", tests, bench_open, bench_close);
}
