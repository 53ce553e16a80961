/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extracts what `detach` needs from a broken or missing configuration: the pin directory, and the mark, table and
 * priority that identify the probes' rules. Each is taken from the line that has it, else the default; the interfaces
 * are all of this system. Nothing here fails because of a bad file, since detach is used in emergencies.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include "conf/conf.h"
#include "conf/file.h"

#define KEYS	   4
#define VALUE_SIZE 256
#define NO_SERVICE "decap: {from: [192.0.2.1]}\n" /* so that no service is required */

static const char *const keys[KEYS] = {"pin", "mark", "table", "priority"};

/* The value of `key: value` in this line, quotes and comment aside. False: it has none. */
static bool value_in(const char *line, const char *key, char value[VALUE_SIZE])
{
	const char *at = strstr(line, key);
	size_t len;

	if (!at || (at > line && !strchr(" \t\"'{,", at[-1])))
		return false;
	at += strlen(key);
	at += strspn(at, "\"'");
	if (*at++ != ':')
		return false;
	at += strspn(at, " \t\"'");
	len = strcspn(at, " \t\"'#,}\r\n");
	if (!len || len >= VALUE_SIZE)
		return false;
	snprintf(value, VALUE_SIZE, "%.*s", (int)len, at);
	return true;
}

static void put_interfaces(struct buf *text)
{
	struct if_nameindex *all = if_nameindex();
	unsigned n = 0;

	buf_printf(text, "interfaces: {");
	for (struct if_nameindex *i = all; i && i->if_index && n < MXLB_MAX_PORTS; i++)
		if (strcmp(i->if_name, "lo"))
			buf_printf(text, "%s\"%s\": {}", n++ ? ", " : "", i->if_name);
	buf_printf(text, n ? "}\n" : "lo: {}}\n");
	if_freenameindex(all);
}

/* The text with these values; NULL ones are left out. */
static int salvage_parse(const char *path, char values[KEYS][VALUE_SIZE], struct config **out)
{
	struct buf text = {0}, errors = {0};
	unsigned n = 0;
	int err;

	put_interfaces(&text);
	buf_printf(&text, NO_SERVICE "datapath: {");
	for (unsigned k = 0; k < KEYS; k++)
		if (values[k][0])
			buf_printf(&text, "%s%s: \"%s\"", n++ ? ", " : "", keys[k], values[k]);
	buf_printf(&text, "}\n");
	err = conf_parse(path, &text, NULL, out, &errors);
	buf_free(&text);
	buf_free(&errors);
	return err;
}

int conf_salvage(const char *path, struct config **out)
{
	char values[KEYS][VALUE_SIZE] = {{0}}, why[VALUE_WHY_SIZE], *rest, *line;
	struct buf text = {0};
	bool exposed;

	if (file_read(path, CONF_FILE_MAX, &text, &exposed, why))
		buf_free(&text);
	for (rest = text.data; (line = strsep(&rest, "\n"));)
		for (unsigned k = 0; k < KEYS; k++) {
			struct config *c;

			if (values[k][0] || !value_in(line, keys[k], values[k]))
				continue;
			if (salvage_parse(path, values, &c))
				values[k][0] = '\0'; /* no such value */
			else
				config_free(c);
		}
	buf_free(&text);
	return salvage_parse(path, values, out);
}
