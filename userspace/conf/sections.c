/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file's sections except for tiers: their tables, and what a table cannot express (lists, references to other
 * sections, defaults that come from the system).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf/schema.h"

#define SECOND	       1000ull
#define MINUTE	       (60 * SECOND)
#define HOUR	       (60 * MINUTE)
#define DAY	       (24 * HOUR)

/* The probe of services that name none, unless the file has one of this name. */
#define BUILT_IN_PROBE "default"

#define PRIORITY_MAX   32765 /* before the main table's rule, ip-rule(8) */
#define TABLE_MIN      256   /* beyond default, main and local (253 to 255) */
#define TABLE_MAX      (UINT32_MAX - MXLB_MAX_SERVERS)

#define FIELD(type, member) \
	.offset = offsetof(struct type, member), .kind.size = sizeof(((struct type *)0)->member)
#define NUMBER(fn, low, high) .convert = fn, .kind.min = low, .kind.max = high
#define INTEGER(low, high)    NUMBER(value_integer, low, high)
#define DURATION(low, high)   NUMBER(value_duration, low, high)
#define WORDS(...)                                                 \
	.convert = value_word, .kind.words = (const char *const[]) \
	{                                                          \
		__VA_ARGS__, NULL                                  \
	}
#define END                  \
	{                    \
		.name = NULL \
	}

_Static_assert(offsetof(struct datapath_conf, mark_mask) ==
		       offsetof(struct datapath_conf, mark) + sizeof(uint32_t),
	       "value_mark() fills both");

const struct key interface_keys[] = {
	{"mode", FIELD(interface_conf, mode), WORDS("auto", "native", "generic"),
	 .initial = "auto"},
	{"vlan", FIELD(interface_conf, vlan), INTEGER(1, 4094)},
	END,
};

const struct key datapath_keys[] = {
	{"pin", FIELD(datapath_conf, pin), .convert = value_path, .initial = "/sys/fs/bpf/mxlb"},
	{"flows", FIELD(datapath_conf, flows), INTEGER(1024, 1 << 24), .initial = "262144"},
	{"hash-key", FIELD(datapath_conf, hash_key), .convert = value_text, .initial = ""},
	{"mark", FIELD(datapath_conf, mark), .convert = value_mark,
	 .initial = "0x6d780000/0xffff0000"},
	{"table", FIELD(datapath_conf, table), INTEGER(TABLE_MIN, TABLE_MAX), .initial = "27000"},
	{"priority", FIELD(datapath_conf, priority), INTEGER(1, PRIORITY_MAX), .initial = "27000"},
	END,
};

static nested_fn read_operators, read_peers, read_tlsa, read_interfaces, read_datapath,
	read_control, read_probes, read_services, read_decap, read_ha, read_route;

const struct key control_keys[] = {
	{"socket", FIELD(control_conf, socket), .convert = value_path,
	 .initial = "/run/mxlb/mxlb.sock"},
	{"group", FIELD(control_conf, group), .convert = value_account, .initial = "mxlb"},
	{"operators", .nested = read_operators, .write = write_operators},
	{"http", FIELD(control_conf, http), .convert = value_listen, .initial = ""},
	END,
};

/* The table is one that FRR can import, and the protocol's number is in no registry of the kernel's (rtnetlink.h). */
const struct key route_keys[] = {
	{"table", FIELD(ha_route_conf, table), INTEGER(1, 252), .initial = "109"},
	{"protocol", FIELD(ha_route_conf, protocol), INTEGER(5, 255), .initial = "158"},
	{"metric", FIELD(ha_route_conf, metric), INTEGER(1, 999), .initial = "100"},
	END,
};

const struct key ha_keys[] = {
	{"name", FIELD(ha_conf, name), .convert = value_name, .initial = ""},
	{"role", FIELD(ha_conf, role), WORDS("active", "standby", "keepalived"),
	 .initial = "active"},
	{"fifo", FIELD(ha_conf, fifo), .convert = value_path, .initial = "/run/mxlb-ha/vrrp"},
	{"instance", FIELD(ha_conf, instance), .convert = value_text, .initial = ""},
	{"priority-file", FIELD(ha_conf, priority_file), .convert = value_path,
	 .initial = "/run/mxlb-ha/priority"},
	{"preempt", FIELD(ha_conf, preempt), .convert = value_bool, .initial = "false"},
	{"lease", FIELD(ha_conf, lease_ms), DURATION(0, HOUR), .initial = "5s"},
	{"announce-refresh", FIELD(ha_conf, refresh_ms), DURATION(0, HOUR), .initial = "30s"},
	{"route", FIELD(ha_conf, route), .nested = read_route, .write = write_route},
	END,
};

const struct key probe_keys[] = {
	{"interval", FIELD(probe_conf, interval_ms), DURATION(100, HOUR), .initial = "10s"},
	{"fast-interval", FIELD(probe_conf, fast_interval_ms), DURATION(100, HOUR),
	 .initial = "2s"},
	{"timeout", FIELD(probe_conf, timeout_ms), DURATION(100, 10 * MINUTE), .initial = "10s"},
	{"connect-timeout", FIELD(probe_conf, connect_timeout_ms), DURATION(100, 10 * MINUTE),
	 .initial = "3s"},
	{"fall", FIELD(probe_conf, fall), INTEGER(1, 100), .initial = "3"},
	{"rise", FIELD(probe_conf, rise), INTEGER(1, 100), .initial = "2"},
	{"target", FIELD(probe_conf, target), WORDS("vip", "real"), .initial = "vip"},
	{"depth", FIELD(probe_conf, depth),
	 WORDS("connect", "banner", "ehlo", "starttls", "mail-from"), .initial = "mail-from"},
	{"helo", FIELD(probe_conf, helo), .convert = value_host, .initial = ""},
	{"sender", FIELD(probe_conf, sender), .convert = value_sender, .initial = ""},
	{"tls", FIELD(probe_conf, tls),
	 WORDS("none", "encryption-only", "certificate-validation", "domain-validation", "dane"),
	 .initial = "none"},
	{"tls-domain", FIELD(probe_conf, cert.domain), .convert = value_tls_domain, .initial = ""},
	{"tls-certificate-name", FIELD(probe_conf, cert.name), .convert = value_certname,
	 .initial = ""},
	{"tlsa", FIELD(probe_conf, cert), .nested = read_tlsa, .write = write_tlsa},
	{"tlsa-name", FIELD(probe_conf, tlsa_name), .convert = value_domain, .initial = ""},
	{"sni", FIELD(probe_conf, sni), .convert = value_host, .initial = ""},
	{"ca-file", FIELD(probe_conf, ca_file), .convert = value_file, .initial = ""},
	{"min-tls-version", FIELD(probe_conf, min_tls_version), WORDS("1.0", "1.1", "1.2", "1.3"),
	 .kind.min = 0x0301, .initial = "1.2"},
	{"expiry-warn", FIELD(probe_conf, expiry_warn_ms), DURATION(0, 3650 * DAY),
	 .initial = "21d"},
	END,
};

const struct key service_keys[] = {
	{"address", FIELD(service_draft, conf.address), .convert = value_address,
	 .flags = KEY_REQUIRED},
	{"port", FIELD(service_draft, conf.port), INTEGER(1, 65535), .initial = "25"},
	{"interface", FIELD(service_draft, interface), .convert = value_interface,
	 .flags = KEY_REQUIRED},
	{"advertise", FIELD(service_draft, conf.advertise), WORDS("arp", "none", "route"),
	 .initial = "arp"},
	{"withdraw", FIELD(service_draft, conf.withdraw), WORDS("down", "never"),
	 .initial = "down"},
	{"probe", FIELD(service_draft, probe), .convert = value_name, .initial = BUILT_IN_PROBE},
	{"min-up", FIELD(service_draft, conf.min_up), INTEGER(1, MXLB_MAX_SERVERS - 1),
	 .initial = "1"},
	{"tier-mode", FIELD(service_draft, conf.tier_mode), WORDS("switch", "add"),
	 .initial = "switch"},
	{"failback", FIELD(service_draft, conf.failback), WORDS("auto", "manual"),
	 .initial = "auto"},
	{"failback-hold", FIELD(service_draft, conf.failback_hold_ms), DURATION(0, 7 * DAY),
	 .initial = "30s"},
	{"all-down", FIELD(service_draft, conf.all_down), WORDS("reset", "drop"),
	 .initial = "reset"},
	{"panic", FIELD(service_draft, conf.panic), WORDS("keep", "off"), .initial = "keep"},
	{"on-unreachable", FIELD(service_draft, conf.on_unreachable), WORDS("reset", "keep"),
	 .initial = "reset"},
	{"allow", FIELD(service_draft, conf), .nested = allow_read, .write = write_allow},
	{"allow-file", FIELD(service_draft, conf.allow_file), .convert = value_file, .initial = ""},
	{"allow-mode", FIELD(service_draft, conf.allow_mode), WORDS("enforce", "observe"),
	 .initial = "enforce"},
	{"syn-limit", FIELD(service_draft, conf.syn_limit), INTEGER(0, 1000000), .initial = "0"},
	{"log-connections", FIELD(service_draft, conf.log_connections), .convert = value_bool,
	 .initial = "false"},
	{"mx", FIELD(service_draft, conf.zone.mx), .convert = value_domain, .initial = ""},
	{"within", FIELD(service_draft, conf), .nested = read_within, .write = write_within},
	{"servers", FIELD(service_draft, conf), .nested = read_zone_servers,
	 .write = write_zone_servers},
	{"tiers", FIELD(service_draft, conf), .nested = tiers_read, .write = write_tiers},
	END,
};

const struct key dns_keys[] = {
	{"resolvers", .nested = read_resolvers, .write = write_resolvers},
	{"dnssec", FIELD(dns_conf, dnssec), WORDS("require", "prefer", "off"), .initial = "prefer"},
	{"trust-anchors", .nested = read_anchors, .write = write_anchors},
	{"insecure", .nested = read_insecure, .write = write_insecure},
	{"refresh-min", FIELD(dns_conf, refresh_min_ms), DURATION(SECOND, HOUR), .initial = "30s"},
	{"refresh-max", FIELD(dns_conf, refresh_max_ms), DURATION(SECOND, 7 * DAY),
	 .initial = "1h"},
	END,
};

const struct key decap_keys[] = {
	{"from", .nested = read_peers, .write = write_peers},
	END,
};

/* In this order: services refer to interfaces and probes, peers to services. */
const struct key top_keys[] = {
	{"interfaces", .nested = read_interfaces, .flags = KEY_REQUIRED, .write = write_interfaces},
	{"datapath", FIELD(config, datapath), .nested = read_datapath, .write = write_datapath},
	{"control", FIELD(config, control), .nested = read_control, .write = write_control},
	{"ha", FIELD(config, ha), .nested = read_ha, .write = write_ha},
	{"dns", FIELD(config, dns), .nested = read_dns, .write = write_dns},
	{"probes", .nested = read_probes, .write = write_probes},
	{"services", .nested = read_services, .write = write_services},
	{"notify", FIELD(config, notify), .convert = value_command, .initial = ""},
	{"decap", .nested = read_decap, .write = write_decap},
	END,
};

static void read_interface(struct path *p, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	struct interface_conf conf = {.mode = XDP_MODE_AUTO};
	struct reader *r = ctx;
	struct config *c = r->config;
	char name[CONFIG_NAME_SIZE];
	bool ok = schema_name_ok(r, p, key, value_interface, name);

	schema_read(r, p, value, interface_keys, &conf);
	if (!ok)
		return;
	if (c->n_interfaces == MXLB_MAX_PORTS) {
		tree_error_at(r->tree, key, p, "more than %d interfaces", MXLB_MAX_PORTS);
		return;
	}
	memcpy(conf.name, name, sizeof(conf.name));
	c->interfaces[c->n_interfaces++] = conf;
}

static void read_interfaces(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	(void)object;
	if (n && tree_each(r->tree, p, n, read_interface, r) && tree_is_empty(n))
		tree_error(r->tree, p, "names no interface");
}

static void read_datapath(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_read(r, p, n, datapath_keys, object);
}

static void read_control(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_read(r, p, n, control_keys, object);
}

static void read_decap(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_read(r, p, n, decap_keys, object);
}

static void read_route(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_read(r, p, n, route_keys, object);
}

/* This box's name among the boxes: the first label of the host's. */
static void default_box_name(char name[CONFIG_NAME_SIZE])
{
	const struct value_kind kind = {.size = CONFIG_NAME_SIZE};
	char host[CONFIG_TEXT_SIZE] = "", why[VALUE_WHY_SIZE];

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	if (!host[0] || value_name(&kind, host, name, why))
		strcpy(name, "localhost");
}

static void read_ha(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	struct ha_conf *ha = object;

	ha->given = n;
	schema_read(r, p, n, ha_keys, ha);
	if (!ha->name[0])
		default_box_name(ha->name);
	if (ha->lease_ms && ha->lease_ms < 1000) {
		struct path lease = {p, "lease"};

		tree_error(r->tree, &lease, "must be 0s or from 1s to 1h");
	}
}

static void read_operator(struct reader *r, const struct path *p, const yaml_node_t *n,
			  void *object)
{
	const struct value_kind kind = {.size = CONFIG_NAME_SIZE};
	struct control_conf *c = object;
	char why[VALUE_WHY_SIZE];

	if (c->n_operators == CONFIG_MAX_OPERATORS)
		tree_error_at(r->tree, n, p, "more than %d names", CONFIG_MAX_OPERATORS);
	else if (n->type != YAML_SCALAR_NODE)
		tree_error_at(r->tree, n, p, "must be a list of names");
	else if (value_account(&kind, tree_text(n), c->operators[c->n_operators], why))
		tree_error_at(r->tree, n, p, "%s", why);
	else
		c->n_operators++;
}

void schema_list(struct reader *r, const struct path *p, yaml_node_t *n, item_fn *item,
		 void *object)
{
	if (!n || tree_is_null(n))
		return;
	if (n->type != YAML_SEQUENCE_NODE) {
		tree_error(r->tree, p, "must be a list");
		return;
	}
	for (const int *id = n->data.sequence.items.start; id < n->data.sequence.items.top; id++) {
		const yaml_node_t *i = tree_node(r->tree, *id);

		if (i->type == YAML_SCALAR_NODE && strlen(tree_text(i)) != i->data.scalar.length)
			tree_error_at(r->tree, i, p, "has a NUL in it");
		else
			item(r, p, i, object);
	}
}

static void read_operators(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_list(r, p, n, read_operator, object);
}

static bool is_peer(const struct config *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->n_decap; i++)
		if (addr_equal(&c->decap[i], a))
			return true;
	return false;
}

static const struct service_conf *service_at(const struct config *c, const struct addr *vip)
{
	for (unsigned i = 0; i < c->n_services; i++)
		if (addr_equal(&c->services[i].address, vip))
			return &c->services[i];
	return NULL;
}

static void sections_read_peer(struct reader *r, const struct path *p, const yaml_node_t *n,
			       void *object)
{
	struct config *c = r->config;
	char why[VALUE_WHY_SIZE], text[ADDR_TEXT_SIZE];
	const struct service_conf *s = NULL;
	struct addr peer;

	(void)object;
	if (n->type != YAML_SCALAR_NODE)
		tree_error_at(r->tree, n, p, "must be a list of addresses");
	else if (value_address(NULL, tree_text(n), &peer, why))
		tree_error_at(r->tree, n, p, "%s", why);
	else if ((s = service_at(c, &peer)))
		tree_error_at(r->tree, n, p, "%s is the VIP of service %s", addr_text(&peer, text),
			      s->name);
	else if (is_peer(c, &peer))
		tree_error_at(r->tree, n, p, "%s is listed already", addr_text(&peer, text));
	else if (c->n_decap == MXLB_MAX_PEERS)
		tree_error_at(r->tree, n, p, "more than %d addresses", MXLB_MAX_PEERS);
	else
		c->decap[c->n_decap++] = peer;
}

static void read_peers(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_list(r, p, n, sections_read_peer, object);
}

static void read_tlsa_record(struct reader *r, const struct path *p, const yaml_node_t *n,
			     void *object)
{
	struct cert_conf *c = object;
	char why[TLSA_WHY_SIZE];

	if (c->n_tlsa == CONFIG_MAX_TLSA)
		tree_error_at(r->tree, n, p, "more than %d records", CONFIG_MAX_TLSA);
	else if (n->type != YAML_SCALAR_NODE)
		tree_error_at(r->tree, n, p, "must be a list of records like \"3 1 1 <hex>\"");
	else if (tlsa_parse(tree_text(n), &c->tlsa[c->n_tlsa], why))
		tree_error_at(r->tree, n, p, "%s", why);
	else
		c->n_tlsa++;
}

static void read_tlsa(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	schema_list(r, p, n, read_tlsa_record, object);
}

/* The host's name, where it can be said in SMTP. */
static void sections_default_helo(char helo[CONFIG_TEXT_SIZE])
{
	const struct value_kind kind = {.size = CONFIG_TEXT_SIZE};
	char name[CONFIG_TEXT_SIZE] = "", why[VALUE_WHY_SIZE];

	gethostname(name, sizeof(name) - 1);
	if (!name[0] || value_host(&kind, name, helo, why))
		strcpy(helo, "localhost");
}

static void add_probe(struct reader *r, const struct path *p, yaml_node_t *value, const char *name)
{
	struct config *c = r->config;
	struct probe_conf *conf = &c->probes[c->n_probes++];

	schema_read(r, p, value, probe_keys, conf);
	if (!conf->helo[0])
		sections_default_helo(conf->helo);
	memcpy(conf->name, name, sizeof(conf->name));
}

static void read_probe(struct path *p, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	char name[CONFIG_NAME_SIZE] = "";
	struct reader *r = ctx;
	bool ok = schema_name_ok(r, p, key, value_name, name);

	/* One is left for the built-in probe. */
	if (r->config->n_probes == CONFIG_MAX_PROBES - 1) {
		tree_error_at(r->tree, key, p, "more than %d probes", CONFIG_MAX_PROBES - 1);
		return;
	}
	add_probe(r, p, value, name);
	r->config->n_probes -= !ok;
}

static void read_probes(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	(void)object;
	tree_each(r->tree, p, n, read_probe, r);
}

/* Finds the named probe; makes the built-in one when it is first wanted. */
static bool find_probe(struct reader *r, const struct path *p, const char *name, unsigned *out)
{
	char built_in[CONFIG_NAME_SIZE] = BUILT_IN_PROBE;
	struct config *c = r->config;

	for (*out = 0; *out < c->n_probes; (*out)++)
		if (!strcmp(c->probes[*out].name, name))
			return true;
	if (strcmp(name, built_in))
		return false;
	add_probe(r, p, NULL, built_in);
	return true;
}

#define NAMES_SIZE 200

/* Of an array of structs that begin with their names. */
static const char *list_names(const void *array, size_t stride, unsigned n, char names[NAMES_SIZE])
{
	size_t used = 0;

	snprintf(names, NAMES_SIZE, "none");
	for (unsigned i = 0; i < n && used < NAMES_SIZE; i++)
		used += (size_t)snprintf(names + used, NAMES_SIZE - used, "%s%s", i ? ", " : "",
					 (const char *)array + i * stride);
	return names;
}

static void resolve_names(struct reader *r, const struct path *p, struct service_draft *draft)
{
	struct path interface = {p, "interface"}, probe = {p, "probe"};
	struct config *c = r->config;
	unsigned *i = &draft->conf.interface;
	char names[NAMES_SIZE];

	for (*i = 0; *i < c->n_interfaces; (*i)++)
		if (!strcmp(c->interfaces[*i].name, draft->interface))
			break;
	if (*i == c->n_interfaces && draft->interface[0])
		tree_error(
			r->tree, &interface, "%s is not one of the interfaces: %s",
			draft->interface,
			list_names(c->interfaces, sizeof(*c->interfaces), c->n_interfaces, names));
	if (!find_probe(r, &probe, draft->probe, &draft->conf.probe) &&
	    tree_is_sound(r->tree, &probe))
		tree_error(r->tree, &probe, "no probe is named %s; the probes are: %s",
			   draft->probe,
			   list_names(c->probes, sizeof(*c->probes), c->n_probes, names));
}

static void read_service(struct path *p, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	struct reader *r = ctx;
	struct config *c = r->config;
	struct service_draft draft;
	bool ok;

	memset(&draft, 0, sizeof(draft));
	ok = schema_name_ok(r, p, key, value_name, draft.conf.name);
	schema_read(r, p, value, service_keys, &draft);
	resolve_names(r, p, &draft);
	if (c->n_services == MXLB_MAX_SERVICES) {
		tree_error_at(r->tree, key, p, "more than %d services", MXLB_MAX_SERVICES);
		ok = false;
	}
	if (ok)
		c->services[c->n_services++] = draft.conf;
	else
		config_free_service(&draft.conf);
}

/* A far end that only strips needs none. Peers that were refused have their own errors. */
static void read_services(struct reader *r, const struct path *p, yaml_node_t *n, void *object)
{
	struct path decap = {NULL, "decap"}, from = {&decap, "from"};
	yaml_node_t *peers = tree_get(r->tree, &from);
	bool required = !peers || tree_is_empty(peers);

	(void)object;
	if (!n && required)
		tree_error(r->tree, p, "is required");
	if (n && tree_each(r->tree, p, n, read_service, r) && tree_is_empty(n) && required)
		tree_error(r->tree, p, "names no service");
}

void sections_read(struct reader *r)
{
	schema_read(r, NULL, tree_root(r->tree), top_keys, r->config);
}
