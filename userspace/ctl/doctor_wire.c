/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks the network who has a VIP (an ARP probe, RFC 5227 section 2.1.1, or a neighbour solicitation as for duplicate address
 * detection, RFC 4862 section 5.4.2) and listens for a while, on mxlb's interfaces:
 *
 *  1. Nobody but this box may answer for a VIP, and only one host for a server's address. Probes have no sender address,
 *     so that nobody's ARP table changes by them.
 *  2. What a server sends from a VIP goes straight to the client: seen here, its way out leads back through this box. A
 *     SYN from a VIP is a connection of the server's own, whose answer would come to mxlb and never to it.
 *
 * What XDP sends on never comes up here, so the load is that of the rest. Tagged interfaces are left out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ctl/doctor.h"
#include "ctl/nl.h"
#include "ctl/text.h"

#define LISTEN_S   2 /* where --timeout does not say */
#define ROUNDS	   2 /* a frame may be lost */
#define CLAIMS_MAX 512
#define MACS_MAX   4
#define FRAMES_MAX 200000

struct claim { /* an address that somebody may answer for */
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

struct port {
	const char *name;
	struct nl_link link;
	int fd;
};

struct wire {
	struct doctor *d;
	struct claim *claims;
	unsigned n_claims;
	struct port ports[MXLB_MAX_PORTS];
	unsigned n_ports;
};

static void open_ports(struct wire *w)
{
	const char *name;
	json_t *conf;

	json_object_foreach(json_object_get(w->d->config, "interfaces"), name, conf)
	{
		struct port *p = &w->ports[w->n_ports];
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
	json_t *tier, *backend;

	json_object_foreach((json_t *)tiers, preference, tier)
		json_object_foreach(tier, name, backend)
	{
		struct claim c = {.name = name};

		if (!strcmp(field_text(backend, "forward"), "l2") &&
		    doctor_address(backend, "address", &c.address))
			add_claim(w, c, interface);
	}
}

static void add_claims(struct wire *w)
{
	const char *name;
	json_t *service;

	json_object_foreach(json_object_get(w->d->config, "services"), name, service)
	{
		const char *interface = field_text(service, "interface");
		struct claim c = {.name = name,
				  .is_vip = true,
				  .port = (unsigned)field_number(service, "port")};

		doctor_address(service, "address", &c.address);
		add_claim(w, c, interface);
		add_servers(w, json_object_get(service, "tiers"), interface);
	}
}

struct arp_frame {
	struct ether_header eth;
	struct ether_arp arp;
} __attribute__((packed));

struct solicitation {
	struct ether_header eth;
	struct ip6_hdr ip6;
	struct nd_neighbor_solicit ns;
} __attribute__((packed));

static size_t fill_arp(struct arp_frame *f, const struct mac *mac, const uint8_t target[4])
{
	memset(f, 0, sizeof(*f));
	memset(f->eth.ether_dhost, 0xff, ETH_ALEN);
	memcpy(f->eth.ether_shost, mac, ETH_ALEN);
	f->eth.ether_type = htons(ETHERTYPE_ARP);
	f->arp.arp_hrd = htons(ARPHRD_ETHER);
	f->arp.arp_pro = htons(ETHERTYPE_IP);
	f->arp.arp_hln = ETH_ALEN;
	f->arp.arp_pln = 4;
	f->arp.arp_op = htons(ARPOP_REQUEST);
	memcpy(f->arp.arp_sha, mac, ETH_ALEN);
	memcpy(f->arp.arp_tpa, target, 4);
	return sizeof(*f);
}

/* RFC 1071, over the pseudo header (RFC 8200 section 8.1) and the message. */
static uint16_t checksum(const struct solicitation *f)
{
	const uint8_t *p = (const uint8_t *)&f->ip6.ip6_src, *end = (const uint8_t *)(f + 1);
	uint32_t sum = sizeof(f->ns) + IPPROTO_ICMPV6;

	for (; p < end; p += 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static size_t fill_solicitation(struct solicitation *f, const struct mac *mac,
				const uint8_t target[16])
{
	static const uint8_t group[16] = {0xff,
					  2, [11] = 1, [12] = 0xff}; /* RFC 4291 section 2.7.1 */

	memset(f, 0, sizeof(*f));
	memcpy(f->eth.ether_dhost, "\x33\x33\xff", 3);
	memcpy(f->eth.ether_dhost + 3, target + 13, 3);
	memcpy(f->eth.ether_shost, mac, ETH_ALEN);
	f->eth.ether_type = htons(ETHERTYPE_IPV6);
	f->ip6.ip6_flow = htonl(6U << 28);
	f->ip6.ip6_plen = htons(sizeof(f->ns));
	f->ip6.ip6_nxt = IPPROTO_ICMPV6;
	f->ip6.ip6_hlim = 255;
	memcpy(&f->ip6.ip6_dst, group, 16);
	memcpy((uint8_t *)&f->ip6.ip6_dst + 13, target + 13, 3);
	f->ns.nd_ns_type = ND_NEIGHBOR_SOLICIT;
	memcpy(&f->ns.nd_ns_target, target, 16);
	f->ns.nd_ns_cksum = checksum(f);
	return sizeof(*f);
}

static void ask_all(const struct wire *w)
{
	for (unsigned i = 0; i < w->n_claims; i++) {
		const struct port *p = &w->ports[w->claims[i].at];
		union {
			struct arp_frame arp;
			struct solicitation ns;
		} frame;
		uint8_t target[16];
		size_t len = addr_to_bytes(&w->claims[i].address, target);

		len = len == 4 ? fill_arp(&frame.arp, &p->link.mac, target)
			       : fill_solicitation(&frame.ns, &p->link.mac, target);
		/* a queue that is full loses one of two */
		if (send(p->fd, &frame, len, 0) < 0)
			continue;
	}
}

static bool same_mac(const void *a, const void *b)
{
	return !memcmp(a, b, ETH_ALEN);
}

static void note_owner(struct wire *w, const struct addr *address, const uint8_t *mac)
{
	for (unsigned i = 0; i < w->n_claims; i++) {
		struct claim *c = &w->claims[i];
		unsigned k = 0;

		if (!addr_equal(&c->address, address) || same_mac(mac, &w->ports[c->at].link.mac))
			continue;
		while (k < c->n_macs && !same_mac(mac, &c->macs[k]))
			k++;
		if (k == c->n_macs && k < MACS_MAX)
			memcpy(&c->macs[c->n_macs++], mac, ETH_ALEN);
	}
}

/* Rule 2. Probes' answers are for this box. */
static void note_segment(struct wire *w, const struct addr *from, const struct addr *to,
			 const struct tcphdr *tcp, const uint8_t *mac)
{
	int ifindex;

	for (unsigned i = 0; i < w->n_claims; i++) {
		struct claim *c = &w->claims[i];

		if (!c->is_vip || !addr_equal(&c->address, from) || nl_route(to, &ifindex) ||
		    ifindex == 1) /* lo: an address of ours */
			continue;
		if (ntohs(tcp->source) == c->port) {
			c->returned = true;
			memcpy(&c->returned_by, mac, ETH_ALEN);
		} else if (tcp->syn && !tcp->ack) {
			c->called = true;
			memcpy(&c->called_by, mac, ETH_ALEN);
		}
	}
}

static void read_arp(struct wire *w, const uint8_t *frame, size_t len)
{
	const struct ether_arp *arp = (const void *)(frame + ETH_HLEN);
	struct addr sender;

	if (len < ETH_HLEN + sizeof(*arp))
		return;
	addr_from_bytes(arp->arp_spa, 4, &sender);
	note_owner(w, &sender, arp->arp_sha);
}

static void read_v4(struct wire *w, const uint8_t *frame, size_t len)
{
	const struct iphdr *ip = (const void *)(frame + ETH_HLEN);
	struct addr from, to;
	size_t header;

	if (len < ETH_HLEN + sizeof(*ip))
		return;
	header = ip->ihl * 4;
	if (ip->protocol != IPPROTO_TCP || header < sizeof(*ip) ||
	    len < ETH_HLEN + header + sizeof(struct tcphdr))
		return;
	addr_from_bytes(&ip->saddr, 4, &from);
	addr_from_bytes(&ip->daddr, 4, &to);
	note_segment(w, &from, &to, (const void *)((const uint8_t *)ip + header), frame + ETH_ALEN);
}

static void read_v6(struct wire *w, const uint8_t *frame, size_t len)
{
	const struct ip6_hdr *ip6 = (const void *)(frame + ETH_HLEN);
	const struct nd_neighbor_advert *na = (const void *)(ip6 + 1);
	struct addr from, to;

	if (len >= ETH_HLEN + sizeof(*ip6) + sizeof(*na) && ip6->ip6_nxt == IPPROTO_ICMPV6 &&
	    na->nd_na_type == ND_NEIGHBOR_ADVERT) {
		addr_from_bytes(&na->nd_na_target, 16, &from);
		note_owner(w, &from, frame + ETH_ALEN);
	} else if (len >= ETH_HLEN + sizeof(*ip6) + sizeof(struct tcphdr) &&
		   ip6->ip6_nxt == IPPROTO_TCP) {
		addr_from_bytes(&ip6->ip6_src, 16, &from);
		addr_from_bytes(&ip6->ip6_dst, 16, &to);
		note_segment(w, &from, &to, (const void *)(ip6 + 1), frame + ETH_ALEN);
	}
}

static void read_frame(struct wire *w, const uint8_t *frame, size_t len)
{
	switch (len >= ETH_HLEN ? frame[12] << 8 | frame[13] : 0) {
	case ETHERTYPE_ARP:
		read_arp(w, frame, len);
		break;
	case ETHERTYPE_IP:
		read_v4(w, frame, len);
		break;
	case ETHERTYPE_IPV6:
		read_v6(w, frame, len);
		break;
	default:
		break;
	}
}

/* All that is there. How many frames. */
static unsigned drain(struct wire *w, int fd)
{
	_Alignas(8) uint8_t bytes[2 + 160]; /* so that IP headers are aligned */
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	unsigned n = 0;
	ssize_t len;

	while (n < FRAMES_MAX && (len = recvfrom(fd, bytes + 2, sizeof(bytes) - 2, 0,
						 (struct sockaddr *)&from, &size)) >= 0) {
		if (from.sll_pkttype != PACKET_OUTGOING)
			read_frame(w, bytes + 2, (size_t)len);
		n++;
	}
	return n;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void listen_until(struct wire *w, long long end_ms, unsigned *frames)
{
	struct pollfd fds[MXLB_MAX_PORTS];
	long long left;

	for (unsigned i = 0; i < w->n_ports; i++)
		fds[i] = (struct pollfd){.fd = w->ports[i].fd, .events = POLLIN};
	while (*frames < FRAMES_MAX && (left = end_ms - now_ms()) > 0) {
		if (poll(fds, w->n_ports, (int)left) <= 0)
			continue;
		for (unsigned i = 0; i < w->n_ports; i++)
			*frames += fds[i].revents ? drain(w, fds[i].fd) : 0;
	}
}

/* Whose MAC address it is, where mxlbd knows. */
static json_t *host_text(const struct doctor *d, const struct mac *mac)
{
	char text[ADDR_TEXT_SIZE];
	json_t *service, *tier, *backend;
	size_t i, k, n;

	addr_mac_text(mac, text);
	json_array_foreach(json_object_get(d->status, "services"), i, service)
		json_array_foreach(json_object_get(service, "tiers"), k, tier) json_array_foreach(
			json_object_get(tier, "backends"), n,
			backend) if (!strcmp(field_text(json_object_get(backend, "neighbour"),
							"mac"),
					     text)) return json_sprintf("%s (%s)",
									field_text(backend, "name"),
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

static void judge_claim(struct wire *w, const struct claim *c)
{
	for (unsigned i = 0; c->is_vip && i < c->n_macs; i++)
		accuse(w, c, "this VIP is answered for by another host too", &c->macs[i],
		       json_string(
			       "Take it off there; a server has it on lo, with arp_ignore=1 and arp_announce=2: "
			       "mxlbctl server-setup."));
	if (!c->is_vip && c->n_macs > 1)
		accuse(w, c, "more than one host has this server's address, one of them is",
		       &c->macs[1],
		       json_string("Give one of them another address, or end proxy ARP for it."));
	if (c->returned)
		accuse(w, c, "what a server answers from this VIP comes back to this box, from",
		       &c->returned_by,
		       json_string(
			       "Its default route must not lead here: answers go straight to the sender."));
	if (c->called)
		accuse(w, c, "a server connects from this VIP as its own address", &c->called_by,
		       json_string(
			       "Its answers would go astray: on Windows New-NetIPAddress -SkipAsSource $true, "
			       "on Linux the VIP is on lo with /32, and smtp_bind_address is not it."));
}

static void check_wire(struct doctor *d)
{
	struct wire w = {.d = d, .claims = calloc(CLAIMS_MAX, sizeof(*w.claims))};
	long long start = now_ms(), listen_ms = 1000ll * (d->ctl->timeout_s ?: LISTEN_S);
	unsigned frames = 0;

	open_ports(&w);
	if (w.claims)
		add_claims(&w);
	if (!w.n_ports)
		doctor_find(
			d, DOCTOR_NOT_CHECKED,
			json_string("no interface that is there and not tagged can be listened on"),
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
	 "only this box has the VIPs, servers' addresses are theirs alone, and nothing that goes out from a VIP passes "
	 "here (asked, and listened)",
	 NEEDS_CONFIG | NEEDS_ROOT, check_wire},
	{.name = NULL},
};
