// SPDX-License-Identifier: BSD-2-Clause
/*
 * The daemon's own events, in addition to the model's, and the one place where all events are published: each is a log
 * line and an entry of `events`, once.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"
#include "util/clock.h"
#include "util/log.h"

struct event *daemon_event(struct daemon *d, enum event_kind kind)
{
	return event_add(&d->model->events, kind, clock_now().wall_ms);
}

/* That the program fails cannot be told by it; and that it works again would be a run more, which may fail. */
static bool is_about_notify(const struct event *e)
{
	return e->kind == EVENT_PROBLEM && (!strcmp(e->to, "notify") || !strcmp(e->from, "notify"));
}

void notes_log(struct daemon *d)
{
	char line[EVENT_LINE_SIZE];

	for (; d->logged_seq + 1 < d->model->events.next_seq; d->logged_seq++) {
		const struct event *e = event_get(&d->model->events, d->logged_seq + 1);

		if (!e)
			continue;
		log_at(event_level(e), "%s", event_line(e, line, sizeof(line)));
		if (!is_about_notify(e))
			messenger_tell(d->messenger, &d->model->events, e);
	}
}

/* Reports a change of an interface: its program's mode, or its link's state. */
static void note_interface(struct daemon *d, enum event_kind kind, unsigned interface,
			   const char **known, const char *is, const char *cause)
{
	struct event *e;

	if (*known && !strcmp(*known, is))
		return;
	e = daemon_event(d, kind);
	snprintf(e->interface, sizeof(e->interface), "%s", d->config->interfaces[interface].name);
	snprintf(e->from, sizeof(e->from), "%s", *known ? *known : "");
	snprintf(e->to, sizeof(e->to), "%s", is);
	snprintf(e->cause, sizeof(e->cause), "%s", cause);
	*known = is;
}

void note_mode(struct daemon *d, unsigned interface)
{
	bool there = netlink_link(d->netlink, interface)->ifindex;
	const char *is = datapath_xdp_mode(d->datapath, interface);

	note_interface(d, EVENT_INTERFACE, interface, &d->modes[interface], is,
		       strcmp(is, "detached") ? ""
		       : there		      ? "another program detached it"
					      : "the interface was deleted");
}

/* The kernel receives packets on the interface and the program does not: no mail is forwarded. */
void note_sight(struct daemon *d, unsigned interface)
{
	static const char *const names[] = {
		[SIGHT_UNKNOWN] = "unknown", [SIGHT_SEES] = "sees", [SIGHT_BLIND] = "blind"};
	const char *name = d->config->interfaces[interface].name;
	enum sight_state is =
		datapath_sight(d->datapath, interface, netlink_ip_device(d->netlink, interface));
	char cause[EVENT_TEXT_SIZE] = "";

	d->sight[interface] = names[is];
	if (is == SIGHT_BLIND)
		snprintf(
			cause, sizeof(cause),
			"the kernel receives ARP or neighbour discovery on %s that mxlb's program does "
			"not see: mail is lost; see mxlbctl doctor",
			name);
	if (is == SIGHT_BLIND || d->sights[interface]) /* "sees" is not reported at the start */
		note_interface(d, EVENT_INTERFACE_BLIND, interface, &d->sights[interface],
			       names[is], cause);
	if (model_blind(d->model, interface, is == SIGHT_BLIND, name, clock_now()))
		daemon_changed(d);
}

/* Mail on it ends; an operator who moves a VIP to another interface must see that. */
void note_undeclared(void *ctx, int ifindex)
{
	struct event *e = daemon_event(ctx, EVENT_INTERFACE);

	if (!if_indextoname((unsigned)ifindex, e->interface))
		snprintf(e->interface, sizeof(e->interface), "#%d", ifindex);
	snprintf(e->to, sizeof(e->to), "undeclared");
	snprintf(e->cause, sizeof(e->cause),
		 "the program was detached: the interface is not in the configuration");
}

void note_link(struct daemon *d, unsigned interface, const struct netlink_link *link)
{
	const char *is = !link->ifindex	 ? "gone"
			 : !link->up	 ? "down"
			 : link->carrier ? "up"
					 : "no-carrier";

	note_interface(d, EVENT_LINK, interface, &d->links[interface], is, "");
}

void on_child(void *ctx, const char *why)
{
	struct event *e = daemon_event(ctx, EVENT_PROBE_CHILD);

	snprintf(e->cause, sizeof(e->cause), "%s", why);
}

void on_cost(void *ctx, uint32_t server_id, bool expensive, uint32_t cpu_ms)
{
	struct daemon *d = ctx;
	struct service *s;
	const struct server *b = model_server(d->model, server_id, &s);
	struct event *e;

	if (!b)
		return;
	e = daemon_event(d, EVENT_PROBE_COST);
	snprintf(e->service, sizeof(e->service), "%s", s->conf.name);
	snprintf(e->server, sizeof(e->server), "%s", b->conf.name);
	snprintf(e->to, sizeof(e->to), "%s", expensive ? "expensive" : "cheap");
	snprintf(
		e->cause, sizeof(e->cause),
		expensive
			? "a probe took %u ms of CPU: full probes are now rare and run in a separate process"
			: "the last full probe took %u ms of CPU, and those before it as little",
		cpu_ms);
}

int note_notify_test(void *ctx, const char *who, uint64_t *seq)
{
	struct daemon *d = ctx;
	struct event *e;

	if (!*d->config->notify)
		return -ENOENT;
	if (messenger_is_full(d->messenger))
		return -EBUSY;
	e = daemon_event(d, EVENT_NOTIFY_TEST);
	snprintf(e->user, sizeof(e->user), "%s", who);
	snprintf(e->cause, sizeof(e->cause), "a test of the notify program: nothing is wrong");
	*seq = e->seq;
	return 0;
}

void note_start(struct daemon *d)
{
	struct event *e = daemon_event(d, EVENT_STARTED);

	snprintf(e->to, sizeof(e->to), "%s", MXLB_VERSION);
	snprintf(e->cause, sizeof(e->cause), "pid %d, build %s, %s", getpid(), MXLB_BUILD, d->file);
	notes_log(d);
}

void note_stop(struct daemon *d)
{
	struct event *e = daemon_event(d, EVENT_STOPPED);

	snprintf(e->cause, sizeof(e->cause), "%s; the datapath %s",
		 d->stopped_by ? d->stopped_by : "detach",
		 d->detached ? "is detached" : "continues to forward");
	notes_log(d);
}
