/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What mxlbctl asks rtnetlink (by libmnl): needs no rights.
 */
#ifndef MXLB_CTL_NL_H
#define MXLB_CTL_NL_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include "util/addr.h"

struct nl_link {
	int ifindex;
	bool up, carrier;
	uint32_t mtu;
	uint8_t xdp;	      /* XDP_ATTACHED_ */
	uint32_t xdp_program; /* its id; 0: none, or several */
	struct mac mac;
};

/* 0 or -errno: -ENODEV. */
int nl_link(const char *name, struct nl_link *out);
/* The slaves of this bond, by their names. How many: 0 if it is no bond. */
#define NL_SLAVES_MAX 16
unsigned nl_slaves(int bond, char names[NL_SLAVES_MAX][IF_NAMESIZE]);
/* The interface that packets to this address leave by; 0: the kernel has no way. */
int nl_route(const struct addr *to, int *ifindex);
/* Does the route to it lead through a router? False where there is none. */
bool nl_is_routed(const struct addr *to);
/* Is there a route to this address alone in that table? 0 or -errno. */
int nl_host_route(const struct addr *to, uint32_t table, bool *there);
/* Is there a filter of this priority and handle on the way out? 0 or -errno. */
int nl_filter(int ifindex, uint16_t priority, uint32_t handle, bool *there);

#endif
