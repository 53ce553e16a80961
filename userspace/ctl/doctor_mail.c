/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of what mxlbd knows: services, servers, their certificates, next hops and tunnels. Says for each reason what to do.
 */
#include <string.h>
#include "ctl/doctor.h"
#include "ctl/text.h"

#define EXPIRY_DAYS 21 /* expiry-warn's default */
#define MTU_V6_MIN  1280
#define MTU_V4_MIN  576 /* RFC 791: what every host takes */
#define MTU_FULL    1500

static const struct {
	const char *state, *text;
	enum doctor_level level;
} states[] = {
	{"down", "no server takes mail: senders are refused", DOCTOR_ERROR},
	{"fail-open", "mail goes to servers whose certificates are wrong, for there is no other",
	 DOCTOR_ERROR},
	{"draining-only", "mail goes to servers that ask for none, for there is no other",
	 DOCTOR_ERROR},
	{"blind", "mxlb's program does not see what arrives: mail is lost; see sight",
	 DOCTOR_ERROR},
	{"not-ready", "the first verdicts are not there: the VIP is not answered yet",
	 DOCTOR_WARNING},
};

static void judge_tier(struct doctor *d, const json_t *service)
{
	const json_t *best = json_array_get(json_object_get(service, "tiers"), 0);
	char text[TEXT_TIER_SIZE];

	if (strcmp(field_text(service, "state"), "up") || field_true(best, "active"))
		return;
	doctor_find(d, DOCTOR_WARNING,
		    json_sprintf("%s: mail does not go to the best tier: %s",
				 field_text(service, "name"), text_tier(service, text)),
		    json_is_object(json_object_get(service, "forced"))
			    ? json_sprintf("mxlbctl tier %s auto", field_text(service, "name"))
			    : json_string("See what is said of its servers."));
}

static void check_services(struct doctor *d)
{
	json_t *service;
	size_t i;

	json_array_foreach(json_object_get(d->status, "services"), i, service)
	{
		for (size_t k = 0; k < sizeof(states) / sizeof(states[0]); k++)
			if (!strcmp(field_text(service, "state"), states[k].state))
				doctor_find(d, states[k].level,
					    json_sprintf("%s: %s", field_text(service, "name"),
							 states[k].text),
					    json_string("See what is said of its servers."));
		judge_tier(d, service);
	}
}

/* The first row whose name begins the reason. %s: SERVICE/BACKEND. */
static const struct {
	const char *reason, *advice;
} advices[] = {
	{"not_probed", "Wait for the first probe to end."},
	{"local_clock", "See clock."},
	{"local_", "It is this box that could not probe: see interfaces, and mxlbd's log."},
	{"expensive",
	 "See what is unusual in its certificates and key exchange: mxlbctl probe %s; mxlbd.8, "
	 "\"Expensive servers\"."},
	{"per_source_limit", "Except this box's address from the server's connection limits."},
	{"unreachable", "Is it running, and its cable in? See neighbours."},
	{"refused",
	 "Nothing listens there: start the mail server, and have it listen on the VIP too."},
	{"connect_timeout",
	 "A firewall there or on the way back drops it, or its answer does not come back to "
	 "this box: its default route must not lead astray."},
	{"vip_missing",
	 "The VIP is not on its loopback, or not listened on: mxlbctl server-setup linux|windows "
	 "%s"},
	{"greeting_silent",
	 "It accepts and says nothing: overload, or a filter that holds greetings back."},
	{"closed_early", "It hangs up: a limit or a filter there, for this box's address?"},
	{"no_starttls",
	 "It has lost its certificate (Exchange: event 12014) or its connector lacks TLS."},
	{"starttls_", "mxlbctl probe %s shows the dialogue."},
	{"tls",
	 "mxlbctl probe %s shows the dialogue; Schannel's or OpenSSL's log on the server the cause."},
	{"certificate_incomplete_chain", "Have it send the intermediate certificate too."},
	{"certificate_not_yet_valid", "See clock; or the certificate is for later."},
	{"certificate_self_signed",
	 "Assign a certificate of an authority to SMTP, or put this one into the probe's ca-file."},
	{"certificate_untrusted",
	 "Have it send the whole chain, or put the authority that is named into the probe's ca-file."},
	{"certificate_wrong_purpose",
	 "Have it issued with the usage 'Server Authentication', and assign that one to SMTP."},
	{"certificate_expired", "Renew it, and assign it to SMTP (Enable-ExchangeCertificate)."},
	{"certificate_", "mxlbctl probe %s shows its certificate beside what the policy wants."},
	{"tlsa_", "Publish the TLSA record of the new key, or put the old key back."},
	{"greeting_",
	 "It says so itself: maintenance, back pressure, or a filter. mxlbctl probe %s shows it."},
	{"", "mxlbctl probe %s shows the dialogue."},
};

static json_t *advice_for(const struct ctl_found *f)
{
	const char *reason = field_text(f->backend, "reason");
	char name[160], text[512];
	const char *mark;
	size_t i = 0;

	while (strncmp(advices[i].reason, reason, strlen(advices[i].reason)))
		i++;
	snprintf(name, sizeof(name), "%.64s/%.64s", field_text(f->service, "name"),
		 field_text(f->backend, "name"));
	mark = strstr(advices[i].advice, "%s");
	snprintf(text, sizeof(text), "%.*s%s%s", (int)strcspn(advices[i].advice, "%"),
		 advices[i].advice, mark ? name : "", mark ? mark + 2 : "");
	return json_string(text);
}

static void judge_server(struct doctor *d, const struct ctl_found *f)
{
	const char *verdict = field_text(f->backend, "verdict"),
		   *code = field_text(f->backend, "exo_code");

	if (!strcmp(verdict, "up") || strcmp(field_text(f->backend, "admin"), "ready"))
		return; /* what an operator said is no defect */
	doctor_find(d, strcmp(verdict, "down") ? DOCTOR_WARNING : DOCTOR_ERROR,
		    json_sprintf("%s/%s is %s: %s: %s%s%s", field_text(f->service, "name"),
				 field_text(f->backend, "name"), verdict,
				 field_text(f->backend, "reason"), field_text(f->backend, "text"),
				 *code ? "; Exchange Online says 450 " : "", code),
		    advice_for(f));
}

static void check_servers(struct doctor *d)
{
	doctor_each_backend(d, judge_server);
}

static void judge_certificate(struct doctor *d, const struct ctl_found *f)
{
	const json_t *tls = json_object_get(f->backend, "tls");
	long long days = field_number(tls, "days_left");

	if (!json_is_integer(json_object_get(tls, "days_left")) || days >= EXPIRY_DAYS)
		return;
	doctor_find(d, days < 0 ? DOCTOR_ERROR : DOCTOR_WARNING,
		    json_sprintf("%s/%s: its certificate (%s) %s", field_text(f->service, "name"),
				 field_text(f->backend, "name"), field_text(tls, "subject"),
				 days < 0 ? "has expired" : "expires within three weeks"),
		    json_string("Renew it, and assign it to SMTP; same issuer and subject, or "
				"tls-certificate-name changes."));
}

static void check_certificates(struct doctor *d)
{
	doctor_each_backend(d, judge_certificate);
}

static const char *mac_of(const json_t *backend)
{
	return field_text(json_object_get(backend, "neighbour"), "mac");
}

static void judge_neighbour(struct doctor *d, const struct ctl_found *f)
{
	const json_t *neighbour = json_object_get(f->backend, "neighbour");
	const char *state = field_text(neighbour, "state"), *name = field_text(f->backend, "name");
	bool l2 = !strcmp(field_text(f->backend, "forward"), "l2");

	if (strcmp(state, "resolved"))
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf(
				"the next hop to %s (%s) is %s: nobody answers ARP or ND for it",
				name, field_text(f->backend, "address"), state),
			json_sprintf(
				"ip route get %s shows the way; is that host running, in this network "
				"or VLAN?",
				field_text(f->backend, "address")));
	else if (l2 && field_true(neighbour, "routed"))
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf(
				"%s (%s) is behind a router, and forward: l2 only reaches hosts of our "
				"own network",
				name, field_text(f->backend, "address")),
			json_string("Write forward: ipip for it."));
}

/* Servers of a tier that are one host take twice their share, or one answers ARP for the other. */
static void judge_twins(struct doctor *d, const json_t *tier)
{
	const json_t *backends = json_object_get(tier, "backends"), *a, *b;
	size_t i, k;

	json_array_foreach(backends, i, a) json_array_foreach(
		backends, k, b) if (k > i && *mac_of(a) && !strcmp(mac_of(a), mac_of(b)) &&
				    !field_true(json_object_get(a, "neighbour"), "routed"))
		doctor_find(d, DOCTOR_WARNING,
			    json_sprintf("%s and %s have one MAC address, %s",
					 field_text(a, "name"), field_text(b, "name"), mac_of(a)),
			    json_string("Are they one host? Or does a host answer ARP for "
					"another (proxy_arp)?"));
}

static void check_neighbours(struct doctor *d)
{
	json_t *service, *tier;
	size_t i, k;

	doctor_each_backend(d, judge_neighbour);
	json_array_foreach(json_object_get(d->status, "services"), i, service)
		json_array_foreach(json_object_get(service, "tiers"), k, tier) judge_twins(d, tier);
}

/* What is left of the tunnel's MTU for a packet to the VIP. */
static void judge_tunnel(struct doctor *d, const struct ctl_found *f)
{
	const json_t *tunnel = json_object_get(f->backend, "tunnel");
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
			"the way to %s (%s) takes packets of %lld only: in its tunnel %lld are left for "
			"mail, %s",
			field_text(f->backend, "name"), field_text(f->backend, "address"), mtu,
			room,
			room < (v4 ? MTU_V4_MIN : MTU_V6_MIN)
				? "less than the Internet takes for granted"
				: "and senders must learn that by ICMP"),
		json_string(
			"Raise the MTU on the way (the interface's, the route's: ip route get), best to "
			"20 or 40 above 1500; let \"fragmentation needed\" through firewalls."));
}

static void check_tunnels(struct doctor *d)
{
	doctor_each_backend(d, judge_tunnel);
}

const struct doctor_check doctor_mail_checks[] = {
	{"services", "each has servers, and of the best tier", NEEDS_STATUS, check_services},
	{"servers", "all answer as senders want, on the VIP, over the mail's own path",
	 NEEDS_STATUS, check_servers},
	{"certificates", "none expires within three weeks", NEEDS_STATUS, check_certificates},
	{"neighbours", "all next hops answer, each with a MAC address of its own", NEEDS_STATUS,
	 check_neighbours},
	{"tunnels", "full packets pass, but for the outer header", NEEDS_STATUS, check_tunnels},
	{.name = NULL},
};
