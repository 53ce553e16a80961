/* SPDX-License-Identifier: BSD-2-Clause */
/* Every key of the configuration: one table per mapping, one row per key, for reading and writing. Internal to conf/. */
#ifndef MXLB_CONF_SCHEMA_H
#define MXLB_CONF_SCHEMA_H

#include <jansson.h>
#include "conf/tree.h"
#include "conf/value.h"
#include "core/config.h"

enum key_flag {
	KEY_REQUIRED = 1 << 0,
};

struct reader { /* what is carried along while reading */
	struct tree *tree;
	struct config *config;
	const struct config *running;	/* NULL: none */
	unsigned n_servers, n_prefixes; /* over all services */
	bool no_memory;
};

struct key;
typedef void nested_fn(struct reader *r, const struct path *p, yaml_node_t *n, void *object);

/* What object holds, as it would be written in the file. NULL: no memory. */
typedef json_t *write_fn(const struct config *c, const void *object);

struct key {
	const char *name;
	value_fn *convert;   /* NULL: a nested key */
	size_t offset;	     /* of the field in the mapping's struct */
	const char *initial; /* the default, as it would be written; NULL: none */
	unsigned flags;
	struct value_kind kind;
	/* Called after all scalars, in the table's order; a NULL node: the key is absent. */
	nested_fn *nested;
	write_fn *write; /* of a nested key */
};

/* A service while it is read or written: what it refers to is a name. */
struct service_draft {
	struct service_conf conf;
	char interface[CONFIG_NAME_SIZE];
	char probe[CONFIG_NAME_SIZE];
};

/* Each ends with a NULL name; server_keys are tiers.c's, zone_server_keys dns_section.c's, the others sections.c's. */
extern const struct key top_keys[], interface_keys[], datapath_keys[], control_keys[], probe_keys[],
	service_keys[], server_keys[], decap_keys[], ha_keys[], route_keys[], dns_keys[],
	zone_server_keys[];

/*
 * Fills object by the table (which ends with a NULL name) and reports what does not fit. A field whose value
 * was refused has its default, or is zero.
 */
void schema_read(struct reader *r, const struct path *p, yaml_node_t *n, const struct key *keys,
		 void *object);
/* Calls item for each item of a list; a NULL node or null is an empty one. */
typedef void item_fn(struct reader *r, const struct path *p, const yaml_node_t *n, void *object);
void schema_list(struct reader *r, const struct path *p, yaml_node_t *n, item_fn *item,
		 void *object);
/* True, or the name was reported. */
bool schema_name_ok(struct reader *r, const struct path *p, const yaml_node_t *key,
		    value_fn *convert, char name[CONFIG_NAME_SIZE]);

/* The whole file, into r->config. r->no_memory is the only error that is not in the report. */
void sections_read(struct reader *r);
/* A service's tiers; object is struct service_conf. */
nested_fn tiers_read;
/* dns_section.c: object is struct config's .dns; of the last two, struct service_conf. */
nested_fn read_dns, read_resolvers, read_anchors, read_insecure, read_within, read_zone_servers;
/* A service's `allow`, then its allow-file, which was read before; object is struct service_conf. */
nested_fn allow_read;
/* Keeps a copy of a service's allow-file, if its prefixes are what the file says. What fails is logged. */
void allow_keep_copy(const struct service_conf *s);

/* write.c: what the nested keys hold. */
write_fn write_interfaces, write_datapath, write_control, write_operators, write_probes, write_tlsa,
	write_services, write_allow, write_tiers, write_decap, write_peers, write_ha, write_route,
	write_dns, write_resolvers, write_anchors, write_insecure, write_within, write_zone_servers;

/* foreign.c: reports a key that the table does not have. */
void foreign_key(struct tree *t, const struct path *p, yaml_node_t *key, const struct key *keys);

/* The rules that span several values, once all are read. */
void check_config(struct tree *t, struct config *c);
void check_dns(struct tree *t, struct config *c);
/* What is allowed and hardly meant. */
void warn_config(struct tree *t, const struct config *c);

#endif
