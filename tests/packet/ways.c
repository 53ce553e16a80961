// SPDX-License-Identifier: BSD-2-Clause
/*
 * Defines "forwarded" for any frame: C01 to C04, C27 to C29, C31 and C32 of docs/conformance.md. The frame is assumed
 * to be one that may be forwarded; whether it may must be agreed by the kernel and the native build.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "ways.h"

#define HOPS	64
#define MIN_MTU 1280 /* RFC 8200 section 5 */

static const uint8_t source4[] = {203, 0, 113, 5}, target4[] = {192, 0, 2, 11};
static const uint8_t source6[] = {0x20, 1, 0xd, 0xb8, 1, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5};
static const uint8_t target6[] = {0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11};

void ways_set(struct mxlb_backend *b, const uint8_t mac[6], unsigned way)
{
	static const uint16_t mtus[] = {1500, 1400, 576, 120};
	unsigned kind = way / 2 % 9;

	*b = (struct mxlb_backend){.way = {.port = way % 2, .flags = MXLB_BACKEND_NEXT_HOP}};
	memcpy(b->way.mac, mac, 6);
	if (!kind)
		return;
	b->way.flags |= MXLB_BACKEND_TUNNEL;
	b->family = kind % 2 ? 4 : 6;
	b->mtu = mtus[(kind - 1) / 2];
	memcpy(b->source[0], b->family == 4 ? source4 : source6, b->family == 4 ? 4 : 16);
	memcpy(b->target, b->family == 4 ? target4 : target6, b->family == 4 ? 4 : 16);
}

static unsigned get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static unsigned head_len(int family)
{
	return family == 4 ? 20 : 40;
}

/* An IP packet in a frame. */
struct inside {
	const uint8_t *ip;
	unsigned room; /* bytes to the frame's end */
	int family;
	unsigned tos; /* that it must have from now on */
	int stripped;
};

static unsigned tos_of(const uint8_t *ip, int family)
{
	return family == 4 ? ip[1] : get16(ip) >> 4 & 0xff;
}

static unsigned ip_len(const struct inside *p)
{
	return p->family == 4 ? get16(p->ip + 2) : get16(p->ip + 4) + 40;
}

/* RFC 6040, figure 4, but for what must be dropped. */
static unsigned tos_merged(unsigned outer, unsigned inner)
{
	if ((outer & 3) == 3)
		return inner | 3;
	return (outer & 3) == 1 && (inner & 3) == 2 ? (inner & ~3u) | 1 : inner;
}

/* The offset after the Ethernet header, a tag, and a tunnel that ends here. */
static bool find_inside(const struct ways_trip *t, struct inside *p)
{
	unsigned at = t->in_port ? 18 : 14, head, protocol;

	*p = (struct inside){.ip = t->in + at, .family = get16(t->in + at - 2) == 0x0800 ? 4 : 6};
	if (t->in_len < at + head_len(p->family))
		return false;
	p->room = t->in_len - at;
	p->tos = tos_of(p->ip, p->family);
	protocol = p->ip[p->family == 4 ? 9 : 6];
	if (protocol != 4 && protocol != 41)
		return true;
	head = head_len(p->family);
	p->stripped = 1;
	p->family = protocol == 4 ? 4 : 6;
	p->ip += head;
	p->room -= head;
	if (p->room < head_len(p->family))
		return false;
	p->tos = tos_merged(p->tos, tos_of(p->ip, p->family));
	return true;
}

/* Is `out` the same packet, with this many hops less and the required TOS? */
static bool same_packet(const struct inside *p, const uint8_t *out, unsigned hops)
{
	const uint8_t *in = p->ip;
	unsigned sum = get16(in + 10) + hops * 0x100 + get16(in); /* RFC 1624 */

	if (tos_of(out, p->family) != p->tos)
		return false;
	if (p->family == 6)
		return in[0] >> 4 == out[0] >> 4 && (in[1] & 15) == (out[1] & 15) &&
		       !memcmp(in + 2, out + 2, 5) && out[7] == (uint8_t)(in[7] - hops) &&
		       !memcmp(in + 8, out + 8, p->room - 8);
	return in[0] == out[0] && !memcmp(in + 2, out + 2, 6) &&
	       out[8] == (uint8_t)(in[8] - hops) && out[9] == in[9] &&
	       sum % 0xffff == (get16(out + 10) + get16(out)) % 0xffff &&
	       !memcmp(in + 12, out + 12, p->room - 12);
}

int ways_header_is_summed(const uint8_t *ip)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += get16(ip + i);
	return sum % 0xffff == 0;
}

static bool outer4_is_right(const struct inside *p, const struct mxlb_backend *b, const uint8_t *ip)
{
	bool too_long = ip_len(p) + 20 > b->mtu;

	return ip[0] == 0x45 && ip[1] == p->tos && get16(ip + 2) == ip_len(p) + 20 &&
	       get16(ip + 6) == (too_long ? 0 : 0x4000) && (too_long || !get16(ip + 4)) &&
	       ip[8] == HOPS && ip[9] == (p->family == 4 ? 4 : 41) && ways_header_is_summed(ip) &&
	       !memcmp(ip + 12, source4, 4) && !memcmp(ip + 16, target4, 4);
}

static bool outer6_is_right(const struct inside *p, const uint8_t *ip)
{
	return ip[0] >> 4 == 6 && tos_of(ip, 6) == p->tos && get16(ip + 4) == ip_len(p) &&
	       ip[6] == (p->family == 4 ? 4 : 41) && ip[7] == HOPS &&
	       !memcmp(ip + 8, source6, 16) && !memcmp(ip + 24, target6, 16);
}

/*
 * Ethernet, with the tag of the outgoing interface and, if it has the same tag as the incoming one, the priority of
 * the frame.
 */
static bool ethernet_is_right(const struct ways_trip *t, int family)
{
	unsigned tci = t->in_port ? get16(t->in + 14) : WAYS_VLAN, port = t->server->way.port;

	return !memcmp(t->out, t->server->way.mac, 6) &&
	       !memcmp(t->out + 6, port ? WAYS_SECOND_MAC : WAYS_FIRST_MAC, 6) &&
	       (!port || (get16(t->out + 12) == 0x8100 && get16(t->out + 14) == tci)) &&
	       get16(t->out + (port ? 16 : 12)) == (family == 4 ? 0x0800 : 0x86dd);
}

const char *ways_forwarded_wrong(const struct ways_trip *t)
{
	const struct mxlb_backend *b = t->server;
	bool tunnel = b->way.flags & MXLB_BACKEND_TUNNEL;
	unsigned at = b->way.port ? 18 : 14, head = tunnel ? head_len(b->family) : 0;
	struct inside p;

	if (!find_inside(t, &p))
		return "forwarded, but is too short";
	if (t->out_len != at + head + p.room)
		return "forwarded, but longer or shorter";
	if (!ethernet_is_right(t, tunnel ? b->family : p.family))
		return "forwarded, but not from our address to its server's, as there";
	if (!same_packet(&p, t->out + at + head, 1))
		return "forwarded, but changed";
	if (!tunnel)
		return NULL;
	if (ip_len(&p) + head > b->mtu && (p.family == 4 || ip_len(&p) > MIN_MTU))
		return "forwarded, but too big for the tunnel";
	if (b->family == 4 ? !outer4_is_right(&p, b, t->out + at)
			   : !outer6_is_right(&p, t->out + at))
		return "forwarded, but with a wrong outer header";
	return NULL;
}

const char *ways_passed_wrong(const struct ways_trip *t, int stripped)
{
	unsigned at = t->in_port ? 18 : 14;
	struct inside p;

	if (t->out_len == t->in_len && !memcmp(t->out, t->in, t->in_len))
		return stripped ? "counted as out of a tunnel, but as it was" : NULL;
	if (!find_inside(t, &p) || !p.stripped || t->out_len != at + p.room ||
	    memcmp(t->out, t->in, at - 2) ||
	    get16(t->out + at - 2) != (p.family == 4 ? 0x0800 : 0x86dd) ||
	    !same_packet(&p, t->out + at, 0))
		return "passed, but changed";
	return NULL;
}

unsigned ways_random_outer(const struct ways_trip *t)
{
	unsigned at = t->server->way.port ? 18 : 14;

	if (!(t->server->way.flags & MXLB_BACKEND_TUNNEL) || t->server->family != 4 ||
	    t->out_len < at + 20 || get16(t->out + at + 6))
		return 0;
	return at;
}
