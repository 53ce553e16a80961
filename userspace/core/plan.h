/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the datapath should contain, as a whole; the only thing that passes from core/ to datapath/. plan_build() makes
 * it from the model, datapath_apply() works out the difference from what is there.
 */
#ifndef MXLB_PLAN_H
#define MXLB_PLAN_H

#include "core/config.h"
#include "core/maglev.h"

struct model;

enum plan_mode {
	PLAN_NOT_READY, /* neither answered nor served: drop */
	PLAN_RING,	/* members take new connections */
	PLAN_RESET,	/* no server: RST to a SYN */
	PLAN_DROP,	/* no server: drop */
};

struct plan_service {
	uint32_t id; /* 0 to MXLB_MAX_SERVICES - 1, stable while the service lives */
	const char *name;
	struct addr vip;
	uint16_t port;
	unsigned interface; /* index into config.interfaces: where ARP/ND is answered */
	bool advertise;
	enum plan_mode mode;
	const struct prefix *allow; /* of the config; n_allow 0: everyone */
	unsigned n_allow;
	bool allow_observe;
	uint32_t syn_limit;
	struct maglev_member *members; /* names point into the model */
	unsigned n_members;
};

struct plan_server {
	uint32_t id;	    /* 1 to MXLB_MAX_SERVERS - 1, stable while the server lives */
	struct mac mac;	    /* zero: not known, never forwarded to */
	unsigned interface; /* index into config.interfaces: where its next hop is */
	bool reset_flows;   /* unreachable and on-unreachable: reset */
	bool down;	    /* down, in maint or unreachable: SYN retransmissions go elsewhere */
	bool tunnel;	    /* forward: ipip; then: */
	struct addr source, target;
	uint16_t mtu; /* of outer packets; 0: not known, never forwarded to */
};

#define PLAN_OWN_MAX 16

struct plan {
	struct plan_service *services;
	unsigned n_services;
	struct plan_server *servers;
	unsigned n_servers;
	const struct addr *peers; /* whose tunnels end here */
	unsigned n_peers;
	struct addr own[PLAN_OWN_MAX]; /* known addresses of this box: no client has them */
	unsigned n_own;
};

/* 0 or -ENOMEM. Points into the model: use it before the model changes. plan_free() ends it. */
int plan_build(const struct model *m, struct plan *out);
void plan_free(struct plan *p);

#endif
