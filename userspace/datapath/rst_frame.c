// SPDX-License-Identifier: BSD-2-Clause
/* Sends the SYNs of rst_frame.h through two raw sockets, one per family. Refuses mixed families. */
#include "datapath/rst_frame.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36 /* linux/in6.h; not in all variants of netinet/in.h of glibc 2.36 */
#endif

#define FORGE_TTL 64

struct forge {
	int v4, v6;
};

int forge_new(struct forge **out)
{
	struct forge *f = malloc(sizeof(*f));
	int one = 1, err;

	if (!f)
		return -ENOMEM;
	f->v4 = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	f->v6 = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	if (f->v4 >= 0 && f->v6 >= 0 &&
	    !setsockopt(f->v6, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof(one))) {
		*out = f;
		return 0;
	}
	err = -errno;
	forge_free(f);
	return err;
}

void forge_free(struct forge *f)
{
	if (!f)
		return;
	if (f->v4 >= 0)
		close(f->v4);
	if (f->v6 >= 0)
		close(f->v6);
	free(f);
}

static uint32_t sum(const void *at, size_t len, uint32_t from)
{
	const uint8_t *b = at;

	for (size_t i = 0; i + 1 < len; i += 2)
		from += b[i] << 8 | b[i + 1];
	return from;
}

static uint16_t rst_frame_fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htobe16((uint16_t)~s);
}

static struct tcphdr syn(uint16_t from, uint16_t to)
{
	struct tcphdr tcp = {
		.source = htobe16(from),
		.dest = htobe16(to),
		.doff = sizeof(tcp) / 4,
		.syn = 1,
		.window = htobe16(1024),
	};

	/* Any number works; an unpredictable one does no harm if the packet reaches another host. */
	if (getrandom(&tcp.seq, sizeof(tcp.seq), GRND_NONBLOCK) != sizeof(tcp.seq))
		tcp.seq = 0;
	return tcp;
}

static int send_to(int fd, const void *packet, size_t len, const struct addr *client)
{
	struct sockaddr_storage to;
	socklen_t to_len = addr_to_sockaddr(client, 0, &to);

	return sendto(fd, packet, len, 0, (struct sockaddr *)&to, to_len) < 0 ? -errno : 0;
}

static int syn4(int fd, const struct addr *vip, const struct addr *client, struct tcphdr tcp)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} p = {
		.ip =
			{
				.version = 4,
				.ihl = 5,
				.tot_len = htobe16(sizeof(p)),
				.frag_off = htobe16(IP_DF),
				.ttl = FORGE_TTL,
				.protocol = IPPROTO_TCP,
			},
		.tcp = tcp,
	};

	memcpy(&p.ip.saddr, vip->b + 12, sizeof(p.ip.saddr));
	memcpy(&p.ip.daddr, client->b + 12, sizeof(p.ip.daddr));
	p.tcp.check = rst_frame_fold(
		sum(&p.tcp, sizeof(p.tcp), sum(&p.ip.saddr, 8, IPPROTO_TCP + sizeof(p.tcp))));
	return send_to(fd, &p, sizeof(p),
		       client); /* the kernel fills in the IP checksum (raw(7)) */
}

static int syn6(int fd, const struct addr *vip, const struct addr *client, struct tcphdr tcp)
{
	struct {
		struct ip6_hdr ip;
		struct tcphdr tcp;
	} p = {.tcp = tcp};

	p.ip.ip6_flow = htobe32(6u << 28);
	p.ip.ip6_plen = htobe16(sizeof(p.tcp));
	p.ip.ip6_nxt = IPPROTO_TCP;
	p.ip.ip6_hlim = FORGE_TTL;
	memcpy(&p.ip.ip6_src, vip->b, sizeof(p.ip.ip6_src));
	memcpy(&p.ip.ip6_dst, client->b, sizeof(p.ip.ip6_dst));
	p.tcp.check = rst_frame_fold(
		sum(&p.tcp, sizeof(p.tcp), sum(&p.ip.ip6_src, 32, IPPROTO_TCP + sizeof(p.tcp))));
	return send_to(fd, &p, sizeof(p), client);
}

int forge_syn(struct forge *f, const struct addr *vip, uint16_t vip_port, const struct addr *client,
	      uint16_t client_port)
{
	struct tcphdr tcp = syn(vip_port, client_port);

	if (addr_is_v4(vip) != addr_is_v4(client))
		return -EAFNOSUPPORT;
	return addr_is_v4(vip) ? syn4(f->v4, vip, client, tcp) : syn6(f->v6, vip, client, tcp);
}
