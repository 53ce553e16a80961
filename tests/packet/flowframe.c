// SPDX-License-Identifier: BSD-2-Clause
/* The bytes of the flow tests' frames. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <string.h>
#include "flowframe.h"

static const uint8_t vip4[4] = {203, 0, 113, 25};
static const uint8_t vip6[16] = {0x20, 0x01, 0x0d, 0xb8, 0x01, 0x13, [15] = 0x25};

static void build_ipv4(struct frame *f, const struct flowmodel_segment *s, unsigned payload)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 61, .protocol = IPPROTO_TCP};

	ip.tot_len = htons(sizeof(ip) + payload);
	memcpy(&ip.saddr, s->tuple.client, 4);
	memcpy(&ip.daddr, vip4, 4);
	memcpy(f->b + ETH_HLEN, &ip, sizeof(ip));
	f->len = ETH_HLEN + sizeof(ip);
}

static void build_ipv6(struct frame *f, const struct flowmodel_segment *s, unsigned payload)
{
	struct ipv6hdr ip = {.version = 6, .nexthdr = IPPROTO_TCP, .hop_limit = 61};

	ip.payload_len = htons(payload);
	memcpy(&ip.saddr, s->tuple.client, 16);
	memcpy(&ip.daddr, vip6, 16);
	memcpy(f->b + ETH_HLEN, &ip, sizeof(ip));
	f->len = ETH_HLEN + sizeof(ip);
}

void flowframe_build(struct frame *f, const struct flowmodel_segment *s, uint16_t port,
		     unsigned pad)
{
	struct tcphdr tcp = {.doff = 5, .window = htons(64000)};
	__be16 type = htons(s->tuple.family == 4 ? ETH_P_IP : ETH_P_IPV6);

	if (s->syn)
		tcp.doff = 8; /* as if with options: zero bytes end the list */
	memcpy(f->b, our_mac, 6);
	memcpy(f->b + 6, router_mac, 6);
	memcpy(f->b + 12, &type, 2);
	if (s->tuple.family == 4)
		build_ipv4(f, s, tcp.doff * 4 + s->data);
	else
		build_ipv6(f, s, tcp.doff * 4 + s->data);
	tcp.source = htons(s->tuple.port);
	tcp.dest = htons(port);
	tcp.seq = htonl(s->seq);
	tcp.ack_seq = htonl(s->ack_seq);
	tcp.syn = s->syn;
	tcp.ack = s->ack;
	tcp.rst = s->rst;
	tcp.fin = s->fin;
	tcp.ece = tcp.cwr = s->seq & 1;			    /* never decide */
	tcp.psh = !s->syn && !s->ack && !s->rst && !s->fin; /* some flag there must be */
	memset(f->b + f->len, 0, tcp.doff * 4);
	memcpy(f->b + f->len, &tcp, sizeof(tcp));
	memset(f->b + f->len + tcp.doff * 4, 'x', s->data + pad);
	f->len += tcp.doff * 4 + s->data + pad;
}

bool flowframe_is_reset(const struct frame *f, const struct flowmodel_result *r)
{
	unsigned at = f->b[12] == 0x08 ? 34 : 54;
	struct tcphdr tcp;

	if (f->len != at + sizeof(tcp) || memcmp(f->b, router_mac, 6))
		return false;
	memcpy(&tcp, f->b + at, sizeof(tcp));
	return tcp.rst && !tcp.syn && !tcp.fin && tcp.ack == r->ack && ntohl(tcp.seq) == r->seq &&
	       ntohl(tcp.ack_seq) == r->ack_seq && frame_checksums_ok(f);
}
