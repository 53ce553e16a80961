/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Warnings: what is allowed but probably not intended. Asks the system only about the configuration's own file and the
 * notify program.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "conf/schema.h"

static void warn_listen(struct tree *t, const struct config *c)
{
	struct path control = {NULL, "control"}, http = {&control, "http"};
	const struct addr *a = &c->control.http.address;
	static const struct addr any6;
	struct addr any4;

	addr_parse("0.0.0.0", &any4);
	if (c->control.http.port && (addr_equal(a, &any4) || addr_equal(a, &any6)))
		tree_warn(
			t, &http,
			"everyone who can reach this box can read the status page: write 127.0.0.1 or a "
			"management address, or restrict the port by a firewall");
}

static void warn_notify(struct tree *t, const struct config *c)
{
	struct path notify = {NULL, "notify"};
	size_t len = strcspn(c->notify, " \t");
	char program[sizeof(c->notify)];
	struct stat st;

	if (!len || !tree_is_sound(t, &notify))
		return;
	snprintf(program, sizeof(program), "%.*s", (int)len, c->notify);
	if (stat(program, &st))
		tree_warn(t, &notify, "%s: %s: no event will be reported", program,
			  strerror(errno));
	else if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		tree_warn(t, &notify, "%s is not an executable file: no event will be reported",
			  program);
}

/* With the key everyone can compute which source address and port reaches which server. */
static void warn_secret(struct tree *t, const struct config *c)
{
	struct path datapath = {NULL, "datapath"}, key = {&datapath, "hash-key"};
	struct stat st;

	if (c->datapath.hash_key[0] && !stat(c->file, &st) && S_ISREG(st.st_mode) &&
	    (st.st_mode & S_IROTH))
		tree_warn(t, &key,
			  "a secret in a file that everyone can read: chmod 640 and chgrp mxlb, or "
			  "leave it empty for a key that is made at the first start");
}

static void warn_helo(struct tree *t, const struct probe_conf *c)
{
	struct path probes = {NULL, "probes"}, probe = {&probes, c->name}, helo = {&probe, "helo"};

	if (tree_get(t, &helo) && tree_is_sound(t, &helo) && c->helo[0] && c->helo[0] != '[' &&
	    !strchr(c->helo, '.'))
		tree_warn(
			t, &helo,
			"%s has no dot: many servers accept only a full name like mail.example.net",
			c->helo);
}

/* An IPv6 VIP with servers of IPv4 addresses is usual. */
static void warn_families(struct tree *t, const struct service_conf *s)
{
	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server_conf *b = &s->servers[i];
		char preference[8];
		struct path services = {NULL, "services"}, service = {&services, s->name},
			    tiers = {&service, "tiers"}, tier = {&tiers, preference},
			    server = {&tier, b->name}, address = {&server, "address"};

		if (b->forward != FORWARD_L2 || addr_is_zero(&s->address) ||
		    !addr_is_v4(&s->address) || addr_is_zero(&b->address) ||
		    addr_is_v4(&b->address))
			continue;
		snprintf(preference, sizeof(preference), "%u", b->preference);
		tree_warn(
			t, &address,
			"an IPv6 address, but the VIP is IPv4: only the server's MAC address is taken from it "
			"(forward: l2); write its IPv4 address, or forward: ipip");
	}
}

/* If that box does the same, mail goes to and fro; the datapath ends it, by a RST. */
static void warn_loop(struct tree *t, const struct config *c, const struct service_conf *s)
{
	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server_conf *b = &s->servers[i];
		char preference[8];
		struct path services = {NULL, "services"}, service = {&services, s->name},
			    tiers = {&service, "tiers"}, tier = {&tiers, preference},
			    server = {&tier, b->name}, forward = {&server, "forward"};
		bool peer = false;

		for (unsigned k = 0; k < c->n_decap; k++)
			peer |= addr_equal(&c->decap[k], &b->address);
		if (b->forward != FORWARD_IPIP || addr_is_zero(&b->address) || !peer)
			continue;
		snprintf(preference, sizeof(preference), "%u", b->preference);
		tree_warn(
			t, &forward,
			"%s is in decap.from as well: mail that comes from there by tunnel is not sent "
			"into a tunnel again, so it is reset while only this server is up",
			b->name);
	}
}

void warn_config(struct tree *t, const struct config *c)
{
	warn_listen(t, c);
	warn_notify(t, c);
	warn_secret(t, c);
	for (unsigned i = 0; i < c->n_probes; i++)
		warn_helo(t, &c->probes[i]);
	for (unsigned i = 0; i < c->n_services; i++)
		warn_families(t, &c->services[i]);
	for (unsigned i = 0; i < c->n_services; i++)
		warn_loop(t, c, &c->services[i]);
}
