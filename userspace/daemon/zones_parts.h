/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of zones.h share: zones.c, zones_draft.c, zones_tlsa.c, zone_box.c. */
#ifndef MXLB_ZONES_PARTS_H
#define MXLB_ZONES_PARTS_H

#include <net/if.h>
#include "daemon/daemon.h"
#include "daemon/zones.h"
#include "zone/lookup.h"

struct zone_entry {
	struct daemon *daemon;
	char service[CONFIG_NAME_SIZE];
	char mx[DNS_NAME_SIZE];
	struct zone zone;
	struct zone_map map;
	struct lookup_round *round; /* NULL: nothing is being looked up */
};

struct tlsa_entry {
	struct daemon *daemon;
	char probe[CONFIG_NAME_SIZE];
	char name[DNS_NAME_SIZE + 16]; /* "_25._tcp.mail.example.net" */
	struct tlsaset set;
	bool asked, unmatched;
	bool orphan; /* its probe is gone; freed when its answer comes */
};

#define ZONE_NETWORKS_MAX 256

struct zone_networks { /* that interfaces have or had */
	struct {
		char interface[IF_NAMESIZE];
		struct prefix network;
	} list[ZONE_NETWORKS_MAX];
	unsigned n;
	struct addr addresses[ZONE_NETWORKS_MAX]; /* of all interfaces */
	unsigned n_addresses;
};

struct zones {
	struct resolver *resolver;
	zones_replace_fn *replace;
	struct zone_entry *entries[MXLB_MAX_SERVICES]; /* by config.services; NULL: it has tiers */
	struct tlsa_entry *tlsa[CONFIG_MAX_PROBES];
	ev_timer tick;
	int unapplied; /* -errno: a change could not be applied */
	bool look;     /* addresses of this box have changed */
	struct zone_networks seen;
	struct zone_report report;
};

struct zones_draft {
	struct zone_entry *entries[MXLB_MAX_SERVICES];
	struct tlsa_entry *tlsa[CONFIG_MAX_PROBES];
	struct zone_map
		*maps[MXLB_MAX_SERVICES]; /* the entries' own, once committed; NULL: as before */
	struct zone_set *sets[MXLB_MAX_SERVICES]; /* the sets of those maps, with names */
	bool new_entry[MXLB_MAX_SERVICES], new_tlsa[CONFIG_MAX_PROBES];
	struct buf left_out; /* for the log: servers with unusable addresses, line by line */
};

/* zone_box.c: this box by a configuration, on the heap because it is large. seen NULL: as it is now. 0 or -errno. */
int zone_box_make(const struct config *c, struct zone_networks *seen, struct zone_box **out);
/* Once: addresses that this box had are its own in this view, too. */
void zone_box_add_lost(struct zone_box *box, const struct zone_networks *seen);
void zone_box_free(struct zone_box *box); /* NULL is fine */

/* zones_draft.c: how many servers a service may have beside those of others. */
unsigned zones_room_for(const struct config *c, unsigned service);
void zones_log_left_out(const struct zones_draft *draft);
/* Copied. 0 or -ENOMEM. */
int zones_set_servers(struct service_conf *s, const struct server_conf *list, unsigned n);

/* zones.c: sets the timer for the next lookup, and brings what is known into force as a reload would. */
void zones_schedule(struct daemon *d);
void zones_bring_into_force(struct daemon *d, const char *who);
/* For the jitter of lookups. */
uint32_t zones_chance(void);

/* zones_tlsa.c: looks the records up. */
void zones_look_up_tlsa(struct daemon *d, struct tlsa_entry *e);

#endif
