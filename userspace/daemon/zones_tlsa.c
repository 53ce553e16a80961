// SPDX-License-Identifier: BSD-2-Clause
/* The TLSA records of a probe's tlsa-name: lookups, events, and what comes into force. Decisions: core/tlsaset.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/zone_finding.h"
#include "daemon/zones_parts.h"
#include "util/clock.h"
#include "zone/zone_store.h"

/* Of the servers of the best tier. was: also if none is known. */
static bool is_unmatched(const struct daemon *d, const struct tlsa_entry *e, bool was)
{
	struct tlsaset_tally tally = {0};

	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service *s = &d->model->services[i];

		for (unsigned k = 0; k < s->n_servers && !strcmp(s->probe.name, e->probe); k++) {
			const struct server *b = &s->servers[k];

			if (b->conf.preference != s->servers[0].conf.preference)
				break;
			tlsaset_count(&tally, tlsaset_judge(&e->set, &b->last, b->last_ms),
				      b->health.verdict == VERDICT_UP);
		}
	}
	return tlsaset_unmatched(&tally, was);
}

/* "": none has this probe. */
static const char *service_with(const struct daemon *d, const char *probe)
{
	for (unsigned i = 0; i < d->config->n_services; i++)
		if (!strcmp(d->config->probes[d->config->services[i].probe].name, probe))
			return d->config->services[i].name;
	return "";
}

static void tell_tlsa(struct daemon *d, const struct tlsa_entry *e, enum tlsaset_state was)
{
	struct event *ev = daemon_event(d, EVENT_TLSA);
	char cause[1024], next[FINDING_NEXT_SIZE];

	snprintf(ev->from, sizeof(ev->from), "%s", tlsaset_state_name(was));
	snprintf(ev->to, sizeof(ev->to), "%s", tlsaset_state_name(e->set.state));
	if (e->unmatched || e->set.warn)
		snprintf(ev->reason, sizeof(ev->reason), "%s",
			 e->unmatched ? "unmatched" : "unusable");
	tlsa_next_step(&e->set, e->unmatched, service_with(d, e->probe), next);
	snprintf(cause, sizeof(cause), "probe %s: %s: %u records in force%s%.*s%s%s%s", e->probe,
		 e->name, e->set.n, *e->set.why ? "; " : "", zone_cause_len(e->set.why), e->set.why,
		 e->unmatched ? "; no server of the best tier has a key that matches" : "",
		 *next ? "; " : "", next);
	snprintf(ev->cause, sizeof(ev->cause), "%.*s", (int)sizeof(ev->cause) - 1, cause);
}

static bool same_records(const struct probe_conf *p, const struct tlsaset *s)
{
	return p->cert.n_tlsa == s->n && !memcmp(p->cert.tlsa, s->list, s->n * sizeof(*s->list));
}

static void apply_tlsa(struct daemon *d, const struct tlsa_entry *e)
{
	for (unsigned i = 0; i < d->config->n_probes; i++)
		if (!strcmp(d->config->probes[i].name, e->probe) &&
		    !same_records(&d->config->probes[i], &e->set)) {
			zones_bring_into_force(d, "zone");
			return;
		}
}

static void on_tlsa(void *ctx, const struct dns_answer *a, const char *why)
{
	struct tlsa_entry *e = ctx;
	struct daemon *d = e->daemon;
	enum tlsaset_state was = e->set.state;
	bool unmatched = e->unmatched, changed;

	e->asked = false;
	if (e->orphan) {
		free(e);
		return;
	}
	changed = tlsaset_answered(&e->set, a, why,
				   &(struct tlsaset_view){.dns = &d->config->dns,
							  .now_ms = clock_now().mono_ms,
							  .wall_ms = clock_now().wall_ms,
							  .random = zones_chance()});
	e->unmatched = is_unmatched(d, e, !changed && unmatched);
	if (changed || e->unmatched != unmatched)
		tell_tlsa(d, e, was);
	if (e->set.state != TLSASET_KEPT)
		store_tlsa(e->probe, e->name, &e->set);
	apply_tlsa(d, e);
	zones_schedule(d);
}

void zones_probed(struct daemon *d, const char *probe)
{
	for (unsigned i = 0; d->zones && i < CONFIG_MAX_PROBES; i++) {
		struct tlsa_entry *e = d->zones->tlsa[i];
		bool unmatched;

		if (!e || strcmp(e->probe, probe))
			continue;
		unmatched = is_unmatched(d, e, e->unmatched);
		if (unmatched == e->unmatched)
			continue;
		e->unmatched = unmatched;
		tell_tlsa(d, e, e->set.state);
		daemon_changed(d);
	}
}

void zones_look_up_tlsa(struct daemon *d, struct tlsa_entry *e)
{
	e->asked = !resolver_ask(d->zones->resolver, e->name, DNS_TLSA, on_tlsa, e);
	if (!e->asked)
		e->set.due_ms = clock_now().mono_ms + d->config->dns.refresh_min_ms;
}
