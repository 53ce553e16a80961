/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks the network which hosts have a VIP (an ARP probe, RFC 5227 section 2.1.1, or a neighbour solicitation as for
 * duplicate address detection, RFC 4862 section 5.4.2) and listens for a while on mxlb's interfaces:
 *
 *   1. Only this box may answer for a VIP, and only one host for a server's address. Probes have no sender address, so
 *      they change no ARP table.
 *   2. A server's packets from a VIP must go straight to the client: seen here, its route leads back through this box.
 *      A SYN from a VIP is a connection of the server itself, whose answer would come to mxlb instead.
 *
 * Packets that XDP forwards do not appear here, so the load is low. Tagged interfaces are left out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ctl/doctor/doctor.h"
#include "ctl/wire_frame.h"
#include "ctl/nl.h"
#include "ctl/text.h"
#include "util/clock.h"

#define LISTEN_S   2 /* where --timeout does not say */
#define ROUNDS	   2 /* a frame may be lost */
#define CLAIMS_MAX 512
#define MACS_MAX   4
#define FRAMES_MAX 200000

struct claim { /* an address for which hosts may answer */
	struct addr address;
	const char *name; /* of a service or server */
	bool is_vip;
	unsigned port; /* of the service */
	unsigned at;   /* index of ports */
	struct mac macs[MACS_MAX];
	unsigned n_macs;
	bool returned, called; /* rule 2 was broken: by a reply, by a SYN */
	struct mac returned_by, called_by;
};

struct sniff_port {
	const char *name;
	struct nl_link link;
	int fd;
};

struct wire {
	struct doctor *d;
	struct claim *claims;
	unsigned n_claims;
	struct sniff_port ports[MXLB_MAX_PORTS];
	unsigned n_ports;
};

static void open_ports(struct wire *w)
{
	const char *name;
	json_t *conf;

	json_object_foreach (json_object_get(w->d->config, "interfaces"), name, conf) {
		struct sniff_port *p = &w->ports[w->n_ports];
		struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

		if (w->n_ports == MXLB_MAX_PORTS || json_object_get(conf, "vlan") ||
		    nl_link(name, &p->link))
			continue;
		at.sll_ifindex = p->link.ifindex;
		p->name = name;
		p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (p->fd >= 0 && bind(p->fd, (struct sockaddr *)&at, sizeof(at))) {
			close(p->fd);
			p->fd = -1;
		}
		if (p->fd >= 0)
			w->n_ports++;
	}
}

static void add_claim(struct wire *w, struct claim c, const char *interface)
{
	if (w->n_claims == CLAIMS_MAX || addr_is_zero(&c.address))
		return;
	for (c.at = 0; c.at < w->n_ports; c.at++)
		if (!strcmp(w->ports[c.at].name, interface))
			break;
	if (c.at < w->n_ports)
		w->claims[w->n_claims++] = c;
}

static void add_servers(struct wire *w, const json_t *tiers, const char *interface)
{
	const char *preference, *name;
	json_t *tier, *server;

	json_object_foreach ((json_t *)tiers, preference, tier)
		json_object_foreach (tier, name, server) {
			struct claim c = {.name = name};

			if (!strcmp(field_text(server, "forward"), "l2") &&
			    doctor_address(server, "address", &c.address))
				add_claim(w, c, interface);
		}
}

static void add_claims(struct wire *w)
{
	const char *name;
	json_t *service;

	json_object_foreach (json_object_get(w->d->config, "services"), name, service) {
		const char *interface = field_text(service, "interface");
		struct claim c = {.name = name,
				  .is_vip = true,
				  .port = (unsigned)field_number(service, "port")};

		doctor_address(service, "address", &c.address);
		add_claim(w, c, interface);
		add_servers(w, json_object_get(service, "tiers"), interface);
	}
}

static void ask_all(const struct wire *w)
{
	for (unsigned i = 0; i < w->n_claims; i++) {
		const struct sniff_port *p = &w->ports[w->claims[i].at];
		uint8_t bytes[FRAME_MAX];
		size_t len = frame_question(&w->claims[i].address, &p->link.mac, bytes);

		/* a queue that is full loses one of two */
		if (send(p->fd, bytes, len, 0) < 0)
			continue;
	}
}

static bool same_mac(const struct mac *a, const struct mac *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Rule 1. */
static void note_owner(struct wire *w, const struct frame *f)
{
	for (unsigned i = 0; i < w->n_claims; i++) {
		struct claim *c = &w->claims[i];
		unsigned k = 0;

		if (!addr_equal(&c->address, &f->from) ||
		    same_mac(&f->mac, &w->ports[c->at].link.mac))
			continue;
		while (k < c->n_macs && !same_mac(&f->mac, &c->macs[k]))
			k++;
		if (k == c->n_macs && k < MACS_MAX)
			c->macs[c->n_macs++] = f->mac;
	}
}

/* Rule 2. Probes' answers are for this box. */
static void note_segment(struct wire *w, const struct frame *f)
{
	int ifindex;

	for (unsigned i = 0; i < w->n_claims; i++) {
		struct claim *c = &w->claims[i];

		if (!c->is_vip || !addr_equal(&c->address, &f->from) ||
		    nl_route(&f->to, &ifindex) || ifindex == 1) /* lo: an address of this box */
			continue;
		if (f->port == c->port) {
			c->returned = true;
			c->returned_by = f->mac;
		} else if (f->opens) {
			c->called = true;
			c->called_by = f->mac;
		}
	}
}

static void read_frame(struct wire *w, const uint8_t *bytes, size_t len)
{
	struct frame f;

	frame_read(bytes, len, &f);
	if (f.kind == FRAME_CLAIM)
		note_owner(w, &f);
	else if (f.kind == FRAME_SEGMENT)
		note_segment(w, &f);
}

/* All that is there. How many frames. */
static unsigned drain(struct wire *w, int fd)
{
	uint8_t bytes[160]; /* enough of any header */
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	unsigned n = 0;
	ssize_t len;

	while (n < FRAMES_MAX && (len = recvfrom(fd, bytes, sizeof(bytes), 0,
						 (struct sockaddr *)&from, &size)) >= 0) {
		if (from.sll_pkttype != PACKET_OUTGOING)
			read_frame(w, bytes, (size_t)len);
		n++;
	}
	return n;
}

static void listen_until(struct wire *w, long long end_ms, unsigned *frames)
{
	struct pollfd fds[MXLB_MAX_PORTS];
	long long left;

	for (unsigned i = 0; i < w->n_ports; i++)
		fds[i] = (struct pollfd){.fd = w->ports[i].fd, .events = POLLIN};
	while (*frames < FRAMES_MAX && (left = end_ms - (long long)clock_ms()) > 0) {
		if (poll(fds, w->n_ports, (int)left) <= 0)
			continue;
		for (unsigned i = 0; i < w->n_ports; i++)
			*frames += fds[i].revents ? drain(w, fds[i].fd) : 0;
	}
}

/* The server with this MAC address, if mxlbd knows it. */
static json_t *host_text(const struct doctor *d, const struct mac *mac)
{
	char text[ADDR_TEXT_SIZE];
	json_t *service, *tier, *server;
	size_t i, k, n;

	addr_mac_text(mac, text);
	json_array_foreach (json_object_get(d->status, "services"), i, service)
		json_array_foreach (json_object_get(service, "tiers"), k, tier)
			json_array_foreach (tier_servers(tier), n, server)
				if (!strcmp(field_text(json_object_get(server, "neighbour"), "mac"),
					    text))
					return json_sprintf("%s (%s)", field_text(server, "name"),
							    text);
	return json_string(text);
}

/* A sentence with the host's name as its last part. */
static void accuse(struct wire *w, const struct claim *c, const char *what, const struct mac *mac,
		   json_t *advice)
{
	json_t *host = host_text(w->d, mac);
	char address[ADDR_TEXT_SIZE];

	doctor_find(w->d, DOCTOR_ERROR,
		    json_sprintf("%s (%s): %s: %s", addr_text(&c->address, address), c->name, what,
				 json_string_value(host)),
		    advice);
	json_decref(host);
}

/* Then another box answers for the VIPs. */
static bool is_standby(const struct doctor *d)
{
	return !strcmp(field_text(json_object_get(d->status, "ha"), "role"), "standby");
}

/* Before the first start. A mxlbd that runs knows it of its own neighbours. */
static void judge_silence(struct wire *w, const struct claim *c)
{
	char address[ADDR_TEXT_SIZE];

	if (w->d->status || c->is_vip || c->n_macs)
		return;
	doctor_find(
		w->d, DOCTOR_WARNING,
		json_sprintf("%s (%s): no host answers ARP or ND for this server's address",
			     addr_text(&c->address, address), c->name),
		json_string(
			"Check the address, and that the host runs and is in this network or VLAN."));
}

static void judge_claim(struct wire *w, const struct claim *c)
{
	judge_silence(w, c);
	for (unsigned i = is_standby(w->d); c->is_vip && i < c->n_macs; i++)
		accuse(w, c, "another host also answers ARP or ND for this VIP", &c->macs[i],
		       json_string(
			       "Remove the VIP there; on a server keep it on lo only, with arp_ignore=1 and "
			       "arp_announce=2: mxlbctl server-setup."));
	if (!c->is_vip && c->n_macs > 1)
		accuse(w, c, "several hosts have this server's address; one of them is",
		       &c->macs[1],
		       json_string("Change the address of one of them, or switch off proxy ARP."));
	if (c->returned)
		accuse(w, c, "a server's replies from this VIP come to this box, from",
		       &c->returned_by,
		       json_string(
			       "Its default route must not lead here: replies go straight to the sender."));
	if (c->called)
		accuse(w, c, "a server uses this VIP as the source of its own connections",
		       &c->called_by,
		       json_string(
			       "Replies to such connections do not arrive. On Windows: New-NetIPAddress -SkipAsSource $true. "
			       "On Linux: keep the VIP on lo as /32, and do not set smtp_bind_address to it."));
}

static void check_wire(struct doctor *d)
{
	struct wire w = {.d = d, .claims = calloc(CLAIMS_MAX, sizeof(*w.claims))};
	long long start = (long long)clock_ms(),
		  listen_ms = 1000ll * (d->ctl->timeout_s ?: LISTEN_S);
	unsigned frames = 0;

	open_ports(&w);
	if (w.claims)
		add_claims(&w);
	if (!w.n_ports)
		doctor_find(
			d, DOCTOR_NOT_CHECKED,
			json_string(
				"could not listen on any interface (those with vlan are left out)"),
			NULL);
	for (int round = 1; round <= ROUNDS && w.n_ports; round++) {
		ask_all(&w);
		listen_until(&w, start + listen_ms * round / ROUNDS, &frames);
	}
	for (unsigned i = 0; i < w.n_claims; i++)
		judge_claim(&w, &w.claims[i]);
	for (unsigned i = 0; i < w.n_ports; i++)
		close(w.ports[i].fd);
	free(w.claims);
}

const struct doctor_check doctor_wire_checks[] = {
	{"wire",
	 "at most one box answers for the VIPs, servers' addresses are unique, and no replies from a VIP "
	 "pass this box (asked the network and listened)",
	 NEEDS_CONFIG | NEEDS_ROOT, check_wire},
	{.name = NULL},
};
