/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by test_allow.c and test_endpoints.c, in addition to the bench of conf/: the allow-file, next to the
 * configuration.
 */
#ifndef ALLOW_FIXTURE_H
#define ALLOW_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "conf_bench.h"

#define IPS(list)    "\"ips\": [" list "]"
#define NET	     IPS("\"192.0.2.0/24\"")
#define PORTS(ports) "[{" NET ", \"tcpPorts\": \"" ports "\"}]"
#define SMTP	     "\"tcpPorts\": \"25\""

/* An extract of https://endpoints.office.com/endpoints/worldwide with the cases that make a difference. */
static const char endpoints[] =
	"[\n"
	"  {\n"
	"    \"id\": 1,\n"
	"    \"serviceArea\": \"Exchange\",\n"
	"    \"serviceAreaDisplayName\": \"Exchange Online\",\n"
	"    \"urls\": [\"outlook.office.com\", \"outlook.office365.com\"],\n"
	"    \"ips\": [\"13.107.6.152/31\", \"52.96.0.0/14\", \"2603:1006::/40\"],\n"
	"    \"tcpPorts\": \"80,443\",\n"
	"    \"udpPorts\": \"443\",\n"
	"    \"expressRoute\": true,\n"
	"    \"category\": \"Optimize\",\n"
	"    \"required\": true\n"
	"  },\n"
	"  {\"id\": 9, \"serviceArea\": \"Exchange\", \"urls\": [\"*.protection.outlook.com\"],\n"
	"   \"ips\": [\"40.92.0.0/15\", \"52.238.78.88/32\"], \"tcpPorts\": \"443\"},\n"
	"  {\n"
	"    \"id\": 10,\n"
	"    \"serviceArea\": \"Exchange\",\n"
	"    \"serviceAreaDisplayName\": \"Exchange Online\",\n"
	"    \"urls\": [\"*.mail.protection.outlook.com\", \"*.mx.microsoft\"],\n"
	"    \"ips\": [\n"
	"      \"40.92.0.0/15\", \"40.107.0.0/16\", \"52.100.0.0/14\", \"104.47.0.0/17\",\n"
	"      \"2a01:111:f400::/48\", \"2a01:111:f403::/48\"\n"
	"    ],\n"
	"    \"tcpPorts\": \"25\",\n"
	"    \"expressRoute\": true,\n"
	"    \"category\": \"Allow\",\n"
	"    \"required\": true\n"
	"  },\n"
	"  {\"id\": 154, \"serviceArea\": \"Exchange\", \"urls\": [\"autodiscover.*.onmicrosoft.com\"],\n"
	"   \"tcpPorts\": \"80,443\", \"notes\": \"no addresses, and \\u00e9\"}\n"
	"]\n";

#define EOP_V4 "40.92.0.0/15 40.107.0.0/16 52.100.0.0/14 104.47.0.0/17"
#define EOP_V6 "2a01:111:f400::/48 2a01:111:f403::/48"

static char json_file[80];

static int open_both(void **state)
{
	int err = bench_open(state);

	snprintf(json_file, sizeof(json_file), "%s.json", bench_file);
	return err;
}

static int close_both(void **state)
{
	remove(json_file);
	return bench_close(state);
}

static void write_json(const void *bytes, size_t len)
{
	FILE *f = fopen(json_file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void write_text(const char *text)
{
	write_json(text, strlen(text));
}

/* LEAST with the file and the text after it; the file's name is at 10:17. */
static inline const char *with_file(const char *more)
{
	static char text[1024];

	snprintf(text, sizeof(text), LEAST "    allow-file: %s\n%s", json_file, more);
	return text;
}

#define V6_SERVICE \
	"  b: {address: '2001:db8::25', interface: eth0, tiers: {1: {z: {address: '2001:db8::1'}}},"

static void assert_prefixes(const char *what, const struct prefix *list, unsigned n,
			    const char *want)
{
	char got[1024] = "", one[ADDR_TEXT_SIZE];

	for (unsigned i = 0; i < n; i++) {
		size_t len = strlen(got);

		snprintf(got + len, sizeof(got) - len, "%s%s", i ? " " : "",
			 addr_prefix_text(&list[i], one));
	}
	if (strcmp(got, want))
		fail_msg("%s: got %s, not %s", what, got, want);
}

static inline void expect_allowed(const char *what, const char *text, const char *want)
{
	struct config *c = bench_load_good(text, "");

	assert_prefixes(what, c->services[0].allow, c->services[0].n_allow, want);
	config_free(c);
}

/* n different prefixes of 10.0.0.0/8, in a record. */
static inline void write_prefixes(unsigned n)
{
	struct buf text = {.data = NULL};

	buf_printf(&text, "[{" SMTP ", \"ips\": [");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&text, "%s\"10.%u.%u.%u/32\"", i ? "," : "", i >> 15, i >> 7 & 255,
			   i << 1 & 255);
	buf_printf(&text, "]}]");
	write_json(text.data, text.len);
	buf_free(&text);
}

#endif
