// SPDX-License-Identifier: BSD-2-Clause
/*
 * What mxlbd has put into the system and other programs may remove (docs/operations.md lists it). The owner of each
 * thing notices and restores it; here this becomes events and problems, and is kept out of verdicts:
 *
 *   1. A probe whose path is wrong, or was wrong since it began, says nothing about its server: `local_error`,
 *      whatever it met. No probe is started while that is known.
 *   2. A VIP that is an address of this box is answered by this box, including probes. Mail still passes in XDP, but
 *      no server can be judged until the address is removed.
 *   3. Restoring is reported, at most once in ten seconds per kind, so that two programs that fight do not flood the
 *      log.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

#define LOOK_S		1.0
#define PUT_BACK_GAP_MS 10000

static const char *const names[OWN_KINDS] = {
	[OWN_RULES] = "policy rules of the probes (ip rule)",
	[OWN_ROUTES] = "routes of the probes",
	[OWN_NEIGHBOURS] = "neighbour entries of the probes",
	[OWN_TIMERS] = "neighbour timers (retrans_time_ms)",
	[OWN_GROUPS] = "multicast memberships of IPv6 VIPs",
	[OWN_FILTERS] = "filters of the probes (tc)",
};

/* Rule 3. */
static void put_back_put_back(struct daemon *d, enum own_kind kind, unsigned n)
{
	struct own_told *told = &d->own_told[kind];
	uint64_t now_ms = clock_now().mono_ms;
	struct event *e;

	told->n += n;
	if (!told->n || (told->at_ms && now_ms - told->at_ms < PUT_BACK_GAP_MS))
		return;
	e = daemon_event(d, EVENT_PUT_BACK);
	snprintf(e->to, sizeof(e->to), "%u", told->n);
	snprintf(e->cause, sizeof(e->cause), "%s: another program removed or changed them",
		 names[kind]);
	*told = (struct own_told){.at_ms = now_ms};
}

void on_put_back(void *ctx, enum own_kind kind, unsigned n)
{
	struct daemon *d = ctx;

	if (d->model && !d->detached)
		put_back_put_back(d, kind, n);
}

static void keep_filters(struct daemon *d)
{
	unsigned n = datapath_keep_probes_tunnelled(d->datapath);

	if (n)
		d->filters_gone_ms = clock_now().mono_ms;
	put_back_put_back(d, OWN_FILTERS, n);
}

void on_filter_gone(void *ctx)
{
	struct daemon *d = ctx;

	if (d->model && d->datapath && !d->detached)
		keep_filters(d);
}

void own_problem(struct daemon *d, const char *name, const char *about, bool critical,
		 const char *text)
{
	problem_set(&d->model->problems, &d->model->events, clock_now().wall_ms, name, about,
		    critical, text);
}

/* Rule 2. */
static void look_at_vip(struct daemon *d, const struct service_conf *s)
{
	bool local = false;
	char vip[ADDR_TEXT_SIZE], text[EVENT_TEXT_SIZE];

	if (netlink_is_local(d->netlink, &s->address, &local))
		return; /* it could not be asked */
	addr_text(&s->address, vip);
	snprintf(
		text, sizeof(text),
		"VIP %s has become an address of this box: mail still flows, but probes end here, so "
		"no server can be judged and a dead one is not detected; ip addr del %s/%d dev ...",
		vip, vip, addr_is_v4(&s->address) ? 32 : 128);
	own_problem(d, "vip_local", s->name, true, local ? text : NULL);
}

static void look_at_ways(struct daemon *d, const struct service *s)
{
	char text[EVENT_TEXT_SIZE];
	unsigned astray = 0, bare = 0;

	for (unsigned i = 0; i < s->n_servers; i++) {
		enum probe_way way = netlink_probe_way(d->netlink, s->servers[i].id, false, 0);

		astray += way == PROBE_WAY_ASTRAY;
		bare += way == PROBE_WAY_NO_ADDRESS;
	}
	own_problem(
		d, "no_address", s->conf.name, true,
		bare ? "the interface to its servers has lost its IPv6 address: mail still flows, "
		       "but no server can be probed; restore the address (ip -6 addr)"
		     : NULL);
	snprintf(
		text, sizeof(text),
		"the probes of %u servers do not arrive: a policy rule or route of another program "
		"precedes mxlb's (ip rule); set datapath.priority (%u) to a lower number, restart",
		astray, d->config->datapath.priority);
	own_problem(d, "probe_astray", s->conf.name, true, astray ? text : NULL);
}

static bool is_service(const struct daemon *d, const char *name)
{
	for (unsigned i = 0; i < d->model->n_services; i++)
		if (!strcmp(d->model->services[i].conf.name, name))
			return true;
	return false;
}

/* Ends the problems of services that a reload has removed. */
static void forget_removed(struct daemon *d)
{
	struct problems *p = &d->model->problems;

	for (unsigned i = p->n; i > 0; i--) {
		struct problem row = p->list[i - 1];

		if (row.about[0] && !is_service(d, row.about))
			own_problem(d, row.name, row.about, row.critical, NULL);
	}
}

static void look_at_names(struct daemon *d)
{
	char text[EVENT_TEXT_SIZE] = "";
	size_t at = 0;

	for (unsigned i = 0; i < d->config->n_interfaces && at < sizeof(text); i++) {
		const char *now = netlink_link(d->netlink, i)->renamed;
		int n = *now ? snprintf(text + at, sizeof(text) - at,
					"interface %s has been renamed to %s: ",
					d->config->interfaces[i].name, now)
			     : 0;

		at += n > 0 ? (size_t)n : 0;
	}
	if (at && at < sizeof(text))
		snprintf(
			text + at, sizeof(text) - at,
			"mail still flows, but the next start will not find it; rename it back, or "
			"correct interfaces: in %s",
			d->file);
	own_problem(d, "interface_renamed", "", true, at ? text : NULL);
}

/* Inputs of which an earlier state is in use. */
static void look_at_files(struct daemon *d)
{
	const char *bad = prober_bad_bundle(d->prober);
	char text[EVENT_TEXT_SIZE];

	if (prober_bundles_renewed(d->prober))
		conf_keep_copies(d->config);
	snprintf(text, sizeof(text),
		 "the CA file %s cannot be loaded; its last version is in use; correct the file: "
		 "mxlbd loads it by itself",
		 bad ?: "");
	own_problem(d, "ca_file", "", false, bad ? text : NULL);
	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service_conf *s = &d->model->services[i].conf;

		snprintf(
			text, sizeof(text),
			"allow-file %.80s is invalid: %.120s; its %u earlier prefixes are in force; "
			"correct it, then mxlbctl reload",
			s->allow_file, s->file_trouble, s->n_from_file);
		own_problem(d, "allow_file", s->name, false, s->file_trouble[0] ? text : NULL);
	}
}

/* When the allow-files were last written, or found unchanged and touched. */
static void look_at_allow_times(struct daemon *d)
{
	struct stat st;

	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service *s = &d->model->services[i];
		bool there = s->conf.allow_file[0] && !stat(s->conf.allow_file, &st);

		d->allow_changed_wall_ms[s->id] =
			there ? st.st_mtim.tv_sec * 1000LL + st.st_mtim.tv_nsec / 1000000 : 0;
	}
}

static void look_at_notify(struct daemon *d)
{
	const struct notify_state *s = messenger_state(d->messenger);
	char text[EVENT_TEXT_SIZE], program[CONFIG_COMMAND_SIZE];

	snprintf(program, sizeof(program), "%s", s->command);
	program[strcspn(program, " ")] = '\0';

	snprintf(text, sizeof(text),
		 "%.80s failed: %.150s; no event is reported: correct it, then mxlbctl "
		 "notify-test",
		 program, s->last);
	own_problem(d, "notify", "", false, s->last_failed ? text : NULL);
}

static void look_at_pins(struct daemon *d)
{
	const char *trouble = datapath_pins_trouble(d->datapath);
	char text[EVENT_TEXT_SIZE];

	snprintf(
		text, sizeof(text),
		"%s; systemctl start sys-fs-bpf-mxlb.mount (or mount %.80s), then restart mxlbd at a "
		"quiet time",
		trouble ?: "", d->config->datapath.pin);
	own_problem(d, "pins", "", true, trouble ? text : NULL);
}

static void put_back_look(struct daemon *d)
{
	look_at_pins(d);
	look_at_files(d);
	look_at_names(d);
	look_at_notify(d);
	look_at_allow_times(d);
	forget_removed(d);
	for (unsigned i = 0; i < d->model->n_services; i++) {
		look_at_vip(d, &d->model->services[i].conf);
		look_at_ways(d, &d->model->services[i]);
	}
}

void on_address(void *ctx)
{
	struct daemon *d = ctx;

	if (!d->model || d->detached)
		return;
	put_back_look(d);
	zones_addresses_changed(d);
}

static void keep_and_report(struct daemon *d)
{
	keep_filters(d);
	put_back_look(d);
	for (int kind = 0; kind < OWN_KINDS; kind++)
		put_back_put_back(d, (enum own_kind)kind, 0);
}

void own_start(struct daemon *d)
{
	conf_keep_copies(d->config);
	put_back_look(d);
	periodic_start(&d->own, d, keep_and_report, LOOK_S);
}

/* Rule 1. */
const char *own_probe_trouble(struct daemon *d, const struct service *s, const struct server *b,
			      bool look, uint64_t since_ms)
{
	enum probe_way way;

	if (s->probe.target != PROBE_TARGET_VIP)
		return NULL;
	way = netlink_probe_way(d->netlink, b->id, look, since_ms);
	if (way == PROBE_WAY_VIP_LOCAL)
		return "the VIP is an address of this box, which answers the probe itself";
	if (way == PROBE_WAY_ASTRAY)
		return "another policy rule or route precedes the probe's: ip rule";
	if (way == PROBE_WAY_NO_ADDRESS)
		return "the interface has no IPv6 address, so this box cannot resolve next hops";
	if (way == PROBE_WAY_DISTURBED)
		return "another program removed the probe's rule, route or neighbour; it is restored";
	if (b->conf.forward == FORWARD_IPIP && since_ms && d->filters_gone_ms >= since_ms)
		return "another program removed the filter that puts the probe into its tunnel";
	return NULL;
}
