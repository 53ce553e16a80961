/* SPDX-License-Identifier: BSD-2-Clause */
#include "ctl/rates.h"

#include <string.h>
#include "ctl/text.h"

static const json_t *named(const json_t *list, const char *key, const char *name)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (!strcmp(field_text(item, key), name))
			return item;
	return NULL;
}

/* The same server in the earlier status; NULL: it was not there. */
static const json_t *before(const json_t *earlier, const json_t *service, const json_t *server)
{
	const json_t *was =
		named(json_object_get(earlier, "services"), "name", field_text(service, "name"));
	const json_t *tier, *found = NULL;
	size_t i;

	json_array_foreach (json_object_get(was, "tiers"), i, tier) {
		if (!found)
			found = named(tier_servers(tier), "name", field_text(server, "name"));
	}
	return found;
}

static json_t *rate(const json_t *was, const json_t *is, const char *key, double factor,
		    double seconds)
{
	long long n = field_number(is, key) - field_number(was, key);

	return was && n >= 0 && seconds > 0 ? json_real((double)n * factor / seconds) : json_null();
}

static json_t *rates_row(const json_t *earlier, const json_t *service, const json_t *tier,
			 const json_t *server, double seconds)
{
	const json_t *was = before(earlier, service, server);
	const json_t *probe = json_object_get(server, "last_probe");

	return json_pack(
		"{s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:o, s:o, s:o}", "service",
		json_object_get(service, "name"), "server", json_object_get(server, "name"),
		"backend", json_object_get(server, "name"), "preference",
		json_object_get(tier, "preference"), "in_ring", json_object_get(server, "in_ring"),
		"verdict", json_object_get(server, "verdict"), "admin",
		json_object_get(server, "admin"), "flows", json_object_get(server, "flows"),
		"probe_ms", json_object_get(probe, "total_ms"), "new_per_s",
		rate(was, server, "new", 1, seconds), "packets_per_s",
		rate(was, server, "packets", 1, seconds), "bits_per_s",
		rate(was, server, "bytes", 8, seconds));
}

json_t *rates_of(const json_t *earlier, const json_t *status, double seconds)
{
	bool same = earlier && field_number(earlier, "pid") == field_number(status, "pid");
	const json_t *service, *tier, *server;
	json_t *list = json_array();
	size_t i, k, n;

	json_array_foreach (json_object_get(status, "services"), i, service)
		json_array_foreach (json_object_get(service, "tiers"), k, tier)
			json_array_foreach (tier_servers(tier), n, server) {
				if (json_array_append_new(list,
							  rates_row(same ? earlier : NULL, service,
								    tier, server, seconds))) {
					json_decref(list);
					return NULL;
				}
			}
	return list;
}

static double service_rate(const json_t *was, const json_t *is, const char *const *reasons,
			   double seconds)
{
	long long n = 0;

	for (; *reasons; reasons++)
		n += field_number(json_object_get(is, "drops"), *reasons) -
		     field_number(json_object_get(was, "drops"), *reasons);
	return n > 0 ? (double)n / seconds : 0;
}

static long long table_sum(const json_t *service, const char *key)
{
	const json_t *tier, *server;
	long long n = 0;
	size_t i, k;

	json_array_foreach (json_object_get(service, "tiers"), i, tier)
		json_array_foreach (tier_servers(tier), k, server)
			n += field_number(json_object_get(server, "flow_table"), key);
	return n;
}

static double table_rate(const json_t *was, const json_t *is, const char *key, double seconds)
{
	long long n = table_sum(is, key) - table_sum(was, key);

	return n > 0 ? (double)n / seconds : 0;
}

json_t *rates_of_attack(const json_t *earlier, const json_t *status, const json_t *service,
			double seconds)
{
	static const char *const denied[] = {"denied", NULL}, *const limited[] = {"syn_limit",
										  NULL};
	static const char *const forged[] = {"martian", "flags", "malformed", NULL};
	const json_t *was =
		named(json_object_get(earlier, "services"), "name", field_text(service, "name"));

	if (!was || seconds <= 0 || field_number(earlier, "pid") != field_number(status, "pid"))
		return json_object();
	return json_pack("{s:f, s:f, s:f, s:f, s:f}", "denied_per_s",
			 service_rate(was, service, denied, seconds), "limited_per_s",
			 service_rate(was, service, limited, seconds), "impossible_per_s",
			 service_rate(was, service, forged, seconds), "evicted_per_s",
			 table_rate(was, service, "evicted", seconds), "stray_per_s",
			 table_rate(was, service, "misses", seconds));
}
