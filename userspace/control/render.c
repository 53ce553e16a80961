/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JSON of `show status`: every key is always there, with null for unknown values. Text that is not UTF-8 is
 * escaped; times outside the calendar are null.
 */
#include "control/render.h"
#include "core/diagnosis.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include "util/log.h"

static const char *const forward_names[] = {[FORWARD_L2] = "l2", [FORWARD_IPIP] = "ipip"};

static const char *const nexthop_names[] = {
	[NEXTHOP_UNRESOLVED] = "unresolved",
	[NEXTHOP_RESOLVED] = "resolved",
	[NEXTHOP_FAILED] = "failed",
};

static json_t *json_hex(const uint8_t *bytes, size_t len)
{
	char text[2 * 32 + 1];

	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return json_string(text);
}

static json_t *json_address(const struct addr *a)
{
	char text[ADDR_TEXT_SIZE];

	return json_string(addr_text(a, text));
}

static json_t *json_days_left(int64_t not_after_s, int64_t now_wall_ms)
{
	if (not_after_s < 0 || not_after_s > RENDER_TIME_MAX_S)
		return json_null();
	return json_integer(model_days_left(not_after_s, now_wall_ms));
}

static json_t *json_last_probe(const struct server *b)
{
	const struct probe_result *r = &b->last;

	if (!b->last_wall_ms)
		return json_null();
	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I}", "at",
			 render_json_time(b->last_wall_ms), "stage", stage_name(r->stage),
			 "connect_ms", (json_int_t)r->connect_ms, "greeting_ms",
			 (json_int_t)r->greeting_ms, "tls_ms", (json_int_t)r->tls_ms, "total_ms",
			 (json_int_t)r->total_ms, "cpu_ms", (json_int_t)r->cpu_ms);
}

static json_t *json_names(const struct tls_info *tls)
{
	json_t *names = json_array();

	for (unsigned i = 0; i < tls->n_names && i < TLS_NAMES_MAX; i++)
		names = render_json_append(names, render_json_text(tls->names[i]));
	return names;
}

static json_t *json_tls(const struct server *b, int64_t now_wall_ms)
{
	const struct tls_info *tls = &b->last.tls;
	bool sane = tls->not_after >= 0 && tls->not_after <= RENDER_TIME_MAX_S;

	if (!b->last_wall_ms || !tls->version[0])
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
			 render_json_text(tls->version), "cipher", render_json_text(tls->cipher),
			 "subject", render_json_text(tls->subject), "issuer",
			 render_json_text(tls->issuer), "names", json_names(tls), "not_after",
			 sane ? render_json_time(tls->not_after * 1000) : json_null(), "days_left",
			 json_days_left(tls->not_after, now_wall_ms), "sha1",
			 json_hex(tls->sha1, sizeof(tls->sha1)), "spki_sha256",
			 json_hex(tls->spki_sha256, sizeof(tls->spki_sha256)));
}

static json_t *json_neighbour(const struct nexthop *nh)
{
	char mac[ADDR_TEXT_SIZE];

	return json_pack("{s:s, s:o, s:b}", "state", nexthop_names[nh->state], "mac",
			 nh->has_mac ? json_string(addr_mac_text(&nh->mac, mac)) : json_null(),
			 "routed", nh->routed);
}

/* null: none. */
static json_t *json_tunnel(const struct server *b)
{
	const struct nexthop *nh = &b->nexthop;

	if (b->conf.forward != FORWARD_IPIP)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "source",
			 addr_is_zero(&nh->source) ? json_null() : json_address(&nh->source),
			 "target", json_address(&b->conf.address), "mtu",
			 nh->mtu ? json_integer(nh->mtu) : json_null());
}

const char *render_reason(const struct server *b)
{
	bool same = b->last_wall_ms && b->last.reason == b->health.reason;

	return same && b->last.text[0] ? b->last.text : reason_text(b->health.reason);
}

static json_t *json_flow_table(const struct traffic *t)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "misses", (json_int_t)t->misses,
			 "retransmits", (json_int_t)t->retransmits, "promoted",
			 (json_int_t)t->promoted, "evicted", (json_int_t)t->evicted, "unplaced",
			 (json_int_t)t->unplaced, "without_data", (json_int_t)t->empty);
}

/* null: there is none. */
static json_t *json_warning(const struct warning *w)
{
	if (!w->reason)
		return json_null();
	return json_pack("{s:s, s:o, s:s, s:o}", "reason", reason_name(w->reason), "text",
			 render_json_text(w->text), "meaning", reason_text(w->reason), "since",
			 render_json_time(w->since_wall_ms));
}

/* null: no override. */
static json_t *json_order(const struct order *o)
{
	if (!o->who[0])
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "who", render_json_text(o->who), "since",
			 render_json_time(o->since_wall_ms), "until",
			 render_json_time(o->until_wall_ms));
}

/* null: none. */
static json_t *json_forced(const struct service *s)
{
	json_t *json = s->has_forced ? json_order(&s->order) : json_null();

	if (s->has_forced)
		json_object_set_new(json, "tier", json_integer(s->forced));
	return json;
}

/* {"up": n, ...} */
static json_t *json_by_name(const uint64_t *counts, unsigned n, const char *(*name)(unsigned))
{
	json_t *json = json_object();

	for (unsigned i = 0; i < n; i++)
		json_object_set_new(json, name(i), json_integer((json_int_t)counts[i]));
	return json;
}

static const char *verdict_name_of(unsigned i)
{
	return verdict_name(i);
}

static const char *state_name_of(unsigned i)
{
	return service_state_name(i);
}

static json_int_t render_seconds(uint64_t ms)
{
	return (json_int_t)(ms / 1000);
}

static json_t *json_server_counts(const struct server_tally *t, struct now now)
{
	return json_pack("{s:o, s:I, s:o, s:I, s:I, s:I, s:I}", "probes",
			 json_by_name(t->results, VERDICT_COUNT, verdict_name_of), "failed_up",
			 (json_int_t)t->failed_up, "became",
			 json_by_name(t->became, VERDICT_COUNT, verdict_name_of), "rises",
			 (json_int_t)t->rises, "falls", (json_int_t)t->falls, "down_s",
			 render_seconds(downtime_ms(&t->down, now.mono_ms)), "changed_s",
			 render_seconds(tally_age_ms(t->changed_ms, now.mono_ms)));
}

static json_t *json_service_counts(const struct service_tally *t, struct now now)
{
	return json_pack("{s:o, s:I, s:I, s:I}", "became",
			 json_by_name(t->became, SERVICE_STATE_COUNT, state_name_of),
			 "tier_switches", (json_int_t)t->tier_switches, "down_s",
			 render_seconds(downtime_ms(&t->down, now.mono_ms)), "changed_s",
			 render_seconds(tally_age_ms(t->changed_ms, now.mono_ms)));
}

static json_t *render_json_server(const struct server *b, enum tls_policy policy, struct now now)
{
	enum reason reason = b->health.reason;
	json_t *json = json_pack(
		"{s:o, s:o, s:s, s:i, s:s, s:s, s:s, s:o, s:s, s:o, s:b, s:i}", "name",
		render_json_text(b->conf.name), "address", json_address(&b->conf.address),
		"forward", forward_names[b->conf.forward], "weight", b->weight, "verdict",
		verdict_name(b->health.verdict), "admin", admin_state_name(b->admin), "reason",
		reason_name(reason), "text", render_json_text(render_reason(b)), "exo_code",
		reason_exo_code(reason, policy), "since", render_json_time(b->since_wall_ms),
		"in_ring", b->in_ring, "configured_weight", b->conf.weight);
	json_t *more = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:o}", "warning",
		json_warning(&b->warning), "admin_order", json_order(&b->order), "last_probe",
		json_last_probe(b), "tls", json_tls(b, now.wall_ms), "neighbour",
		json_neighbour(&b->nexthop), "tunnel", json_tunnel(b), "flows",
		(json_int_t)b->traffic.flows, "new", (json_int_t)b->traffic.new_flows, "packets",
		(json_int_t)b->traffic.packets, "bytes", (json_int_t)b->traffic.bytes, "flow_table",
		json_flow_table(&b->traffic), "counts", json_server_counts(&b->tally, now));

	if (json_object_update(json, more)) {
		json_decref(json);
		json = NULL;
	}
	json_decref(more);
	return json;
}

/* Servers are in order of preference: a tier is a run of them, from `first`. */
static json_t *json_tier(const struct service *s, unsigned first, unsigned *next, struct now now)
{
	uint16_t preference = s->servers[first].conf.preference;
	json_t *servers = json_array();
	unsigned i, up = 0;

	for (i = first; i < s->n_servers && s->servers[i].conf.preference == preference; i++) {
		up += s->servers[i].health.verdict == VERDICT_UP;
		servers = render_json_append(
			servers, render_json_server(&s->servers[i], config_policy(&s->probe), now));
	}
	*next = i;
	return json_pack("{s:i, s:b, s:i, s:o}", "preference", preference, "active",
			 s->tier.has_active && s->tier.active == preference, "up", up, "backends",
			 servers);
}

/* NULL counts as zeros: the reasons are listed in any case. */
static json_t *json_counters(const uint64_t *counters, unsigned first, unsigned end)
{
	json_t *json = json_object();

	for (unsigned i = first; i < end; i++)
		json_object_set_new(json, render_counter(i),
				    json_integer(counters ? (json_int_t)counters[i] : 0));
	return json;
}

/* Clients that were turned away; of packets to a VIP that name no service (id MXLB_MAX_SERVICES), too. */
static json_t *json_rejected(const struct control_info *info, uint32_t id, struct now now)
{
	static const struct rejected_summary none;
	const struct rejected_summary *s =
		info->rejected && id <= MXLB_MAX_SERVICES ? &info->rejected[id] : &none;
	json_t *json = json_object(), *clients = json_object(), *last = json_null();
	char client[ADDR_TEXT_SIZE];

	for (unsigned i = 0; i < REJECTED_KINDS; i++) {
		const char *name = rejected_kind_name(i);

		json_object_set_new(json, name, json_integer((json_int_t)s->packets[i]));
		json_object_set_new(clients, name, json_integer(s->clients[i]));
	}
	json_object_set_new(clients, "would_deny", json_integer(s->would_deny));
	if (s->last.packets)
		last = json_pack("{s:s, s:s, s:o}", "client", addr_text(&s->last.client, client),
				 "reason", render_counter(s->last.counter), "at",
				 render_json_time(now.wall_ms - (int64_t)s->last.age_ms));
	json_object_set_new(json, "clients", clients);
	json_object_set_new(json, "last", last);
	return json;
}

/* Who may connect. null: everyone. */
static json_t *json_allow(const struct service *s, const struct control_info *info)
{
	int64_t at = info->allow_changed_wall_ms ? info->allow_changed_wall_ms[s->id] : 0;
	bool file = s->conf.allow_file[0];

	if (!s->conf.n_allow)
		return json_null();
	return json_pack("{s:s, s:I, s:o, s:o, s:o}", "mode",
			 s->conf.allow_mode == ALLOW_OBSERVE ? "observe" : "enforce", "prefixes",
			 (json_int_t)s->conf.n_allow, "file",
			 file ? render_json_text(s->conf.allow_file) : json_null(), "file_prefixes",
			 file ? json_integer((json_int_t)s->conf.n_from_file) : json_null(),
			 "file_changed", file ? render_json_time(at) : json_null());
}

static json_t *json_service(const struct service *s, const struct control_info *info,
			    struct now now)
{
	const uint64_t *drops = NULL;
	json_t *tiers = json_array();

	if (info->service_drops && s->id < MXLB_MAX_SERVICES)
		drops = info->service_drops[s->id];
	for (unsigned i = 0; i < s->n_servers;)
		tiers = render_json_append(tiers, json_tier(s, i, &i, now));
	return json_pack(
		"{s:o, s:o, s:o, s:i, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}",
		"rejected", json_rejected(info, s->id, now), "name", render_json_text(s->conf.name),
		"address", json_address(&s->conf.address), "port", s->conf.port, "state",
		service_state_name(s->tier.state), "active_tier",
		s->tier.has_active ? json_integer(s->tier.active) : json_null(), "forced",
		json_forced(s), "failback", s->conf.failback == FAILBACK_MANUAL ? "manual" : "auto",
		"held_back",
		s->tier.n_held ? json_integer(s->tier.held[0].preference) : json_null(), "tiers",
		tiers, "drops", json_counters(drops, 0, MXLB_COUNT_DROPS), "counts",
		json_service_counts(&s->tally, now), "allow", json_allow(s, info), "digest",
		info->service_digests && info->service_digests[s->id][0]
			? json_string(info->service_digests[s->id])
			: json_null());
}

static json_t *json_config(const struct control_info *info)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:I}", "file", render_json_text(info->config_file),
			 "loaded_at", render_json_time(info->config_loaded_wall_ms), "last_error",
			 render_json_text(info->config_last_error), "reloads_ok",
			 (json_int_t)info->reloads_ok, "reloads_failed",
			 (json_int_t)info->reloads_failed);
}

static json_t *json_probing(const struct control_info *info)
{
	return json_pack("{s:I, s:I, s:I, s:i, s:i, s:i}", "begun", (json_int_t)info->probes,
			 "hinted", (json_int_t)info->probes_hinted, "child_restarts",
			 (json_int_t)info->probe_child_restarts, "late_p50_ms",
			 info->probe_late_p50_ms, "late_p99_ms", info->probe_late_p99_ms,
			 "late_max_ms", info->probe_late_max_ms);
}

/* The box's counters of packets that were not forwarded. */
static json_t *json_fates(const uint64_t *counters)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "drops",
			 json_counters(counters, 0, MXLB_COUNT_DROPS), "passes",
			 json_counters(counters, MXLB_COUNT_DROPS, MXLB_COUNT_PASSES), "answers",
			 json_counters(counters, MXLB_COUNT_PASSES, MXLB_COUNT_FATES), "notes",
			 json_counters(counters, MXLB_COUNT_FATES, MXLB_COUNT_COUNT));
}

static json_t *json_interfaces(const struct config *c, const struct control_info *info)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < c->n_interfaces; i++)
		list = render_json_append(
			list, json_pack("{s:s, s:s?, s:s?}", "name", c->interfaces[i].name, "xdp",
					info->xdp_mode[i], "sight", info->sight[i]));
	return list;
}

/* Problems of this box. */
static json_t *json_problems(const struct problems *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < p->n; i++)
		list = render_json_append(
			list,
			json_pack("{s:s, s:o, s:b, s:o, s:o}", "name", p->list[i].name, "service",
				  render_json_text(p->list[i].about), "critical",
				  p->list[i].critical, "text", render_json_text(p->list[i].text),
				  "since", render_json_time(p->list[i].since_wall_ms)));
	return list;
}

/* The findings of diagnosis.c. NULL: no memory. */
static json_t *json_diagnosis(const struct model *m, const struct control_info *info,
			      struct now now)
{
	const struct diagnosis_box box = {.last_error = info->config_last_error,
					  .xdp_modes = info->xdp_mode,
					  .allow_changed_wall_ms = info->allow_changed_wall_ms,
					  .now_wall_ms = now.wall_ms,
					  .rejected = info->rejected,
					  .zones = info->zones,
					  .stopped = info->stopped};
	struct diagnosis *d = malloc(sizeof(*d));
	json_t *list = json_array();

	if (d)
		diagnose(m, &box, d);
	for (unsigned i = 0; d && i < d->n; i++) {
		const struct finding *f = &d->list[i];

		list = render_json_append(list,
					  json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "level",
						    finding_level_name(f->level), "code", f->code,
						    "service", render_json_text(f->service),
						    "server", render_json_text(f->server), "text",
						    render_json_text(f->text), "next",
						    render_json_text(f->next)));
	}
	free(d);
	return list;
}

#define BOTH_NAMES_MAX 1000 /* servers; more of them twice would exceed the limit of a reply */

/* "servers" is "backends" by its new name; the earlier one, here and in other documents, stays for one release. */
static void add_servers(json_t *services)
{
	json_t *service, *tier;
	size_t i, k;

	json_array_foreach (services, i, service)
		json_array_foreach (json_object_get(service, "tiers"), k, tier)
			json_object_set(tier, "servers", json_object_get(tier, "backends"));
}

int render_status(const struct model *m, const struct control_info *info, struct now now,
		  struct buf *out)
{
	json_t *services = json_array(), *json, *fates = json_fates(info->counters);
	struct utsname host = {.nodename = "localhost"};
	unsigned n_servers = 0;
	int rc;

	uname(&host);
	for (unsigned i = 0; i < m->n_services; i++) {
		json_t *service = json_service(&m->services[i], info, now);

		json_object_set_new(service, "zone", render_zone(m, info, i));
		services = render_json_append(services, service);
		n_servers += m->services[i].n_servers;
	}
	if (n_servers <= BOTH_NAMES_MAX)
		add_servers(services);
	json = json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
			 render_json_text(info->version), "build", render_json_text(info->build),
			 "node", render_json_text(host.nodename), "pid", (json_int_t)info->pid,
			 "uptime_s", (json_int_t)info->uptime_s, "time",
			 render_json_time(now.wall_ms), "config", json_config(info), "interfaces",
			 json_interfaces(m->config, info), "probing", json_probing(info), "ha",
			 render_role(m, info), "services", services);
	json_object_set_new(json, "running", json_boolean(!info->stopped));
	json_object_set_new(json, "as_of", render_json_time(info->as_of_wall_ms));
	json_object_set_new(json, "rejected", json_rejected(info, MXLB_MAX_SERVICES, now));
	json_object_set_new(json, "maps_changed", json_integer((json_int_t)info->maps_changed));
	json_object_set_new(json, "problems", json_problems(&m->problems));
	json_object_set_new(json, "diagnosis", json_diagnosis(m, info, now));
	json_object_set_new(json, "notify", render_notify(info->notify));
	if (json_object_update(json, fates)) {
		json_decref(json);
		json = NULL;
	}
	json_decref(fates);
	rc = render_json(json, out);
	buf_append(out, "\n", 1);
	return rc;
}
