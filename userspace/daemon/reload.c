// SPDX-License-Identifier: BSD-2-Clause
/*
 * Applies a new configuration to the running daemon: parsed whole, checked whole, replaced whole. A file with errors
 * changes nothing and is reported. A change that requires a restart is refused with that advice.
 */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

static bool interface_is_there(struct netlink *netlink, const struct config *c, unsigned i)
{
	if (netlink_link(netlink, i)->ifindex)
		return true;
	log_error("event=refused what=\"interface %s\" error=\"it does not exist\" "
		  "advice=\"list the interfaces with ip link; correct interfaces: in %s\"",
		  c->interfaces[i].name, c->file);
	return false;
}

static int vip_is_free(struct netlink *netlink, const struct service_conf *s)
{
	char text[ADDR_TEXT_SIZE];
	bool local = false;
	int err = netlink_is_local(netlink, &s->address, &local);

	if (err || !local)
		return err;
	addr_text(&s->address, text);
	log_error(
		"event=refused what=\"VIP %s of service %s\" error=\"it is an address of this box\" "
		"advice=\"remove it: ip addr del %s/%d dev ...; mxlb answers for it\"",
		text, s->name, text, addr_is_v4(&s->address) ? 32 : 128);
	return -EADDRINUSE;
}

int daemon_check_system(struct netlink *netlink, const struct config *config)
{
	int err = 0, ret;

	for (unsigned i = 0; i < config->n_interfaces; i++)
		if (!interface_is_there(netlink, config, i))
			err = -ENODEV;
	for (unsigned i = 0; i < config->n_services; i++) {
		ret = vip_is_free(netlink, &config->services[i]);
		err = ret < 0 ? ret : err;
	}
	return err;
}

static bool same_interfaces(const struct config *a, const struct config *b)
{
	if (a->n_interfaces != b->n_interfaces || !conf_same_section(a, b, "interfaces"))
		return false;
	for (unsigned i = 0; i < a->n_interfaces; i++) /* services have their numbers */
		if (strcmp(a->interfaces[i].name, b->interfaces[i].name))
			return false;
	return true;
}

/* A reload applies the rest of it (role, preempt, lease, announce-refresh). */
static bool ha_fixed_changed(const struct ha_conf *a, const struct ha_conf *b)
{
	return a->given != b->given || strcmp(a->name, b->name) || strcmp(a->fifo, b->fifo) ||
	       strcmp(a->instance, b->instance) || strcmp(a->priority_file, b->priority_file) ||
	       a->route.table != b->route.table || a->route.protocol != b->route.protocol ||
	       a->route.metric != b->route.metric;
}

/* The key in force, whether written in the file or kept with the pins, counts as unchanged. */
static bool same_datapath(struct daemon *d, const struct config *is)
{
	char *key = d->config->datapath.hash_key, was[sizeof(d->config->datapath.hash_key)];
	char in_force[DATAPATH_KEY_TEXT_SIZE];
	bool same;

	memcpy(was, key, sizeof(was));
	datapath_hash_key_text(d->datapath, in_force);
	if ((!*key || !strcmp(key, in_force)) &&
	    (!*is->datapath.hash_key || !strcmp(is->datapath.hash_key, in_force)))
		memcpy(key, is->datapath.hash_key, sizeof(was));
	same = conf_same_section(d->config, is, "datapath");
	memcpy(key, was, sizeof(was));
	return same;
}

/* The sections that require a restart, which breaks no connection. NULL: unchanged. */
static const char *fixed_section_changed(struct daemon *d, const struct config *b)
{
	const struct config *a = d->config;

	if (!same_interfaces(a, b))
		return "interfaces";
	if (!same_datapath(d, b))
		return "datapath";
	if (!conf_same_section(a, b, "control"))
		return "control";
	return ha_fixed_changed(&a->ha, &b->ha) ? "ha" : NULL;
}

static int check(struct daemon *d, const struct config *config, struct buf *errors)
{
	const char *fixed = fixed_section_changed(d, config);
	int err = 0, ret;

	if (fixed) {
		buf_printf(
			errors,
			"%s: %s: cannot change while running; restart mxlbd (the kernel continues to forward)\n",
			config->file, fixed);
		return -EBUSY;
	}
	for (unsigned i = 0; i < config->n_services; i++) {
		ret = vip_is_free(d->netlink, &config->services[i]);
		if (!ret)
			continue;
		buf_printf(errors, "%s: services.%s.address: %s\n", config->file,
			   config->services[i].name,
			   ret == -EADDRINUSE ? "is an address of this box" : strerror(-ret));
		err = ret;
	}
	return err;
}

static bool serves(const struct config *c, unsigned interface, const struct addr *vip)
{
	for (unsigned i = 0; i < c->n_services; i++)
		if (c->services[i].interface == interface &&
		    c->services[i].advertise == ADVERTISE_ARP &&
		    addr_equal(&c->services[i].address, vip))
			return true;
	return false;
}

/*
 * Leaves only the groups of removed VIPs: a switch that snoops memberships stops forwarding at once, if only for a
 * moment.
 */
static void leave_groups(struct daemon *d, const struct config *was, const struct config *is)
{
	for (unsigned i = 0; i < was->n_services; i++) {
		const struct service_conf *s = &was->services[i];

		if (!serves(is, s->interface, &s->address))
			netlink_leave_solicited(d->netlink, s->interface, &s->address);
	}
}

int daemon_replace_config(struct daemon *d, const char *who, struct config *config)
{
	struct config *old = d->config;
	struct model_adopted *left = NULL; /* removed servers with open flows */
	struct zones_draft *zones;
	unsigned n = 0;
	int err = zones_draft(d, config, &zones);

	if (err)
		return err;
	err = datapath_adopted(d->datapath, &left, &n);
	if (!err)
		err = model_reload(d->model, config, left, n, who, clock_now());
	free(left);
	daemon_announce(d); /* in either case: groups still needed are joined again */
	if (err) {
		zones_drop(zones);
		return err;
	}
	leave_groups(d, old, config);
	d->config = config;
	zones_commit(d, zones, daemon_replace_config);
	conf_keep_copies(config);
	d->refreshed_ms = 0; /* new servers have no counts yet */
	messenger_set_command(d->messenger, config->notify);
	prober_reload(d->prober, config->probes, config->n_probes);
	viproutes_reload(d, old);
	config_free(old);
	watches_stop_removed(d);
	watches_start(d);
	connlog_update(d);
	role_reload(d);
	return 0;
}

/* Logs the details of an event, one line each: why a file was refused, or the warnings of an accepted one. */
static void log_lines(enum log_level level, const char *name, const struct buf *text)
{
	const char *line = text->data;
	char quoted[1024];

	for (size_t len; line && *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		if (len)
			log_at(level, "event=%s text=\"%s\"", name,
			       log_quote(line, len, quoted, sizeof(quoted)));
	}
}

/* The first reason; the log's next lines have all. */
static void reload_note_failure(struct daemon *d, const char *who)
{
	struct event *e = daemon_event(d, EVENT_RELOAD_FAILED);

	snprintf(e->user, sizeof(e->user), "%s", who);
	snprintf(e->cause, sizeof(e->cause), "%.*s", (int)strcspn(d->last_error, "\n"),
		 d->last_error);
}

/* The changes of sections other than services. */
static void compare_others(const struct config *was, const struct config *is, struct buf *out)
{
	if (strcmp(was->notify, is->notify))
		buf_printf(out, "notify changes\n");
	if (!conf_same_section(was, is, "decap"))
		buf_printf(out, "decap changes\n");
	if (!conf_same_section(was, is, "dns"))
		buf_printf(out, "dns changes\n");
	if (!conf_same_section(was, is, "ha"))
		buf_printf(out, "ha changes\n");
	conf_compare_probes(was, is, out);
}

int daemon_plan(struct daemon *d, const char *name, const struct buf *text, struct buf *out)
{
	struct config *config = NULL;
	struct zones_draft *zones = NULL;
	int err = conf_parse(name, text, d->config, &config, out);

	if (!err)
		err = check(d, config, out);
	if (!err)
		err = zones_draft(d, config, &zones);
	table_refresh(d);
	if (!err) {
		compare_others(d->config, config, out);
		err = daemon_compare(d, config, out);
		zones_plan(d, zones, config, out);
	}
	zones_drop(zones);
	config_free(config);
	return err;
}

int daemon_reload(struct daemon *d, const char *who, struct buf *errors)
{
	struct config *config = NULL;
	int err;

	if (d->detached)
		return -ESHUTDOWN;
	notify_send("RELOADING=1");
	err = conf_load(d->file, d->config, &config, errors);
	if (!err)
		err = check(d, config, errors);
	if (!err)
		err = daemon_replace_config(d, who, config);
	daemon_changed(d);
	if (err) {
		config_free(config);
		d->reloads_failed++;
		if (!errors->len)
			buf_printf(errors, "%s: %s\n", d->file, strerror(-err));
		snprintf(d->last_error, sizeof(d->last_error), "%s",
			 errors->data ? errors->data : "");
		reload_note_failure(d, who);
		log_lines(LOG_LEVEL_ERROR, "config_error", errors);
	} else {
		d->last_error[0] = 0;
		d->reloads_ok++;
		d->loaded_wall_ms = clock_now().wall_ms;
		log_lines(LOG_LEVEL_WARN, "config_warning", errors);
	}
	notify_send("READY=1");
	return err;
}
