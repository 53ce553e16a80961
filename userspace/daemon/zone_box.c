// SPDX-License-Identifier: BSD-2-Clause
/*
 * What addresses from DNS are judged by: the VIPs, the addresses and the networks of this box. A network that an
 * interface has lost still counts until mxlbd ends, because that is a fault of this box and says nothing of the zone.
 * A lost address counts only where a change of addresses is judged: in an answer it may be another machine's by now.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/zones_parts.h"

#define LOCALS_MAX 256

struct box {
	struct zone_box view; /* first: the others see only this */
	struct addr vips[MXLB_MAX_SERVICES], locals[LOCALS_MAX + ZONE_NETWORKS_MAX];
	struct prefix networks[LOCALS_MAX + ZONE_NETWORKS_MAX];
};

static uint8_t mask_length(const struct sockaddr *mask, bool v4)
{
	const uint8_t *bytes =
		v4 ? (const uint8_t *)&((const struct sockaddr_in *)mask)->sin_addr
		   : (const uint8_t *)&((const struct sockaddr_in6 *)mask)->sin6_addr;
	unsigned len = v4 ? 96 : 0;

	for (size_t i = 0; i < (v4 ? 4u : 16u); i++)
		len += (unsigned)__builtin_popcount(bytes[i]);
	return (uint8_t)len;
}

static bool is_configured(const struct config *c, const char *interface)
{
	size_t len;

	for (unsigned i = 0; i < c->n_interfaces; i++) {
		len = strlen(c->interfaces[i].name);
		/* eth0.30, where mail arrives tagged */
		if (!strncmp(interface, c->interfaces[i].name, len) &&
		    (!interface[len] || (interface[len] == '.' && c->interfaces[i].vlan)))
			return true;
	}
	return false;
}

static bool is_listed(const struct zone_networks *seen, const char *interface,
		      const struct prefix *p)
{
	for (unsigned i = 0; i < seen->n; i++)
		if (!strcmp(seen->list[i].interface, interface) &&
		    seen->list[i].network.len == p->len &&
		    addr_equal(&seen->list[i].network.addr, &p->addr))
			return true;
	return false;
}

/* When there is no room, the first ones are forgotten. */
static void remember(struct zone_networks *seen, const char *interface, const struct prefix *p)
{
	if (is_listed(seen, interface, p))
		return;
	if (seen->n == ZONE_NETWORKS_MAX)
		memmove(seen->list, seen->list + 1, --seen->n * sizeof(*seen->list));
	snprintf(seen->list[seen->n].interface, sizeof(seen->list->interface), "%s", interface);
	seen->list[seen->n++].network = *p;
}

/* As remember(). */
static void remember_address(struct zone_networks *seen, const struct addr *a)
{
	for (unsigned i = 0; i < seen->n_addresses; i++)
		if (addr_equal(&seen->addresses[i], a))
			return;
	if (seen->n_addresses == ZONE_NETWORKS_MAX)
		memmove(seen->addresses, seen->addresses + 1,
			--seen->n_addresses * sizeof(*seen->addresses));
	seen->addresses[seen->n_addresses++] = *a;
}

static void add_local(struct box *b, const struct config *c, struct zone_networks *seen,
		      const struct ifaddrs *i)
{
	struct prefix *p = &b->networks[b->view.n_networks];
	struct sockaddr_storage ss = {0};
	bool v4 = i->ifa_addr->sa_family == AF_INET;
	char text[ADDR_TEXT_SIZE];
	struct addr a;

	memcpy(&ss, i->ifa_addr, v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	addr_from_sockaddr(&ss, &a);
	b->locals[b->view.n_locals++] = a;
	if (seen)
		remember_address(seen, &a);
	if (!i->ifa_netmask || !is_configured(c, i->ifa_name) || addr_is_martian(&a))
		return;
	p->addr = a;
	p->len = mask_length(i->ifa_netmask, v4);
	addr_prefix_text(p, text);
	if (addr_parse_prefix(text, p) == -EINVAL) /* clears the bits beyond it */
		return;
	b->view.n_networks++;
	if (seen)
		remember(seen, i->ifa_name, p);
}

/* Some of them are there already. */
static void add_seen(struct box *b, const struct config *c, const struct zone_networks *seen)
{
	for (unsigned i = 0; i < seen->n; i++)
		if (is_configured(c, seen->list[i].interface))
			b->networks[b->view.n_networks++] = seen->list[i].network;
}

int zone_box_make(const struct config *c, struct zone_networks *seen, struct zone_box **out)
{
	struct box *b = calloc(1, sizeof(*b));
	struct ifaddrs *all = NULL;
	int err;

	*out = NULL;
	if (!b || getifaddrs(&all)) {
		err = b ? -errno : -ENOMEM;
		free(b);
		return err;
	}
	for (struct ifaddrs *i = all; i && b->view.n_locals < LOCALS_MAX; i = i->ifa_next)
		if (i->ifa_addr &&
		    (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6))
			add_local(b, c, seen, i);
	freeifaddrs(all);
	if (seen)
		add_seen(b, c, seen);
	for (unsigned i = 0; i < c->n_services; i++)
		b->vips[b->view.n_vips++] = c->services[i].address;
	b->view.vips = b->vips;
	b->view.locals = b->locals;
	b->view.networks = b->networks;
	*out = &b->view;
	return 0;
}

void zone_box_add_lost(struct zone_box *box, const struct zone_networks *seen)
{
	struct box *b = (struct box *)box;

	for (unsigned i = 0; i < seen->n_addresses; i++) /* some of them are there already */
		b->locals[b->view.n_locals++] = seen->addresses[i];
}

void zone_box_free(struct zone_box *box)
{
	free(box); /* the first member of what zone_box_make() allocates */
}
