/* SPDX-License-Identifier: BSD-2-Clause */
#include "ctl/ctl_endpoints.h"

#include <stdlib.h>
#include <string.h>
#include "conf/endpoints.h"
#include "conf/file.h"
#include "core/endpoints_judge.h"
#include "util/addr.h"

struct list {
	struct prefixes v4, v6;
	struct endpoints_size size;
};

/* whole: 32 or 128. */
static unsigned length(const struct prefix *p, unsigned whole)
{
	return p->len + whole - 128u;
}

static unsigned least(const struct prefixes *p, unsigned whole)
{
	unsigned len = whole;

	for (unsigned i = 0; i < p->n; i++)
		if (length(&p->list[i], whole) < len)
			len = length(&p->list[i], whole);
	return len;
}

static enum ctl_exit ctl_endpoints_complain(const struct ctl *ctl, const char *file,
					    const char *why)
{
	char line[ENDPOINTS_WHY_SIZE + 256];

	snprintf(line, sizeof(line), "%.200s: %s\n", file, why);
	return ctl_failed(ctl, line);
}

/* False: `why` says it. */
static bool ctl_endpoints_read_list(const char *file, struct list *out,
				    char why[ENDPOINTS_WHY_SIZE])
{
	bool exposed;
	int err;

	snprintf(why, ENDPOINTS_WHY_SIZE, "not enough memory");
	err = endpoints_read(file, true, &out->v4, &exposed, why)
		      ?: endpoints_read(file, false, &out->v6, &exposed, why);
	prefixes_tidy(&out->v4);
	prefixes_tidy(&out->v6);
	out->size = (struct endpoints_size){out->v4.n, out->v6.n, least(&out->v4, 32),
					    least(&out->v6, 128)};
	return !err;
}

static void ctl_endpoints_add_all(json_t *ips, const struct prefixes *p, unsigned whole)
{
	for (unsigned i = 0; i < p->n; i++) {
		char text[ADDR_TEXT_SIZE];

		json_array_append_new(ips, json_sprintf("%s/%u", addr_text(&p->list[i].addr, text),
							length(&p->list[i], whole)));
	}
}

static void print_list(const struct list *l)
{
	json_t *ips = json_array();

	ctl_endpoints_add_all(ips, &l->v4, 32);
	ctl_endpoints_add_all(ips, &l->v6, 128);
	ips = json_pack("[{s:i, s:s, s:s, s:o}]", "id", 1, "serviceArea", "Exchange", "tcpPorts",
			"25", "ips", ips);
	ctl_print_json(ips);
	json_decref(ips);
}

static void free_list(struct list *l)
{
	free(l->v4.list);
	free(l->v6.list);
}

enum ctl_exit endpoints_run(const struct ctl *ctl, char **args)
{
	struct list is = {.size = {0}}, was = {.size = {0}};
	char why[ENDPOINTS_WHY_SIZE], text[160];
	const char *refused;
	enum ctl_exit rc = CTL_DONE;

	if (!ctl_endpoints_read_list(args[0], &is, why))
		rc = ctl_endpoints_complain(ctl, args[0], why);
	else if (args[1] && !ctl_endpoints_read_list(args[1], &was, why))
		rc = ctl_endpoints_complain(ctl, args[1], why);
	refused = rc ? NULL : endpoints_refuse(&is.size, args[1] ? &was.size : NULL, text);
	if (refused)
		rc = ctl_endpoints_complain(ctl, args[0], refused);
	if (!rc)
		print_list(&is);
	free_list(&is);
	free_list(&was);
	return rc;
}
