// SPDX-License-Identifier: BSD-2-Clause
/*
 * Builds the front: interfaces and VIPs in perfect hash tables. Pure except for the ports it reads. A factor is found
 * by trial: 64 keys in 256 slots collide for all but about one in 3,000 factors.
 */
#include <errno.h>
#include <string.h>
#include "datapath/datapath_internal.h"

#define FACTOR_TRIES 1000000

static void address_halves(const struct addr *a, struct mxlb_vip *vip, uint64_t *hi, uint64_t *lo)
{
	memset(vip->address, 0, sizeof(vip->address));
	if (addr_is_v4(a)) {
		vip->family = 4;
		memcpy(&vip->address[12], &a->b[12], 4);
	} else {
		vip->family = 6;
		memcpy(vip->address, a->b, 16);
	}
	memcpy(hi, &vip->address[0], 8);
	memcpy(lo, &vip->address[8], 8);
}

static void vip_fill(const struct datapath *dp, const struct plan_service *s, struct mxlb_vip *vip)
{
	if (!vip->ports[0].port)
		vip->seed = dp->services[s->id].seed;
	for (unsigned i = 0; i < MXLB_MAX_VIP_PORTS; i++) {
		if (vip->ports[i].port)
			continue;
		vip->ports[i].port = htobe16(s->port);
		vip->ports[i].service = (__u16)s->id;
		break;
	}
	if (s->advertise && s->mode != PLAN_NOT_READY)
		vip->advertise = s->interface + 1;
}

/* Adds this box's own addresses, which no client may use as a source. An address that is also a VIP is left out. */
static bool own_place(const struct plan *plan, struct mxlb_front *out)
{
	for (unsigned i = 0; i < plan->n_own && plan->n_services; i++) {
		struct mxlb_vip want = {0}, *at;
		uint64_t hi, lo;

		address_halves(&plan->own[i], &want, &hi, &lo);
		at = &out->vips[mxlb_vip_slot(out->vip_factor, hi, lo)];
		if (at->family && at->family == want.family &&
		    !memcmp(at->address, want.address, sizeof(want.address)))
			continue;
		if (at->family)
			return false;
		want.family |= MXLB_VIP_OWN;
		*at = want;
	}
	return true;
}

/* Places every VIP with this factor; false if two of them need the same slot. */
static bool vips_place(const struct datapath *dp, const struct plan *plan, struct mxlb_front *out)
{
	memset(out->vips, 0, sizeof(out->vips));
	for (unsigned i = 0; i < plan->n_services; i++) {
		struct mxlb_vip want = {0}, *at;
		uint64_t hi, lo;

		address_halves(&plan->services[i].vip, &want, &hi, &lo);
		at = &out->vips[mxlb_vip_slot(out->vip_factor, hi, lo)];
		if (!at->family)
			*at = want;
		else if (at->family != want.family ||
			 memcmp(at->address, want.address, sizeof(want.address)))
			return false;
		vip_fill(dp, &plan->services[i], at);
	}
	return own_place(plan, out);
}

/* False: the slot is taken. */
static bool port_place(const struct datapath *dp, unsigned index, int ifindex,
		       struct mxlb_front *out)
{
	struct mxlb_port *at = &out->ports[mxlb_port_slot(out->port_factor, ifindex)];

	if (at->ifindex)
		return false;
	at->ifindex = ifindex;
	at->index = index;
	at->vlan = dp->ports[index].vlan;
	memcpy(at->mac, dp->ports[index].mac.b, sizeof(at->mac));
	return true;
}

static bool ports_place(const struct datapath *dp, struct mxlb_front *out)
{
	memset(out->ports, 0, sizeof(out->ports));
	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++) {
		if (!dp->ports[i].ifindex)
			continue;
		if (!port_place(dp, i, dp->ports[i].ifindex, out))
			return false;
		for (unsigned k = 0; k < dp->ports[i].n_slaves; k++)
			if (!port_place(dp, i, dp->ports[i].slaves[k], out))
				return false;
		out->exits[i].vlan = dp->ports[i].vlan;
		memcpy(out->exits[i].mac, dp->ports[i].mac.b, sizeof(out->exits[i].mac));
	}
	return true;
}

int front_build(const struct datapath *dp, const struct plan *plan, struct mxlb_front *out)
{
	uint64_t factor = 0x9e3779b97f4a7c15ULL;
	bool done = false;

	memset(out, 0, sizeof(*out));
	out->n_peers = plan->n_peers;
	for (unsigned i = 0; i < plan->n_peers; i++)
		memcpy(out->peers[i], plan->peers[i].b, sizeof(out->peers[i]));
	for (unsigned i = 0; i < FACTOR_TRIES && !done; i++) {
		out->vip_factor = factor | 1;
		done = vips_place(dp, plan, out);
		factor = mxlb_mix(factor + i);
	}
	if (!done)
		return -EEXIST;
	if (!plan->n_services)
		out->vip_factor = 0; /* tells the program that there is no VIP */
	done = false;
	for (unsigned i = 0; i < FACTOR_TRIES && !done; i++) {
		out->port_factor = (uint32_t)factor | 1;
		done = ports_place(dp, out);
		factor = mxlb_mix(factor + i);
	}
	return done ? 0 : -EEXIST;
}
