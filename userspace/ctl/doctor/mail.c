/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks by mxlbd's own data: services and servers as it diagnoses them, their certificates, next hops and tunnels. */
#include <string.h>
#include "ctl/doctor/doctor.h"
#include "ctl/text.h"

#define EXPIRY_DAYS 21 /* expiry-warn's default */
#define MTU_V6_MIN  1280
#define MTU_V4_MIN  576 /* RFC 791: what every host takes */
#define MTU_FULL    1500

/* mxlbd's findings (core/diagnosis.c) whose code begins with one of these; NULL: those of servers. */
static void show_findings(struct doctor *d, const char *const *codes)
{
	json_t *f;
	size_t i;

	json_array_foreach (json_object_get(d->status, "diagnosis"), i, f) {
		const char *level = field_text(f, "level"), *next = field_text(f, "next");
		bool wanted = !codes && *field_text(f, "server");

		for (size_t k = 0; codes && codes[k] && !wanted; k++)
			wanted = !strncmp(field_text(f, "code"), codes[k], strlen(codes[k]));
		if (!wanted || !strcmp(level, "note"))
			continue;
		doctor_find(d, strcmp(level, "warning") ? DOCTOR_ERROR : DOCTOR_WARNING,
			    json_string(field_text(f, "text")), *next ? json_string(next) : NULL);
	}
}

static void check_services(struct doctor *d)
{
	static const char *const codes[] = {"service_", "tier_", "allow_file_old", NULL};

	show_findings(d, codes);
}

static void check_zone(struct doctor *d)
{
	static const char *const codes[] = {"zone_", "tlsa_", NULL};

	show_findings(d, codes);
}

/* No fault of this box: shown, and not counted as one. */
static void check_rejected(struct doctor *d)
{
	json_t *f;
	size_t i;

	json_array_foreach (json_object_get(d->status, "diagnosis"), i, f) {
		if (strncmp(field_text(f, "code"), "senders_", 8))
			continue;
		doctor_find(d, DOCTOR_OK, json_string(field_text(f, "text")),
			    json_string(field_text(f, "next")));
	}
}

static void check_servers(struct doctor *d)
{
	show_findings(d, NULL);
}

static void judge_certificate(struct doctor *d, const struct ctl_found *f)
{
	const json_t *tls = json_object_get(f->server, "tls");
	long long days = field_number(tls, "days_left");

	if (!json_is_integer(json_object_get(tls, "days_left")) || days >= EXPIRY_DAYS)
		return;
	doctor_find(d, days < 0 ? DOCTOR_ERROR : DOCTOR_WARNING,
		    json_sprintf("%s/%s: its certificate (%s) %s", field_text(f->service, "name"),
				 field_text(f->server, "name"), field_text(tls, "subject"),
				 days < 0 ? "has expired" : "expires within three weeks"),
		    json_string("Renew it with the same issuer and subject (else change "
				"tls-certificate-name), and assign it to SMTP."));
}

static void check_certificates(struct doctor *d)
{
	doctor_each_server(d, judge_certificate);
}

static const char *mac_of(const json_t *server)
{
	return field_text(json_object_get(server, "neighbour"), "mac");
}

static void judge_neighbour(struct doctor *d, const struct ctl_found *f)
{
	const json_t *neighbour = json_object_get(f->server, "neighbour");
	const char *state = field_text(neighbour, "state"), *name = field_text(f->server, "name");

	if (strcmp(state, "resolved"))
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf("the next hop to %s (%s) is %s: it does not answer ARP or ND",
				     name, field_text(f->server, "address"), state),
			json_sprintf(
				"Check the route (ip route get %s), and that the host runs and is in "
				"this network or VLAN.",
				field_text(f->server, "address")));
}

/* Two servers of a tier on one host take twice their share; or one host answers ARP for the other. */
static void judge_twins(struct doctor *d, const json_t *tier)
{
	const json_t *servers = tier_servers(tier), *a, *b;
	size_t i, k;

	json_array_foreach (servers, i, a)
		json_array_foreach (servers, k, b)
			if (k > i && *mac_of(a) && !strcmp(mac_of(a), mac_of(b)) &&
			    !field_true(json_object_get(a, "neighbour"), "routed"))
				doctor_find(
					d, DOCTOR_WARNING,
					json_sprintf("%s and %s have one MAC address, %s",
						     field_text(a, "name"), field_text(b, "name"),
						     mac_of(a)),
					json_string(
						"Are they one host? Or does a host answer ARP for "
						"another (proxy_arp)?"));
}

static void check_neighbours(struct doctor *d)
{
	json_t *service, *tier;
	size_t i, k;

	doctor_each_server(d, judge_neighbour);
	json_array_foreach (json_object_get(d->status, "services"), i, service)
		json_array_foreach (json_object_get(service, "tiers"), k, tier)
			judge_twins(d, tier);
}

/* What is left of the tunnel's MTU for a packet to the VIP. */
static void judge_tunnel(struct doctor *d, const struct ctl_found *f)
{
	const json_t *tunnel = json_object_get(f->server, "tunnel");
	struct addr vip, target;
	long long mtu = field_number(tunnel, "mtu"), header, room;
	bool v4;

	if (!json_is_integer(json_object_get(tunnel, "mtu")) ||
	    !doctor_address(f->service, "address", &vip) ||
	    !doctor_address(tunnel, "target", &target))
		return;
	v4 = addr_is_v4(&vip);
	header = addr_is_v4(&target) ? 20 : 40;
	room = mtu - header;
	if (room >= MTU_FULL - header)
		return;
	doctor_find(
		d, room < (v4 ? MTU_V4_MIN : MTU_V6_MIN) ? DOCTOR_ERROR : DOCTOR_WARNING,
		json_sprintf(
			"the path to %s (%s) has an MTU of %lld: with the tunnel's header %lld bytes are "
			"left for mail, %s",
			field_text(f->server, "name"), field_text(f->server, "address"), mtu, room,
			room < (v4 ? MTU_V4_MIN : MTU_V6_MIN)
				? "less than the minimum on the Internet"
				: "which senders must learn by ICMP"),
		json_string(
			"Raise the MTU of the path (interface or route: ip route get) to 1520 (IPv4) or 1540 "
			"(IPv6) if possible; let firewalls pass ICMP \"fragmentation needed\"."));
}

static void check_tunnels(struct doctor *d)
{
	doctor_each_server(d, judge_tunnel);
}

const struct doctor_check doctor_mail_checks[] = {
	{"services", "mail goes to the best tier of each service", NEEDS_STATUS, check_services},
	{"servers", "all accept mail on the VIP, over the path that mail takes", NEEDS_STATUS,
	 check_servers},
	{"zone", "the servers and TLSA records from DNS are in force, if there are any",
	 NEEDS_STATUS, check_zone},
	{"rejected", "no sender was turned away in the last hour", NEEDS_STATUS, check_rejected},
	{"certificates", "none expires within three weeks", NEEDS_STATUS, check_certificates},
	{"neighbours", "all next hops answer, each with its own MAC address", NEEDS_STATUS,
	 check_neighbours},
	{"tunnels", "full-size packets fit into the tunnels", NEEDS_STATUS, check_tunnels},
	{.name = NULL},
};
