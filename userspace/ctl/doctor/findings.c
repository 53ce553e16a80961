/* SPDX-License-Identifier: BSD-2-Clause */
/* What checks share: their findings, and the servers, services and interfaces to look at. */
#include "ctl/doctor/doctor.h"

#include <string.h>
#include "ctl/text.h"

const char *const doctor_level_names[DOCTOR_LEVELS] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_ERROR] = "error",
	[DOCTOR_NOT_CHECKED] = "not checked",
};

void doctor_find(struct doctor *d, enum doctor_level level, json_t *text, json_t *advice)
{
	d->counts[level]++;
	json_array_append_new(d->findings,
			      json_pack("{s:s, s:s, s:o?, s:o?}", "check", d->check->name, "level",
					doctor_level_names[level], "text", text, "advice", advice));
}

void doctor_each_server(struct doctor *d, void (*fn)(struct doctor *d, const struct ctl_found *f))
{
	struct ctl_found f;
	size_t i, k, n;

	json_array_foreach (json_object_get(d->status, "services"), i, f.service)
		json_array_foreach (json_object_get(f.service, "tiers"), k, f.tier)
			json_array_foreach (tier_servers(f.tier), n, f.server)
				fn(d, &f);
}

void doctor_each_service(struct doctor *d,
			 void (*fn)(struct doctor *d, const char *name, const json_t *service))
{
	const char *name;
	json_t *service;

	json_object_foreach (json_object_get(d->config, "services"), name, service)
		fn(d, name, service);
}

void doctor_each_interface(struct doctor *d,
			   void (*fn)(struct doctor *d, const char *name, const json_t *conf,
				      const struct nl_link *link))
{
	struct nl_link link;
	const char *name;
	bool any = false;
	json_t *conf;

	json_object_foreach (json_object_get(d->config, "interfaces"), name, conf) {
		if (nl_link(name, &link)) /* the check "interfaces" reports it */
			continue;
		any = true;
		fn(d, name, conf, &link);
	}
	if (!any)
		doctor_find(d, DOCTOR_NOT_CHECKED, json_string("needs an interface that exists"),
			    NULL);
}

bool doctor_address(const json_t *object, const char *key, struct addr *out)
{
	*out = (struct addr){{0}};
	return !addr_parse(field_text(object, key), out);
}

/* NULL: nothing is missing. */
