/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The endpoints file: untrusted text that decides which hosts may deliver mail. It is refused as a whole if any
 * relevant part differs from the documented form, so that no partial list is used.
 *
 *   1. A record counts if its tcpPorts ("25", "25,587", "20-30") include port 25 and it has ips; its id or name does
 *      not matter.
 *   2. In a record that counts each of the ips must be a prefix. Other records are not checked.
 *   3. A list that admits everyone is refused.
 *   4. Memory is limited before jansson builds its tree (about 250 bytes per value); the depth is limited by jansson
 *      (2048).
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "conf/endpoints.h"
#include "conf/file.h"
#include "mxlb/limits.h"
#include "util/log.h"

#define SMTP_PORT     25
#define PORT_MAX      65535
#define VALUES_MAX    131072
#define QUOTE_SIZE    128

#define SAY(why, ...) (snprintf(why, ENDPOINTS_WHY_SIZE, __VA_ARGS__), -EINVAL)

struct endpoints {
	bool v4;
	struct prefixes *out;
	char *why;
};

/* Blanks, a number, blanks; returns what follows, or NULL: there is no number. */
static const char *endpoints_number(const char *text, unsigned *out)
{
	unsigned value = 0;
	size_t n;

	text += strspn(text, " ");
	n = strspn(text, "0123456789");
	for (size_t i = 0; i < n; i++)
		value = value > PORT_MAX ? value : value * 10 + (unsigned)(text[i] - '0');
	*out = value;
	text += n;
	return n ? text + strspn(text, " ") : NULL;
}

/* Of one item of the list: a port or a range of them. What is neither has no port in it. */
static bool item_has(const char *item, unsigned port)
{
	unsigned low, high;

	item = endpoints_number(item, &low);
	high = low;
	if (item && *item == '-')
		item = endpoints_number(item + 1, &high);
	return item && (!*item || *item == ',') && low <= port && port <= high;
}

static bool ports_have(const char *ports, unsigned port)
{
	while (ports && !item_has(ports, port)) {
		ports = strchr(ports, ',');
		ports = ports ? ports + 1 : NULL;
	}
	return ports;
}

static int read_ip(struct endpoints *e, const json_t *ip, size_t record, size_t i)
{
	const struct value_kind kind = {.size = sizeof(struct prefix)};
	char why[VALUE_WHY_SIZE];
	struct prefix p;

	if (!json_is_string(ip))
		return SAY(e->why, ".[%zu].ips[%zu]: is not text", record, i);
	if (value_prefix(&kind, json_string_value(ip), &p, why))
		return SAY(e->why, ".[%zu].ips[%zu]: %s", record, i, why);
	if (p.len == (addr_is_v4(&p.addr) ? 96 : 0)) /* rule 3 */
		return SAY(e->why, ".[%zu].ips[%zu]: %s is everyone", record, i,
			   json_string_value(ip));
	if (addr_is_v4(&p.addr) != e->v4)
		return 0;
	if (e->out->n == MXLB_MAX_PREFIXES)
		return SAY(e->why, "has more than %d prefixes", MXLB_MAX_PREFIXES);
	return prefixes_add(e->out, &p, 1);
}

static bool is_absent(const json_t *value)
{
	return !value || json_is_null(value);
}

static int read_record(struct endpoints *e, const json_t *record, size_t n)
{
	const json_t *ports = json_object_get(record, "tcpPorts");
	const json_t *ips = json_object_get(record, "ips");
	int err = 0;

	if (!json_is_object(record))
		return SAY(e->why, ".[%zu]: is not a record", n);
	if (is_absent(ports) || is_absent(ips))
		return 0;
	if (!json_is_string(ports))
		return SAY(e->why, ".[%zu].tcpPorts: is not text", n);
	if (!ports_have(json_string_value(ports), SMTP_PORT))
		return 0;
	if (!json_is_array(ips))
		return SAY(e->why, ".[%zu].ips: is not a list", n);
	for (size_t i = 0; i < json_array_size(ips) && !err; i++)
		err = read_ip(e, json_array_get(ips, i), n, i);
	return err;
}

static int read_records(struct endpoints *e, const json_t *root)
{
	int err = 0;

	if (!json_is_array(root))
		return SAY(e->why, "is not a list of records");
	for (size_t i = 0; i < json_array_size(root) && !err; i++)
		err = read_record(e, json_array_get(root, i), i);
	return err;
}

/* An upper bound, since what stands in texts is counted too. */
static size_t count_values(const struct buf *text)
{
	size_t n = 1;

	for (const char *c = text->data; c < text->data + text->len; c++)
		n += *c == ',' || *c == '[' || *c == '{';
	return n;
}

static int endpoints_json(const struct buf *text, json_t **out, char *why)
{
	char quoted[QUOTE_SIZE];
	json_error_t error;

	if (!text->len)
		return SAY(why, "is empty");
	if (count_values(text) > VALUES_MAX) /* rule 4 */
		return SAY(why, "has more than %d values", VALUES_MAX);
	*out = json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, &error);
	if (*out)
		return 0;
	if (json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	return SAY(why, "is not JSON: line %d, column %d: %s", error.line, error.column,
		   log_quote(error.text, strlen(error.text), quoted, sizeof(quoted)));
}

int endpoints_parse(const struct buf *text, bool v4, struct prefixes *out,
		    char why[ENDPOINTS_WHY_SIZE])
{
	struct endpoints e = {.v4 = v4, .out = out, .why = why};
	json_t *root = NULL;
	int err = endpoints_json(text, &root, why);

	if (!err)
		err = read_records(&e, root);
	json_decref(root);
	return err;
}

int endpoints_read(const char *path, bool v4, struct prefixes *out, bool *exposed,
		   char why[ENDPOINTS_WHY_SIZE])
{
	struct buf text = {.data = NULL};
	int err = file_read(path, ENDPOINTS_FILE_MAX, &text, exposed, why);

	if (!err)
		err = endpoints_parse(&text, v4, out, why);
	buf_free(&text);
	return err;
}
