// SPDX-License-Identifier: BSD-2-Clause
/* The servers and records from DNS that a configuration has before it comes into force. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/zones_parts.h"
#include "util/log.h"
#include "zone/zone_store.h"

unsigned zones_room_for(const struct config *c, unsigned service)
{
	unsigned used = 0;

	for (unsigned i = 0; i < c->n_services; i++)
		used += i == service ? 0 : c->services[i].n_servers;
	return used < MXLB_MAX_SERVERS - 1 ? MXLB_MAX_SERVERS - 1 - used : 0;
}

int zones_set_servers(struct service_conf *s, const struct server_conf *list, unsigned n)
{
	struct server_conf *copy = malloc((n + 1) * sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, list, n * sizeof(*copy));
	free(s->servers);
	s->servers = copy;
	s->n_servers = n;
	return 0;
}

static const struct service_conf *running_service(const struct daemon *d, const char *name)
{
	for (unsigned i = 0; d->model && i < d->config->n_services; i++)
		if (!strcmp(d->config->services[i].name, name))
			return &d->config->services[i];
	return NULL;
}

/* Servers that are not from an answer are checked as one is: VIPs and this box's addresses may be others by now. */
static void leave_out_unusable(struct service_conf *s, const struct zone_box *box,
			       struct buf *left_out)
{
	char text[ADDR_TEXT_SIZE];
	unsigned kept = 0;

	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server_conf *b = &s->servers[i];
		const char *why = zone_unusable(box, &b->address);

		if (why)
			buf_printf(left_out,
				   "service=%s server=%s error=\"its address is %s, %s\"\n",
				   s->name, b->name, addr_text(&b->address, text), why);
		else
			s->servers[kept++] = *b;
	}
	s->n_servers = kept;
}

/* The entry's map is of the configuration in force, so this one's is the draft's until it is committed. */
static int fill_service(struct daemon *d, struct config *c, unsigned i, struct zones_draft *draft,
			const struct zone_box *box)
{
	struct zone_entry *e = draft->entries[i];
	struct service_conf *s = &c->services[i];
	const struct service_conf *was = running_service(d, s->name);
	const struct zone_box vips = {.vips = box->vips, .n_vips = box->n_vips};
	int err = 0;

	if (e->zone.has_set) {
		draft->maps[i] = calloc(1, sizeof(*draft->maps[i]));
		draft->sets[i] = malloc(sizeof(*draft->sets[i]));
		if (!draft->maps[i] || !draft->sets[i])
			return -ENOMEM;
		*draft->sets[i] = e->zone.in_force;
		zone_servers(draft->sets[i], s, box, zones_room_for(c, i), draft->maps[i]);
		if (draft->maps[i]->n)
			return zones_set_servers(s, draft->maps[i]->servers, draft->maps[i]->n);
	}
	/*
	 * Rule 3, and servers in force are not given up for a set that gives none, nor for an address that this box has
	 * by mistake.
	 */
	if (was && was != s && addr_equal(&was->address, &s->address)) {
		err = zones_set_servers(s, was->servers, was->n_servers);
		box = &vips;
	} else if (!d->model && !e->zone.has_set && e->map.n <= zones_room_for(c, i)) {
		err = zones_set_servers(s, e->map.servers, e->map.n); /* of the last run */
	}
	if (!err)
		leave_out_unusable(s, box, &draft->left_out);
	return err;
}

static void fill_probe(struct probe_conf *p, const struct tlsa_entry *e)
{
	memcpy(p->cert.tlsa, e->set.list, sizeof(p->cert.tlsa));
	p->cert.n_tlsa = e->set.n;
}

static struct zone_entry *find_entry(const struct daemon *d, const struct service_conf *s)
{
	for (unsigned i = 0; d->zones && i < MXLB_MAX_SERVICES; i++) {
		struct zone_entry *e = d->zones->entries[i];

		if (e && !strcmp(e->service, s->name) && !strcmp(e->mx, s->zone.mx))
			return e;
	}
	return NULL;
}

static struct zone_entry *make_entry(struct daemon *d, const struct service_conf *s)
{
	struct zone_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->daemon = d;
	snprintf(e->service, sizeof(e->service), "%s", s->name);
	snprintf(e->mx, sizeof(e->mx), "%s", s->zone.mx);
	e->zone.state = ZONE_KEPT;
	snprintf(e->zone.why, sizeof(e->zone.why), "no answer since the start");
	store_read_zone(e->service, e->mx, &s->address, clock_now().mono_ms, &e->zone, &e->map);
	return e;
}

static uint16_t port_of(const struct config *c, unsigned probe)
{
	for (unsigned i = 0; i < c->n_services; i++)
		if (c->services[i].probe == probe)
			return c->services[i].port;
	return 25;
}

static struct tlsa_entry *find_tlsa(const struct daemon *d, const char *probe, const char *name)
{
	for (unsigned i = 0; d->zones && i < CONFIG_MAX_PROBES; i++) {
		struct tlsa_entry *e = d->zones->tlsa[i];

		if (e && !strcmp(e->probe, probe) && !strcmp(e->name, name))
			return e;
	}
	return NULL;
}

static struct tlsa_entry *make_tlsa(struct daemon *d, const char *probe, const char *name)
{
	struct tlsa_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->daemon = d;
	snprintf(e->probe, sizeof(e->probe), "%s", probe);
	snprintf(e->name, sizeof(e->name), "%s", name);
	e->set.state = TLSASET_KEPT;
	snprintf(e->set.why, sizeof(e->set.why), "no answer since the start");
	store_read_tlsa(e->probe, e->name, &e->set);
	return e;
}

static int draft_service(struct daemon *d, struct config *c, unsigned i, struct zones_draft *draft,
			 const struct zone_box *box)
{
	const struct service_conf *s = &c->services[i];

	if (!s->zone.mx[0])
		return 0;
	draft->entries[i] = find_entry(d, s);
	draft->new_entry[i] = !draft->entries[i];
	if (!draft->entries[i])
		draft->entries[i] = make_entry(d, s);
	return draft->entries[i] ? fill_service(d, c, i, draft, box) : -ENOMEM;
}

static int draft_probe(struct daemon *d, struct config *c, unsigned i, struct zones_draft *draft)
{
	struct probe_conf *p = &c->probes[i];
	char name[DNS_NAME_SIZE + 16];

	if (!p->tlsa_name[0])
		return 0;
	snprintf(name, sizeof(name), "_%u._tcp.%.253s", port_of(c, i), p->tlsa_name);
	draft->tlsa[i] = find_tlsa(d, p->name, name);
	draft->new_tlsa[i] = !draft->tlsa[i];
	if (!draft->tlsa[i])
		draft->tlsa[i] = make_tlsa(d, p->name, name);
	if (!draft->tlsa[i])
		return -ENOMEM;
	fill_probe(p, draft->tlsa[i]);
	return 0;
}

int zones_draft(struct daemon *d, struct config *config, struct zones_draft **out)
{
	struct zones_draft *draft = calloc(1, sizeof(*draft));
	struct zone_box *box = NULL;
	int err = draft ? 0 : -ENOMEM;

	if (!err && config_needs_dns(config))
		err = zone_box_make(config, d->zones ? &d->zones->seen : NULL, &box);
	for (unsigned i = 0; i < config->n_services && !err; i++)
		err = draft_service(d, config, i, draft, box);
	for (unsigned i = 0; i < config->n_probes && !err; i++)
		err = draft_probe(d, config, i, draft);
	zone_box_free(box);
	if (err) {
		zones_drop(draft);
		draft = NULL;
	}
	*out = draft;
	return err;
}

void zones_log_left_out(const struct zones_draft *draft)
{
	const char *line = draft->left_out.data;

	for (size_t len; line && *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		log_warn("event=zone_server_left_out %.*s", (int)len, line);
	}
}

void zones_drop(struct zones_draft *draft)
{
	for (unsigned i = 0; draft && i < MXLB_MAX_SERVICES; i++)
		if (draft->new_entry[i])
			free(draft->entries[i]);
	for (unsigned i = 0; draft && i < CONFIG_MAX_PROBES; i++)
		if (draft->new_tlsa[i])
			free(draft->tlsa[i]);
	for (unsigned i = 0; draft && i < MXLB_MAX_SERVICES; i++) {
		free(draft->maps[i]);
		free(draft->sets[i]);
	}
	if (draft)
		buf_free(&draft->left_out);
	free(draft);
}
